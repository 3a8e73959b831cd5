"""Both ends of UDP exchanges. Runs inside a pod.

usage: udp_peer.py serve NAME PORT...        answers each datagram with "NAME " and the datagram
       udp_peer.py ask ADDRESS PORT COUNT    one socket; prints a line for each answer
       udp_peer.py connected ADDRESS PORT COUNT    the same with connect(2)
       udp_peer.py flows ADDRESS PORT COUNT  as many sockets, each asks once
       udp_peer.py large ADDRESS PORT BYTES  prints the bytes that came back as they were
       udp_peer.py talk ADDRESS PORT         one socket; asks once for each line of standard input
"""

import selectors
import socket
import sys

_PATIENCE = 3


def serve(name: str, *ports: str) -> None:
    selector = selectors.DefaultSelector()
    for port in ports:
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", int(port)))
        selector.register(server, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            data, client = key.fileobj.recvfrom(65536)
            key.fileobj.sendto((name.encode() + b" " + data)[:65488], client)


def _socket(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(_PATIENCE)
    return made


def _exchange(client: socket.socket, address: str, port: str, data: str) -> str:
    """The name of who answered. An answer from any address but the one asked fails."""
    client.sendto(data.encode(), (address, int(port)))
    try:
        answer, source = client.recvfrom(65536)
    except socket.timeout:
        return "timeout"
    assert source[:2] == (address, int(port)), source
    name, _, rest = answer.decode().partition(" ")
    assert rest == data, rest
    return name


def ask(address: str, port: str, count: str) -> None:
    client = _socket(address)
    for i in range(int(count)):
        print(_exchange(client, address, port, f"question {i}"))


def connected(address: str, port: str, count: str) -> None:
    client = _socket(address)
    client.connect((address, int(port)))
    for i in range(int(count)):
        client.send(f"question {i}".encode())
        print(client.recv(65536).decode().partition(" ")[0])


def flows(address: str, port: str, count: str) -> None:
    for client in [_socket(address) for _ in range(int(count))]:
        print(_exchange(client, address, port, "question"))


def large(address: str, port: str, size: str) -> None:
    client = _socket(address)
    data = bytes(i * 7 % 256 for i in range(int(size)))
    client.sendto(data, (address, int(port)))
    answer = client.recv(65536)
    print(len(data) if answer.partition(b" ")[2] == data else "changed")


def talk(address: str, port: str) -> None:
    client = _socket(address)
    for line in sys.stdin:
        print(_exchange(client, address, port, line.strip()), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
