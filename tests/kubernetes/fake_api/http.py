"""As much of HTTP/1.1 as a Kubernetes client speaks. HTTP/2 is what a proxy in front of it is for (nghttpx)."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import yaml

REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 409: "Conflict", 410: "Gone", 415: "Unsupported Media Type",
           422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable", 504: "Gateway Timeout"}


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))

    def json(self):
        # kubectl apply --server-side sends YAML.
        return yaml.safe_load(self.body) if "yaml" in self.headers.get("content-type", "") else json.loads(self.body)


class Reply:
    """The answer to one request: whole, or a stream of chunks."""

    def __init__(self, writer: asyncio.StreamWriter):
        self.writer = writer
        self.begun = False
        self.slow = 0  # bytes a second; 0: as fast as it goes

    async def send(self, status: int, body: bytes, content_type: str = "application/json", headers=()) -> None:
        self.begun = True
        head = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", "Cache-Control: no-cache, private",
                f"Content-Type: {content_type}", f"Content-Length: {len(body)}",
                *(f"{name}: {value}" for name, value in headers), "", ""]
        await self.write("\r\n".join(head).encode() + body)

    async def begin_stream(self) -> None:
        self.begun = True
        await self.write(b"HTTP/1.1 200 OK\r\nCache-Control: no-cache, private\r\n"
                         b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n" % len(data) + data + b"\r\n")

    async def end_stream(self) -> None:
        await self.write(b"0\r\n\r\n")

    async def write(self, data: bytes) -> None:
        if self.slow:
            for at in range(0, len(data), max(self.slow // 10, 1)):
                self.writer.write(data[at:at + max(self.slow // 10, 1)])
                await self.writer.drain()
                await asyncio.sleep(0.1)
            return
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """The connection is gone, without a word."""
        self.writer.transport.abort()


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                           handle: Callable[[Request, Reply], Awaitable[None]]) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            if headers.get("expect"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await _read_body(reader, headers)
            await handle(Request(method, target, headers, body), Reply(writer))
            if headers.get("connection", "").lower() == "close":
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError, OSError):
        pass
    finally:
        writer.close()


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            return body
