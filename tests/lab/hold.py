"""Runs inside a pod: opens many TCP connections, says so, and holds them until it is killed.

usage: hold.py COUNT ADDRESS PORT...     PORT in turn; prints "holding" when each is connected or refused
"""

import resource
import socket
import sys
import time


def main() -> None:
    count, address, ports = int(sys.argv[1]), sys.argv[2], [int(port) for port in sys.argv[3:]]
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    held = []
    for number in range(count):
        try:
            held.append(socket.create_connection((address, ports[number % len(ports)]), timeout=0.5))
        except OSError:
            pass
    print("holding", len(held), flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main()
