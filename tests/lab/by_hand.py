"""Services whose EndpointSlices a test writes itself, with the ports of one pod for endpoints.

Every endpoint is one port of the pod "servers" and answers with its own name, s1 for port 7001.
"""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from .cluster import Cluster, Pod, accepts
from .pods import Shape
from .tools import PYTHON, wait_until

_BACKEND = str(Path(__file__).resolve().with_name("http_backend.py"))
_ODD = str(Path(__file__).resolve().with_name("odd_servers.py"))
_FIRST_PORT = 7000
SERVERS = 6


@dataclass(frozen=True)
class Endpoint:
    """Port 7000 + number of the pod "servers"; the defaults are a ready endpoint without hints."""

    number: int
    node: str = "node-b"
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: tuple = ()
    nodes: tuple = ()

    @property
    def name(self) -> str:
        return f"s{self.number}"

    @property
    def port(self) -> int:
        return _FIRST_PORT + self.number

    def slice(self, service: str, port_name: str, pod: Pod, ipv6: bool) -> dict:
        address = pod.sandbox.ips[1 if ipv6 else 0]
        hints = {"forZones": [{"name": z} for z in self.zones], "forNodes": [{"name": n} for n in self.nodes]}
        return {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-{self.number}", "namespace": "default",
                         "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv6" if ipv6 else "IPv4",
            "ports": [{"name": port_name, "protocol": "TCP", "port": self.port}],
            "endpoints": [{
                "addresses": [address], "nodeName": self.node,
                "conditions": {"ready": self.ready, "serving": self.serving, "terminating": self.terminating},
                "hints": {name: hint for name, hint in hints.items() if hint}}]}


@dataclass
class Service:
    """As applied; `endpoints` may be replaced by set_endpoints."""

    cluster: Cluster
    servers: Pod
    name: str
    ip: str
    spec: dict
    annotations: dict = field(default_factory=dict)
    slices: dict = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://[{self.ip}]/" if ":" in self.ip else f"http://{self.ip}/"

    def object(self) -> dict:
        ipv6 = ":" in self.ip
        return {"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": self.name, "namespace": "default", "annotations": self.annotations},
                "spec": {"clusterIP": self.ip, "clusterIPs": [self.ip], "type": "ClusterIP",
                         "ipFamilies": ["IPv6" if ipv6 else "IPv4"],
                         "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **self.spec}}

    def set_endpoints(self, *endpoints: Endpoint) -> None:
        """The new ones first: between two sets there is no moment without any."""
        wanted = {e.number: e.slice(self.name, "http", self.servers, ":" in self.ip) for e in endpoints}
        for obj in wanted.values():
            self.cluster.api.apply_if_changed(obj)
        for number in self.slices.keys() - wanted.keys():
            self.cluster.api.delete(self.slices[number])
        self.slices = wanted

    def wait_held_by(self, pod: Pod) -> None:
        """Until the sidecar of the pod holds the Service and its endpoints as they were applied; they are asked for."""
        def held() -> bool:
            page = json.loads(pod.sidecar.admin(f"/endpoints?search={self.name}.default") or "{}")
            for service in page.get("endpoints", []):
                if service["endpointSlices"] is None:
                    pod.exec("dig", "+time=1", "+tries=1", f"{self.name}.default.svc.cluster.local")
                    continue
                found = {s["ports"][0]["port"]: s["endpoints"][0]["conditions"] for s in service["endpointSlices"]}
                wanted = {s["ports"][0]["port"]: s["endpoints"][0]["conditions"] for s in self.slices.values()}
                if service["name"] == self.name and found == wanted:
                    return True
            return False
        wait_until(held, f"{pod.name} holds Service {self.name}", timeout=5)

    def delete(self) -> None:
        self.cluster.delete(self.object())
        self.set_endpoints()


@contextmanager
def servers(cluster: Cluster):
    """The pod with the endpoints, without a sidecar of its own."""
    pod = cluster.tools_pod("servers", Shape(sidecar=False))
    try:
        for number in range(1, SERVERS + 1):
            endpoint = Endpoint(number)
            pod.sandbox.start(endpoint.name, [PYTHON, "-B", _BACKEND, str(endpoint.port), endpoint.name])
        wait_until(lambda: all(pod.exec("curl", "-sf", f"http://127.0.0.1:{Endpoint(n).port}/").returncode == 0
                               for n in range(1, SERVERS + 1)), "the servers answer")
        yield pod
    finally:
        cluster.stop_pod(pod)


def start_odd_server(pod: Pod, kind: str, number: int) -> Endpoint:
    """A server of odd_servers.py, as the endpoint of that number."""
    endpoint = Endpoint(number)
    daemon = pod.sandbox.start(kind, [PYTHON, "-B", _ODD, kind, str(endpoint.port)])
    daemon.wait_ready(lambda: accepts(pod.ip, endpoint.port), f"{kind} accepts connections")
    return endpoint


class Services:
    """Makes Services, each with an address of its own, and takes them away at the end."""

    def __init__(self, cluster: Cluster, pod: Pod):
        self._cluster, self._pod, self._made = cluster, pod, []

    def make(self, caller: Pod, *endpoints: Endpoint, ipv6: bool = False, spec: Optional[dict] = None,
             annotations: Optional[dict] = None) -> Service:
        """The caller's sidecar holds it when this returns."""
        number = len(self._made)
        ip = f"fd00:43::77{number:02x}" if ipv6 else f"10.43.77.{number}"
        service = Service(self._cluster, self._pod, f"hand-{number}", ip, spec or {}, annotations or {})
        self._made.append(service)
        self._cluster.apply(service.object())
        service.set_endpoints(*endpoints)
        service.wait_held_by(caller)
        return service

    def end(self) -> None:
        for service in self._made:
            service.delete()


def reached(pod: Pod, url: str, times: int = 12) -> list[str]:
    """The names that so many connections, one after the other, came to; "" for one that failed."""
    script = f"for i in $(seq {times}); do curl -s -m 5 '{url}' || echo; done"
    return pod.sh(script, timeout=60).stdout.splitlines()


def black_hole(pod: Pod, port: int):
    """From now on what is sent to this port of the pod vanishes. Gives back the command that ends it."""
    for tool in ("iptables", "ip6tables"):
        pod.exec(tool, "-I", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
    return lambda: [pod.exec(tool, "-D", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
                    for tool in ("iptables", "ip6tables")]
