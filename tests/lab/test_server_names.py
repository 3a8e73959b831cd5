"""portolan.dev/check-server-name: two names on one address, of which a pod may reach one."""

import subprocess

import pytest

from . import network
from .namespaces import RUN
from .network import OUTSIDE4
from .pods import Shape
from .test_dns_policies import Firewalled, _fresh, _network_policy, _policy, _rule, applied, names  # noqa: F401
from .tools import PYTHON, Daemon, wait_until

_TLS, _HTTP = 7443, 9090  # ports of the host outside; the latter is the cluster's own server there
_SERVE = """
import ssl, socket, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = socket.create_server(("0.0.0.0", int(sys.argv[2])))
print("listening", flush=True)
while True:
    client, _ = server.accept()
    client.settimeout(5)
    try:
        with context.wrap_socket(client, server_side=True) as connection:
            connection.sendall(b"welcome")
    except OSError as error:
        print(error, flush=True)
"""


@pytest.fixture(scope="module")
def firewalled(cluster):
    pem = RUN / "server-names.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=any",
                    "-keyout", pem, "-out", f"{pem}.crt"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + pem.with_name("server-names.pem.crt").read_text())
    outside = Daemon("outside-tls", [*network.in_namespace("outside"), PYTHON, "-c", _SERVE, str(pem), str(_TLS)],
                     RUN / "outside-tls.log")
    outside.wait_ready(lambda: "listening" in outside.log_tail(), "it listens")
    made = Firewalled(cluster, Shape(annotations={"capture": "all", "udp": "tproxy", "check-server-name": "true"}))
    yield made
    made.stop()
    outside.stop()


def _s_client(firewalled, *arguments: str) -> str:
    done = firewalled.pod.exec("timeout", "8", "openssl", "s_client", "-quiet", "-connect",
                               f"{OUTSIDE4}:{_TLS}", *arguments)
    return done.stdout + done.stderr


def _curl(firewalled, *arguments: str) -> int:
    return firewalled.pod.exec("curl", "-sS", "-o", "/dev/null", "-m", "5", *arguments).returncode


@pytest.fixture
def allowed(firewalled, applied, names):  # noqa: F811
    name = _fresh("allowed")
    names(name, f"60 A {OUTSIDE4}")
    applied(_policy(_rule(name, ports=((_TLS, "TCP"), (_HTTP, "TCP")))))
    firewalled.ask(name)
    return name


def test_tls_by_the_allowed_name_and_by_another(firewalled, allowed):
    for version in ("-tls1_2", "-tls1_3"):
        assert "welcome" in _s_client(firewalled, version, "-servername", allowed)
        before = firewalled.metric("denials_total", what="server_name", mode="enforced")
        assert "welcome" not in _s_client(firewalled, version, "-servername", "evil.example.net")
        assert firewalled.metric("denials_total", what="server_name", mode="enforced") == before + 1
    wait_until(lambda: f"-> {OUTSIDE4}:{_TLS} with the server name evil.example.net." in firewalled.pod.sidecar.daemon.log.read_text(),
               "the log says who and what")


def test_tls_without_a_name_claims_nothing(firewalled, allowed):
    before = firewalled.metric("server_name_total", outcome="none")
    assert "welcome" in _s_client(firewalled, "-noservername")
    assert firewalled.metric("server_name_total", outcome="none") == before + 1


def test_http_by_the_allowed_name_and_by_another(firewalled, allowed):
    url = f"http://{allowed}:{_HTTP}/"
    assert _curl(firewalled, url) == 0
    assert _curl(firewalled, f"http://{OUTSIDE4}:{_HTTP}/") == 0, "the address is what it dialled"
    reset = 56
    assert _curl(firewalled, "-H", "Host: evil.example.net", url) == reset
    assert _curl(firewalled, "--resolve", f"evil.example.net:{_HTTP}:{OUTSIDE4}",
                 f"http://evil.example.net:{_HTTP}/") == reset


def test_what_a_rule_by_address_allows_may_be_greeted_by_any_name(firewalled, applied, names, allowed):  # noqa: F811
    applied(_policy(_rule(allowed, ports=((_TLS, "TCP"),))),
            _network_policy("block", {"to": [{"ipBlock": {"cidr": f"{OUTSIDE4}/32"}}]}))
    assert "welcome" in _s_client(firewalled, "-servername", "evil.example.net")


def test_in_audit_it_is_counted(firewalled, applied, names, allowed):  # noqa: F811
    applied(_policy(_rule(allowed, ports=((_TLS, "TCP"),)), audit=True))
    firewalled.ask(allowed)
    before = firewalled.metric("denials_total", what="server_name", mode="audit")
    assert "welcome" in _s_client(firewalled, "-servername", "evil.example.net")
    assert firewalled.metric("denials_total", what="server_name", mode="audit") == before + 1
