"""How often the cluster DNS is asked for one external name: docs/dns.md shows these tables.

The search list makes a resolver ask for NAME.default.svc.cluster.local and so on, A and AAAA each, before it
asks for NAME. With a sidecar what ends in the cluster's zone ends there; a search domain that the cluster DNS
denies is asked for with the first name only, and then held by the cache (RFC 8020).
"""

import itertools

import pytest

from .conftest import SHAPES
from .corefiles import dump, replace
from .faults import own_pod
from .namespaces import RUN
from .tools import TREE, run, wait_until

# A pod's shape, and how many questions for one name get as far as the cluster DNS, from the second name on.
_QUESTIONS = {"no-sidecar": 8, "dual-stack": 2, "node-domain-no-sidecar": 10, "node-domain": 2}

_RESOLVERS = {
    "glibc": "getent ahosts {name}",
    "glibc-in-busybox": "busybox wget -qO- http://{name}:9090/",
    "musl": f"{RUN}/ahosts {{name}}",
    "go": "GODEBUG=netdns=go hey -n 1 -c 1 http://{name}:9090/",
}

_numbers = itertools.count()
# So many questions reach both workers, but for one run in 4,096.
_IN_A_ROW = 12


@pytest.fixture(scope="module", autouse=True)
def musl():
    run(["musl-gcc", "-static", "-o", f"{RUN}/ahosts", str(TREE / "tests/lab/ahosts.c")])


@pytest.fixture
def node_domain(cluster):
    """A pod with a node's domain whose sidecar has not been asked for anything."""
    with own_pod(cluster, "node-domain-first", SHAPES["node-domain"]) as made:
        yield made


def test_the_first_name_costs_the_search_domain_too(cluster, node_domain):
    before = cluster.dns.queries()
    asked = _asked_for_one_name(cluster, node_domain, _RESOLVERS["glibc"])
    assert len(asked) in (3, 4), "the denial of A may come in time for AAAA"
    _learn_that_the_domain_does_not_exist(cluster, node_domain)
    assert cluster.dns.queries() - before > len(asked), "the domain itself was asked for, in the background"
    assert len(_asked_for_one_name(cluster, node_domain, _RESOLVERS["glibc"])) == 2


@pytest.mark.parametrize("resolver", _RESOLVERS)
@pytest.mark.parametrize("shape", _QUESTIONS)
def test_one_external_name_costs(cluster, shaped, shape, resolver):
    pod = shaped(shape)
    if shape == "node-domain":
        _learn_that_the_domain_does_not_exist(cluster, pod)
    asked = _asked_for_one_name(cluster, pod, _RESOLVERS[resolver])
    assert len(asked) == _QUESTIONS[shape], asked


def test_busybox_nslookup_does_not_walk_the_search_list_for_a_name_with_a_dot(cluster, shaped):
    for shape in _QUESTIONS:
        assert len(_asked_for_one_name(cluster, shaped(shape), "busybox nslookup {name}")) == 2


def test_with_autopath_the_client_itself_asks_twice(cluster, shaped, corefile):
    pod = shaped("dual-stack")
    assert _asked_by_the_client(cluster, pod) == 8
    replace(corefile, corefile.read_text().replace("cache 30", "autopath @kubernetes\n        cache 30"))
    wait_until(lambda: "autopath" in dump(pod)["corefile"], "the Corefile arrives", timeout=3)
    assert _asked_by_the_client(cluster, pod) == 2


def _asked_for_one_name(cluster, pod, command):
    """What the cluster DNS was asked for a name that is new each time, so that no cache has it."""
    name = f"ndots{next(_numbers)}.example"
    done = pod.sh(command.format(name=name))
    assert done.returncode == 0, done.stderr
    return [line for line in cluster.dns.log().splitlines() if f" {name}." in line]


def _learn_that_the_domain_does_not_exist(cluster, pod):
    """By every worker: each has a cache of its own, and the kernel chooses who is asked."""
    # A Corefile that arrives may empty the caches.
    wait_until(lambda: dump(pod)["corefileSource"] == "control plane", "the cluster's Corefile is in force")
    wait_until(lambda: not any(_asked_for_one_name(cluster, pod, "dig {name}.eu-west-1.compute.internal")
                               for _ in range(_IN_A_ROW)), "the search domain is known not to exist", timeout=5)


def _asked_by_the_client(cluster, pod):
    def requests():
        return sum(count for name, count in pod.sidecar.metrics().items()
                   if name.startswith("coredns_dns_requests_total"))

    before = requests()
    _asked_for_one_name(cluster, pod, _RESOLVERS["glibc"])
    return requests() - before
