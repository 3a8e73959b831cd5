"""Bulk over one TCP connection, both ways at once, every byte checked. Runs inside a pod.

usage: bulk.py serve PORT                  the first line of a client says how many bytes go up and down
       bulk.py dial ADDRESS PORT UP DOWN   exit status 0 if what came down is whole
       bulk.py hoard COUNT                 so many pipes, held until its input ends; prints "holding"

Each side half-closes as soon as it has sent all, while the other may have more to say. The server prints a line for
each connection: "whole" if what went up is, else what is wrong.
"""

import os
import random
import resource
import socket
import sys
import threading

# Not a power of two, so that no buffer's worth of bytes is like the next.
_CONTENT = memoryview(random.Random(1).randbytes(1_000_003))
_PIECE = 1 << 18
_PATIENCE = 60


def _pieces(total: int):
    """The content again and again, up to so many bytes."""
    position = 0
    while position < total:
        start = position % len(_CONTENT)
        piece = _CONTENT[start:start + min(_PIECE, total - position)]
        yield piece
        position += len(piece)


def _send(peer: socket.socket, total: int) -> None:
    try:
        for piece in _pieces(total):
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the reader says what happened


def _receive(stream, total: int) -> str:
    """ "whole", or what is wrong."""
    position = 0
    try:
        for piece in _pieces(total):
            if stream.read(len(piece)) != piece:
                return f"wrong or missing between {position} and {position + len(piece)} of {total}"
            position += len(piece)
        return "more than was sent" if stream.read(1) else "whole"
    except OSError as error:
        return f"{error} after {position} of {total}"


def _exchange(peer: socket.socket, stream, to_send: int, to_receive: int) -> str:
    sender = threading.Thread(target=_send, args=(peer, to_send))
    sender.start()
    verdict = _receive(stream, to_receive)
    sender.join()
    return verdict


def _serve_one(peer: socket.socket) -> None:
    peer.settimeout(_PATIENCE)
    with peer, peer.makefile("rb", buffering=1 << 16) as stream:
        line = stream.readline()
        if line:  # else the lab has only seen whether it is served
            up, down = (int(word) for word in line.split())
            print(_exchange(peer, stream, down, up), flush=True)


def serve(port: int) -> None:
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        threading.Thread(target=_serve_one, args=(listener.accept()[0],), daemon=True).start()


def dial(address: str, port: int, up: int, down: int) -> str:
    with socket.create_connection((address, port), timeout=_PATIENCE) as peer, peer.makefile("rb") as stream:
        peer.sendall(f"{up} {down}\n".encode())
        return _exchange(peer, stream, up, down)


def hoard(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2 * count + 100, hard)), hard))
    pipes = [os.pipe() for _ in range(count)]
    print("holding", len(pipes), flush=True)
    sys.stdin.read()


def main() -> None:
    command, *arguments = sys.argv[1:]
    if command == "serve":
        serve(int(arguments[0]))
    elif command == "hoard":
        hoard(int(arguments[0]))
    else:
        verdict = dial(arguments[0], *(int(argument) for argument in arguments[1:]))
        print(verdict)
        sys.exit(verdict != "whole")


if __name__ == "__main__":
    main()
