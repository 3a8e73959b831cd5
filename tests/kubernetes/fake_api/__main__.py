"""Runs until SIGTERM."""

import argparse
import asyncio
import json
import signal
import ssl
import sys
import time
from pathlib import Path

from . import synthetic
from .http import serve_connection
from .kinds import KINDS
from .server import Server
from .store import Store


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fake_api", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:6443", help="ADDR:PORT, or unix:PATH")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--load", help="a JSON file with a list of objects")
    parser.add_argument("--first-version", type=int, default=100, help="where resourceVersions begin")
    parser.add_argument("--window", type=int, default=1000, help="how many events of a kind watches look back")
    parser.add_argument("--bookmark-interval", type=float, default=60.0)
    parser.add_argument("--forbidden-for", type=float, default=0.0, help="seconds of 403 after the start")
    parser.add_argument("--no-streaming-lists", action="store_true", help="as Kubernetes before 1.32")
    parser.add_argument("--without", default="multicluster.x-k8s.io,policy.networking.k8s.io",
                        help="groups and resources that are not there, with commas between them")
    parser.add_argument("--synthetic", default="", help="services=10000,endpoints=100000[,nodes=500][,pods=0]")
    return parser.parse_args()


def fill(store: Store, options: argparse.Namespace) -> None:
    store.version = options.first_version
    if options.synthetic:
        numbers = {name: int(value) for name, value in (part.split("=") for part in options.synthetic.split(","))}
        numbers["pods"] = bool(numbers.get("pods", 1))
        synthetic.fill(store, **numbers)
    if options.load:
        kinds = {(kind.api_version, kind.name): kind for kind in store.tables}
        for obj in json.loads(Path(options.load).read_text()):
            store.create(kinds[obj["apiVersion"], obj["kind"]], obj)
    store.compact()


async def run(options: argparse.Namespace) -> None:
    without = set(filter(None, options.without.split(",")))
    store = Store([kind for kind in KINDS if not without & {kind.group, kind.plural}], options.window)
    fill(store, options)
    server = Server(store, options.bookmark_interval)
    server.faults.refuse_streaming = options.no_streaming_lists
    server.faults.forbidden_until = time.monotonic() + options.forbidden_for
    context = None
    if options.tls_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.tls_cert, options.tls_key)

    async def connected(reader, writer):
        await serve_connection(reader, writer, server.handle)

    if options.listen.startswith("unix:"):
        listener = await asyncio.start_unix_server(connected, options.listen[5:], limit=1 << 20)
    else:
        host, _, port = options.listen.rpartition(":")
        listener = await asyncio.start_server(connected, host.strip("[]"), int(port), ssl=context, limit=1 << 20,
                                              backlog=1024)
        print("listening on", listener.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(arguments())))
