"""The parts of an installation fit together: each program started as its Deployment says, with what the others made."""

import base64
import json
from typing import Optional

import pytest
import yaml

from injector.outside import SERVER_NAME, ask, review, trusting
from installed import WEBHOOK, FakeApi, cluster, start_control, start_injector, start_sidecar, write_config_map
from lab.tools import wait_until
from objects import NAMESPACE, base


@pytest.fixture
def objects():
    return base()


@pytest.fixture
def api(objects, programs, tmp_path):
    return FakeApi(programs, "--load", str(cluster(objects, tmp_path / "objects.json")))


@pytest.fixture
def injector(objects, programs, api, tmp_path) -> int:
    """Its port."""
    mounted = {"injection": write_config_map(objects, "portolan-injection", tmp_path / "injection")}
    return start_injector(objects, programs, api, mounted)


def _ask(api: FakeApi, port: int, method: str, body: Optional[str] = None, path: str = "") -> tuple[int, str]:
    """As an API server: what the webhook says, trusting the caBundle that it has now."""
    client = api.ask("GET", WEBHOOK)["webhooks"][0]["clientConfig"]
    assert f"{client['service']['name']}.{client['service']['namespace']}.svc" == SERVER_NAME
    bundle = base64.b64decode(client.get("caBundle", "")).decode()
    return ask(port, trusting(bundle), method, path or client["service"]["path"], body)


def _ready(api: FakeApi, port: int) -> bool:
    try:
        return _ask(api, port, "GET", path="/ready")[0] == 200
    except (OSError, ValueError):
        return False


def test_the_api_server_reaches_the_injector_and_a_pod_gets_the_image_of_the_installation(objects, api, injector):
    wait_until(lambda: _ready(api, injector), "the injector is ready and trusted", timeout=30)
    status, body = _ask(api, injector, "POST", review())
    assert status == 200, body
    patch = base64.b64decode(json.loads(body)["response"]["patch"]).decode()
    [container] = objects[f"Deployment {NAMESPACE}/portolan-injector"]["spec"]["template"]["spec"]["containers"]
    assert f'"image":"{container["image"]}"' in patch
    assert f"portolan-control.{NAMESPACE}.svc:15012" in patch


def test_a_sidecar_trusts_the_control_plane_by_what_the_injector_made(objects, programs, api, injector, tmp_path):
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/portolan-control-tls"
    wait_until(lambda: api.exists(path), "the certificate of the control plane is there", timeout=30)
    tls = tmp_path / "tls"
    tls.mkdir()
    for key, value in api.ask("GET", path)["data"].items():
        (tls / key).write_bytes(base64.b64decode(value))
    ca = tmp_path / "ca.crt"
    ca.write_text(api.ask("GET", "/api/v1/namespaces/shop/configmaps/portolan-ca")["data"]["ca.crt"])
    settings = yaml.safe_load(objects[f"ConfigMap {NAMESPACE}/portolan-injection"]["data"]["injection.yaml"])
    sidecar = start_sidecar(programs, api, start_control(objects, programs, api, tls).xds, ca, tmp_path / "pod",
                            "--control-server-name", settings["control-server-name"])
    sidecar.wait_ready(lambda: "in sync" in sidecar.log.read_text(), "it is in sync", timeout=30)
