"""The injector's certificates through what befalls a cluster, and the reviews that go on meanwhile."""

import ssl
import time

import pytest
from lab.certificates import CertificateAuthority, Secret

from .outside import SECRETS, SERVER_NAME, Api, Injector, Reviewer, ask, eventually, review, trusting

# A certificate is renewed after 4 s, the CA after 12 s.
SHORT = ("--certificate-lifetime", "6s", "--ca-lifetime", "18s")
# So that Secrets are looked at every second.
WATCHFUL = ("--certificate-lifetime", "100s", "--ca-lifetime", "1000s")


@pytest.fixture
def api(tmp_path):
    made = Api(tmp_path)
    yield made
    made.daemon.kill()


@pytest.fixture
def start(tmp_path, api):
    started = []

    def start_one(*flags: str) -> Injector:
        started.append(Injector(tmp_path, api, f"injector-{len(started)}", *flags))
        return started[-1]

    yield start_one
    for each in started:
        each.daemon.kill()


def _reviewed(api: Api, injector: Injector, strict: bool = True) -> bool:
    try:
        return ask(injector.port, trusting(api.bundle(), strict), "POST", "/inject", review())[0] == 200
    except (OSError, ValueError):
        return False


def test_two_replicas_agree_on_one_ca(api, start):
    replicas = [start("--self-signed"), start("--self-signed")]
    for each in replicas:
        each.wait_ready()
    assert api.bundle() == api.secret("portolan-ca")["bundle.crt"] == api.secret("portolan-ca")["ca.crt"]
    assert all(_reviewed(api, each) for each in replicas)
    shown = {ssl.get_server_certificate(("127.0.0.1", each.port)) for each in replicas}
    assert shown == {api.secret("portolan-injector-tls")["tls.crt"]}
    assert api.secret("portolan-control-tls")["tls.crt"].startswith("-----BEGIN CERTIFICATE-----")


def test_each_namespace_has_the_ca_and_a_new_one_gets_it(api, start):
    start("--self-signed").wait_ready()

    def holds(namespace: str) -> bool:
        found = api.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps/portolan-ca", missing_ok=True)
        return found is not None and found["data"]["ca.crt"] == api.bundle()

    eventually(lambda: holds("shop") and holds("portolan-system"), "the CA in namespaces that are there")
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "fresh"}})
    eventually(lambda: holds("fresh"), "the CA in a new namespace", 5)
    api.ask("DELETE", "/api/v1/namespaces/shop/configmaps/portolan-ca")
    eventually(lambda: holds("shop"), "the CA back", 5)
    assert not holds("kube-system")


def test_rotation_fails_no_review(api, start):
    replicas = [start("--self-signed", *SHORT).wait_ready() for _ in range(2)]
    reviewer = Reviewer(api, [each.port for each in replicas])
    shown, authorities = set(), set()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        shown.add(api.secret("portolan-injector-tls")["tls.crt"])
        authorities.add(api.secret("portolan-ca")["ca.crt"])
        time.sleep(0.2)
    reviewer.stop()
    assert reviewer.failures == []
    assert len(shown) >= 4 and len(authorities) >= 2 and reviewer.done >= 20
    assert all(each.ready() for each in replicas)


def test_a_bundle_that_is_taken_away_is_back_at_once(api, start):
    injector = start("--self-signed").wait_ready()
    api.apply_webhooks()
    eventually(lambda: _reviewed(api, injector), "the bundle back", 2)


def test_damaged_secrets_are_replaced_and_never_shown(api, start):
    injector = start("--self-signed", *WATCHFUL).wait_ready()
    reviewer = Reviewer(api, [injector.port])
    for name in ("portolan-control-tls", "portolan-injector-tls", "portolan-ca"):
        api.spoil(name)
        eventually(lambda secret=name: not any(value == "rubbish" for value in api.secret(secret).values()),
                   f"{name} replaced", 25)
    api.ask("DELETE", f"{SECRETS}/portolan-ca")
    eventually(lambda: api.secret("portolan-ca") != {}, "portolan-ca made anew", 25)
    reviewer.stop()
    assert reviewer.failures == [] and reviewer.done >= 20


def test_an_api_server_that_is_away_leaves_reviews_as_they_were(api, start):
    injector = start("--self-signed").wait_ready()
    bundle = api.bundle()
    api.daemon.kill()
    time.sleep(3)
    assert injector.ready()
    assert ask(injector.port, trusting(bundle), "POST", "/inject", review())[0] == 200


def test_before_the_api_server_answers_probes_are_answered_and_it_is_not_ready(api, start):
    api.daemon.kill()
    injector = start("--self-signed")
    eventually(lambda: _probed(injector, "/healthz") == 200, "it answers a probe")
    assert _probed(injector, "/ready") == 503
    assert "not ready:" in injector.get("/ready")[1]


def _probed(injector: Injector, path: str) -> int:
    try:
        return injector.get(path)[0]
    except OSError:
        return 0


def test_without_a_webhook_configuration_it_is_not_ready_and_says_so(api, start):
    api.ask("DELETE", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/portolan-injector")
    injector = start("--self-signed")
    eventually(lambda: api.secret("portolan-control-tls") != {}, "certificates are made")
    eventually(lambda: "mutatingwebhookconfigurations portolan-injector: 404" in injector.get("/ready")[1],
               "it says what it lacks")
    api.apply_webhooks()
    injector.wait_ready()


def test_a_rolling_restart_fails_no_review(api, start):
    replicas = [start("--self-signed").wait_ready() for _ in range(2)]
    reviewer = Reviewer(api, [each.port for each in replicas])
    for at in range(2):
        fresh = start("--self-signed").wait_ready()
        old, replicas[at] = replicas[at], fresh
        old.daemon.terminate()
        eventually(lambda gone=old: _probed(gone, "/ready") == 503, "it says that it ends")
        # Who leads to it learns of that a moment later.
        time.sleep(0.3)
        reviewer.ports = [each.port for each in replicas]
        eventually(lambda gone=old: not gone.daemon.running(), "it ends")
        assert old.daemon.stop() == 0
    reviewer.stop()
    assert reviewer.failures == [] and reviewer.done >= 20


def test_mounted_certificates_are_followed_and_their_ca_is_given_to_pods(api, start, tmp_path):
    ca = CertificateAuthority(tmp_path / "ca")
    secret = Secret(tmp_path / "tls", ca, f"DNS:{SERVER_NAME}")
    injector = start("--tls-cert", str(secret.certificate), "--tls-key", str(secret.key), "--ca-file", str(ca.file),
                     "--patch-webhook").wait_ready()
    eventually(lambda: _reviewed(api, injector, strict=False), "the API server trusts it")
    shown = ssl.get_server_certificate(("127.0.0.1", injector.port))
    ca = CertificateAuthority(tmp_path / "ca")
    secret.renew(ca)
    eventually(lambda: ssl.get_server_certificate(("127.0.0.1", injector.port)) != shown, "the new certificate")
    eventually(lambda: _reviewed(api, injector, strict=False), "the API server trusts the new one")
    eventually(lambda: api.ask("GET", "/api/v1/namespaces/shop/configmaps/portolan-ca")["data"]["ca.crt"] ==
               ca.file.read_text(), "pods trust it")
    assert api.secret("portolan-ca") == {}
    good = ca.file.read_text()
    ca.file.write_text("rubbish")
    eventually(lambda: "the CAs before it stay in force" in injector.daemon.log.read_text(), "the fault in the log")
    assert api.bundle() == good
