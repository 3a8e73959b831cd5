"""NetworkPolicy ingress: who connects to a pod is judged by its sidecar, and the application sees who it is."""

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from . import network
from .control_plane import HTTP
from .pods import Shape
from .sidecar import UID
from .tools import PYTHON, portolan, run, wait_until

_PEER = str(Path(__file__).resolve().with_name("tcp_peer.py"))
_PORT, _EXCLUDED, _BULK = 8080, 9090, 4 << 20
_INGRESS = {"enforce-ingress": "true", "exclude-inbound-ports": str(_EXCLUDED)}
# As with a bridge CNI: the node reaches its pods from the bridge's address, which is none of its Node's.
_NODES = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
           "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]}} for name in ("node-a", "node-b")]


def _policy(app: str, annotations: dict | None = None, **peer) -> dict:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": f"to-{app}", "namespace": "default", "annotations": annotations or {}},
            "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"],
                     "ingress": [{"from": [peer], "ports": [{"port": _PORT}]}]}}


def _admits(app: str, name: str, annotations: dict | None = None) -> dict:
    return _policy(app, annotations, podSelector={"matchLabels": {"app": name}})


def _service(app: str) -> dict:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app, "namespace": "default"},
            "spec": {"clusterIP": "10.43.0.99", "clusterIPs": ["10.43.0.99"], "selector": {"app": app},
                     "ports": [{"port": 80, "targetPort": _PORT}]}}


def _start(cluster, name: str, shape: Shape, beside=()):
    return cluster.start_pod({"metadata": {"name": name, "labels": {"app": name}},
                              "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}}, shape, beside=beside)


@pytest.fixture(scope="module", params=["cluster", "all"])
def pods(cluster, request):
    """A server under each capture of egress, and two clients that have no sidecar."""
    suffix = request.param
    for node in _NODES:
        cluster.apply(node)
    serve = (PYTHON, "-B", _PEER, "serve", str(_PORT), str(_PORT + 1), str(_EXCLUDED))
    made = {name: _start(cluster, f"{name}-{suffix}", Shape(sidecar=False)) for name in ("friend", "stranger")}
    made["server"] = _start(cluster, f"server-{suffix}", Shape(annotations={"capture": suffix, **_INGRESS}), serve)
    yield made
    made["server"].sidecar.kill()
    for pod in made.values():
        cluster.stop_pod(pod)
    for node in _NODES:
        cluster.delete(node)


@pytest.fixture
def apply(cluster, pods):
    """apply(POLICY) has it in force at the server, until the test ends."""
    standing = []

    def in_force() -> list:
        page = json.loads(pods["server"].sidecar.admin("/policy"))["ingress"]
        assert page["carried"]
        return [policy["name"] for policy in page.get("policies", [])]

    def put(policy: dict) -> None:
        standing[:] = [policy]
        cluster.apply(policy)
        name = policy["metadata"]["name"]
        wait_until(lambda: in_force() == [f"NetworkPolicy/default/{name}/ingress"], f"{name} is in force")

    yield put
    for policy in standing:
        cluster.delete(policy)
    wait_until(lambda: in_force() == [], "no policy is in force")


def _ask(pod, ip: str, port: int = _PORT, size: int = 10) -> str:
    """Who the server says that the client is, after `size` bytes went each way; or what went wrong."""
    done = pod.exec(PYTHON, "-B", _PEER, "ask", ip, str(port), str(size), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _denials(pod, mode: str) -> float:
    return sum(value for name, value in pod.sidecar.metrics().items()
               if re.match(r"portolan_policy_denials_total\{.*direction=\"ingress\"", name) and f'mode="{mode}"' in name)


def test_without_a_policy_everybody_connects_and_is_seen(pods):
    for client in (pods["friend"], pods["stranger"]):
        for ip, own in zip(pods["server"].sandbox.ips, client.sandbox.ips):
            assert _ask(client, ip) == own
    assert pods["server"].sidecar.metrics()['portolan_inbound_connections_total{outcome="joined"}'] >= 4


def test_the_allowed_come_in_and_strangers_are_reset(pods, apply):
    server = pods["server"]
    before = _denials(server, "enforced")
    apply(_admits(server.obj["metadata"]["labels"]["app"], pods["friend"].obj["metadata"]["labels"]["app"]))
    for i, ip in enumerate(server.sandbox.ips):
        assert _ask(pods["friend"], ip) == pods["friend"].sandbox.ips[i]
        assert _ask(pods["stranger"], ip) == "reset"
        assert _ask(pods["friend"], ip, _PORT + 1) == "reset", "a port that no rule has"
        assert _ask(pods["stranger"], ip, _EXCLUDED) == pods["stranger"].sandbox.ips[i]
    assert _denials(server, "enforced") == before + 4


def test_megabytes_go_both_ways_and_each_side_ends_by_itself(pods):
    for ip, own in zip(pods["server"].sandbox.ips, pods["friend"].sandbox.ips):
        assert _ask(pods["friend"], ip, size=_BULK) == own


def test_the_node_and_the_pod_itself_are_always_let_in(pods, apply):
    server = pods["server"]
    apply(_admits(server.obj["metadata"]["labels"]["app"], "nobody"))
    for ip, node in zip(server.sandbox.ips, (network.POD_GATEWAY4, network.POD_GATEWAY6)):
        probe = run([PYTHON, "-B", _PEER, "ask", ip, str(_PORT), "10"], timeout=30)
        assert probe.stdout.strip() == node
        assert _ask(server, ip) == ip
    assert server.sidecar.page("/healthz").status == 200


def test_audit_counts_and_lets_in(pods, apply):
    server = pods["server"]
    before = _denials(server, "audit")
    apply(_admits(server.obj["metadata"]["labels"]["app"], "nobody", {"portolan.dev/audit": "true"}))
    assert _ask(pods["stranger"], server.ip) == pods["stranger"].ip
    assert _denials(server, "audit") == before + 1


def test_a_change_takes_effect_for_new_connections(cluster, pods, apply):
    server, friend, stranger = pods["server"], pods["friend"], pods["stranger"]
    app = server.obj["metadata"]["labels"]["app"]
    apply(_admits(app, friend.obj["metadata"]["labels"]["app"]))
    assert (_ask(friend, server.ip), _ask(stranger, server.ip)) == (friend.ip, "reset")
    since = time.monotonic()
    cluster.apply(_admits(app, stranger.obj["metadata"]["labels"]["app"]))
    wait_until(lambda: _ask(stranger, server.ip) == stranger.ip, "the other one is let in", timeout=5)
    assert _ask(friend, server.ip) == "reset"
    assert time.monotonic() - since < 5


def test_while_the_sidecar_is_away_nothing_passes_and_then_policy_is_as_before(pods, apply):
    server, friend, stranger = pods["server"], pods["friend"], pods["stranger"]
    apply(_admits(server.obj["metadata"]["labels"]["app"], friend.obj["metadata"]["labels"]["app"]))

    def is_saved() -> bool:
        state = server.sidecar.state_dir / "directory.state"
        saved = state.read_bytes() if state.exists() else b""
        return [peer.obj["metadata"]["labels"]["app"].encode() in saved for peer in (friend, stranger)] == [True, False]

    # Within a second, and what an earlier policy of the same name had is gone then.
    wait_until(is_saved, "this policy is saved")
    server.sidecar.kill()
    try:
        assert _ask(friend, server.ip) == "timeout"
    finally:
        server.sidecar.start()
    assert (_ask(friend, server.ip), _ask(stranger, server.ip)) == (friend.ip, "reset")


def test_another_port_is_tried_after_the_connect_timeout_that_is_set(pods):
    server, friend = pods["server"], pods["friend"]

    def dials(how: str) -> None:
        server.exec("iptables-nft", how, "INPUT", "-i", "lo", "-p", "tcp", "--dport", str(_PORT), "-j", "DROP")

    server.sidecar.kill()
    server.sidecar.start("--connect-timeout=50ms")
    dials("-I")
    asks = friend.sandbox.popen(PYTHON, "-B", _PEER, "ask", server.ip, str(_PORT), "10")
    try:
        wait_until(lambda: server.sidecar.metrics()["portolan_inbound_connect_retries_total"] == 3,
                   "all ports are tried", timeout=2)
        dials("-D")
        assert asks.communicate(timeout=30)[0].strip() == friend.ip
    finally:
        dials("-D")
        asks.kill()
        server.sidecar.kill()
        server.sidecar.start()


def test_the_pods_own_connections_go_on(pods, apply):
    """Egress beside it: answers to what the pod dials are not taken for what comes to it."""
    server = pods["server"]
    apply(_admits(server.obj["metadata"]["labels"]["app"], "nobody"))
    listener = pods["friend"].sandbox.start("listener", (PYTHON, "-B", _PEER, "serve", str(_PORT)))
    listener.wait_ready(lambda: "listening" in listener.log_tail(), "it listens")
    for ip, own in zip(pods["friend"].sandbox.ips, server.sandbox.ips):
        assert _ask(server, ip) == own


def test_policy_test_says_who_is_let_in(cluster, pods, apply):
    server, friend = pods["server"], pods["friend"]
    app = server.obj["metadata"]["labels"]["app"]
    asker = _start(cluster, f"asker-{app}", Shape())
    try:
        def tested(port: int = _PORT):
            return subprocess.run([portolan("portolanctl"), "policy", "test", "--from", f"default/asker-{app}", "--to",
                                   f"{server.ip}:{port}", "--server", f"http://{HTTP}"], stdout=subprocess.PIPE,
                                  text=True, timeout=20)

        apply(_admits(app, friend.obj["metadata"]["labels"]["app"]))
        wait_until(lambda: tested().returncode == 1, "it is not let in", timeout=5)
        refused = tested()
        assert _ask(asker, server.ip) == "reset"
        assert f"into default/{app}, no rule of NetworkPolicy/default/to-{app}/ingress allows it" in refused.stdout
        # That it is enforced the sidecar there says in its next report.
        wait_until(lambda: "no sidecar enforces" not in tested().stdout, "it is said to be enforced", timeout=30)
        cluster.apply(_service(app))
        explain = (portolan("portolanctl"), "explain", app, "--pod", f"default/asker-{app}", "--server", f"http://{HTTP}")
        wait_until(lambda: re.search(
            rf"^LET IN AT .*\n{re.escape(server.ip)}:{_PORT}/TCP +default/{app} +denied +yes +no rule of "
            rf"NetworkPolicy/default/to-{app}/ingress allows it", run(explain, timeout=20).stdout, re.M),
            "explain says that it is not let in", timeout=30)
        cluster.apply(_admits(app, f"asker-{app}"))
        wait_until(lambda: tested().returncode == 0, "it is let in", timeout=5)
        wait_until(lambda: _ask(asker, server.ip) == asker.ip, "the sidecar lets it in", timeout=5)
        assert f"into default/{app}, rule 0 of NetworkPolicy/default/to-{app}/ingress allows it" in tested().stdout
        assert tested(_PORT + 1).returncode == 1
        # A pod whose sidecar does not look at who comes.
        cluster.apply(_policy(f"asker-{app}", podSelector={}))
        mine = f"/api/v1/sidecars/default/{app}/policy_test?to={asker.ip}&port=1"

        def ingress() -> list:
            with urllib.request.urlopen(f"http://{HTTP}{mine}", timeout=10) as answer:
                return json.load(answer)["ingress"]

        wait_until(lambda: [one.get("inForce") for one in ingress()] == [False], "it is said that nobody enforces it",
                   timeout=30)
    finally:
        cluster.delete(_policy(f"asker-{app}", podSelector={}))
        cluster.delete(_service(app))
        asker.sidecar.kill()
        cluster.stop_pod(asker)


def test_the_sidecar_keeps_one_capability_and_the_rules_are_verified(pods):
    server = pods["server"]
    status = Path(f"/proc/{server.sidecar.daemon.pid}/status").read_text()
    sets = {name: int(value, 16) for name, value in re.findall(r"^Cap(\w+):\s+(\w+)$", status, re.M)}
    net_raw = 1 << 13
    assert (sets["Prm"], sets["Eff"], sets["Inh"], sets["Amb"]) == (net_raw, net_raw, 0, 0)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(rf"^Uid:\s+{UID}\b", status, re.M)
    assert server.capture.run("verify").returncode == 0
