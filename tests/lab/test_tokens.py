"""Who may speak to the control plane: each sidecar by a token that is bound to its pod."""

import urllib.request

import pytest

from .control_plane import STATUS, XDS_PORT
from .faults import cut_off, own_pod
from .network import POD_GATEWAY4
from .sidecar import TOKEN
from .tokens import TokenIssuer
from .tools import wait_until

_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


@pytest.fixture
def pod(cluster):
    with own_pod(cluster, "tokens") as made:
        _in_sync(made)
        yield made


def test_every_sidecar_shows_a_token_and_is_counted(cluster, pod):
    assert _counted("accepted") >= len([p for p in cluster.pods.values() if p.sidecar])
    assert pod.sidecar.feed()["controlPlane"] != ""


@pytest.mark.parametrize("result, said, token", [
    ("refused", "the token has expired", lambda issuer, pod: issuer.token("default", pod.name, lifetime=-60)),
    ("refused", "the token is not for the audience portolan",
     lambda issuer, pod: issuer.token("default", pod.name, audience="other")),
    ("refused", "the token is signed by no known issuer",
     lambda issuer, pod: TokenIssuer(pod.sandbox.folder / "other-issuer").token("default", pod.name)),
    ("wrong_pod", "Node.id is 'default/tokens', but the token is default/someone-else's",
     lambda issuer, pod: issuer.token("default", "someone-else")),
])
def test_a_token_that_is_not_good_lets_nobody_in_until_a_good_one_is_there(cluster, pod, result, said, token):
    before = _counted(result)
    pod.sidecar.token.write(token(cluster.control.issuer, pod))
    cut_off(pod)
    wait_until(lambda: said in pod.sidecar.feed()["lastFailure"], f"'{said}'")
    assert "--control-token" in pod.sidecar.feed()["lastFailure"]
    assert _counted(result) > before
    # What it held it still holds, and answers.
    assert pod.exec("getent", "hosts", "backend").returncode == 0
    _rotate(cluster, pod)
    _in_sync(pod)


def test_without_its_token_a_sidecar_says_which_file_it_misses(cluster, pod):
    pod.sidecar.token.remove()
    cut_off(pod)
    wait_until(lambda: f"{TOKEN}: No such file" in pod.sidecar.feed()["lastFailure"], "the file's name")
    assert pod.sidecar.metrics()["portolan_feed_unusable_token_total"] > 0
    _rotate(cluster, pod)
    _in_sync(pod)


def test_who_shows_no_token_gets_nothing(pod):
    before = _counted("no_token")
    done = pod.exec("curl", "-sS", "-m", "5", "-k", "--http2", "-D", "-", "-H", "content-type: application/grpc",
                    "-H", "te: trailers", "-d", "", f"https://{POD_GATEWAY4}:{XDS_PORT}{_DELTA}")
    assert "grpc-status: 16" in done.stdout and "no token" in done.stdout, done.stdout + done.stderr
    assert done.stdout.endswith("\n\n")  # no byte of a body
    assert _counted("no_token") == before + 1


def test_a_new_token_is_shown_at_the_next_connection(cluster, pod):
    good = _counted("accepted")
    _rotate(cluster, pod)
    assert pod.sidecar.feed()["inSync"]
    cut_off(pod)
    _in_sync(pod)
    assert _counted("accepted") > good


def _rotate(cluster, pod):
    pod.sidecar.token.write(cluster.control.issuer.token("default", pod.name))


def _in_sync(pod):
    wait_until(lambda: pod.sidecar.feed()["inSync"], "the feed is in sync", timeout=25)


def _counted(result):
    with urllib.request.urlopen(f"http://{STATUS}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    name = f'portolan_xds_authentications_total{{result="{result}"}} '
    return float(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name))
