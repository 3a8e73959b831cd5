"""A Service that its namespace keeps to itself (portolan.dev/export-to), seen from a pod of another."""

from .resolver_tools import dig
from .tools import wait_until

_NAME = "vault.treasury.svc.cluster.local"
_ADDRESS = "10.43.0.97"


def _service(export_to: str) -> dict:
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "vault", "namespace": "treasury", "annotations": {"portolan.dev/export-to": export_to}},
            "spec": {"clusterIP": _ADDRESS, "clusterIPs": [_ADDRESS], "ports": [{"port": 80}]}}


def test_a_service_that_is_not_exported_has_no_name_until_it_is(cluster, frontend):
    # That the feed has got so far is known by a Service that came after it.
    marker = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "after-vault", "namespace": "default"},
              "spec": {"clusterIP": "10.43.0.98", "clusterIPs": ["10.43.0.98"], "ports": [{"port": 80}]}}
    try:
        cluster.apply(_service("."))
        cluster.apply(marker)
        wait_until(lambda: dig(frontend, "after-vault.default.svc.cluster.local").data("A") == ["10.43.0.98"], "it is told")
        assert dig(frontend, _NAME).status == "NXDOMAIN"
        cluster.apply(_service("default"))
        wait_until(lambda: dig(frontend, _NAME).data("A") == [_ADDRESS], "it is told of the Service")
        cluster.apply(_service("."))
        wait_until(lambda: dig(frontend, _NAME).status == "NXDOMAIN", "it is told that there is none")
    finally:
        cluster.delete(_service("."))
        cluster.delete(marker)
