"""1,000 rules of egress policy for one pod, half by address and half by name, as a bench has them in force."""

NODE = "bench/guarded"  # the pod; one of another name is selected by none
RULES, OF_A_POLICY = 1000, 50


def manifests(admitted, names):
    """Objects for a folder of manifests. The first rules admit the blocks `admitted` and the `names`; what the others
    admit is never asked for or dialled."""
    namespace, name = NODE.split("/")
    objects = [{"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                "spec": {"containers": [{"name": "app"}]}}]
    half = RULES // 2
    blocks = [*admitted, *(f"10.{200 + n // 250}.{n % 250}.0/25" for n in range(half - len(admitted)))]
    patterns = [*names, *(f"api-{n}.example.net" for n in range(half - len(names)))]
    for at in range(0, half, OF_A_POLICY):
        objects.append(policy("networking.k8s.io/v1", "NetworkPolicy", at, {
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": b}}], "ports": [{"protocol": "TCP", "port": 1, "endPort": 65535}]}
                       for b in blocks[at:at + OF_A_POLICY]]}))
        objects.append(policy("portolan.dev/v1alpha1", "DNSEgressPolicy", at, {
            "defaultDeny": True,
            "rules": [{"names": [p], "ports": [{"port": 443}]} for p in patterns[at:at + OF_A_POLICY]]}))
    return objects


def policy(api_version, kind, at, spec):
    namespace, name = NODE.split("/")
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": f"rules-{at}", "namespace": namespace},
            "spec": {"podSelector": {"matchLabels": {"app": name}}, **spec}}
