"""What NetworkPolicies say of egress, walked rule by rule as the documentation has it:
https://kubernetes.io/docs/concepts/services-networking/network-policies/. Shares no code with what it judges."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class PodFacts:
    namespace: str
    name: str
    labels: dict
    ips: tuple
    ports: tuple  # (name, protocol, number) of its containers


@dataclass(frozen=True)
class World:
    namespaces: dict  # labels by name
    pods: tuple

    def pod(self, key: str) -> PodFacts:
        namespace, name = key.split("/")
        return next(p for p in self.pods if (p.namespace, p.name) == (namespace, name))

    def ip(self, key: str, version: int = 4) -> str:
        return next(ip for ip in self.pod(key).ips if ipaddress.ip_address(ip).version == version)


def isolating(policies: list, world: World, pod: PodFacts) -> list:
    """The policies that select the pod for egress."""
    return [p for p in policies
            if p["metadata"]["namespace"] == pod.namespace and _is_for_egress(p["spec"]) and
            _selects(p["spec"].get("podSelector", {}), pod.labels)]


def allowed(policies: list, world: World, source: PodFacts, target: PodFacts, ip: str, protocol: str, port: int) -> bool:
    if target == source:
        return True
    enforced = [p for p in isolating(policies, world, source) if not _is_audit(p)]
    if not enforced:
        return True
    return any(_rule_allows(rule, p["metadata"]["namespace"], world, target, ip, protocol, port)
               for p in enforced for rule in p["spec"].get("egress", []))


def _is_audit(policy: dict) -> bool:
    return policy["metadata"].get("annotations", {}).get("portolan.dev/audit") == "true"


def _is_for_egress(spec: dict) -> bool:
    if spec.get("policyTypes"):
        return "Egress" in spec["policyTypes"]
    return bool(spec.get("egress"))


def _selects(selector: dict, labels: dict) -> bool:
    return (all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and
            all(_holds(requirement, labels) for requirement in selector.get("matchExpressions", [])))


def _holds(requirement: dict, labels: dict) -> bool:
    key, values = requirement["key"], requirement.get("values", [])
    return {"In": labels.get(key) in values, "NotIn": labels.get(key) not in values, "Exists": key in labels,
            "DoesNotExist": key not in labels}[requirement["operator"]]


def _rule_allows(rule: dict, namespace: str, world: World, target: PodFacts, ip: str, protocol: str, port: int) -> bool:
    peers, ports = rule.get("to", []), rule.get("ports", [])
    if peers and not any(_peer_is(peer, namespace, world, target, ip) for peer in peers):
        return False
    # An address of no pod has no port of that name.
    by_block = peers and not any(_peer_is(peer, namespace, world, target, ip) for peer in peers
                                 if "ipBlock" not in peer)
    return not ports or any(_port_is(entry, target, protocol, port, not by_block) for entry in ports)


def _peer_is(peer: dict, namespace: str, world: World, target: PodFacts, ip: str) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return _within(ip, block["cidr"]) and not any(_within(ip, hole) for hole in block.get("except", []))
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], world.namespaces[target.namespace]):
            return False
    elif target.namespace != namespace:
        return False
    return _selects(peer.get("podSelector", {}), target.labels)


def _within(ip: str, cidr: str) -> bool:
    address, network = ipaddress.ip_address(ip), ipaddress.ip_network(cidr)
    return address.version == network.version and address in network


def _port_is(entry: dict, target: PodFacts, protocol: str, port: int, names: bool) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return names and any((wanted, protocol, port) == declared for declared in target.ports)
    return wanted <= port <= entry.get("endPort", wanted)
