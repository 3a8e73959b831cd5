"""How many conntrack entries a query costs, in the pod and on its node: docs/dns.md shows these numbers."""

import pytest

from .faults import own_pod
from .pods import Shape
from .resolver_tools import dig
from .tools import run

_LOCAL, _FORWARDED = "backend.default.svc.cluster.local.", "n{}.example."
_QUERIES = 20


@pytest.fixture(scope="module")
def node():
    """The node tracks connections, as one with kube-proxy does. Counts its entries."""
    rules = [f"{chain} -m conntrack --ctstate INVALID -j DROP" for chain in ("INPUT", "FORWARD")]
    for rule in rules:
        run(["iptables", "-A", *rule.split()])
    yield lambda: _count(run)
    for rule in rules:
        run(["iptables", "-D", *rule.split()])


@pytest.fixture(scope="module")
def pods(cluster):
    bare = cluster.tools_pod("tracked-bare", Shape(sidecar=False))
    with own_pod(cluster, "tracked") as tracked:
        yield {"sidecar": tracked, "no sidecar": bare}
    cluster.stop_pod(bare)


@pytest.mark.parametrize("kind, name, in_pod, on_node", [
    ("sidecar", _LOCAL, 1, 0),
    ("sidecar", _FORWARDED, 2, 1),
    ("no sidecar", _LOCAL, 0, 1),
    ("no sidecar", _FORWARDED, 0, 1),
])
def test_a_query_over_udp_costs_conntrack_entries(pods, node, kind, name, in_pod, on_node):
    pod = pods[kind]
    before_in_pod, before_on_node = _count(lambda argv: pod.exec(*argv)), node()
    for number in range(_QUERIES):
        assert dig(pod, name.format(number)).status == "NOERROR"
    after_in_pod, after_on_node = _count(lambda argv: pod.exec(*argv)), node()
    # What else happens on the node meanwhile is far less than one entry a query.
    assert (round((after_in_pod - before_in_pod) / _QUERIES), round((after_on_node - before_on_node) / _QUERIES)) \
        == (in_pod, on_node)


_COUNT = """
if [ -r /proc/net/nf_conntrack ]; then grep -c 'dport=53 ' /proc/net/nf_conntrack; true
else cat /proc/sys/net/netfilter/nf_conntrack_count; fi"""


def _count(run_there):
    """Entries of DNS; of everything where the kernel lists none."""
    return int(run_there(["sh", "-c", _COUNT]).stdout)
