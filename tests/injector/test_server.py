"""The injector as a server: what it is sent and told while it serves."""

import base64
import http.client
import json
import socket
import ssl
import subprocess

import pytest
from lab.certificates import CertificateAuthority, Secret
from lab.tools import free_port, portolan

from .outside import NAMESPACE, Api, Injector, ask, eventually, review


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path)
    yield made
    made.daemon.kill()


@pytest.fixture
def injector(tmp_path, api):
    made = Injector(tmp_path, api, "injector", "--self-signed").wait_ready()
    yield made
    made.daemon.kill()


def _post(injector: Injector, body) -> tuple[int, str]:
    return ask(injector.port, ssl._create_unverified_context(), "POST", "/inject?timeout=5s", body)


def test_a_review_above_3_mb_is_refused_with_a_message_and_the_next_is_answered(injector):
    status, text = _post(injector, "x" * 5_000_000)
    assert status == 413 and "3145728" in text
    assert _post(injector, review())[0] == 200


def test_a_review_of_nearly_3_mb_is_answered(injector):
    assert _post(injector, review() + " " * 3_000_000)[0] == 200


@pytest.mark.parametrize("body", ["", "rubbish", "[" * 100_000, "{}", '{"kind":"AdmissionReview"}', "\x00" * 1000])
def test_what_is_no_review_is_a_bad_request(injector, body):
    status, text = _post(injector, body)
    assert status == 400 and text != ""
    assert _post(injector, review())[0] == 200


def test_other_methods_and_paths_say_what_there_is(injector):
    context = ssl._create_unverified_context()
    assert ask(injector.port, context, "GET", "/inject")[0] == 405
    assert ask(injector.port, context, "GET", "/elsewhere")[0] == 404


def test_plaintext_and_half_a_handshake_keep_nobody_from_being_served(injector):
    held = [socket.create_connection(("127.0.0.1", injector.port)) for _ in range(50)]
    for each in held[:25]:
        each.sendall(b"\x16\x03\x01\x02")
    plain = http.client.HTTPConnection("127.0.0.1", injector.port, timeout=5)
    plain.request("POST", "/inject", review())
    assert plain.getresponse().status == 400
    assert _post(injector, review())[0] == 200
    for each in held:
        each.close()


def test_a_changed_template_counts_at_once_and_a_wrong_one_not_at_all(injector, tmp_path):
    template = tmp_path / "injection.yaml"
    template.write_text("image: registry.example/portolan:2\n")
    eventually(lambda: _patched_with(injector, "registry.example/portolan:2"), "the new template")
    template.write_text("image: registry.example/portolan:3\nimagee: x\n")
    eventually(lambda: "injection.yaml:2: imagee" in injector.daemon.log.read_text(), "the fault in the log")
    assert _patched_with(injector, "registry.example/portolan:2")


def _patched_with(injector: Injector, image: str) -> bool:
    answer = json.loads(_post(injector, review())[1])["response"]
    return f'"{image}"' in base64.b64decode(answer["patch"]).decode()


def test_what_becomes_of_pods_is_counted(injector):
    _post(injector, review())
    _post(injector, review().replace('"shop"', f'"{NAMESPACE}"'))
    metrics = injector.get("/metrics")[1]
    assert 'portolan_injector_reviews_total{outcome="injected"} 1' in metrics
    assert 'portolan_injector_reviews_total{outcome="own-namespace"} 1' in metrics


def test_without_a_cluster_mounted_certificates_and_the_template_are_enough(tmp_path):
    secret = Secret(tmp_path / "tls", CertificateAuthority(tmp_path / "ca"), "DNS:a.example")
    template = tmp_path / "injection.yaml"
    template.write_text("image: portolan:0.1.0\nservice-cidrs: [10.96.0.0/16]\n")
    port = free_port()
    process = subprocess.Popen([portolan("portolan-injector"), "--listen", f"127.0.0.1:{port}", "--tls-cert",
                                str(secret.certificate), "--tls-key", str(secret.key), "--template", str(template),
                                "--namespace", NAMESPACE], env={}, stderr=subprocess.PIPE, text=True)
    try:
        assert "nothing is known of a cluster but what the template says" in "".join(
            process.stderr.readline() for _ in range(2))
        eventually(lambda: _answers(port), "it answers")
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        return ask(port, ssl._create_unverified_context(), "POST", "/inject", review())[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("flags, fault", [
    (["--template", "/nowhere/t.yaml", "--tls-cert", "a", "--tls-key", "b"], "/nowhere/t.yaml"),
    (["--template", "{t}", "--tls-cert", "/nowhere/a", "--tls-key", "/nowhere/b"], "/nowhere/a"),
    (["--template", "{t}", "--self-signed"], "KUBERNETES_SERVICE_HOST"),
])
def test_what_cannot_be_started_ends_with_status_1_and_the_reason(tmp_path, flags, fault):
    template = tmp_path / "t.yaml"
    template.write_text("")
    done = subprocess.run([portolan("portolan-injector"), "--namespace", NAMESPACE,
                           *(flag.replace("{t}", str(template)) for flag in flags)],
                          env={}, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1 and fault in done.stderr
