"""Directives of the Corefile as a pod's own dig sees them: through the captured port 53, real servers behind it."""

import itertools
import time
from contextlib import contextmanager

import pytest

from . import network
from .corefiles import dump, replace
from .faults import own_pod
from .resolver_tools import dig
from .tools import wait_until

_BACKEND = "backend.default.svc.cluster.local"
_KUBERNETES = """    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
"""
# So many questions reach both workers, but for one run in 2,048; each has a cache of its own.
_IN_A_ROW = 12
_numbers = itertools.count()


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "directives") as made:
        yield made


def _use(pod, corefile, directives: str) -> None:
    text = f".:53 {{\n    errors\n{_KUBERNETES}{directives}\n}}\n"
    replace(corefile, text)
    wait_until(lambda: dump(pod)["corefile"] == text, "the Corefile is in force", timeout=5)


def _new_name() -> str:
    return f"directive{next(_numbers)}.example"


def _asked(cluster, name: str) -> int:
    """How often the cluster DNS was asked for the name."""
    return sum(f" {name}." in line for line in cluster.dns.log().splitlines())


def _ask_all_workers(pod, name: str) -> None:
    for _ in range(_IN_A_ROW):
        assert dig(pod, name).data("A") == [network.OUTSIDE4]


def test_rewrite_asks_for_another_name_and_turns_the_answer_back(pod, corefile):
    _use(pod, corefile, "    rewrite stop {\n name suffix .corp.test .default.svc.cluster.local answer auto\n }")
    reply = dig(pod, "backend.corp.test")
    assert [(owner, data) for owner, _, _, data in reply.answer] == [("backend.corp.test.", "10.43.0.123")]
    assert dig(pod, _BACKEND).data("A") == ["10.43.0.123"]


def test_dns64_makes_addresses_for_names_that_have_ipv4_alone(pod, corefile):
    _use(pod, corefile, "    dns64 {\n allow_ipv4\n }")
    # 198.51.100.7 behind the well-known prefix.
    assert dig(pod, "v4.example.org", "AAAA").data("AAAA") == ["64:ff9b::c633:6407"]
    assert dig(pod, "example.org", "AAAA").data("AAAA") == [network.OUTSIDE6]
    assert dig(pod, "v4.example.org").data("A") == [network.OUTSIDE4]


def test_template_answers_by_what_the_name_and_the_type_say(pod, corefile):
    _use(pod, corefile, r"""    template IN ANY ip.test {
        match ^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)-(?P<c>[0-9]+)-(?P<d>[0-9]+)[.]ip[.]test[.]$
        answer "{{ if eq .Type `A` }}{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}{{ end }}"
        answer "{{ if eq .Type `TXT` }}{{ .Name }} 60 IN TXT {{ printf `%03s/%s` .Group.d .Remote }}{{ end }}"
        fallthrough
    }""")
    assert dig(pod, "ip-192-0-2-7.ip.test").data("A") == ["192.0.2.7"]
    assert dig(pod, "ip-192-0-2-7.ip.test", "TXT").data("TXT")[0].startswith('"007/')
    nothing = dig(pod, "ip-192-0-2-7.ip.test", "AAAA")
    assert (nothing.status, nothing.answer) == ("NOERROR", [])
    assert dig(pod, "other.ip.test").status == "NXDOMAIN", "it falls through to the cluster DNS"


def test_autopath_finds_what_the_search_list_leads_to_for_the_first_question(cluster, pod, corefile):
    _use(pod, corefile, "    autopath @kubernetes")
    name = _new_name()
    reply = dig(pod, f"{name}.default.svc.cluster.local")
    assert reply.status == "NOERROR"
    assert [(kind, data) for _, _, kind, data in reply.answer] == [("CNAME", f"{name}."), ("A", network.OUTSIDE4)]
    assert _asked(cluster, name) == 1
    assert dig(pod, f"unknown.{_BACKEND}").status == "NXDOMAIN"


def test_serve_stale_answers_while_the_cluster_dns_is_away(pod, corefile):
    _use(pod, corefile, "    cache 1 {\n serve_stale 1h\n }")
    name = _new_name()
    _ask_all_workers(pod, name)
    time.sleep(1.1)  # their TTL
    with _cluster_dns_away(pod):
        begin = time.monotonic()
        reply = dig(pod, name)
        assert time.monotonic() - begin < 0.25, "nobody waits for a server that is away"
        assert [(ttl, data) for _, ttl, _, data in reply.answer] == [(0, network.OUTSIDE4)]
        assert "EDE: 3 (Stale Answer)" in reply.text


def test_prefetch_asks_again_before_a_popular_answer_ends(cluster, pod, corefile):
    _use(pod, corefile, "    cache 60")
    name = _new_name()
    _ask_all_workers(pod, name)
    assert _asked(cluster, name) <= 2, "once for each worker's cache"
    _use(pod, corefile, "    cache 60 {\n prefetch 1 1m 90%\n }")
    name = _new_name()
    _ask_all_workers(pod, name)
    time.sleep(7)  # 90 % of their TTL are left
    before = _asked(cluster, name)
    _ask_all_workers(pod, name)
    wait_until(lambda: _asked(cluster, name) >= before + 1, "the background's question", timeout=3)
    assert min(ttl for _, ttl, _, _ in dig(pod, name).answer) > 0
    _ask_all_workers(pod, name)
    assert _asked(cluster, name) <= before + 2, "nobody else asked again"


def test_a_changed_hosts_file_is_answered_by_and_leaves_what_is_cached(cluster, pod, corefile):
    _use(pod, corefile, "    hosts {\n reload 100ms\n fallthrough\n }\n    cache 300")
    name = _new_name()
    _ask_all_workers(pod, name)
    before = _asked(cluster, name)
    hosts = pod.sandbox.folder / "hosts"
    hosts.write_text(hosts.read_text() + "192.0.2.77 added.test\n")
    wait_until(lambda: dig(pod, "added.test").data("A") == ["192.0.2.77"], "the new line", timeout=5)
    _ask_all_workers(pod, name)
    assert _asked(cluster, name) == before


@contextmanager
def _cluster_dns_away(pod):
    """For the sidecar: what it sends there itself vanishes. The application's questions do not get as far."""
    rule = f"OUTPUT -d {network.CLUSTER_DNS4} -j DROP"
    assert pod.sh(f"iptables -I {rule}").returncode == 0
    try:
        yield
    finally:
        pod.sh(f"iptables -D {rule}")
