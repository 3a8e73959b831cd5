"""What becomes of a DNSEgressPolicy stands in its status, in an API server."""

from contextlib import contextmanager

import pytest

from .kubernetes_api import KubernetesApi
from .namespaces import RUN
from .pods import Shape
from .tools import wait_until

_PATIENCE = 60  # a look every 10 to 20 s, and a report every 10


@pytest.fixture(scope="module")
def api(cluster):
    """The lab's cluster moves behind an API server, and back to its folder of manifests."""
    files = cluster.api
    kubernetes = KubernetesApi(RUN / "kubernetes-status")
    kubernetes.take_over(files)
    folder, cluster.api = cluster.control.source, kubernetes
    cluster.control.restart_on(kubernetes.source)
    yield kubernetes
    cluster.api = files
    cluster.control.restart_on(folder)
    kubernetes.daemon.kill()


def _policy(*names: str) -> dict:
    return {"apiVersion": "portolan.dev/v1alpha1", "kind": "DNSEgressPolicy",
            "metadata": {"name": "told", "namespace": "default"},
            "spec": {"podSelector": {"matchLabels": {"policy-status": "told"}}, "defaultDeny": True,
                     "rules": [{"names": list(names)}]}}


@contextmanager
def _pod(cluster):
    """One that the policy is for."""
    pod = cluster.start_pod({"metadata": {"name": "told", "labels": {"policy-status": "told"}},
                             "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}},
                            Shape(annotations={"capture": "all", "udp": "tproxy"}))
    try:
        yield
    finally:
        pod.sidecar.kill()
        cluster.stop_pod(pod)


def _status(api) -> dict:
    """The status, with the conditions' statuses and reasons by type."""
    status = api.get(_policy()).get("status", {})
    return {**status, "conditions": {one["type"]: (one["status"], one["reason"])
                                     for one in status.get("conditions", [])}}


def _until(api, said: str, **conditions: tuple) -> dict:
    wait_until(lambda: conditions.items() <= _status(api)["conditions"].items(), said, timeout=_PATIENCE)
    return _status(api)


def test_a_policy_is_told_what_became_of_it(cluster, api):
    cluster.apply(_policy("api.example.net"))
    try:
        status = _until(api, "it selects nobody", Accepted=("True", "Accepted"), Enforced=("Unknown", "NoPods"))
        assert (status["selectedPods"], status["observedGeneration"]) == (0, 1)
        with _pod(cluster):
            status = _until(api, "its pod enforces it", Enforced=("True", "Enforced"))
            assert (status["selectedPods"], status["enforcingSidecars"], status["partlyEnforced"]) == (1, 1, 0)
            written = api.get(_policy())["metadata"]["resourceVersion"]
            cluster.apply(_policy("a b"))
            status = _until(api, "it is refused", Accepted=("False", "Invalid"))
            conditions = api.get(_policy())["status"]["conditions"]
            assert any("spec.rules[0].names[0]: 'a b' is neither" in one["message"] for one in conditions)
            assert status["observedGeneration"] == 2
            assert api.get(_policy())["metadata"]["resourceVersion"] != written
    finally:
        cluster.delete(_policy())
