"""`pods verified`: the sidecar holds no pods, and asks who has an address when a question needs it."""

import time

import pytest

from .corefiles import dump, replace
from .resolver_tools import dig
from .tools import wait_until


@pytest.fixture
def verified(cluster, frontend, corefile):
    text = corefile.read_text().replace("pods insecure", "pods verified")
    replace(corefile, text)
    wait_until(lambda: dump(frontend)["corefile"] == text, "pods verified is in force", timeout=3)


def _name(ip: str, namespace: str = "default") -> str:
    return f"{ip.replace('.', '-')}.{namespace}.pod.cluster.local"


def test_a_pods_name_exists_as_long_as_the_pod_does(cluster, frontend, verified):
    pod = cluster.members("backend")[0]
    begin = time.monotonic()
    first = dig(frontend, _name(pod.ip))
    print(f"the first answer took {round((time.monotonic() - begin) * 1000)} ms with dig's own start")
    assert first.data("A") == [pod.ip]
    assert dig(frontend, _name(pod.ip, "kube-system")).status == "NXDOMAIN"
    assert dig(frontend, _name("10.42.99.99")).status == "NXDOMAIN"
    cluster.stop_pod(pod)
    wait_until(lambda: dig(frontend, _name(pod.ip)).status == "NXDOMAIN", "its name goes", timeout=2)
    cluster.add_replica("backend")
    stats = frontend.sidecar.admin("/stats")
    assert 'portolan_address_waits_total{outcome="timed_out"}: 0' in stats, stats
