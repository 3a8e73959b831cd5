"""Both ends of TCP connections. Runs inside a pod.

usage: tcp_peer.py serve PORT...            reads to the end, then tells the client's address and sends as many bytes
       tcp_peer.py ask ADDRESS PORT BYTES   sends so many, half-closes and reads to the end; prints what the server
                                            told, or "reset", "refused", "timeout", or "lost" where bytes were
"""

import errno
import socket
import sys
import threading

_PATIENCE = 10


def _serve_one(connection: socket.socket, client: str) -> None:
    with connection:
        try:
            size = 0
            while block := connection.recv(1 << 16):
                size += len(block)
            connection.sendall(f"{client}\n".encode() + b"d" * size)
        except OSError:
            pass  # it was reset


def serve(*ports: str) -> None:
    def accept_at(port: int) -> None:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=256, dualstack_ipv6=True)
        ready.release()
        while True:
            connection, client = listener.accept()
            threading.Thread(target=_serve_one, args=(connection, client[0].removeprefix("::ffff:")), daemon=True).start()

    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=accept_at, args=(int(port),)) for port in ports]
    for thread in threads:
        thread.start()
    for _ in ports:
        ready.acquire()
    print("listening", flush=True)


def ask(address: str, port: str, size: str) -> None:
    count = int(size)
    try:
        with socket.create_connection((address, int(port)), timeout=_PATIENCE) as client:
            client.sendall(b"u" * count)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while block := client.recv(1 << 16):
                answer += block
    except ConnectionRefusedError:
        print("refused")
    except (ConnectionResetError, BrokenPipeError):
        print("reset")
    except TimeoutError:
        print("timeout")
    except OSError as error:
        # What shutdown says of one that was reset just before.
        if error.errno != errno.ENOTCONN:
            raise
        print("reset")
    else:
        who, _, rest = answer.partition(b"\n")
        print(who.decode() if rest == b"d" * count else "lost")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
