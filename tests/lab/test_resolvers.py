"""What becomes of a pod whose resolv.conf is emptied, or whose own resolver stands between it and the sidecar."""

import time

import pytest

from . import network
from .faults import own_pod
from .pods import Shape
from .resolver_tools import dig

_NAME = "backend.default.svc.cluster.local"
_ASK = f"@{network.CLUSTER_DNS4}"


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "emptied") as made:
        yield made


def test_an_emptied_resolv_conf_changes_nothing_until_a_restart_and_then_cluster_names_stay(pod):
    conf = pod.sandbox.folder / "resolv.conf"
    before = conf.read_text()
    conf.write_text("")
    assert pod.exec("cat", "/etc/resolv.conf").stdout == ""
    _expect_cluster_names(pod)
    assert dig(pod, _ASK, "v4.example.org").data("A") == [network.OUTSIDE4]

    pod.sidecar.kill()
    pod.sidecar.start()
    _expect_cluster_names(pod)
    begin = time.monotonic()
    assert dig(pod, _ASK, "v4.example.org").status == "SERVFAIL"
    assert time.monotonic() - begin < 1, "there is nobody to wait for"
    assert "names no nameserver" in pod.sidecar.daemon.log_tail()

    conf.write_text(before)
    _expect_the_cluster_dns_is_asked_soon(pod)


def test_a_resolv_conf_that_cannot_be_read_is_waited_for(pod):
    conf = pod.sandbox.folder / "resolv.conf"
    conf.chmod(0)
    pod.sidecar.kill()
    pod.sidecar.start()
    _expect_cluster_names(pod)
    assert dig(pod, _ASK, "v4.example.org").status == "SERVFAIL"
    assert "no nameserver is known: /etc/resolv.conf" in pod.sidecar.daemon.log_tail()
    conf.chmod(0o644)
    _expect_the_cluster_dns_is_asked_soon(pod)


def test_a_pod_that_starts_with_an_empty_resolv_conf_starts(cluster):
    with own_pod(cluster, "empty", Shape(resolv_conf_is_empty=True)) as pod:
        assert pod.exec("dig", "@127.0.0.1", "-p", "15053", "+short", _NAME).stdout == "10.43.0.123\n"


def _expect_cluster_names(pod):
    assert dig(pod, _ASK, _NAME).data("A") == ["10.43.0.123"]
    assert dig(pod, _ASK, f"unknown.{_NAME}").status == "NXDOMAIN"


def _expect_the_cluster_dns_is_asked_soon(pod):
    end = time.monotonic() + 10
    while dig(pod, _ASK, "v4.example.org").status == "SERVFAIL" and time.monotonic() < end:
        time.sleep(0.1)
    assert dig(pod, _ASK, "v4.example.org").data("A") == [network.OUTSIDE4]


def test_an_own_resolver_that_is_not_captured_asks_the_cluster_dns_once_a_question(cluster, shaped):
    pod = shaped("own-resolver")
    at_the_cluster_dns, at_the_sidecar = cluster.dns.queries(), _requests(pod)
    for number in range(20):
        assert dig(pod, f"name{number}.example.org").status == "NXDOMAIN"
    assert cluster.dns.queries() - at_the_cluster_dns == 20
    assert _requests(pod) == at_the_sidecar


def test_an_own_resolver_that_forwards_to_the_sidecar_makes_no_loop(cluster, shaped):
    """dnsmasq asks the sidecar, whose own upstream is dnsmasq, as resolv.conf says."""
    pod = shaped("own-resolver-captured")
    assert dig(pod, _NAME).data("A") == ["10.43.0.123"]
    assert dig(pod, f"unknown.{_NAME}").status == "NXDOMAIN"
    before = cluster.dns.queries()
    asked = _requests(pod, 'type="A"')
    text = pod.exec("dig", "+time=8", "+tries=1", "example.org").stdout
    assert "status: SERVFAIL" in text, "nobody in the circle knows"
    # Of its type alone: the health checks of the silent upstream (NS) come round as well, as long as it takes.
    assert _requests(pod, 'type="A"') - asked <= 6, "it asks itself a few times at most"
    assert cluster.dns.queries() == before
    assert "nameserver 127.0.0.1 is in this pod" in pod.sidecar.daemon.log_tail(100)
    assert dig(pod, _NAME).data("A") == ["10.43.0.123"]


def _requests(pod, label=""):
    return sum(value for name, value in pod.sidecar.metrics().items()
               if name.startswith("coredns_dns_requests_total") and label in name)
