"""Answers follow the Kubernetes DNS specification 1.1.0."""

import pytest

from . import network
from .pods import Shape
from .resolver_tools import dig
from .tools import wait_until

_ZONE = "default.svc.cluster.local"
_MANY = 200


@pytest.fixture(scope="module")
def many(cluster):
    """A headless Service with 200 addresses, in slices of 100 as the controller cuts them."""
    addresses = [f"10.42.200.{n}" for n in range(1, _MANY + 1)]
    for part in range(2):
        cluster.api.apply({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"many-{part}", "namespace": "default",
                         "labels": {"kubernetes.io/service-name": "many"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [a], "conditions": {"ready": True}}
                          for a in addresses[part * 100:(part + 1) * 100]]})
    return addresses


@pytest.fixture(scope="module")
def databases(cluster):
    """Pods as a StatefulSet makes them, with hostname and subdomain."""
    pods = [cluster.start_pod({"metadata": {"name": f"db-{n}", "labels": {"app": "db"}},
                               "spec": {"hostname": f"db-{n}", "subdomain": "db",
                                        "containers": [{"name": "db", "image": "lab/http-9090",
                                                        "ports": [{"containerPort": 9090}]}]}},
                              Shape(sidecar=False)) for n in range(2)]
    yield pods
    for pod in pods:
        cluster.stop_pod(pod)


def test_cluster_ip_name_over_tcp(frontend):
    answer = dig(frontend, "+tcp", f"backend.{_ZONE}")
    assert (answer.transport, answer.data("A")) == ("TCP", ["10.43.0.123"])


def test_the_ttl_is_the_corefiles(frontend):
    assert [ttl for _, ttl, _, _ in dig(frontend, f"backend.{_ZONE}").answer] == [30]


def test_names_are_compared_without_case_and_answered_in_the_case_asked(frontend):
    answer = dig(frontend, "BackEnd.Default.SVC.cluster.local")
    assert answer.data("A") == ["10.43.0.123"]
    assert answer.answer[0][0] == "BackEnd.Default.SVC.cluster.local."


def test_dual_stack_service_has_both_addresses(frontend):
    assert dig(frontend, f"dual.{_ZONE}", "A").data("A") == ["10.43.0.50"]
    assert dig(frontend, f"dual.{_ZONE}", "AAAA").data("AAAA") == ["fd00:43::50"]


@pytest.mark.parametrize("rdtype", ["AAAA", "MX", "TXT"])
def test_a_known_name_without_such_records_is_nodata_with_soa(frontend, rdtype):
    answer = dig(frontend, f"backend.{_ZONE}", rdtype)
    assert (answer.status, answer.answer) == ("NOERROR", [])
    assert [(owner, kind) for owner, _, kind, _ in answer.authority] == [("cluster.local.", "SOA")]


def test_an_unknown_cluster_name_is_nxdomain_with_soa_and_the_cluster_dns_is_not_asked(frontend, cluster):
    # The cluster DNS does have this name: were it asked, the answer would be an address.
    before = cluster.dns.queries()
    answer = dig(frontend, f"unknown-here.{_ZONE}")
    assert (answer.status, answer.answer) == ("NXDOMAIN", [])
    assert [(owner, kind) for owner, _, kind, _ in answer.authority] == [("cluster.local.", "SOA")]
    assert "aa" in answer.flags
    assert cluster.dns.queries() == before


def test_headless_name_gives_every_pod_in_changing_order(frontend, cluster):
    answers = [dig(frontend, f"backend-headless.{_ZONE}").data("A") for _ in range(24)]
    expected = sorted(p.ip for p in cluster.members("backend"))
    assert all(sorted(a) == expected for a in answers)
    assert {a[0] for a in answers} == set(expected), "each address comes first at times"


def test_dual_stack_headless_name_gives_ipv6_addresses(frontend, cluster):
    expected = sorted(p.sandbox.ips[1] for p in cluster.members("backend"))
    assert sorted(dig(frontend, f"dual-headless.{_ZONE}", "AAAA").data("AAAA")) == expected


def test_hostname_of_a_headless_service(frontend, databases):
    for pod in databases:
        assert dig(frontend, f"{pod.name}.db.{_ZONE}").data("A") == [pod.ip]
    assert dig(frontend, f"db-7.db.{_ZONE}").status == "NXDOMAIN"


def test_a_service_has_an_srv_record_with_the_address_of_its_target(frontend):
    answer = dig(frontend, f"backend.{_ZONE}", "SRV")
    assert answer.data("SRV") == [f"0 100 8080 backend.{_ZONE}."]
    assert "10.43.0.123" in answer.text.split("ADDITIONAL SECTION")[1]


def test_cluster_ips_and_endpoints_lead_back_to_their_names(frontend, cluster, databases):
    assert dig(frontend, "-x", "10.43.0.123").data("PTR") == [f"backend.{_ZONE}."]
    assert f"db-0.db.{_ZONE}." in dig(frontend, "-x", databases[0].ip).data("PTR")


def test_a_zone_is_not_transferred_unless_the_corefile_says_so(frontend):
    assert "Transfer failed" in dig(frontend, "cluster.local", "AXFR").text


def test_external_name_is_a_cname_with_the_address_of_its_target(frontend):
    answer = dig(frontend, f"external.{_ZONE}")
    assert answer.data("CNAME") == ["example.org."]
    assert answer.data("A") == [network.OUTSIDE4]


def test_external_names_pass_through(frontend):
    answer = dig(frontend, "www.example.org", "AAAA")
    assert (answer.data("CNAME"), answer.data("AAAA")) == (["example.org."], [network.OUTSIDE6])
    assert "ra" in answer.flags and "aa" not in answer.flags
    assert dig(frontend, "example.org", "TXT").data("TXT") == ['"answered by the cluster DNS"']
    assert dig(frontend, "+tcp", "example.com").data("A") == [network.OUTSIDE4]
    assert dig(frontend, "no-such-name.example.org").status == "NXDOMAIN"


def test_the_search_list_costs_no_query_at_the_cluster_dns(frontend, cluster):
    before = len(cluster.dns.log().splitlines())
    assert network.OUTSIDE4 in frontend.exec("getent", "ahosts", "example.com").stdout
    asked = [line for line in cluster.dns.log().splitlines()[before:] if "cluster.local" in line]
    assert asked == []


def test_a_large_answer_is_truncated_over_udp(frontend, many):
    # dig retries by TCP unless told +ignore; 512 is what a resolver without EDNS takes.
    answer = dig(frontend, "+ignore", "+noedns", f"many.{_ZONE}")
    assert "tc" in answer.flags and len(answer.answer) < _MANY
    size = int(answer.text.split("MSG SIZE  rcvd: ")[1].split()[0])
    assert size <= 512


def test_a_large_answer_is_whole_over_tcp(frontend, many):
    _wait_for_many(frontend)
    answer = dig(frontend, f"many.{_ZONE}")
    assert (answer.transport, sorted(answer.data("A"))) == ("TCP", sorted(many))


def test_getent_gets_a_large_answer_whole(frontend, many):
    _wait_for_many(frontend)
    lines = frontend.exec("getent", "ahostsv4", f"many.{_ZONE}").stdout.splitlines()
    assert {line.split()[0] for line in lines} == set(many)


def _wait_for_many(frontend):
    wait_until(lambda: len(dig(frontend, "+tcp", f"many.{_ZONE}").answer) == _MANY, "200 addresses", timeout=3)
