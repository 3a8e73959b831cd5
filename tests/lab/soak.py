"""A sidecar under load of queries and connections for a long time, while endpoints churn and the Corefile is reloaded.

usage: /usr/bin/python3 tests/lab/soak.py [SECONDS]

Exit status 0 if no answer was wrong or missing, no connection failed and no byte of one was lost or moved, and if at the end the sidecar has the memory and the descriptors
that it had after a minute (after a third of the time, when that is sooner).
"""

import itertools
import os
import random
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

from . import by_hand, namespaces
from .cluster import OPTED_IN, Cluster, Pod
from .corefiles import replace
from .faults import own_pod
from .resolver_tools import Load
from .stream_load import ECHO_NUMBERS, Dialler, echo_servers
from .tools import TREE, LabError

_PER_SECOND = 400
_STREAMS, _RENEWED = 300, 30
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
    streams: "_Streams"
    early: Footprint
    late: Footprint
    changes: int
    reloads: int

    def held(self) -> bool:
        served = self.load.all_answered() and self.streams.all_whole()
        return served and not self.late.has_grown_since(self.early) and self.reloads > 0

    def __str__(self) -> str:
        return (f"{self.load}\n{self.streams}\n{self.changes} changes of endpoints, {self.reloads} of the Corefile\n"
                f"early: {self.early}\nlate:  {self.late}")


class _Streams(threading.Thread):
    """Connections to a Service whose endpoints churn: every byte is checked, and a tenth are made anew each time."""

    def __init__(self, dialler: Dialler, service: by_hand.Service):
        super().__init__(daemon=True)
        self._dialler = dialler
        self._ended = threading.Event()
        self.last = dialler.ask(f"open {_STREAMS} {service.ip} 80")
        self.rounds = 0

    def run(self) -> None:
        sizes = itertools.cycle((1, 100, 10_000, 100_000))
        while not self._ended.is_set() and self.last.get("lost", 0) == 0:
            self.last = self._dialler.ask(f"round {next(sizes)}")
            self.last = self._dialler.ask(f"renew {_RENEWED}")
            self.rounds += 1

    def end(self) -> None:
        self._ended.set()
        self.join()

    def all_whole(self) -> bool:
        return self.rounds > 0 and self.last == {"whole": _STREAMS, "lost": 0}

    def __str__(self) -> str:
        return f"streams: {self.rounds} rounds, {self.rounds * _RENEWED} made anew, {self.last} {self._dialler.complaint()}"


class _Churn(threading.Thread):
    """Ten changes of endpoints a second, and a new Corefile every five."""

    def __init__(self, cluster: Cluster, streams_to: by_hand.Service):
        super().__init__(daemon=True)
        self._streams_to, self._random = streams_to, random.Random(1)
        self._cluster, self._corefile = cluster, cluster.corefile.read_text()
        self._ended = threading.Event()
        self.changes = self.reloads = 0
        self._slice()
        cluster.apply(_SERVICE)

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.changes += 1
            self._slice()
            listed = self._random.sample(ECHO_NUMBERS, self._random.randint(1, len(ECHO_NUMBERS)))
            self._streams_to.set_endpoints(*(by_hand.Endpoint(n) for n in listed))
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
    with echo_servers(cluster) as servers, own_pod(cluster, "soak") as pod:
        services = by_hand.Services(cluster, servers)
        service = services.make(pod, *(by_hand.Endpoint(n) for n in ECHO_NUMBERS))
        churn = _Churn(cluster, service)
        try:
            with Dialler(pod) as dialler, Load(pod, _PER_SECOND, *_QUESTIONS) as load:
                begin = time.monotonic()
                streams = _Streams(dialler, service)
                churn.start()
                streams.start()
                time.sleep(min(60, seconds / 3))
                early = Footprint.of(pod)
                time.sleep(max(0, begin + seconds - time.monotonic()))
                late = Footprint.of(pod)
                streams.end()
        finally:
            churn.end()
            services.end()
    return Result(load, streams, early, late, churn.changes, churn.reloads)


def main() -> int:
    if not namespaces.inside():
        return namespaces.run_inside([sys.executable, "-B", "-m", __spec__.name, *sys.argv[1:]])
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    try:
        with Cluster(TREE / "manifests" / "demo") as cluster:
            cluster.label_namespace("default", OPTED_IN)
            cluster.deploy("backend")
            result = soak(cluster, seconds)
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 1
    print(result)
    return 0 if result.held() else 1


if __name__ == "__main__":
    sys.exit(main())
