"""A folder of manifests, the portolan-control that reads it, backends, and clients that others wrote."""

import collections
import json
import os
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Iterable

from lab.tools import Daemon, LabError, portolan, wait_until

from conftest import BUILD, HERE

TARGET = "backend.default.svc.cluster.local:8080"
BACKEND_PORT = 9090
XDS = "127.0.0.1:15010"
HTTP = "127.0.0.1:15080"

def bootstrap(*features: str) -> dict:
    """As docs/xds.md prints it. libgrpc wants no locality, grpc-js does."""
    return {"xds_servers": [{"server_uri": XDS, "channel_creds": [{"type": "insecure"}],
                             "server_features": ["xds_v3", *features]}],
            "node": {"id": "default/client-1", "locality": {"zone": "zone-a"}}}


class Mesh:
    def __init__(self, folder: Path):
        self.folder = folder
        self.manifests = folder / "cluster"
        self.manifests.mkdir()
        self._service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "backend", "namespace": "default"},
                         "spec": {"clusterIP": "10.43.0.123", "ports": [{"name": "grpc", "port": 8080}]}}
        self._backends: dict[str, Daemon] = {}
        self.apply_service()
        self.apply_endpoints([])
        self.start_control()

    def start_control(self) -> None:
        self.control = Daemon("portolan-control", [portolan("portolan-control"), "--source", f"files:{self.manifests}",
                                                   "--xds-listen", XDS, "--xds-insecure", "--http-listen", HTTP],
                              self.folder / "control.log")
        self.control.wait_ready(lambda: self.api("/api/v1/sidecars") is not None, "its API answers")

    @staticmethod
    def api(path: str):
        try:
            with urllib.request.urlopen(f"http://{HTTP}{path}", timeout=2) as answer:
                return json.load(answer)
        except OSError:
            return None

    def apply_service(self) -> None:
        self._write("service.yaml", self._service)

    def remove_service(self) -> None:
        (self.manifests / "service.yaml").unlink()

    def apply_endpoints(self, endpoints: Iterable[dict]) -> None:
        """Each {"address", and what else an endpoint of a slice may have}."""
        made = []
        for endpoint in endpoints:
            rest = {key: value for key, value in endpoint.items() if key != "address"}
            made.append({"addresses": [endpoint["address"]], **rest})
        self._write("slice.yaml", {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "backend-1", "namespace": "default",
                         "labels": {"kubernetes.io/service-name": "backend"}},
            "ports": [{"name": "grpc", "port": BACKEND_PORT}], "endpoints": made})

    def _write(self, name: str, manifest: dict) -> None:
        # JSON is YAML. Renamed into the folder, so that it is read whole.
        beside = self.folder / name
        beside.write_text(json.dumps(manifest))
        beside.rename(self.manifests / name)

    def start_backends(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            log = self.folder / f"backend-{address}.log"
            log.unlink(missing_ok=True)
            backend = Daemon(f"backend {address}",
                             [str(BUILD / "tests" / "third_party_grpc_backend"), f"{address}:{BACKEND_PORT}"], log)
            backend.wait_ready(lambda: "listening" in log.read_text(), "it listens")
            self._backends[address] = backend

    def stop_backend(self, address: str) -> None:
        status = self._backends.pop(address).stop()
        if status != 0:
            log = (self.folder / f"backend-{address}.log").read_text()
            raise LabError(f"backend {address} ended with status {status}\n{log}")

    def close(self) -> None:
        for backend in self._backends.values():
            backend.kill()
        self.control.kill()


class Client:
    """A process that makes calls all the time and says for each who answered it."""

    def __init__(self, argv: list[str], folder: Path, features: tuple, environment: dict):
        file = folder / "bootstrap.json"
        file.write_text(json.dumps(bootstrap(*features)))
        self._log = folder / "client.log"
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env=dict(os.environ, GRPC_XDS_BOOTSTRAP=str(file), **environment))
        self._answers: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._answers.append(line.strip())

    def since(self, mark: int) -> list[str]:
        return self._answers[mark:]

    def mark(self) -> int:
        return len(self._answers)

    def failures(self) -> list[str]:
        return [answer for answer in self._answers if not answer.startswith("ok ")]

    def next_answers(self, count: int, timeout: float = 20) -> collections.Counter:
        """Of the next calls: how many each address (or failure) answered."""
        mark = self.mark()
        try:
            wait_until(lambda: self.mark() >= mark + count, f"{count} answers", timeout)
        except LabError as error:
            raise LabError(f"{error}\n{self._log.read_text()[-2000:]}\n{self._answers[-3:]}") from None
        return _count(self._answers[mark:mark + count])

    def wait_for(self, addresses: Iterable[str], timeout: float = 20) -> None:
        """Until exactly these answer, all of them."""
        wanted = set(addresses)
        deadline = time.monotonic() + timeout
        while set(seen := self.next_answers(20 * max(1, len(wanted)))) != wanted:
            if time.monotonic() > deadline:
                raise LabError(f"{sorted(wanted)} should answer; {dict(seen)}\n{self._log.read_text()[-2000:]}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)


def _count(answers: Iterable[str]) -> collections.Counter:
    return collections.Counter(answer.removeprefix("ok ").removesuffix(f":{BACKEND_PORT}") for answer in answers)


def libgrpc(folder: Path, *features: str) -> Client:
    return Client([str(BUILD / "tests" / "third_party_grpc_client"), f"xds:///{TARGET}"], folder, features, {})


def grpc_js(folder: Path, node_modules: Path, *features: str) -> Client:
    return Client(["node", str(HERE / "grpc_js_client.js"), f"xds:///{TARGET}"], folder, features,
                  {"NODE_PATH": str(node_modules)})
