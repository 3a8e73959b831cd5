"""pytest in the lab: the whole test run moves into namespaces of its own, and shares one cluster."""

import sys

import pytest

from . import namespaces, network, sanitizers
from .cluster import OPTED_IN, Cluster, Pod
from .corefiles import dump, replace
from .manifests import read
from .pods import NODE_SEARCH, SIX_SEARCH, Shape
from .tools import TREE, wait_until

_DEMO = TREE / "manifests" / "demo"
_MORE = TREE / "tests" / "lab" / "manifests"

SHAPES = {
    "dual-stack": Shape(),
    "ipv4-only": Shape(families=network.IPV4_ONLY),
    "ipv6-only": Shape(families=network.IPV6_ONLY),
    "node-local": Shape(nameserver=network.NODE_LOCAL_DNS),
    "one-suffix": Shape(search=("default.svc.cluster.local",)),
    "six-suffixes": Shape(search=SIX_SEARCH),
    "host-aliases": Shape(host_aliases=({"ip": "192.0.2.10", "hostnames": ["legacy", "legacy.example.net"]},)),
    "own-resolver": Shape(own_resolver=True),
    "own-resolver-captured": Shape(own_resolver=True, annotations={"dns-capture": "all"}),
    "legacy-iptables": Shape(init_flags=("--backend", "legacy")),
    "no-sidecar": Shape(sidecar=False),
    "node-domain": Shape(search=NODE_SEARCH),
    "node-domain-no-sidecar": Shape(search=NODE_SEARCH, sidecar=False),
}


def pytest_cmdline_main(config):
    """Before anything is collected: run this very command again, inside. Its exit status is ours."""
    if namespaces.inside() or config.option.collectonly:
        return None
    return namespaces.run_inside([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider",
                                  *config.invocation_params.args])


@pytest.fixture(scope="session")
def cluster():
    """Backend (3 replicas) and frontend (1 of its 2) of the demo, and the Services of the tests."""
    if not namespaces.inside():
        pytest.fail("the lab must be entered: name tests/lab on pytest's command line")
    with Cluster(_DEMO) as made:
        made.label_namespace("default", OPTED_IN)
        for obj in read(_MORE).objects:
            made.apply(obj)
        made.deploy("backend")
        made.add_replica("frontend")
        yield made


@pytest.fixture(scope="session")
def frontend(cluster) -> Pod:
    return cluster.members("frontend")[0]


@pytest.fixture(scope="session")
def shaped(cluster):
    """shaped(name) is the pod of that shape, made when first asked for."""

    def pod(name: str) -> Pod:
        if name not in cluster.pods:
            cluster.tools_pod(name, SHAPES[name])
        return cluster.pods[name]

    return pod


@pytest.fixture(autouse=True)
def no_sanitizer_reports():
    yield
    if found := sanitizers.new_reports():
        pytest.fail(found, pytrace=False)


@pytest.fixture
def corefile(cluster, frontend):
    """The file of the control plane's Corefile, which a test may replace; put back afterwards."""
    before = cluster.corefile.read_text()
    yield cluster.corefile
    replace(cluster.corefile, before)
    wait_until(lambda: dump(frontend)["corefile"] == before, "the old Corefile is back", timeout=3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the logs of our programs: the lab's folder is gone afterwards."""
    outcome = yield
    report = outcome.get_result()
    made = item.funcargs.get("cluster") if hasattr(item, "funcargs") else None
    if report.failed and made is not None:
        daemons = [made.control.daemon, made.injector.daemon]
        daemons += [p.sidecar.daemon for p in made.pods.values() if p.sidecar]
        report.sections.append(("logs of the lab", "\n".join(d.log_tail(8) for d in daemons)))
