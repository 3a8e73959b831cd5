"""DNSEgressPolicy: which names a pod may ask for, and what it may reach of what they lead to."""

import json
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import network
from .control_plane import HTTP
from .network import MORE_OUTSIDE4, OUTSIDE4, OUTSIDE6
from .pods import Shape
from .resolver_tools import dig
from .tools import PYTHON, Daemon, portolan, wait_until
from .namespaces import RUN

_PROBE = str(Path(__file__).resolve().with_name("policy_probe.py"))
_ALL = Shape(annotations={"capture": "all", "udp": "tproxy"})
_OPEN, _OTHER = 7001, 7002  # ports of the host outside
_SECOND, _THIRD = MORE_OUTSIDE4


def _policy(*rules: dict, name="apis", default_deny=True, audit=False) -> dict:
    return {"apiVersion": "portolan.dev/v1alpha1", "kind": "DNSEgressPolicy",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"podSelector": {"matchLabels": {"firewall": "dns"}}, "defaultDeny": default_deny, "audit": audit,
                     "rules": list(rules)}}


def _rule(*names: str, ports=((_OPEN, "TCP"),)) -> dict:
    return {"names": list(names), **({"ports": [{"port": p, "protocol": kind} for p, kind in ports]} if ports else {})}


def _network_policy(name: str, *rules: dict) -> dict:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"podSelector": {"matchLabels": {"firewall": "dns"}}, "policyTypes": ["Egress"],
                     "egress": list(rules)}}


class Firewalled:
    """A pod with a client in it that tries addresses."""

    def __init__(self, cluster, shape=_ALL):
        self.cluster = cluster
        self.pod = cluster.start_pod(
            {"metadata": {"name": "firewalled", "labels": {"firewall": "dns"}},
             "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}}, shape)
        self._client = self.pod.talk(PYTHON, "-B", _PROBE, "ask")

    def reach(self, address: str, port: int = _OPEN, protocol: str = "TCP") -> str:
        self._client.stdin.write(json.dumps([[protocol, address, port]]) + "\n")
        self._client.stdin.flush()
        return json.loads(self._client.stdout.readline())[0]

    def ask(self, name: str, *arguments: str):
        return dig(self.pod, *arguments, name)

    def policy_page(self) -> dict:
        return json.loads(self.pod.sidecar.admin("/policy"))

    def learned(self) -> dict:
        return {(entry["name"], entry["address"]): entry for entry in self.policy_page()["learned"]}

    def in_force(self) -> set:
        return {policy["name"] for policy in self.policy_page()["policies"]}

    def metric(self, name: str, **labels) -> float:
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(value for sample, value in self.pod.sidecar.metrics().items()
                   if sample.split("{")[0] == f"portolan_policy_{name}" and all(label in sample for label in wanted))

    @contextmanager
    def restarted(self, *flags: str):
        """With other flags meanwhile."""
        self.pod.sidecar.kill()
        self.pod.sidecar.start(*flags)
        try:
            yield
        finally:
            self.pod.sidecar.kill()
            self.pod.sidecar.start()

    def stop(self) -> None:
        self._client.kill()
        self.pod.sidecar.kill()
        self.cluster.stop_pod(self.pod)


@pytest.fixture(scope="module")
def firewalled(cluster):
    outside = Daemon("outside-probe", [*network.in_namespace("outside"), PYTHON, "-B", _PROBE, "serve", "outside",
                                       str(_OPEN), str(_OTHER)], RUN / "outside-probe.log")
    outside.wait_ready(lambda: "listening" in outside.log_tail(), "it listens")
    made = Firewalled(cluster)
    yield made
    made.stop()
    outside.stop()


@pytest.fixture
def applied(cluster, firewalled):
    """applied(POLICY, ...) has them in force, and nothing learned before."""
    standing: list = []

    def apply(*policies: dict) -> None:
        for policy in standing:
            cluster.delete(policy)
        wait_until(lambda: not firewalled.in_force(), "nothing is in force")
        standing[:] = policies
        for policy in policies:
            cluster.apply(policy)
        names = {f"{p['kind']}/default/{p['metadata']['name']}" for p in policies}
        wait_until(lambda: firewalled.in_force() == names, f"{names} are in force")

    yield apply
    apply()


@pytest.fixture
def names(cluster):
    """names(NAME, "TTL TYPE DATA", ...) gives the internet a name; gone after the test."""
    made = []

    def give(name: str, *records: str) -> None:
        made.append(name)
        cluster.dns.set(name, *records)

    yield give
    for name in made:
        cluster.dns.set(name)


def _fresh(word: str) -> str:
    """A name that no test before has had an answer of cached for."""
    return f"{word}-{time.monotonic_ns()}.example.net"


def test_an_allowed_name_may_be_resolved_and_reached(firewalled, applied, names):
    name = _fresh("allowed")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    assert firewalled.reach(OUTSIDE4) == "reset", "nobody has asked yet"
    assert firewalled.ask(name).data("A") == [OUTSIDE4]
    assert firewalled.reach(OUTSIDE4) == "outside"
    assert firewalled.learned()[(name, OUTSIDE4)]["live"] == 0


def test_at_the_ports_of_its_rule_alone(firewalled, applied, names):
    name = _fresh("ports")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4, _OTHER) == "reset"
    assert firewalled.reach(OUTSIDE4, _OPEN, "UDP") == "refused"


def test_a_rule_without_ports_is_for_all_of_them(firewalled, applied, names):
    name = _fresh("any-port")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name, ports=())))
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4, _OTHER) == "outside"
    assert firewalled.reach(OUTSIDE4, _OTHER, "UDP") == "outside"


def test_udp_ports(firewalled, applied, names):
    name = _fresh("udp")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name, ports=((_OPEN, "UDP"),))))
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4, _OPEN, "UDP") == "outside"
    assert firewalled.reach(OUTSIDE4, _OPEN) == "reset"


def test_another_name_is_refused_in_words(cluster, firewalled, applied):
    applied(_policy(_rule("api.example.net")))
    before, denied = cluster.dns.queries(), firewalled.metric("denials_total", what="name", mode="enforced")
    answer = firewalled.ask("example.org")
    assert answer.status == "REFUSED" and "EDE: 18 (Prohibited)" in answer.text
    assert "DNSEgressPolicy/default/apis" in answer.text
    assert cluster.dns.queries() == before, "it was asked upstream"
    assert firewalled.metric("denials_total", what="name", mode="enforced") == denied + 1


def test_over_tcp_as_well(firewalled, applied, names):
    name = _fresh("over-tcp")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    assert firewalled.ask("example.org", "+tcp").status == "REFUSED"
    assert firewalled.ask(name, "+tcp").data("A") == [OUTSIDE4]
    assert firewalled.reach(OUTSIDE4) == "outside"


def test_refusals_may_be_nxdomain(firewalled, applied):
    with firewalled.restarted("--denied-names", "nxdomain"):
        applied(_policy(_rule("api.example.net")))
        assert firewalled.ask("example.org").status == "NXDOMAIN"


def test_a_guessed_address_is_not_reached(firewalled, applied, names):
    name = _fresh("guessed")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    firewalled.ask(name)
    assert firewalled.reach(_SECOND) == "reset"


@pytest.mark.parametrize("name,status", [
    ("one.wild.example", "NOERROR"), ("one.two.wild.example", "NOERROR"), ("ONE.Wild.Example", "NOERROR"),
    ("wild.example", "REFUSED"), ("notwild.example", "REFUSED"), ("wild.example.one.example", "REFUSED")])
def test_wildcards(firewalled, applied, name, status):
    applied(_policy(_rule("*.wild.example")))
    assert firewalled.ask(name).status == status
    assert any(learned == name.lower() for learned, _ in firewalled.learned()) == (status == "NOERROR")


def test_names_in_rules_are_of_any_case(firewalled, applied, names):
    name = _fresh("case")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name.upper() + ".")))
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4) == "outside"


def test_where_an_alias_leads_is_reached_by_who_may_ask_for_the_alias(firewalled, applied):
    """www.example.org is one of example.org."""
    applied(_policy(_rule("www.example.org")))
    assert OUTSIDE4 in firewalled.ask("www.example.org").data("A")
    assert firewalled.reach(OUTSIDE4) == "outside"
    assert firewalled.ask("example.org").status == "REFUSED"


def test_an_alias_of_an_allowed_name_is_not_allowed(firewalled, applied, names):
    target = _fresh("target")
    names(target, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(target)))
    assert firewalled.ask("www.example.org").status == "REFUSED"


def test_ipv6(firewalled, applied, names):
    name = _fresh("six")
    names(name, f"60 A {OUTSIDE4}", f"60 AAAA {OUTSIDE6}")
    applied(_policy(_rule(name)))
    firewalled.ask(name, "AAAA")
    assert firewalled.reach(OUTSIDE6) == "outside"
    assert firewalled.reach(OUTSIDE4) == "reset", "its A record was never asked for"


def test_two_names_on_one_address_have_each_their_ports(firewalled, applied, names):
    one, other = _fresh("one"), _fresh("other")
    for name in (one, other):
        names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(one), _rule(other, ports=((_OTHER, "TCP"),))))
    firewalled.ask(one)
    assert (firewalled.reach(OUTSIDE4, _OPEN), firewalled.reach(OUTSIDE4, _OTHER)) == ("outside", "reset")
    firewalled.ask(other)
    assert (firewalled.reach(OUTSIDE4, _OPEN), firewalled.reach(OUTSIDE4, _OTHER)) == ("outside", "outside")


def test_all_addresses_of_an_answer(firewalled, applied, names):
    name = _fresh("many")
    addresses = (OUTSIDE4, _SECOND, _THIRD)
    names(name, *(f"60 A {address}" for address in addresses))
    applied(_policy(_rule(name)))
    firewalled.ask(name)
    assert {firewalled.reach(address) for address in addresses} == {"outside"}


def test_rotating_addresses_are_each_let_through_for_their_time(firewalled, applied, names):
    name = _fresh("rotating")
    with firewalled.restarted("--learned-grace", "60s"):
        applied(_policy(_rule(name)))
        for address in (OUTSIDE4, _SECOND, _THIRD):
            names(name, f"1 A {address}")
            wait_until(lambda: firewalled.ask(name).data("A") == [address], f"it leads to {address}")
            assert firewalled.reach(address) == "outside"
        assert firewalled.reach(OUTSIDE4) == "outside", "the grace is not over"


def test_an_address_is_forgotten_after_ttl_and_grace(firewalled, applied, names):
    name = _fresh("short")
    names(name, f"1 A {OUTSIDE4}")
    with firewalled.restarted("--learned-grace", "1s"):
        applied(_policy(_rule(name)))
        firewalled.ask(name)
        assert firewalled.reach(OUTSIDE4) == "outside"
        wait_until(lambda: firewalled.reach(OUTSIDE4) == "reset", "it is forgotten", timeout=10, interval=0.2)
        assert (name, OUTSIDE4) not in firewalled.learned()


def test_but_not_while_a_connection_uses_it(firewalled, applied, names):
    name = _fresh("held")
    names(name, f"1 A {OUTSIDE4}")
    with firewalled.restarted("--learned-grace", "1s"):
        applied(_policy(_rule(name, ports=((9090, "TCP"), (_OPEN, "TCP")))))
        firewalled.ask(name)
        # The HTTP server waits for a request.
        held = firewalled.pod.popen(PYTHON, "-c", f"import socket, time\ns = socket.create_connection(('{OUTSIDE4}', 9090))\n"
                                    "print('open', flush=True)\ntime.sleep(60)")
        try:
            assert held.stdout.readline() == "open\n"
            wait_until(lambda: firewalled.learned()[(name, OUTSIDE4)]["live"] == 1, "the connection is counted")
            time.sleep(4)
            assert firewalled.reach(OUTSIDE4) == "outside"
        finally:
            held.kill()
        wait_until(lambda: firewalled.reach(OUTSIDE4) == "reset", "it is forgotten", timeout=10, interval=0.2)


def test_the_search_list_asks_nobody(cluster, firewalled, applied, names):
    """A resolver with ndots:5 goes through the list first: an allowed name is found all the same."""
    name = _fresh("searched")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    before = cluster.dns.log().count("\n")
    done = firewalled.pod.exec("getent", "ahostsv4", name)
    assert done.stdout.split()[:1] == [OUTSIDE4], done.stderr
    asked = [line for line in cluster.dns.log().splitlines()[before:] if "searched" in line]
    assert asked and not any("cluster.local" in line for line in asked)
    assert firewalled.reach(OUTSIDE4) == "outside"


def test_names_of_the_cluster_are_answered_and_what_they_lead_to_is_judged(cluster, firewalled, applied):
    backend = "backend.default.svc.cluster.local"
    applied(_policy(_rule("api.example.net")))
    address = firewalled.ask(backend).data("A")[0]
    assert firewalled.reach(address, 8080) == "reset"
    applied(_policy(_rule(backend, ports=((8080, "TCP"),)), name="backend"))
    firewalled.ask(backend)
    assert firewalled.pod.exec("curl", "-sS", "-m", "3", f"http://{address}:8080/").returncode == 0


def test_an_outage_of_the_resolver_takes_nothing_away(cluster, firewalled, applied, names):
    name = _fresh("outage")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    firewalled.ask(name)
    cluster.dns.stop_answering(True)
    try:
        assert firewalled.reach(OUTSIDE4) == "outside"
        assert firewalled.ask("example.org").status == "REFUSED"
    finally:
        cluster.dns.stop_answering(False)


def test_a_restart_of_the_sidecar_opens_and_closes_nothing(firewalled, applied, names):
    name = _fresh("restart")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))
    firewalled.ask(name)
    time.sleep(1.5)  # it is written once a second
    firewalled.pod.sidecar.kill()
    firewalled.pod.sidecar.start()
    assert firewalled.reach(OUTSIDE4) == "outside"
    assert firewalled.reach(_SECOND) == "reset"
    assert firewalled.ask("example.org").status == "REFUSED"


def test_without_default_deny_it_only_adds_to_what_others_allow(firewalled, applied, names):
    name = _fresh("adds")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name), default_deny=False))
    assert firewalled.ask("example.com").status == "NOERROR"
    assert firewalled.reach(_SECOND) == "outside", "nothing is isolated"
    applied(_policy(_rule(name), default_deny=False), _network_policy("deny"))
    assert firewalled.ask("example.com").status == "NOERROR", "names are not isolated"
    assert firewalled.reach(_SECOND) == "reset"
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4) == "outside"


def test_in_audit_nothing_is_denied_and_all_is_counted(firewalled, applied, names):
    name = _fresh("audited")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name), audit=True))
    before = {what: firewalled.metric("denials_total", what=what, mode="audit") for what in ("name", "connection")}
    assert firewalled.ask("example.com").status == "NOERROR"
    assert firewalled.reach(_SECOND) == "outside"
    for what, count in before.items():
        assert firewalled.metric("denials_total", what=what, mode="audit") == count + 1, what
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4) == "outside"
    assert firewalled.metric("denials_total", what="connection", mode="audit") == before["connection"] + 1


def test_what_was_asked_in_audit_is_reached_when_the_policy_is_enforced(firewalled, applied, names):
    name = _fresh("before")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name), audit=True))
    firewalled.ask(name)
    applied(_policy(_rule(name)))
    assert firewalled.reach(OUTSIDE4) == "outside", "it was learned"
    assert firewalled.reach(_SECOND) == "reset"


def test_policy_test_says_what_the_sidecar_would_do(firewalled, applied, names):
    name = _fresh("tested")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name)))

    def tested(to: str, *flags: str, pod="default/firewalled"):
        return subprocess.run([portolan("portolanctl"), "policy", "test", "--from", pod, "--to", to,
                               "--server", f"http://{HTTP}", *flags], stdout=subprocess.PIPE, text=True, timeout=20)

    learns = tested(f"{name}:{_OPEN}")
    assert learns.returncode == 0, learns.stdout
    assert "rule 0 of DNSEgressPolicy/default/apis allows it" in learns.stdout
    assert f"leads to {OUTSIDE4}:{_OPEN}" in learns.stdout and "not learned yet" in learns.stdout
    assert firewalled.reach(OUTSIDE4) == "reset", "to test is not to ask"
    assert tested(f"{OUTSIDE4}:{_OPEN}").returncode == 1
    firewalled.ask(name)
    assert firewalled.reach(OUTSIDE4) == "outside" and tested(f"{OUTSIDE4}:{_OPEN}").returncode == 0
    assert "not learned yet" not in tested(f"{name}:{_OPEN}").stdout
    other_port = json.loads(tested(f"{name}:{_OTHER}", "-o", "json").stdout)
    assert other_port["verdict"] == "denied" and other_port["isolatedBy"] == ["DNSEgressPolicy/default/apis"]
    assert tested(f"{name}:{_OPEN}", "--protocol", "udp").returncode == 1
    assert "it is not resolved" in tested("other.example.net:443").stdout
    # By its endpoints, found by the search list.
    service = json.loads(tested("backend:8080", "-o", "json").stdout)
    assert service["verdict"] == "denied" and service["name"].startswith("backend.default.svc.")
    assert service["at"] and all(at.startswith("10.42.") for at in service["at"])
    applied(_network_policy("backend", {"ports": [{"port": 8080}, {"port": 53, "protocol": "UDP"}]}))
    assert tested("backend:8080").returncode == 0
    assert tested("backend:8080", pod="default/nobody").returncode == 2


def test_another_resolver_is_an_address_like_any_other(firewalled, applied):
    """DNS over TLS, over HTTPS and plain: nobody asked for the name of that host."""
    applied(_policy(_rule("api.example.net", ports=())))
    for port in (53, 443, 853):
        assert firewalled.reach(OUTSIDE4, port) == "reset"
    assert firewalled.reach(OUTSIDE4, 53, "UDP") == "refused"


def test_a_network_policy_that_forbids_the_cluster_dns_forbids_it(firewalled, applied):
    applied(_network_policy("deny"))
    answer = firewalled.ask("backend.default.svc.cluster.local")
    assert answer.status == "REFUSED" and "NetworkPolicy/default/deny" in answer.text
    applied(_network_policy("dns", {"to": [{"ipBlock": {"cidr": f"{network.CLUSTER_DNS4}/32"}}],
                                    "ports": [{"port": 53, "protocol": "UDP"}]}))
    assert firewalled.ask("backend.default.svc.cluster.local").status == "NOERROR"
    assert firewalled.ask("example.org").status == "NOERROR"
    assert firewalled.ask("example.org", "+tcp").status == "REFUSED"


def _reported(query: str) -> dict:
    """Rows of the control plane's page of denials, by what and name or address."""
    with urllib.request.urlopen(f"http://{HTTP}/api/v1/denials?{query}", timeout=10) as answer:
        return {(row["what"], row["name"] or row["address"]): row for row in json.load(answer)["denials"]}


def test_what_is_denied_is_on_the_page_of_denials_with_the_rule_that_came_nearest(firewalled, applied):
    applied(_policy(_rule("api.example.net")),
            _network_policy("web", {"to": [{"ipBlock": {"cidr": f"{OUTSIDE4}/32"}}],
                                    "ports": [{"port": _OTHER, "protocol": "TCP"}]}))
    pod = firewalled.pod.sandbox
    query = f"namespace={pod.namespace}&pod={pod.name}&policy=NetworkPolicy/default/web"
    assert firewalled.reach(OUTSIDE4, _OTHER) == "outside"
    for _ in range(2):
        assert firewalled.reach(OUTSIDE4) == "reset"
    assert firewalled.ask("apo.example.net").status == "REFUSED"
    connection, name = ("connection", OUTSIDE4), ("name", "apo.example.net")
    wait_until(lambda: connection in _reported(query) and name in _reported("name=apo.example.net"), "both are reported",
               timeout=30)
    row = _reported(query)[connection]
    assert (row["node"], row["mode"], row["port"]) == (f"{pod.namespace}/{pod.name}", "enforced", _OPEN)
    assert row["count"] >= 2 and row["last"] is not None
    assert "rule 0 of NetworkPolicy/default/web" in row["nearest"] and str(_OTHER) in row["nearest"]
    row = _reported("name=apo.example.net")[name]
    assert (row["policies"], row["port"]) == ("DNSEgressPolicy/default/apis", 0)
    assert "rule 0 of DNSEgressPolicy/default/apis" in row["nearest"] and "api.example.net" in row["nearest"]
    latest = {(row["what"], row["name"] or row["address"]) for row in firewalled.policy_page()["latestDenials"]}
    assert {connection, name} <= latest


def test_a_service_that_the_pod_does_not_know_is_not_reached_by_a_block_around_its_address(cluster, firewalled, applied):
    """The packets would end at the node, where there is no kube-proxy: unanswered, not reset."""
    vault = {"apiVersion": "v1", "kind": "Service",
             "metadata": {"name": "vault", "namespace": "treasury", "annotations": {"portolan.dev/export-to": "."}},
             "spec": {"clusterIP": "10.43.0.97", "clusterIPs": ["10.43.0.97"], "ports": [{"port": 80}]}}
    around = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.42.0.0/16"]}}]}
    cluster.apply(vault)
    try:
        applied(_network_policy("around", around))
        assert firewalled.reach("10.43.0.97", 80) == "reset"
        assert firewalled.reach("10.43.0.97", 80, "UDP") == "refused"
        assert firewalled.reach(OUTSIDE4) == "outside"
    finally:
        cluster.delete(vault)
