"""Whatever its resolver looks like, a pod finds cluster names and cannot tell who answered."""

import pytest

from . import network
from .cluster_dns import DECOY
from .resolver_tools import dig, nslookup_text

_NAME = "backend.default.svc.cluster.local"
_CAPTURED = ["dual-stack", "ipv4-only", "ipv6-only", "node-local", "one-suffix", "six-suffixes", "host-aliases",
             "legacy-iptables"]


@pytest.fixture(params=_CAPTURED)
def pod(request, shaped):
    return shaped(request.param)


def test_nslookup_prints_the_resolver_the_name_the_address_and_nothing_else(pod):
    expected = nslookup_text(pod.sandbox.shape.resolver(), _NAME, "10.43.0.123")
    assert pod.exec("nslookup", _NAME).stdout == expected


def test_nslookup_of_a_short_name_goes_through_the_search_list(pod):
    expected = nslookup_text(pod.sandbox.shape.resolver(), _NAME, "10.43.0.123")
    assert pod.exec("nslookup", "backend").stdout == expected


def test_the_cluster_dns_is_not_asked_for_a_cluster_name(pod, cluster):
    before = cluster.dns.queries()
    answer = dig(pod, _NAME)
    assert (answer.status, answer.data("A"), {"aa", "ra"} <= answer.flags) == ("NOERROR", ["10.43.0.123"], True)
    assert cluster.dns.queries() == before


def test_getent_finds_the_short_name(pod):
    assert pod.exec("getent", "hosts", "backend").stdout.split() == ["10.43.0.123", _NAME]


def test_getent_gives_the_addresses_of_the_families_that_the_pod_has(pod):
    families = pod.sandbox.shape.families
    expected = {a for a, has in (("10.43.0.50", families.ipv4), ("fd00:43::50", families.ipv6)) if has}
    lines = pod.exec("getent", "ahosts", "dual").stdout.splitlines()
    assert {line.split()[0] for line in lines} == expected


def test_busybox_nslookup_finds_the_full_name(pod):
    done = pod.exec("busybox", "nslookup", _NAME)
    assert done.returncode == 0, done.stdout
    assert f"Name:\t{_NAME}\nAddress: 10.43.0.123\n" in done.stdout


def test_an_external_name_is_answered_by_the_cluster_dns(pod):
    lines = pod.exec("getent", "hosts", "v4.example.org").stdout.split()
    assert lines == [network.OUTSIDE4, "v4.example.org"]


def test_curl_by_name_reaches_a_backend(pod, cluster):
    families = pod.sandbox.shape.families
    for flag, has in (("-4", families.ipv4), ("-6", families.ipv6)):
        if has:
            done = pod.exec("curl", "-sS", "-m", "5", flag, "http://dual/")
            assert done.stdout.strip() in {p.name for p in cluster.members("backend")}, done.stderr


def test_busybox_wget_reaches_a_backend(shaped, cluster):
    # Without -T: Debian's static busybox crashes when its wget is given a timeout, sidecar or not.
    done = shaped("dual-stack").exec("busybox", "wget", "-qO-", "http://backend:8080/")
    assert done.stdout.strip() in {p.name for p in cluster.members("backend")}, done.stderr


def test_host_aliases_stay_in_force(shaped):
    done = shaped("host-aliases").exec("getent", "hosts", "legacy.example.net")
    assert done.stdout.split()[0] == "192.0.2.10"


def test_a_resolver_of_the_applications_own_on_loopback_is_left_alone(shaped):
    pod = shaped("own-resolver")
    version = dig(pod, "CH", "TXT", "version.bind")
    assert "dnsmasq" in version.text
    assert dig(pod, "v4.example.org").data("A") == [network.OUTSIDE4]


def test_a_resolver_that_resolv_conf_does_not_name_is_left_alone(shaped):
    assert dig(shaped("dual-stack"), f"@{network.NODE_LOCAL_DNS}", _NAME).data("A") == [DECOY]


def test_without_a_sidecar_the_cluster_dns_answers(shaped):
    """The decoy shows that the tests above would notice who answers."""
    assert dig(shaped("no-sidecar"), _NAME).data("A") == [DECOY]
