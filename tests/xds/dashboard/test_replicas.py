"""Replicas as they run in a cluster: real processes, each with a host name of its own, that find each other by a name
with two addresses and speak TLS; an API server (tests/kubernetes/fake_api) says whose tokens are whose."""

import http.client
import json
import os
import signal
import ssl
import time
from pathlib import Path

import pytest
import yaml

from lab.certificates import CertificateAuthority, Secret
from lab.tokens import TokenIssuer
from lab.tools import PYTHON, TREE, Daemon, portolan, run, wait_until

NAMESPACE = "portolan-system"
SERVER_NAME = f"portolan-control.{NAMESPACE}.svc"
PEER_PORT = 15081
ADDRESSES = {"control-a": "127.81.0.1", "control-b": "127.81.0.2"}
_READER = "readers-token"
_PATIENCE = 30  # seconds: sanitizers are slow

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a host name of one's own is root's to give")


class Cluster:
    def __init__(self, folder: Path):
        self.folder = folder
        self.ca = CertificateAuthority(folder / "ca")
        self.tls = Secret(folder / "tls", self.ca, f"DNS:{SERVER_NAME},IP:127.0.0.1")
        issuer = TokenIssuer(folder / "issuer")
        self.token = folder / "token"
        self.token.write_text(issuer.token(NAMESPACE, "control", "portolan-peers"))
        self.stranger = issuer.token("default", "web", "portolan-peers")
        self.hosts = folder / "hosts"
        self.hosts.write_text("".join(f"{address} peers\n" for address in ADDRESSES.values()))
        self.daemons: list[Daemon] = []
        api = self._start("fake-api", [PYTHON, "-B", "-m", "tests.kubernetes.fake_api", "--listen", "127.0.0.1:0"],
                          {**os.environ, "PYTHONPATH": str(TREE)})
        api.wait_ready(lambda: "listening on" in api.log.read_text(), "it listens", _PATIENCE)
        self.api_port = int(api.log.read_text().split("listening on", 1)[1].split()[0])
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.api_port}"}}],
            "users": [{"name": "test", "user": {}}]}))
        self.fake("tokens", {
            self.token.read_text(): _user(NAMESPACE, "portolan-peers"),
            self.stranger: _user("default", "portolan-peers"),
            _READER: {"audiences": ["https://kubernetes.default.svc"], "user": {"username": "reader"}}})
        self.fake("access", {"reader": [["get", "/portolan/api/v1/*"]]})

    def fake(self, action: str, value: dict) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=10)
        connection.request("POST", f"/fake/{action}", json.dumps(value))
        assert connection.getresponse().status == 200
        connection.close()

    def _start(self, name: str, argv: list[str], environment=None) -> Daemon:
        self.daemons.append(Daemon(name, argv, self.folder / f"{name}.log", environment))
        return self.daemons[-1]

    def replica(self, name: str, *flags: str, server_name: str = SERVER_NAME,
                http_ip: str = "127.0.0.1") -> "Replica":
        inside = f"hostname {name} && mount --bind {self.hosts} /etc/hosts && exec \"$@\""
        argv = ["unshare", "--uts", "--mount", "sh", "-c", inside, "sh", portolan("portolan-control"),
                "--source", f"kubernetes:{self.kubeconfig}", "--xds-listen", "127.0.0.1:0",
                "--tls-cert", str(self.tls.certificate), "--tls-key", str(self.tls.key),
                "--status-listen", "127.0.0.1:0", "--http-listen", f"{http_ip}:0",
                "--peer-listen", f"{ADDRESSES[name]}:{PEER_PORT}", "--http-peers", f"peers:{PEER_PORT}",
                "--peer-ca", str(self.ca.file), "--peer-server-name", server_name, "--peer-token", str(self.token),
                *flags]
        daemon = self._start(name, argv)
        daemon.wait_ready(lambda: "xDS on" in daemon.log.read_text(), "it serves", _PATIENCE)
        return Replica(name, daemon)

    def end(self) -> None:
        for daemon in self.daemons:
            if daemon.running():
                daemon.signal(signal.SIGCONT)
                daemon.kill()


def _user(namespace: str, audience: str) -> dict:
    return {"audiences": [audience], "user": {"username": f"system:serviceaccount:{namespace}:default"}}


class Replica:
    def __init__(self, name: str, daemon: Daemon):
        self.name, self.daemon = name, daemon
        self.port = int(daemon.log.read_text().split("API on ", 1)[1].split()[0].rsplit(":", 1)[1])

    def get(self, path: str) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body

    def replicas(self) -> list[dict]:
        """As an answer made of what each of them has says it."""
        status, body = self.get("/api/v1/sidecars")
        assert status == 200, body
        return body["replicas"]


@pytest.fixture
def cluster(tmp_path):
    made = None
    try:
        made = Cluster(tmp_path)
        yield made
    finally:
        if made is not None:
            made.end()


def test_an_answer_covers_both_and_names_one_that_is_killed_within_the_second(cluster):
    one, other = cluster.replica("control-a"), cluster.replica("control-b")
    both = [{"name": "control-a", "self": True}, {"name": "control-b"}]
    wait_until(lambda: one.replicas() == both, "it knows the other one")
    assert other.replicas() == [{"name": "control-b", "self": True}, {"name": "control-a"}]
    # Hung: nothing comes back, not even a refusal.
    other.daemon.signal(signal.SIGSTOP)
    began = time.monotonic()
    assert one.replicas() == [both[0], {"name": "control-b", "error": "no answer within 1 s"}]
    assert time.monotonic() - began < 1.5
    other.daemon.signal(signal.SIGCONT)
    wait_until(lambda: one.replicas() == both, "it answers again")
    other.daemon.kill()
    began = time.monotonic()
    [_, gone] = one.replicas()
    assert gone["name"] == "control-b" and gone["error"]
    assert time.monotonic() - began < 1
    cluster.replica("control-b")
    wait_until(lambda: one.replicas() == both, "it is back")


def _ask_peer(cluster, authorization: str, path: str = "/api/v1/sidecars?scope=local") -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(cluster.ca.file))
    context.check_hostname = False
    connection = http.client.HTTPSConnection(ADDRESSES["control-a"], PEER_PORT, timeout=10, context=context)
    connection.request("GET", path, headers={"Authorization": authorization})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_nobody_but_a_replica_gets_an_answer_on_the_replicas_port(cluster):
    cluster.replica("control-a")
    own = cluster.token.read_text()
    assert _ask_peer(cluster, f"Bearer {own}")[0] == 200
    assert _ask_peer(cluster, f"Bearer {own}", "/api/v1/sidecars")[0] == 403
    assert _ask_peer(cluster, f"Bearer {cluster.stranger}")[0] == 403
    for authorization in ("", f"Bearer {_READER}", "Bearer nonsense"):
        assert _ask_peer(cluster, authorization)[0] == 401


def test_another_ca_or_name_is_not_believed(cluster):
    one = cluster.replica("control-a", server_name="somebody.else.svc")
    cluster.replica("control-b")
    wait_until(lambda: any("certificate is for another name" in each.get("error", "") for each in one.replicas()),
               "it says why")


def test_beyond_loopback_it_is_served_over_tls_with_the_certificate_of_now(cluster):
    one = cluster.replica("control-a", "--http-auth", "kubernetes", http_ip="0.0.0.0")

    def curl(*words: str) -> str:
        return run(["curl", "-sS", "-m", "5", "--noproxy", "*", "--cacert", str(cluster.ca.file), *words],
                   check=False).stdout

    url = f"https://127.0.0.1:{one.port}/api/v1"
    header = ("-H", f"Authorization: Bearer {_READER}")
    assert curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", f"{url}/names") == "2 401"
    assert curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", *header, f"{url}/names") == "2 200"
    events = run(["curl", "-sSN", "-m", "1", "--http2", "--noproxy", "*", "--cacert", str(cluster.ca.file), *header,
                  f"{url}/events"], check=False)
    assert events.stdout.startswith("event: hello\ndata: {")
    assert "HTTPS" in curl(f"http://127.0.0.1:{one.port}/")
    cluster.ca = CertificateAuthority(cluster.ca.folder)
    assert curl("-w", "%{http_code}", "-o", "/dev/null", *header, f"{url}/names") == "000"
    cluster.tls.renew(cluster.ca)
    wait_until(lambda: curl("-o", "/dev/null", "-w", "%{http_code}", *header, f"{url}/names") == "200",
               "the new certificate is shown")


def test_readers_show_their_token_and_listeners_hear_of_changes(cluster):
    one = cluster.replica("control-a", "--http-auth", "kubernetes")
    assert one.get("/api/v1/names")[0] == 401
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    listener = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    listener.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {_READER}"})
    events = listener.getresponse()
    assert events.status == 200 and events.headers["Content-Type"] == "text/event-stream"
    assert events.readline() == b"event: hello\n"
    write = http.client.HTTPConnection("127.0.0.1", cluster.api_port, timeout=10)
    for name in ("namespaces", "namespaces/shop/services"):
        value = {"metadata": {"name": "shop"}} if name == "namespaces" else {
            "metadata": {"name": "cart"}, "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}}
        write.request("POST", f"/api/v1/{name}", json.dumps(value), {"Content-Type": "application/json"})
        answer = write.getresponse()
        answer.read()
        assert answer.status == 201
    lines = iter(events.readline, b"")
    assert any(b"event: change" in line for line in lines)
    assert json.loads(next(lines).removeprefix(b"data: "))["names"] == ["shop/cart"]
    # A right that is taken away counts within ten seconds; here at the first look after that.
    cluster.fake("access", {})
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    connection.request("GET", "/api/v1/flows", headers={"Authorization": f"Bearer {_READER}"})
    refused = connection.getresponse()
    assert refused.status == 403 and "reader may not get /portolan/api/v1/flows" in refused.read().decode()
