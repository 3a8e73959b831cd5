"""Many TCP connections at once whose every byte is checked. Runs inside a pod.

usage: streams.py serve PORT...   sends back what comes, on all addresses
       streams.py dial            does what its input says, a line each, and answers each with a line
         open COUNT ADDRESS PORT  that many more connections      opened=N failed=N
         round BYTES              all send so much and wait until it has come back   whole=N lost=N
         renew COUNT              the oldest half-close and read to the end, and as many are opened to where the
                                  last ones were          whole=N lost=N
         finish                   all half-close and read to the end                 whole=N lost=N

A stream's content follows from its number and the position in it, so that a byte that is lost, doubled, moved, or
in the wrong stream is seen. `lost` counts connections since the start; what befell the first goes to stderr.
"""

import errno
import ipaddress
import os
import random
import resource
import select
import socket
import sys
import time

_BLOCK = random.Random(1).randbytes(1 << 20)
_CONTENT = memoryview(_BLOCK + _BLOCK)
_LARGEST = 1 << 16
_UNDER_WAY = 256
_PATIENCE = 60.0
_READ, _WRITE = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT


def _content(number: int, position: int, size: int) -> memoryview:
    start = (number * 7919 + position) % len(_BLOCK)
    return _CONTENT[start:start + size]


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# --- The server ---


def serve(ports: list[int]) -> None:
    epoll = select.epoll()
    listeners, clients, waiting = {}, {}, {}
    for port in ports:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
        listener.setblocking(False)
        listeners[listener.fileno()] = listener
        epoll.register(listener.fileno(), select.EPOLLIN)

    def close(fd: int) -> None:
        waiting.pop(fd, None)
        clients.pop(fd).close()

    def echo(fd: int) -> None:
        """Nothing is read while something waits to be sent."""
        client = clients[fd]
        while True:
            data = waiting.pop(fd, None) or client.recv(_LARGEST)
            if not data:
                return close(fd)
            sent = client.send(data)
            if sent < len(data):
                waiting[fd] = data[sent:]
                return epoll.modify(fd, _WRITE)

    while True:
        for fd, event in epoll.poll(maxevents=1024):
            if fd in listeners:
                try:
                    client, _ = listeners[fd].accept()
                except OSError:
                    continue
                client.setblocking(False)
                clients[client.fileno()] = client
                epoll.register(client.fileno(), _READ)
                continue
            try:
                if event & _WRITE:
                    epoll.modify(fd, _READ)
                echo(fd)
            except BlockingIOError:
                if fd in waiting:
                    epoll.modify(fd, _WRITE)
            except OSError:
                close(fd)


# --- The client ---


class _Stream:
    def __init__(self, number: int, target: tuple):
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.number, self.sent, self.received, self.goal = number, 0, 0, 0
        error = self.socket.connect_ex(target)
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))

    def send(self) -> None:
        while self.sent < self.goal:
            size = min(self.goal - self.sent, _LARGEST)
            self.sent += self.socket.send(_content(self.number, self.sent, size))

    def receive(self) -> None:
        while self.received < self.sent:
            data = self.socket.recv(_LARGEST)
            if not data:
                raise OSError(errno.EPIPE, f"the stream ended after {self.received} of {self.goal}")
            if data != _content(self.number, self.received, len(data)):
                raise OSError(errno.EBADMSG, f"wrong bytes after {self.received}")
            self.received += len(data)


class _Dialler:
    def __init__(self):
        self._streams: dict[int, _Stream] = {}
        self._epoll = select.epoll()
        self._count = self._lost = 0
        self._target = ("", "")  # of the last open

    def run(self) -> None:
        commands = {"open": self._open, "round": self._round, "renew": self._renew, "finish": self._finish}
        for line in sys.stdin:
            word, *arguments = line.split()
            print(commands[word](*arguments), flush=True)

    def _open(self, count: str, address: str, port: str) -> str:
        self._target = (str(ipaddress.ip_address(address)), port)
        opened, connecting = 0, set()
        before = self._lost
        deadline = time.monotonic() + _PATIENCE
        left = int(count)
        while (left > 0 or connecting) and time.monotonic() < deadline:
            while left > 0 and len(connecting) < _UNDER_WAY:
                left -= 1
                self._count += 1
                try:
                    stream = _Stream(self._count, (address, int(port)))
                except OSError as error:
                    self._lose(None, error)
                    continue
                fd = stream.socket.fileno()
                self._streams[fd] = stream
                connecting.add(fd)
                self._epoll.register(fd, _WRITE)
            for fd, _ in self._epoll.poll(1, maxevents=1024):
                connecting.discard(fd)
                error = self._streams[fd].socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self._lose(fd, OSError(error, os.strerror(error)))
                else:
                    opened += 1
                    self._epoll.modify(fd, 0)
        for fd in connecting:
            self._lose(fd, TimeoutError("no connection in time"))
        return f"opened={opened} failed={self._lost - before}"

    def _round(self, size: str) -> str:
        busy = set(self._streams)
        for fd, stream in self._streams.items():
            stream.goal += int(size)
            self._epoll.modify(fd, _READ | _WRITE)

        def step(fd: int, event: int) -> bool:
            stream = self._streams[fd]
            try:
                stream.send()
            except BlockingIOError:
                pass
            if stream.sent == stream.goal and event & _WRITE:
                self._epoll.modify(fd, _READ)
            try:
                stream.receive()
            except BlockingIOError:
                pass
            if stream.received < stream.goal:
                return False
            self._epoll.modify(fd, 0)
            return True

        self._until_done(busy, step)
        return self._whole()

    def _renew(self, count: str) -> str:
        oldest = sorted(self._streams, key=lambda fd: self._streams[fd].number)[:int(count)]
        self._half_close(oldest)
        for fd in oldest:
            if fd in self._streams:
                self._streams.pop(fd).socket.close()
        self._open(str(len(oldest)), *self._target)
        return self._whole()

    def _finish(self) -> str:
        self._half_close(self._streams)
        return self._whole()

    def _half_close(self, which) -> None:
        busy = set(which)
        for fd in busy:
            self._streams[fd].socket.shutdown(socket.SHUT_WR)
            self._epoll.modify(fd, _READ)

        def step(fd: int, _event: int) -> bool:
            if self._streams[fd].socket.recv(1):
                raise OSError(errno.EBADMSG, "more came than was sent")
            self._epoll.unregister(fd)  # its end is reported whatever is asked for
            return True

        self._until_done(busy, step)

    def _until_done(self, busy: set, step) -> None:
        """Calls step for each that is ready until it says True, or loses it."""
        deadline = time.monotonic() + _PATIENCE
        while busy and time.monotonic() < deadline:
            for fd, event in self._epoll.poll(1, maxevents=1024):
                if fd not in busy:
                    self._lose(fd, OSError(errno.EPIPE, "ended on its own"))
                    continue
                try:
                    if not step(fd, event):
                        continue
                except BlockingIOError:
                    continue
                except OSError as error:
                    self._lose(fd, error)
                busy.discard(fd)
        for fd in busy:
            self._lose(fd, TimeoutError("not done in time"))

    def _whole(self) -> str:
        return f"whole={len(self._streams)} lost={self._lost}"

    def _lose(self, fd, error: OSError) -> None:
        if self._lost == 0:
            number = self._streams[fd].number if fd is not None else self._count
            print(f"stream {number}: {error}", file=sys.stderr, flush=True)
        self._lost += 1
        if fd is not None:
            self._streams.pop(fd).socket.close()


def main() -> None:
    _raise_limit()
    if sys.argv[1] == "serve":
        serve([int(port) for port in sys.argv[2:]])
    else:
        _Dialler().run()


if __name__ == "__main__":
    main()
