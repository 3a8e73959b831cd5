"""A sidecar says how a name is answered and where a connection would go, all the way out; and so does portolanctl."""

import json
import urllib.parse

import pytest

from .cluster_dns import DECOY
from .corefiles import dump, replace
from .faults import own_pod
from .tools import portolan, wait_until

_DOMAIN = "default.svc.cluster.local."
_KUBERNETES = """    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
"""


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "explained") as made:
        wait_until(lambda: _explain(made, "backend")["feed"]["inSync"], "its feed is in sync")
        yield made


def _explain(pod, name: str, **more: str) -> dict:
    return json.loads(pod.sidecar.admin("/explain?" + urllib.parse.urlencode({"name": name, **more})))


def _use(pod, corefile, directives: str) -> None:
    text = f".:53 {{\n    errors\n{_KUBERNETES}{directives}\n}}\n"
    replace(corefile, text)
    wait_until(lambda: dump(pod)["corefile"] == text, "the Corefile is in force", timeout=5)


def _last(explained: dict) -> dict:
    return explained["lookups"][-1]


def _says(lookup: dict, plugin: str) -> str:
    return next(step["says"] for step in lookup["steps"] if step["plugin"] == plugin)


def test_a_service_is_explained_down_to_its_endpoints(pod, cluster):
    # The first question has the endpoints fetched.
    wait_until(lambda: _explain(pod, "backend")["connections"][0].get("endpoints"), "its endpoints are held")
    explained = _explain(pod, "backend")
    lookup = _last(explained)
    assert lookup["name"] == f"backend.{_DOMAIN}" and lookup["rcode"] == "NOERROR"
    assert lookup["plugin"] == "kubernetes" and lookup["zone"] == "."
    assert _says(lookup, "kubernetes") == "the addresses of Service default/backend"
    assert lookup["objects"][0]["kind"] == "Service" and lookup["objects"][0]["arrived"]
    (connection,) = explained["connections"]
    assert connection["outcome"] == "forwarded" and connection["service"] == "default/backend"
    backends = {member.sandbox.ip for member in cluster.members("backend")}
    assert {one["address"].split(":")[0] for one in connection["endpoints"]} == backends
    assert {one["next"] for one in connection["endpoints"]} == {"one of"}
    assert explained["feed"]["source"] == "control plane"


def test_a_service_without_endpoints_says_so(pod):
    wait_until(lambda: _explain(pod, "nobody")["connections"][0]["outcome"] == "no_endpoints", "that there are none")


def test_a_typing_error_is_noticed(pod):
    lookup = _explain(pod, "backnd")["lookups"][0]
    assert lookup["rcode"] == "NXDOMAIN" and "did you mean 'backend'?" in lookup["why"]
    other = _explain(pod, "backend.defualt")["lookups"][1]
    assert "there is no namespace 'defualt'" in other["why"] and other["similar"] == ["default"]


def test_a_headless_service_without_a_ready_endpoint_says_so(pod):
    wait_until(lambda: "no ready endpoint" in _explain(pod, "db")["lookups"][0].get("why", ""), "that none is ready")


def test_an_external_name_is_followed_to_the_server_that_answered(pod):
    lookup = _last(_explain(pod, "external"))
    assert [line.split()[3] for line in lookup["answers"]] == ["CNAME", "A"]
    outside = _last(_explain(pod, "v4.example.org."))
    assert outside["plugin"] == "forward" and " answered within " in _says(outside, "forward")


def test_lines_of_the_corefile_are_named(pod, corefile):
    _use(pod, corefile, "    hosts {\n        192.0.2.99 old.test\n        fallthrough\n    }\n"
                        "    rewrite name exact legacy.test backend.default.svc.cluster.local\n    cache 30")
    lookup = _last(_explain(pod, "old.test."))
    assert lookup["plugin"] == "hosts"
    assert _says(lookup, "hosts").endswith(":8")  # the eighth line
    lookup = _last(_explain(pod, "legacy.test."))
    assert lookup["plugin"] == "kubernetes" and "rewrite name exact legacy.test" in _says(lookup, "rewrite")
    _explain(pod, "example.com.")
    cached = _last(_explain(pod, "example.com."))
    assert cached["plugin"] == "cache" and "good for" in _says(cached, "cache")


def test_the_cluster_dns_is_asked_beside_and_differences_are_told(pod):
    explained = _explain(pod, "backend", clusterDns="true")
    theirs = explained["clusterDns"]["lookups"][-1]
    assert theirs["answers"][0].endswith(DECOY)
    told = pod.exec(portolan("portolanctl"), "explain", "backend", "--direct", "--with-cluster-dns", "--exit-code")
    assert f"the cluster DNS has A {DECOY}, which the sidecar lacks" in told.stdout
    assert told.returncode == 3


def test_without_a_control_plane_the_cluster_dns_answers_and_that_is_said(cluster):
    with own_pod(cluster, "explained-alone") as pod:
        wait_until(lambda: _explain(pod, "backend")["feed"]["inSync"], "its feed is in sync")
        cluster.control.kill()
        try:
            wait_until(lambda: not _explain(pod, "backend")["feed"]["inSync"], "its feed is stale", timeout=15)
            lookup = _explain(pod, "unknown-here")["lookups"][0]
            assert lookup["plugin"] == "forward" and lookup["answers"][0].endswith(DECOY)
            assert "not in sync" in _says(lookup, "kubernetes")
        finally:
            cluster.control.start()
