"""A control plane over a folder of manifests and a real sidecar, as plain processes of this machine."""

import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from . import cluster

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from lab.tools import free_port  # noqa: E402

_BIN = Path(os.environ.get("PORTOLAN_BIN", Path(__file__).resolve().parents[3] / "build" / "bin"))
NODE = "ns0/asking-5d4f8c7b9-x2x9z"
# Sidecars for as long as it takes to start under a sanitizer.
_PATIENCE = 60


class Running:
    """Both programs, and how to ask them."""

    def __init__(self, folder: Path, services: list):
        self.services, self._children = services, []
        self.folder = folder
        manifests = folder / "manifests"
        manifests.mkdir()
        (manifests / "all.yaml").write_text(cluster.manifests(services, NODE))
        xds, self.http, self.dns = free_port(), free_port(), free_port()
        self._start("portolan-control", "--source", f"files:{manifests}", "--xds-insecure", "--xds-listen",
                    f"127.0.0.1:{xds}", "--http-listen", f"127.0.0.1:{self.http}", "--status-listen", "127.0.0.1:0")
        # Nobody answers there, and at once: what is not the cluster's has no answer.
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\nsearch ns0.svc.cluster.local svc.cluster.local "
                                            "cluster.local\noptions ndots:5\n")
        self._start("portolan-proxy", "--node", NODE, "--control", f"127.0.0.1:{xds}", "--control-insecure",
                    "--resolv-conf", str(folder / "resolv.conf"), "--concurrency", "1", "--pod-ip", "10.9.9.9",
                    "--dns-listen", f"127.0.0.1:{self.dns}", "--forward-listen", "127.0.0.1:0", "--admin-listen",
                    "127.0.0.1:0", "--status-listen", "127.0.0.1:0", "--state-dir", str(folder / "state"))
        self._await(lambda: self.get("/api/v1/status")["ready"], "the control plane is ready")
        self._await(lambda: self.report().get("feed", {}).get("inSync"), "the sidecar is in sync")

    def _start(self, program: str, *flags: str) -> None:
        with open(self.folder / f"{program}.log", "w", encoding="utf-8") as log:
            self._children.append(subprocess.Popen([str(_BIN / program), *flags], stdout=log, stderr=log))

    def _await(self, holds, what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if holds():
                    return
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.1)
        logs = "\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
        raise AssertionError(f"{what}: not within {_PATIENCE} s\n{logs}")

    def fetch(self, target: str, method: str = "GET") -> tuple[int, str, str]:
        """Status, content type and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{target}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    def get(self, target: str) -> dict:
        status, _, body = self.fetch(target)
        if status != 200:
            raise ValueError(f"{target}: {status} {body}")
        return json.loads(body)

    def report(self) -> dict:
        sidecars = self.get(f"/api/v1/sidecars?node={NODE}")["sidecars"]
        return sidecars[0].get("report", {}) if sidecars else {}

    def dig(self, questions: list) -> str:
        """What dig prints for all of them, each a name and a type."""
        batch = self.folder / "questions"
        batch.write_text("".join(f"{name} {kind}\n" for name, kind in questions))
        return subprocess.run(["dig", "@127.0.0.1", "-p", str(self.dns), "+tries=2", "+time=5", "+noall", "+comments",
                               "+question", "+answer", "-f", str(batch)], stdout=subprocess.PIPE, text=True,
                              check=True, timeout=500).stdout

    def stop(self) -> None:
        for child in reversed(self._children):
            child.terminate()
        for child in self._children:
            child.wait(timeout=30)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    running = Running(tmp_path_factory.mktemp("dashboard"), cluster.services(1200, random.Random(7)))
    yield running
    running.stop()
