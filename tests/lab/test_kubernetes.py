"""The control plane on a Kubernetes API server that goes away, forgets, dawdles and lies.

Whatever it does: a name that exists is answered, and never with NXDOMAIN, and a connection to it is made.
"""

import json
import signal
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest

from .changes import measure
from .control_plane import HTTP
from .kubernetes_api import KubernetesApi
from .namespaces import RUN
from .resolver_tools import Load, dig
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
_HEADLESS = "backend-headless.default.svc.cluster.local"
_SLICES = "endpointslices.discovery.k8s.io"
_CONNECT = "while :; do curl -sS -m 5 -o /dev/null -w '%{http_code}\\n' http://backend:8080/ 2>&1; sleep 0.05; done"
_EVERYTHING = ("namespaces", "services", _SLICES, "pods", "nodes")


@pytest.fixture(scope="module")
def api(cluster):
    """The lab's cluster moves behind an API server, and back to its folder of manifests."""
    files = cluster.api
    kubernetes = KubernetesApi(RUN / "kubernetes")
    kubernetes.take_over(files)
    folder, cluster.api = cluster.control.source, kubernetes
    cluster.control.restart_on(kubernetes.source)
    yield kubernetes
    cluster.api = files
    cluster.control.restart_on(folder)
    kubernetes.daemon.kill()


@pytest.fixture
def load(cluster, frontend, api):
    """All the while the names of backend are asked for and connections made to it; no answer may be missing or wrong,
    and no connection fail."""
    _wait_for_change(cluster, frontend, "10.43.0.81")
    addresses = ",".join(pod.ip for pod in cluster.members("backend"))
    connecting = frontend.popen("sh", "-c", _CONNECT)
    try:
        with Load(frontend, 200, f"{_NAME}/A/udp=10.43.0.123", f"{_HEADLESS}/A/udp={addresses}") as asking:
            yield asking
    finally:
        connecting.kill()
        outcomes = Counter(connecting.communicate(timeout=10)[0].split("\n")[:-1])
    assert asking.all_answered(), asking
    assert set(outcomes) == {"200"}, outcomes


def test_a_change_reaches_applications_as_fast_as_from_a_folder(cluster, frontend, api):
    backends = cluster.members("backend")
    leaving = backends[0]
    left = measure(frontend, _HEADLESS, "10.43.0.123", 8080, lambda: _set_ready(cluster, leaving, False),
                   [pod.ip for pod in backends[1:]], gone=leaving.name)
    assert left.within(250), left
    back = measure(frontend, _HEADLESS, "10.43.0.123", 8080, lambda: _set_ready(cluster, leaving, True),
                   [pod.ip for pod in backends], new=leaving.name)
    assert back.answers_ms is not None and back.answers_ms <= 250, back


def test_an_api_server_that_is_gone_for_a_minute(cluster, frontend, api, load):
    api.kill()
    time.sleep(60)
    api.start("--forbidden-for", "1")
    _wait_for_change(cluster, frontend, "10.43.0.82")
    wait_until(lambda: all(_sources()[name]["connected"] and _sources()[name]["relists"] >= 1 for name in _EVERYTHING),
               "everything is listed again")


def test_an_api_server_that_has_forgotten_the_past(cluster, frontend, api, load):
    before = _sources()
    api.fake("compact")
    api.fake("drop")
    _wait_for_change(cluster, frontend, "10.43.0.83")
    assert _sources()["services"]["relists"] >= before["services"]["relists"]


def test_an_api_server_that_was_set_back_to_a_backup(cluster, frontend, api, load):
    """Its resourceVersions come again, for other changes; a restore cuts the watches."""
    version = api.state()["resourceVersion"]
    api.fake("rewind", version=version - 10)
    api.fake("drop")
    _wait_for_change(cluster, frontend, "10.43.0.84")
    wait_until(lambda: all(int(_sources()[name]["resourceVersion"]) < version for name in _EVERYTHING),
               "everything is listed again")


def test_watches_that_are_cut_and_ended_again_and_again(cluster, frontend, api, load):
    requests = sum(api.state()["requests"].values())
    for number in range(10):
        api.fake("drop" if number % 2 else "end")
        time.sleep(0.3)
    assert sum(api.state()["requests"].values()) - requests < 300
    _wait_for_change(cluster, frontend, "10.43.0.85", timeout=20)


def test_an_api_server_that_stands_still(cluster, frontend, api, load):
    """Half-open: its kernel acknowledges, and nothing is said."""
    api.daemon.signal(signal.SIGSTOP)
    time.sleep(10)
    api.daemon.signal(signal.SIGCONT)
    _wait_for_change(cluster, frontend, "10.43.0.86")


def test_an_api_server_that_is_slow(cluster, frontend, api, load):
    api.fake("faults", slow=20_000)
    api.fake("compact")
    api.fake("drop")
    _wait_for_change(cluster, frontend, "10.43.0.87", timeout=30)
    api.fake("faults")


def test_an_api_server_that_is_overloaded(cluster, frontend, api, load):
    refusal = {"path": "/", "verb": "watch", "status": 429, "times": 20, "headers": [["Retry-After", "1"]],
               "body": "Too many requests, please try again later.\n"}
    api.fake("faults", refusals=[refusal])
    api.fake("drop")
    _wait_for_change(cluster, frontend, "10.43.0.88", timeout=30)
    assert _sources()["services"]["failures"]["throttled"] >= 1
    api.fake("faults")


@pytest.mark.parametrize("lie", ["bad-json", "truncated", "wrong-types", "wrong-kind", "no-name", "big-annotation"])
def test_an_api_server_that_lies_about_an_object(cluster, frontend, api, load, lie):
    """What was known of the object stays; a list, or the object's next change, puts right what was not understood."""
    api.fake("faults", lies={"services": lie, "endpointslices": lie})
    service = next(obj for obj in cluster.manifests.kind("Service") if obj["metadata"]["name"] == "backend")
    label = {"metadata": {**service["metadata"], "labels": {"lie": lie}}}
    api.apply({**service, **label})
    _touch_slices(cluster, api, lie)
    _wait_for_change(cluster, frontend, "10.43.0.89")
    assert dig(frontend, _NAME).data("A") == ["10.43.0.123"]
    api.apply(service)
    _wait_for_change(cluster, frontend, "10.43.0.90")


def test_a_control_plane_killed_and_started_again(cluster, frontend, api, load):
    for _ in range(3):
        cluster.control.kill()
        cluster.control.start()
    _wait_for_change(cluster, frontend, "10.43.0.93", timeout=40)


def test_rights_that_are_taken_away_and_given_back(cluster, frontend, api, load):
    """A watch outlives the rights it began with; what is asked for anew is refused, and asked for again."""
    api.fake("faults", refusals=[{"path": "/endpointslices", "status": 403, "headers": [], "body": "{}"}])
    api.fake("drop")
    wait_until(lambda: "the role lacks watch on " + _SLICES in _sources()[_SLICES]["lastFailure"], "it says what is missing")
    assert _ready()[0] == 200
    api.fake("faults")
    wait_until(lambda: _sources()[_SLICES]["connected"], "it watches again")


def test_a_control_plane_that_starts_without_its_api_server_lets_nobody_in(cluster, frontend, api, load):
    """Nobody is told of an empty cluster: sidecars keep what they have until there is something to tell."""
    api.kill()
    cluster.control.kill()
    cluster.control.begin()
    wait_until(lambda: _ready()[0] == 503, "it says that it is not ready")
    status, text = _ready()
    assert status == 503 and "services: " in text and "Connection refused" in text, text
    time.sleep(3)
    assert not cluster.control.listens()
    api.start()
    wait_until(lambda: _ready()[0] == 200, "it is ready", timeout=20)
    _wait_for_change(cluster, frontend, "10.43.0.91", timeout=40)


def test_a_server_without_streamed_lists_is_read_by_pages(cluster, frontend, api, load):
    api.kill()
    api.start("--no-streaming-lists")
    _wait_for_change(cluster, frontend, "10.43.0.92")
    requests = api.state()["requests"]
    assert requests["list services"] >= 1 and requests["watch services"] >= 2, requests


def test_the_api_server_says_whose_token_it_is(cluster, frontend, api):
    """Of all sidecars it knows the token of one."""
    known = {"user": {"username": "system:serviceaccount:default:default", "extra": {
        "authentication.kubernetes.io/pod-name": [frontend.name], "authentication.kubernetes.io/pod-uid": ["1"]}},
        "audiences": ["portolan"]}
    api.fake("tokens", **{frontend.sidecar.token.file.read_text(): known})
    other, keys = cluster.members("backend")[0], cluster.control.auth
    cluster.control.auth = "kubernetes"
    try:
        cluster.control.restart_on(api.source)
        _wait_for_change(cluster, frontend, "10.43.0.96")
        # It may have found nobody for a while in the test before, and tries every 10 s by now.
        wait_until(lambda: "token" in other.sidecar.feed()["lastFailure"], "another pod is refused", timeout=30)
        assert not other.sidecar.feed()["connected"] and api.state()["reviews"] >= 2
    finally:
        cluster.control.auth = keys
        cluster.control.restart_on(api.source)
    wait_until(lambda: other.sidecar.feed()["inSync"], "it is let in by its issuer's key", timeout=30)


def _sources() -> dict:
    with urllib.request.urlopen(f"http://{HTTP}/debug/sources", timeout=5) as answer:
        return {one["resource"]: one for one in json.load(answer)["resources"]}


def _ready() -> tuple[int, str]:
    try:
        with urllib.request.urlopen("http://127.0.0.1:15014/ready", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _set_ready(cluster, pod, ready: bool) -> float:
    pod.set_ready(ready)
    cluster.api.apply(pod.obj)
    return cluster.sync_endpoints()


def _touch_slices(cluster, api, value: str) -> None:
    for obj in [obj for obj in api.objects() if obj["kind"] == "EndpointSlice" and
                obj["metadata"]["name"].startswith("backend")]:
        api.apply({**obj, "metadata": {**obj["metadata"], "labels": {**obj["metadata"]["labels"], "lie": value}}})


def _wait_for_change(cluster, pod, address: str, timeout: float = 15) -> None:
    """A Service appears in the pod's answers and goes again: all is in step."""
    name = f"probe-{address.rpartition('.')[2]}"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
               "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}}
    cluster.apply(service)
    dns_name = f"{name}.default.svc.cluster.local"
    wait_until(lambda: dig(pod, dns_name).data("A") == [address], f"{name} is answered", timeout, interval=0.1)
    cluster.delete(service)
    wait_until(lambda: dig(pod, dns_name).status == "NXDOMAIN", f"{name} goes", timeout=5)
