"""A sidecar under DNS load for a long time, while endpoints churn and the Corefile is reloaded.

usage: /usr/bin/python3 tests/lab/soak.py [SECONDS]

Exit status 0 if no answer was wrong or missing, and if at the end the sidecar has the memory and the descriptors
that it had after a minute (after a third of the time, when that is sooner).
"""

import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # run by its path, as ./dev does: start again as the module that it is
    _tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.execve(sys.executable, [sys.executable, "-B", "-m", "tests.lab.soak", *sys.argv[1:]],
              {**os.environ, "PYTHONPATH": _tree})

from . import namespaces
from .cluster import Cluster, Pod
from .corefiles import replace
from .faults import own_pod
from .resolver_tools import Load
from .tools import TREE, LabError

_PER_SECOND = 400
_GROWTH = 1.1
_BACKEND, _CHURN = "backend.default.svc.cluster.local", "churn.default.svc.cluster.local"
_QUESTIONS = (
    f"{_BACKEND}/A/udp=10.43.0.123", f"{_BACKEND}/A/tcp=10.43.0.123", f"{_BACKEND}/AAAA/udp=NOERROR",
    f"unknown.{_BACKEND}/A/udp=NXDOMAIN", f"unknown.{_BACKEND}/A/tcp=NXDOMAIN",
    f"_http._tcp.{_CHURN}/SRV/udp=any", f"{_CHURN}/A/udp=any", f"{_CHURN}/A/tcp=any",
    "example.org/AAAA/udp=2001:db8:1::7", "v4.example.org/A/udp=198.51.100.7", "v4.example.org/A/tcp=198.51.100.7",
    "nobody.example.org/A/udp=NXDOMAIN",
)
_SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "churn", "namespace": "default"},
            "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"],
                     "ports": [{"name": "http", "port": 80}]}}


@dataclass
class Footprint:
    rss_kb: float
    descriptors: float

    @classmethod
    def of(cls, pod: Pod) -> "Footprint":
        """The median of some samples: queries under way have sockets, too."""
        process = Path(f"/proc/{pod.sidecar.daemon.pid}")
        rss, descriptors = [], []
        for _ in range(15):
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            rss.append(int(status["VmRSS"].split()[0]))
            descriptors.append(len(os.listdir(process / "fd")))
            time.sleep(0.1)
        return cls(statistics.median(rss), statistics.median(descriptors))

    def has_grown_since(self, before: "Footprint") -> bool:
        return self.rss_kb > before.rss_kb * _GROWTH or self.descriptors > before.descriptors * _GROWTH


@dataclass
class Result:
    load: Load
    early: Footprint
    late: Footprint
    changes: int
    reloads: int

    def held(self) -> bool:
        return self.load.all_answered() and not self.late.has_grown_since(self.early) and self.reloads > 0

    def __str__(self) -> str:
        return (f"{self.load}\n{self.changes} changes of endpoints, {self.reloads} of the Corefile\n"
                f"early: {self.early}\nlate:  {self.late}")


class _Churn(threading.Thread):
    """Ten changes of endpoints a second, and a new Corefile every five."""

    def __init__(self, cluster: Cluster):
        super().__init__(daemon=True)
        self._cluster, self._corefile = cluster, cluster.corefile.read_text()
        self._ended = threading.Event()
        self.changes = self.reloads = 0
        self._slice()
        cluster.apply(_SERVICE)

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.changes += 1
            self._slice()
            if self.changes % 50 == 0:
                self.reloads += 1
                replace(self._cluster.corefile, self._corefile.replace("ttl 30", f"ttl {20 + self.reloads % 10}"))

    def end(self) -> None:
        self._ended.set()
        self.join()
        replace(self._cluster.corefile, self._corefile)
        self._cluster.delete(_SERVICE)
        self._cluster.api.delete(self._object())

    def _slice(self) -> None:
        self._cluster.api.apply(self._object())

    def _object(self) -> dict:
        addresses = [f"10.42.201.{1 + (self.changes + n) % 250}" for n in range(1 + self.changes % 40)]
        return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": "churn-1", "namespace": "default",
                             "labels": {"kubernetes.io/service-name": "churn"}},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
                "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]}


def soak(cluster: Cluster, seconds: float) -> Result:
    """In a pod of its own, which goes again; the cluster is left as it was."""
    churn = _Churn(cluster)
    try:
        with own_pod(cluster, "soak") as pod, Load(pod, _PER_SECOND, *_QUESTIONS) as load:
            begin = time.monotonic()
            churn.start()
            time.sleep(min(60, seconds / 3))
            early = Footprint.of(pod)
            time.sleep(max(0, begin + seconds - time.monotonic()))
            late = Footprint.of(pod)
    finally:
        churn.end()
    return Result(load, early, late, churn.changes, churn.reloads)


def main() -> int:
    if not namespaces.inside():
        return namespaces.run_inside([sys.executable, "-B", "-m", __spec__.name, *sys.argv[1:]])
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    try:
        with Cluster(TREE / "manifests" / "demo") as cluster:
            cluster.deploy("backend")
            result = soak(cluster, seconds)
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 1
    print(result)
    return 0 if result.held() else 1


if __name__ == "__main__":
    sys.exit(main())
