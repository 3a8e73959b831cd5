"""The roles hold what the programs ask for: nothing is refused, and nothing is theirs that they do not use."""

import http.client
from typing import Callable

import pytest

from installed import (WEBHOOK, FakeApi, Programs, cluster, start_control, start_injector, start_sidecar,
                       write_config_map)
from lab.certificates import CertificateAuthority, Secret
from lab.tools import LabError, wait_until
from objects import NAMESPACE, base
from roles import Request, Right, rights_of

_POLICIES = "/apis/portolan.dev/v1alpha1/namespaces/shop/dnsegresspolicies"


@pytest.fixture(scope="module")
def objects():
    return base()


def _refused_and_unused(rights: set[Right], asked: set[Request]) -> tuple[set[Request], set[Right]]:
    return ({request for request in asked if not any(right.allows(request) for right in rights)},
            {right for right in rights if not any(right.allows(request) for request in asked)})


def _compare(rights: set[Right], asked: Callable[[], set[Request]]) -> None:
    """Once all that may be asked for has been, or after a while."""
    try:
        wait_until(lambda: _refused_and_unused(rights, asked()) == (set(), set()), "it to have used every right",
                   timeout=30)
    except LabError:
        assert _refused_and_unused(rights, asked()) == (set(), set())


def test_a_right_covers_what_kubernetes_says_it_does():
    anywhere = Right("list", "pods", "", "")
    assert anywhere.allows(Request("list", "pods", "", "")) and anywhere.allows(Request("list", "pods", "a", ""))
    of_one = Right("get", "secrets", "ours", "key")
    assert of_one.allows(Request("get", "secrets", "ours", "key"))
    for other in (Request("get", "secrets", "ours", "other"), Request("get", "secrets", "", "key"),
                  Request("list", "secrets", "ours", ""), Request("get", "secrets.example", "ours", "key")):
        assert not of_one.allows(other)


def _apis(programs: Programs, *flags: str) -> list[FakeApi]:
    """As API servers are now, where a watch is the list too; and before Kubernetes 1.32."""
    return [FakeApi(programs, *flags), FakeApi(programs, "--no-streaming-lists", *flags)]


def _asked(apis: list[FakeApi], program: str) -> set[Request]:
    return set().union(*(api.asked_by(program) for api in apis))


def _start_control(objects, programs: Programs, api: FakeApi, folder) -> None:
    """With a sidecar that comes in by its token, a reader by his, and a policy whose status is written."""
    folder.mkdir()
    api.ask("POST", _POLICIES, {"metadata": {"name": "apis"}, "spec": {"rules": [{"names": ["a.example"]}]}})
    ca = CertificateAuthority(folder / "ca")
    tls = Secret(folder / "tls", ca, "IP:127.0.0.1").certificate.parent
    control = start_control(objects, programs, api, tls, "--http-auth=kubernetes")
    start_sidecar(programs, api, control.xds, ca.file, folder / "pod")
    api.ask("POST", "/fake/tokens", {**api.ask("GET", "/fake/tokens"), "readers": {
        "audiences": ["https://kubernetes.default.svc"], "user": {"username": "reader"}}})
    assert _names(control.api, "readers") == 403


def _names(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/v1/names", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_portolan_control_may_do_what_it_does(objects, programs, tmp_path):
    apis = _apis(programs, "--without", "")  # with the APIs that not every cluster has
    for number, api in enumerate(apis):
        _start_control(objects, programs, api, tmp_path / f"control-{number}")
    _compare(rights_of(objects, f"{NAMESPACE}/portolan-control"), lambda: _asked(apis, "portolan-control"))


def _spoil(api: FakeApi) -> None:
    """What somebody may do by mistake, and the injector puts right."""
    config_map = api.ask("GET", "/api/v1/namespaces/shop/configmaps/portolan-ca")
    config_map["data"] = {"ca.crt": "lost"}
    api.ask("PUT", "/api/v1/namespaces/shop/configmaps/portolan-ca", config_map)
    for secret in ("portolan-ca", "portolan-injector-tls", "portolan-control-tls"):
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret}"
        if api.exists(path):
            api.ask("PUT", path, {**api.ask("GET", path), "data": {}})
    webhooks = api.ask("GET", WEBHOOK)
    for webhook in webhooks["webhooks"]:
        webhook["clientConfig"]["caBundle"] = ""
    api.ask("PUT", WEBHOOK, webhooks)


@pytest.mark.parametrize("folder", ["base", "overlays/mounted-certificates", "overlays/cert-manager"])
def test_portolan_injector_may_do_what_it_does(request, programs, tmp_path, folder):
    objects = base() if folder == "base" else request.getfixturevalue("tools").kustomize(folder)
    apis = _apis(programs, "--load", str(cluster(objects, tmp_path / "objects.json")))
    ca = CertificateAuthority(tmp_path / "ca")
    tls = Secret(tmp_path / "tls", ca, f"DNS:portolan-injector.{NAMESPACE}.svc").certificate.parent
    (tls / "ca.crt").write_bytes(ca.file.read_bytes())
    mounted = {"injection": write_config_map(objects, "portolan-injection", tmp_path / "injection"), "tls": tls}
    for api in apis:
        start_injector(objects, programs, api, mounted)
        _spoil(api)
    _compare(rights_of(objects, f"{NAMESPACE}/portolan-injector"), lambda: _asked(apis, "portolan-injector"))
