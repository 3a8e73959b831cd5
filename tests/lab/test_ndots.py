"""How often the cluster DNS is asked for one external name: docs/dns.md shows this table.

The search list makes a resolver ask for NAME.default.svc.cluster.local and so on, A and AAAA each, before it
asks for NAME. With a sidecar what ends in the cluster's zone ends there.
"""

import itertools

import pytest

from .namespaces import RUN
from .tools import TREE, run

# A pod's shape, and how many questions for one name get as far as the cluster DNS.
_QUESTIONS = {"no-sidecar": 8, "dual-stack": 2, "node-domain-no-sidecar": 10, "node-domain": 4}

_RESOLVERS = {
    "glibc": "getent ahosts {name}",
    "glibc-in-busybox": "busybox wget -qO- http://{name}:9090/",
    "musl": f"{RUN}/ahosts {{name}}",
    "go": "GODEBUG=netdns=go hey -n 1 -c 1 http://{name}:9090/",
}

_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def musl():
    run(["musl-gcc", "-static", "-o", f"{RUN}/ahosts", str(TREE / "tests/lab/ahosts.c")])


@pytest.mark.parametrize("resolver", _RESOLVERS)
@pytest.mark.parametrize("shape", _QUESTIONS)
def test_one_external_name_costs(cluster, shaped, shape, resolver):
    asked = _asked_for_one_name(cluster, shaped(shape), _RESOLVERS[resolver])
    assert len(asked) == _QUESTIONS[shape], asked


def test_busybox_nslookup_does_not_walk_the_search_list_for_a_name_with_a_dot(cluster, shaped):
    for shape in _QUESTIONS:
        assert len(_asked_for_one_name(cluster, shaped(shape), "busybox nslookup {name}")) == 2


def _asked_for_one_name(cluster, pod, command):
    """A name of its own each time, so that no cache has it."""
    name = f"name{next(_numbers)}.example"
    before = cluster.dns.queries()
    done = pod.sh(command.format(name=name))
    assert done.returncode == 0, done.stderr
    asked = [line for line in cluster.dns.log().splitlines() if f" {name}." in line]
    assert cluster.dns.queries() - before == len(asked), "nothing else was asked"
    return asked
