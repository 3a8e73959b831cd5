"""Servers that behave as an endpoint sometimes does. Runs inside a pod.

usage: odd_servers.py KIND PORT
  lines   answers each line with "lines", for as long as the client likes
  resets  sends half a sentence, waits for a byte, and resets the connection
  slow    accepts at once and says "slow" after 2.5 s
"""

import socket
import struct
import sys
import threading
import time

HALF = b"half of what was promised"


def lines(client: socket.socket) -> None:
    for _ in client.makefile("r"):
        client.sendall(b"lines\n")


def resets(client: socket.socket) -> None:
    client.sendall(HALF)
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def slow(client: socket.socket) -> None:
    time.sleep(2.5)
    client.sendall(b"slow\n")


def main() -> None:
    serve, port = {"lines": lines, "resets": resets, "slow": slow}[sys.argv[1]], int(sys.argv[2])

    def handle(client: socket.socket) -> None:
        with client:
            serve(client)

    listener = socket.create_server(("0.0.0.0", port))
    while True:
        client, _ = listener.accept()
        threading.Thread(target=handle, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
