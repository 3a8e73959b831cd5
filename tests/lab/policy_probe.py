"""Both ends of the probes that a network policy allows or denies. Runs inside a pod.

usage: policy_probe.py serve NAME PORT...   tells NAME to whoever connects, and to each datagram
       policy_probe.py ask                  for each line of JSON on standard input, a list of
                                            [protocol, address, port], a line with the list of what became of
                                            each: the name, "reset", "refused", "closed", "timeout" or an error
"""

import json
import selectors
import socket
import sys
import time

_PATIENCE = 5


def serve(name: str, *ports: str) -> None:
    selector = selectors.DefaultSelector()
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(socket.AF_INET6, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.bind(("::", int(port)))
            if kind == socket.SOCK_STREAM:
                server.listen(256)
            selector.register(server, selectors.EVENT_READ, kind)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data == socket.SOCK_STREAM:
                connection, _ = key.fileobj.accept()
                connection.sendall(name.encode())
                connection.close()
            else:
                _, client = key.fileobj.recvfrom(100)
                key.fileobj.sendto(name.encode(), client)


def _outcome(ready: socket.socket) -> str:
    try:
        return ready.recv(100).decode() or "closed"
    except ConnectionResetError:
        return "reset"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return str(error)


def _probe(targets: list) -> list:
    outcomes = ["timeout"] * len(targets)
    selector = selectors.DefaultSelector()
    for i, (protocol, address, port) in enumerate(targets):
        kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        client.connect_ex((address, port))
        if protocol == "UDP":
            try:
                client.send(b"who are you")
            except OSError as error:
                outcomes[i] = "refused" if isinstance(error, ConnectionRefusedError) else str(error)
                continue
        selector.register(client, selectors.EVENT_READ, i)
    end = time.monotonic() + _PATIENCE
    while selector.get_map() and (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            outcomes[key.data] = _outcome(key.fileobj)
            selector.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return outcomes


def ask() -> None:
    for line in sys.stdin:
        print(json.dumps(_probe(json.loads(line))), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
