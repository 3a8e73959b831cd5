"""A cluster of many Services of every kind, as manifests."""

import ipaddress
import random
from dataclasses import dataclass, field

import yaml

_KINDS = ("cluster-ip", "dual-stack", "headless", "headless-named", "headless-dual", "not-ready", "published",
          "empty", "headless-empty", "alias-inside", "alias-outside", "shared")
_NAMESPACES = 30


@dataclass
class Endpoint:
    addresses: list  # one of each family
    hostname: str = ""
    ready: bool = True
    pod: str = ""


@dataclass
class Service:
    namespace: str
    name: str
    kind: str
    cluster_ips: list = field(default_factory=list)
    ports: list = field(default_factory=list)  # (name, protocol, port)
    endpoints: list = field(default_factory=list)
    alias: str = ""

    @property
    def dns(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local."

    @property
    def headless(self) -> bool:
        return self.kind.startswith("headless") or self.kind == "published"


class _Addresses:
    def __init__(self, first4: str, first6: str):
        self._at = [ipaddress.ip_address(first4), ipaddress.ip_address(first6)]

    def next(self, families: int) -> list:
        self._at = [address + 1 for address in self._at]
        return [str(address) for address in self._at[:families]]


def services(count: int, dice: random.Random) -> list:
    cluster_ips, pods = _Addresses("10.43.0.0", "fd43::"), _Addresses("10.42.0.0", "fd42::")
    made = []
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        service = Service(f"ns{dice.randrange(_NAMESPACES)}", f"s{number}", kind)
        families = 2 if "dual" in kind else 1
        if kind.startswith("alias"):
            target = dice.choice(made)
            service.alias = "www.example.org" if kind == "alias-outside" else target.dns.rstrip(".")
            made.append(service)
            continue
        if not service.headless:
            service.cluster_ips = cluster_ips.next(families)
        service.ports = dice.choice(([("http", "TCP", 80)], [("dns", "UDP", 53), ("metrics", "TCP", 9100)],
                                     [("", "TCP", 8080)]))
        if kind == "shared":
            others = [other for other in made if other.endpoints]
            service.endpoints = dice.choice(others).endpoints
        elif "empty" not in kind:
            for i in range(dice.randrange(1, 6)):
                endpoint = Endpoint(pods.next(families), pod=f"{service.name}-{i}")
                endpoint.ready = kind != "not-ready"
                if kind == "headless-named" and i % 2 == 0:
                    endpoint.hostname = f"host-{i}"
                service.endpoints.append(endpoint)
        made.append(service)
    return made


def _slice(service: Service, family: int) -> dict:
    endpoints = []
    for endpoint in service.endpoints:
        address = endpoint.addresses[family]
        one = {"addresses": [address], "conditions": {"ready": endpoint.ready, "serving": True}}
        if endpoint.hostname:
            one["hostname"] = endpoint.hostname
        endpoints.append(one)
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service.name}-{family}", "namespace": service.namespace,
                         "labels": {"kubernetes.io/service-name": service.name}},
            "addressType": ("IPv4", "IPv6")[family], "endpoints": endpoints,
            "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in service.ports]}


def _objects(service: Service) -> list:
    ports = [{"name": name, "protocol": protocol, "port": port} if name else {"protocol": protocol, "port": port}
             for name, protocol, port in service.ports]
    spec = {"ports": ports}
    if service.alias:
        spec = {"type": "ExternalName", "externalName": service.alias}
    elif service.headless:
        spec |= {"clusterIP": "None", "clusterIPs": ["None"]}
    else:
        spec |= {"clusterIP": service.cluster_ips[0], "clusterIPs": service.cluster_ips}
    if service.kind == "published":
        spec["publishNotReadyAddresses"] = True
    objects = [{"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": service.name, "namespace": service.namespace, "labels": {"kind": service.kind}},
                "spec": spec}]
    if service.endpoints:
        families = len(service.endpoints[0].addresses)
        objects += [_slice(service, family) for family in range(families)]
    return objects


def manifests(made: list, node: str) -> str:
    """With a pod for the sidecar that asks."""
    namespace, pod = node.split("/")
    labels = {"pod-template-hash": pod.split("-")[-2]}
    objects = [{"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": pod, "namespace": namespace, "labels": labels},
                "spec": {"nodeName": "node-a", "containers": []}, "status": {"podIPs": [{"ip": "10.9.9.9"}]}}]
    for service in made:
        objects += _objects(service)
    return yaml.dump_all(objects, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
