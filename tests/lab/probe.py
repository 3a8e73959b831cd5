"""Runs inside a pod and watches, every millisecond, what an application would see.

usage: probe.py dns SERVER NAME TYPE     prints {"t", "answer"} whenever the set of addresses changes
       probe.py http ADDRESS PORT        prints {"t", "end", "who"} for every connection

Times are CLOCK_MONOTONIC seconds, which all namespaces of a machine share.
"""

import json
import socket
import sys
import time

import dns.message
import dns.rdatatype

_INTERVAL = 0.001
_LIMIT_SECONDS = 60


def _emit(**fields) -> None:
    print(json.dumps(fields), flush=True)


def watch_dns(server: str, name: str, rdtype: str) -> None:
    before = None
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        query = dns.message.make_query(name, rdtype)
        # A fresh socket each time, as a stub resolver does.
        with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            s.connect((server, 53))
            try:
                s.send(query.to_wire())
                reply = dns.message.from_wire(s.recv(65535))
                answer = sorted(item.to_text() for rrset in reply.answer for item in rrset
                                if item.rdtype == dns.rdatatype.from_text(rdtype))
            except OSError as error:
                answer = [f"error: {error}"]
        if answer != before:
            _emit(t=time.monotonic(), answer=answer)
            before = answer
        time.sleep(_INTERVAL)


def watch_http(address: str, port: int) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        begin = time.monotonic()
        try:
            with socket.create_connection((address, port), timeout=2) as s:
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                text = b""
                while chunk := s.recv(4096):
                    text += chunk
            who = text.decode().strip().rsplit("\n", 1)[-1]
        except OSError as error:
            who = f"error: {error}"
        _emit(t=begin, end=time.monotonic(), who=who)
        time.sleep(_INTERVAL)


if __name__ == "__main__":
    if sys.argv[1] == "dns":
        watch_dns(sys.argv[2], sys.argv[3], sys.argv[4])
    else:
        watch_http(sys.argv[2], int(sys.argv[3]))
