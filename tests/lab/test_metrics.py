"""docs/metrics.md says what each program serves, neither more nor less: here with everything on that has metrics."""

import pytest
from injector import outside
from metrics import page

from . import network
from .control_plane import STATUS
from .namespaces import RUN
from .pods import Shape
from .tools import Daemon, portolan, run, wait_until

_EVERY_DIRECTIVE = f""".:53 {{
    errors
    log
    prometheus :9153
    local
    loop
    reload
    acl dropped.example {{
        drop
    }}
    rewrite stop name old.example new.example
    template IN A template.example {{
        answer "{{{{ .Name }}}} 60 IN A 192.0.2.1"
    }}
    autopath @kubernetes
    dns64
    kubernetes cluster.local {{
        pods verified
    }}
    transfer {{
        to *
    }}
    hosts {{
        192.0.2.1 hosts.example
        fallthrough
    }}
    cache
    forward . {network.CLUSTER_DNS4}
}}
tls.example:53 {{
    forward . tls://{network.OUTSIDE4} {{
        tls_servername dns.example
    }}
}}
"""
_MIXED = "10.43.71.1"
_DEAD_PORT, _PORT = 9, 8080
_REPLICA_STATUS = "127.0.0.1:15028"


@pytest.fixture(scope="module")
def documented():
    return page.read()


def _half_dead_service(cluster) -> list[dict]:
    """One endpoint serves, one refuses: connections to it are retried, and it is ejected."""
    backend = cluster.members("backend")[0]
    metadata = {"name": "half-dead", "namespace": "default"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
               "spec": {"type": "ClusterIP", "clusterIP": _MIXED, "clusterIPs": [_MIXED], "ipFamilies": ["IPv4"],
                        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}
    slices = [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": f"half-dead-{port}", "namespace": "default",
                            "labels": {"kubernetes.io/service-name": "half-dead"}},
               "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
               "endpoints": [{"addresses": [backend.ip], "conditions": {"ready": True}}]}
              for port in (_PORT, _DEAD_PORT)]
    return [service, *slices]


@pytest.fixture(scope="module")
def pod(cluster):
    (cluster.control.corefiles / "every-directive").write_text(_EVERY_DIRECTIVE)
    objects = _half_dead_service(cluster)
    for obj in objects:
        cluster.apply(obj)
    # In audit: denials are counted, and nothing is denied.
    objects.append({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": {"name": "audited", "namespace": "default",
                                 "annotations": {"portolan.dev/audit": "true"}},
                    "spec": {"podSelector": {"matchLabels": {"metrics": "all"}}, "policyTypes": ["Egress"]}})
    cluster.apply(objects[-1])
    made = cluster.start_pod({"metadata": {"name": "metrics", "labels": {"metrics": "all"}},
                              "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}}, Shape(annotations={"corefile": "every-directive", "udp": "tproxy"}))
    made.sidecar.kill()
    made.sidecar.start("--access-log", "/var/lib/portolan/access.log", "--eject-after", "1")
    yield made
    made.sidecar.kill()
    cluster.stop_pod(made)
    for obj in objects:
        cluster.delete(obj)


def _has_all_series(pod) -> bool:
    """Of those that are there once something has happened."""
    pod.sh(f"for i in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -m 2 http://{_MIXED}/; done")
    metrics = pod.sidecar.page("/metrics").body
    return all(name + "{" in metrics
               for name in ("portolan_forwarder_endpoint_ejected", "portolan_policy_denials_total"))


def test_the_page_says_what_a_sidecar_serves(cluster, pod, documented):
    for name in ("hosts.example", "x.template.example", "old.example", "example.org", "backend"):
        pod.exec("dig", "+search", "+time=2", "+tries=1", name)
    wait_until(lambda: _has_all_series(pod), "an endpoint is ejected", timeout=20)
    served = page.served(pod.sidecar.page("/metrics").body)
    assert not page.differences(documented, "portolan-proxy", served)
    assert set(page.served(pod.sidecar.page("/metrics", 9153).body)) == set(served)


def _metrics_of(address: str) -> dict:
    return page.served(run(["curl", "-sS", "-m", "5", f"http://{address}/metrics"]).stdout)


def test_the_page_says_what_a_control_plane_serves(cluster, pod, documented):
    """By its folder of manifests over TLS; and by an API server, with readers and replicas that are known."""
    argv = [portolan("portolan-control"), "--source", f"kubernetes:{cluster.injector.api.kubeconfig}",
            "--xds-insecure", "--xds-listen", "127.0.0.1:15030", "--http-listen", "127.0.0.1:15082",
            "--status-listen", _REPLICA_STATUS, "--http-auth", "kubernetes", "--http-peers", "localhost:15081",
            "--peer-ca", str(cluster.control.ca.file)]
    other = Daemon("portolan-control", argv, RUN / "metrics-control.log")
    try:
        other.wait_ready(lambda: run(["curl", "-sf", f"http://{_REPLICA_STATUS}/ready"], check=False).returncode == 0,
                         "it is ready")
        wait_until(lambda: "portolan_source_last_event_timestamp_seconds" in _metrics_of(_REPLICA_STATUS),
                   "a first event or bookmark", timeout=10)
        served = {**_metrics_of(_REPLICA_STATUS), **_metrics_of(STATUS)}
    finally:
        other.kill()
    assert not page.differences(documented, "portolan-control", served)


def test_the_page_says_what_an_injector_serves(cluster, documented):
    """With mounted certificates, and with its own."""
    api = outside.Api(RUN)
    injector = outside.Injector(RUN, api, "metrics-injector", "--self-signed")
    try:
        injector.wait_ready()
        mounted = run(["curl", "-sSk", "-m", "5", "https://127.0.0.1:9443/metrics"]).stdout
        served = {**page.served(mounted), **page.served(injector.get("/metrics")[1])}
    finally:
        injector.daemon.kill()
        api.daemon.kill()
    assert not page.differences(documented, "portolan-injector", served)


def test_every_program_serves_what_all_are_to_serve(cluster, pod, documented):
    shared = {metric.name for metric in documented.values() if metric.section == page.SHARED}
    of_some = {name for name in shared if name.startswith(("portolan_kubernetes_", "portolan_tls_"))}
    of_tls = {"portolan_http_handshakes_total"}
    assert shared - of_some - of_tls <= set(page.served(pod.sidecar.page("/metrics").body))
    # An API server is what this one has none of.
    assert shared - {name for name in of_some if "kubernetes" in name} - of_tls <= set(_metrics_of(STATUS))
    injector = page.served(run(["curl", "-sSk", "-m", "5", "https://127.0.0.1:9443/metrics"]).stdout)
    assert shared <= set(injector)
