"""Pods are what the injector made of them, and their containers run as that says."""

import os
from pathlib import Path

import pytest

from .admission import Refused
from .cluster_dns import DECOY
from .pods import Shape
from .resolver_tools import dig
from .sidecar import INIT, PROXY, UID
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"


def _injected(pod) -> list[str]:
    return [container["name"] for container in pod.obj["spec"].get("initContainers", [])]


@pytest.fixture
def start(cluster):
    """start({METADATA}, SPEC=...) gives a pod for one test."""
    made = []

    def begin(metadata: dict, **spec):
        template = {"metadata": {"name": "injected-test", **metadata},
                    "spec": {"containers": [{"name": "tools", "image": "lab/tools"}], **spec}}
        made.append(cluster.start_pod(template, Shape(), listed=False))
        return made[-1]

    yield begin
    for pod in made:
        if pod.sidecar:
            pod.sidecar.kill()
        cluster.stop_pod(pod)


def test_the_sidecar_runs_as_its_spec_says(frontend):
    process = Path(f"/proc/{frontend.sidecar.daemon.pid}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == [str(UID)] * 4
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    root = next(line for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/")
    assert "ro" in root.split()[5].split(","), root
    words = (process / "cmdline").read_text().split("\0")
    assert words[0] == "/usr/local/bin/portolan-proxy" and f"--node=default/{frontend.name}" in words
    assert not [word for word in words if "$(" in word]


def test_the_application_may_not_change_the_rules(frontend):
    (application,) = [d for d in frontend.sandbox.daemons() if d.name.endswith("/frontend")]
    status = Path(f"/proc/{application.pid}/status").read_text()
    bounding = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    assert not bounding & (1 << 12), "NET_ADMIN"


def test_the_token_that_the_api_server_mounts_is_in_every_container(frontend):
    """It does so between two calls of the webhook, the second of which must leave it there."""
    spec = frontend.obj["spec"]
    for container in [*spec["initContainers"], *spec["containers"]]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert paths.count("/var/run/secrets/kubernetes.io/serviceaccount") == 1, container["name"]
    root = Path(f"/proc/{frontend.sidecar.daemon.pid}/root")
    assert len((root / "run/secrets/kubernetes.io/serviceaccount/token").read_text().split(".")) == 3
    assert (root / "run/secrets/portolan/token").read_text() == frontend.sidecar.token.file.read_text()


def test_ours_come_first_and_an_init_container_of_the_application_has_dns(start):
    pod = start({}, initContainers=[{"name": "asks", "image": "lab/asks"}])
    assert _injected(pod) == [INIT, PROXY, "asks"]
    assert (pod.sandbox.folder / "asks" / "answer").read_text() == "10.43.0.123\n"


@pytest.mark.parametrize("metadata, injected", [
    ({"namespace": "beside"}, False),
    ({"namespace": "beside", "labels": {"portolan.dev/inject": "true"}}, True),
    ({"namespace": "beside", "annotations": {"portolan.dev/inject": "true"}}, True),
    ({"namespace": "default"}, True),
    ({"namespace": "default", "labels": {"portolan.dev/inject": "false"}}, False),
    ({"namespace": "default", "annotations": {"portolan.dev/inject": "false"}}, False),
], ids=["another namespace", "its label", "its annotation", "opted-in namespace", "its label no", "its annotation no"])
def test_who_opted_in_is_injected_and_nobody_else(start, metadata, injected):
    pod = start(metadata)
    assert _injected(pod) == ([INIT, PROXY] if injected else [])
    assert dig(pod, _NAME).data("A") == (["10.43.0.123"] if injected else [DECOY])


def test_a_pod_that_runs_as_the_sidecars_user_is_refused_with_the_reason(start):
    with pytest.raises(Refused, match="1337"):
        start({}, securityContext={"runAsUser": UID})


def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_annotation(start):
    with pytest.raises(Refused, match="portolan.dev/capture.*everything"):
        start({"annotations": {"portolan.dev/capture": "everything"}})


def test_an_application_that_is_no_root_runs_beside_the_sidecar(start):
    pod = start({}, securityContext={"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000})
    assert dig(pod, _NAME).data("A") == ["10.43.0.123"]
    (application,) = [d for d in pod.sandbox.daemons() if d.name.endswith("/tools")]
    wait_until(lambda: os.stat(f"/proc/{application.pid}").st_uid == 1000, "it is started")
    assert os.stat(f"/proc/{pod.sidecar.daemon.pid}").st_uid == UID
