"""The parts of an installation fit together: each program started as its Deployment says, with what the others made."""

import base64
import http.client
import json
import ssl

import pytest
import yaml

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


def _ask_webhook(api: FakeApi, port: int, method: str, path: str, body=None) -> tuple[int, bytes]:
    """As an API server: by the name of the Service, trusting the caBundle that the webhook has now."""
    client = api.ask("GET", WEBHOOK)["webhooks"][0]["clientConfig"]
    context = ssl.create_default_context(cadata=base64.b64decode(client["caBundle"]).decode())
    name = f"{client['service']['name']}.{client['service']['namespace']}.svc"

    class Connection(http.client.HTTPSConnection):
        def connect(self):
            http.client.HTTPConnection.connect(self)
            self.sock = context.wrap_socket(self.sock, server_hostname=name)

    connection = Connection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _ready(api: FakeApi, port: int) -> bool:
    try:
        return _ask_webhook(api, port, "GET", "/ready")[0] == 200
    except (ssl.SSLError, KeyError):
        return False


def test_the_api_server_reaches_the_injector_and_a_pod_gets_the_image_of_the_installation(objects, api, injector):
    wait_until(lambda: _ready(api, injector), "the injector is ready and trusted", timeout=30)
    pod = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    status, body = _ask_webhook(api, injector, "POST", "/inject?timeout=5s", {
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "dryRun": False,
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "shop", "name": "web",
            "userInfo": {}, "object": {"apiVersion": "v1", "kind": "Pod", **pod}, "oldObject": None}})
    response = json.loads(body)["response"]
    assert (status, response["allowed"]) == (200, True), body
    patch = base64.b64decode(response["patch"]).decode()
    [container] = objects[f"Deployment {NAMESPACE}/portolan-injector"]["spec"]["template"]["spec"]["containers"]
    assert f'"image":"{container["image"]}"' in patch
    assert f"portolan-control.{NAMESPACE}.svc:15012" in patch


def test_a_sidecar_trusts_the_control_plane_by_what_the_injector_made(objects, programs, api, injector, tmp_path):
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets/portolan-control-tls"
    wait_until(lambda: api.exists(path), "the certificate of the control plane is there")
    tls = tmp_path / "tls"
    tls.mkdir()
    for key, value in api.ask("GET", path)["data"].items():
        (tls / key).write_bytes(base64.b64decode(value))
    ca = tmp_path / "ca.crt"
    ca.write_text(api.ask("GET", "/api/v1/namespaces/shop/configmaps/portolan-ca")["data"]["ca.crt"])
    settings = yaml.safe_load(objects[f"ConfigMap {NAMESPACE}/portolan-injection"]["data"]["injection.yaml"])
    sidecar = start_sidecar(programs, api, start_control(objects, programs, api, tls), ca, tmp_path / "pod",
                            "--control-server-name", settings["control-server-name"])
    sidecar.wait_ready(lambda: "in sync" in sidecar.log.read_text(), "it is in sync")
