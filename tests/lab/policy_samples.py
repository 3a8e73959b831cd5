"""Forty sets of egress policies, from simple to overlapping, for the pods of test_policies.py: a, b and c in each of
the namespaces x, y and z, labelled `pod` and (not c) `team`; the namespaces have a label `ns`. Their ports are 80 and
81, TCP and UDP; the one with the name `web` (TCP) is 80 but at c, where it is 81."""

from .policy_oracle import World

_ANY: dict = {}


def _policy(name: str, namespace: str, selector: dict, *rules: dict, types=("Egress",), audit=False) -> dict:
    metadata = {"name": name, "namespace": namespace}
    if audit:
        metadata["annotations"] = {"portolan.dev/audit": "true"}
    spec = {"podSelector": selector, "egress": list(rules)}
    if types:
        spec["policyTypes"] = list(types)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _labels(**labels) -> dict:
    return {"matchLabels": labels}


def _where(key: str, operator: str, *values: str) -> dict:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


def _to(*peers: dict, ports=()) -> dict:
    return {**({"to": list(peers)} if peers else {}), **({"ports": list(ports)} if ports else {})}


def _pods(selector: dict) -> dict:
    return {"podSelector": selector}


def _namespaces(selector: dict) -> dict:
    return {"namespaceSelector": selector}


def _both(namespaces: dict, pods: dict) -> dict:
    return {"namespaceSelector": namespaces, "podSelector": pods}


def _block(cidr: str, *holes: str) -> dict:
    return {"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}}


def _port(port=None, protocol="TCP", end=None) -> dict:
    return {"protocol": protocol, **({"port": port} if port is not None else {}), **({"endPort": end} if end else {})}


_A, _B, _C = _labels(pod="a"), _labels(pod="b"), _labels(pod="c")
_Y, _Z = _labels(ns="y"), _labels(ns="z")


def samples(w: World) -> dict:
    """The policies of each sample, by what it is about."""
    return {
        "deny all": [_policy("deny", "x", _ANY)],
        "deny one pod": [_policy("deny", "x", _A)],
        "allow all": [_policy("allow", "x", _ANY, _to())],
        "pods of the same namespace": [_policy("p", "x", _ANY, _to(_pods(_A)))],
        "all pods of the same namespace": [_policy("p", "x", _ANY, _to(_pods(_ANY)))],
        "a namespace": [_policy("p", "x", _ANY, _to(_namespaces(_Y)))],
        "all namespaces": [_policy("p", "x", _ANY, _to(_namespaces(_ANY)))],
        "pods of a namespace": [_policy("p", "x", _ANY, _to(_both(_Y, _B)))],
        "pods of all namespaces": [_policy("p", "x", _ANY, _to(_both(_ANY, _B)))],
        "either of two peers": [_policy("p", "x", _ANY, _to(_namespaces(_Y), _pods(_A)))],
        "a TCP port": [_policy("p", "x", _ANY, _to(ports=[_port(80)]))],
        "a UDP port": [_policy("p", "x", _ANY, _to(ports=[_port(81, "UDP")]))],
        "every port of a protocol": [_policy("p", "x", _ANY, _to(ports=[_port(protocol="UDP")]))],
        "a range": [_policy("p", "x", _ANY, _to(ports=[_port(80, end=81)]))],
        "ranges of both protocols": [_policy("p", "x", _ANY, _to(ports=[_port(81, end=90), _port(1, "UDP", 80)]))],
        "a port of a protocol that is not carried": [_policy("p", "x", _ANY, _to(ports=[_port(80, "SCTP")]))],
        "a port at a peer": [_policy("p", "x", _ANY, _to(_both(_Y, _A), ports=[_port(81)]))],
        "several ports": [_policy("p", "x", _ANY, _to(_namespaces(_Z), ports=[_port(80), _port(81, "UDP")]))],
        "In": [_policy("p", "x", _ANY, _to(_both(_ANY, _where("pod", "In", "a", "c"))))],
        "NotIn, which an absent label is": [_policy("p", "x", _ANY, _to(_both(_ANY, _where("team", "NotIn", "red"))))],
        "Exists": [_policy("p", "x", _ANY, _to(_pods(_where("team", "Exists"))))],
        "DoesNotExist": [_policy("p", "x", _ANY, _to(_both(_ANY, _where("team", "DoesNotExist"))))],
        "namespaces by expression": [_policy("p", "x", _ANY, _to(_namespaces(_where("ns", "NotIn", "x", "z"))))],
        "chosen by expression": [_policy("p", "x", _where("pod", "In", "a", "b"), _to(_pods(_C)))],
        "a block": [_policy("p", "x", _ANY, _to(_block("10.42.0.0/16")))],
        "a block of the other family": [_policy("p", "x", _ANY, _to(_block("::/0")))],
        "a block with exceptions": [
            _policy("p", "x", _ANY, _to(_block("10.42.0.0/16", w.ip("y/b") + "/32", w.ip("z/c") + "/32")))],
        "single addresses": [
            _policy("p", "x", _ANY, _to(_block(w.ip("y/a") + "/32"), _block(w.ip("z/b", 6) + "/128")))],
        "an exception that another block allows": [
            _policy("p", "x", _ANY, _to(_block("0.0.0.0/0", w.ip("y/b") + "/32"), ports=[_port(80)]),
                    _to(_block(w.ip("y/b") + "/31" if int(w.ip("y/b").split(".")[3]) % 2 == 0 else w.ip("y/b") + "/32"),
                        ports=[_port(81)]))],
        "a named port": [_policy("p", "x", _ANY, _to(ports=[_port("web")]))],
        "a named port at peers": [_policy("p", "x", _ANY, _to(_namespaces(_Y), ports=[_port("web")]))],
        "a named port and a block, which has no names": [
            _policy("p", "x", _ANY, _to(_block("10.42.0.0/16"), ports=[_port("web"), _port(81, "UDP")]))],
        "two rules": [_policy("p", "x", _ANY, _to(_namespaces(_Y), ports=[_port(80)]), _to(_pods(_ANY), ports=[_port(81)]))],
        "two policies add up": [_policy("p", "x", _ANY, _to(ports=[_port(80)])),
                                _policy("q", "x", _A, _to(_namespaces(_Y)))],
        "denied by one, allowed by another": [_policy("deny", "x", _ANY),
                                              _policy("q", "x", _B, _to(_both(_Z, _ANY), ports=[_port(81, "UDP")]))],
        "policies of several namespaces": [_policy("p", "x", _ANY, _to(_namespaces(_Y))),
                                           _policy("p", "y", _B, _to(_pods(_C))), _policy("deny", "z", _C)],
        "for ingress alone": [_policy("p", "x", _ANY, types=("Ingress",))],
        "egress without being said so": [_policy("p", "x", _ANY, _to(_pods(_B)), types=())],
        "both directions, no rule": [_policy("p", "x", _ANY, types=("Ingress", "Egress"))],
        "in audit beside one that counts": [
            _policy("p", "x", _ANY, _to(_namespaces(_Y)), audit=True), _policy("q", "x", _A, _to(_pods(_B))),
            _policy("p", "y", _ANY, audit=True)],
    }
