"""Runs inside a pod: asks the same questions over and over, and says which answers were wrong or missing.

usage: dns_load.py SERVER SECONDS PER_SECOND QUESTION...
       QUESTION is NAME/TYPE/udp|tcp=ANSWER: records joined by commas in any order, or an RCODE, or "any"

Prints "asking", and at the end (SIGTERM ends it early) one JSON object: {"asked", "slowest", "wrong", "missing"}, where
"slowest" is in seconds and the lists hold at most twenty {"t", "question", "got"}.
"""

import json
import signal
import socket
import sys
import threading
import time

import dns.message
import dns.rcode
import dns.rdatatype

_THREADS = 4
# As long as a stub resolver waits before it tries again; nothing is tried again here.
_WAIT_SECONDS = 2
_MOST_LISTED = 20


class Question:
    def __init__(self, text: str):
        self.text, _, self.expected = text.partition("=")
        name, rdtype, self.transport = self.text.split("/")
        self.rdtype = dns.rdatatype.from_text(rdtype)
        self._wire = dns.message.make_query(name, rdtype).to_wire()

    def wire(self, number: int) -> bytes:
        return (number & 0xffff).to_bytes(2, "big") + self._wire[2:]

    def is_answered_by(self, got: str) -> bool:
        return self.expected == "any" or got == ",".join(sorted(self.expected.split(",")))

    def read(self, reply: bytes) -> str:
        message = dns.message.from_wire(reply)
        records = sorted(item.to_text() for rrset in message.answer for item in rrset if item.rdtype == self.rdtype)
        return ",".join(records) or dns.rcode.to_text(message.rcode())


class Load:
    def __init__(self, server: str, questions: list):
        self._server, self._questions = server, questions
        self._family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.result = {"asked": 0, "slowest": 0.0, "wrong": [], "missing": []}

    def run(self, seconds: float, per_second: float) -> dict:
        threads = [threading.Thread(target=self._ask_on, args=(n, seconds, per_second / _THREADS))
                   for n in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.result

    def _ask_on(self, thread: int, seconds: float, per_second: float) -> None:
        begin = time.monotonic()
        number = 0
        while not self.stop.is_set() and time.monotonic() < begin + seconds:
            question = self._questions[(thread + number * _THREADS) % len(self._questions)]
            self._ask(question, number)
            number += 1
            self.stop.wait(max(0.0, begin + number / per_second - time.monotonic()))

    def _ask(self, question: Question, number: int) -> None:
        asked = time.monotonic()
        try:
            got, kind = question.read(self._exchange(question, number)), "wrong"
        except Exception as error:  # what is no DNS message counts as none
            got, kind = f"{type(error).__name__}: {error}", "missing"
        with self._lock:
            self.result["asked"] += 1
            self.result["slowest"] = max(self.result["slowest"], time.monotonic() - asked)
            listed = self.result[kind]
            if (kind == "missing" or not question.is_answered_by(got)) and len(listed) < _MOST_LISTED:
                listed.append({"t": asked, "question": question.text, "got": got})

    def _exchange(self, question: Question, number: int) -> bytes:
        """A fresh socket for each question, as a stub resolver has."""
        wire = question.wire(number)
        if question.transport == "tcp":
            with socket.create_connection((self._server, 53), timeout=_WAIT_SECONDS) as s:
                s.sendall(len(wire).to_bytes(2, "big") + wire)
                size = int.from_bytes(_read(s, 2), "big")
                return _read(s, size)
        with socket.socket(self._family, socket.SOCK_DGRAM) as s:
            s.settimeout(_WAIT_SECONDS)
            s.connect((self._server, 53))
            s.send(wire)
            while (reply := s.recv(65535))[:2] != wire[:2]:
                pass
            return reply


def _read(s: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = s.recv(size - len(data))
        if not piece:
            raise EOFError("the connection was closed")
        data += piece
    return data


def main() -> None:
    load = Load(sys.argv[1], [Question(text) for text in sys.argv[4:]])
    signal.signal(signal.SIGTERM, lambda *_: load.stop.set())
    print("asking", flush=True)
    print(json.dumps(load.run(float(sys.argv[2]), float(sys.argv[3]))), flush=True)


if __name__ == "__main__":
    main()
