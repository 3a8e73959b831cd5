"""UDP to Services is carried to an endpoint by the sidecar, where it is asked for."""

import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from . import network
from .faults import own_pod
from .images import portolan_programs
from .pods import Shape
from .resolver_tools import dig
from .sidecar import UID
from .tools import PYTHON, portolan, wait_until

_PEER = str(Path(__file__).resolve().with_name("udp_peer.py"))
_ECHO4, _ECHO6, _AFFINE, _NOBODY, _DNS = "10.43.70.1", "fd00:43::7001", "10.43.70.2", "10.43.70.3", "10.43.70.4"
_PORTS = {7: 7100, 8: 7200}  # of the Service, of the pods
_UDP = Shape(annotations={"udp": "tproxy"})


def _service(name: str, app: str, *ips: str, ports=_PORTS, **spec) -> dict:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "ClusterIP", "clusterIP": ips[0], "clusterIPs": list(ips), "selector": {"app": app},
                     "ipFamilies": ["IPv6" if ":" in ip else "IPv4" for ip in ips],
                     "ports": [{"name": f"p{port}", "protocol": "UDP", "port": port, "targetPort": target}
                               for port, target in ports.items()], **spec}}


_SERVICES = (
    _service("echo", "udp-echo", _ECHO4, _ECHO6),
    _service("affine", "udp-echo", _AFFINE, sessionAffinity="ClientIP"),
    _service("nobody-udp", "nobody-has-this-label", _NOBODY),
    _service("dns-of-its-own", "udp-dns", _DNS, ports={53: 53}),
)


def _start_server(cluster, name: str, app: str, *argv: str):
    pod = cluster.start_pod({"metadata": {"name": name, "labels": {"app": app}},
                             "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}},
                            Shape(sidecar=False), listed=False)
    server = pod.sandbox.start("server", argv)
    if argv[0] == PYTHON:
        server.wait_ready(lambda: "listening" in server.log_tail(), "it listens")
    cluster.list_pod(pod)
    return pod


def _start_echo(cluster, name: str):
    return _start_server(cluster, name, "udp-echo", PYTHON, "-B", _PEER, "serve", name, *map(str, _PORTS.values()))


@pytest.fixture(scope="module")
def servers(cluster):
    """Three pods that echo, one that answers DNS, and Services over them."""
    pods = [_start_echo(cluster, f"echo-{i}") for i in range(3)]
    pods.append(_start_server(cluster, "dns-0", "udp-dns", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                              "--user=root", "--pid-file", "--no-resolv", "--address=/name.test/192.0.2.53"))
    for service in _SERVICES:
        cluster.apply(service)
    yield pods
    for service in _SERVICES:
        cluster.delete(service)
    for pod in pods:
        cluster.stop_pod(pod)


@pytest.fixture(scope="module")
def pod(cluster, servers):
    made = cluster.tools_pod("udp", _UDP)
    wait_until(lambda: _peer(made, "ask", _ECHO4, 7, 1)[0].startswith("echo-"), "the sidecar knows the Services")
    yield made
    made.sidecar.kill()
    cluster.stop_pod(made)


@pytest.fixture
def nothing_dropped():
    """No packet for a Service address leaves a pod while the test runs."""
    before = network.dropped_service_packets()
    yield
    assert network.dropped_service_packets() == before


def _peer(pod, *argv, timeout: float = 30) -> list[str]:
    done = pod.exec(PYTHON, "-B", _PEER, *map(str, argv), timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def _metric(pod, name: str, **labels) -> float:
    text = "".join(f'{key}="{value}"' for key, value in labels.items())
    return pod.sidecar.metrics().get(f"portolan_forwarder_udp_{name}" + (f"{{{text}}}" if text else ""), 0)


def test_the_first_datagram_waits_for_the_endpoints_of_its_service(cluster, servers):
    with own_pod(cluster, "udp-first", _UDP) as first:
        wait_until(lambda: "echo" in first.sidecar.admin("/names?search=echo.default"), "the Service is known")
        assert _peer(first, "ask", _ECHO4, 7, 1)[0].startswith("echo-")
        assert _metric(first, "endpoint_waits_total", outcome="held") == 1


@contextmanager
def _restarted(pod, *flags: str):
    """The pod's sidecar with other flags meanwhile."""
    pod.sidecar.kill()
    pod.sidecar.start(*flags)
    try:
        yield
    finally:
        pod.sidecar.kill()
        pod.sidecar.start()


@pytest.mark.parametrize("how", ["ask", "connected"])
@pytest.mark.parametrize("address", [_ECHO4, _ECHO6])
def test_answers_come_from_the_address_dialled(pod, nothing_dropped, address, how):
    for port in _PORTS:
        answers = _peer(pod, how, address, port, 5)
        assert len(answers) == 5 and len(set(answers)) == 1 and answers[0].startswith("echo-")


@pytest.mark.parametrize("address", [_ECHO4, _ECHO6])
def test_flows_are_spread_over_the_endpoints(pod, nothing_dropped, address):
    counts = Counter(_peer(pod, "flows", address, 7, 30))
    assert set(counts) == {"echo-0", "echo-1", "echo-2"} and min(counts.values()) >= 5


def test_session_affinity_holds_for_udp(pod, nothing_dropped):
    assert len(set(_peer(pod, "flows", _AFFINE, 7, 12))) == 1


def test_dig_is_answered_by_a_dns_service_that_is_no_resolver_of_the_pod(pod, nothing_dropped):
    assert dig(pod, "+notcp", f"@{_DNS}", "name.test").data("A") == ["192.0.2.53"]
    # Its own resolvers are asked as before.
    assert dig(pod, "backend.default.svc.cluster.local").data("A") == ["10.43.0.123"]


@pytest.mark.parametrize("address", [_ECHO4, _ECHO6])
def test_large_datagrams_arrive_as_they_were(pod, nothing_dropped, address):
    for size in (1, 1472, 1473, 9000, 65_000):
        assert _peer(pod, "large", address, 7, size) == [str(size)]


def test_an_application_that_serves_the_same_port_is_no_obstacle(pod, nothing_dropped):
    own = pod.sandbox.start("own-server", [PYTHON, "-B", _PEER, "serve", "own", "7"])
    own.wait_ready(lambda: "listening" in own.log_tail(), "it listens")
    try:
        assert _peer(pod, "ask", _ECHO4, 7, 1)[0].startswith("echo-")
        assert _peer(pod, "ask", "127.0.0.1", 7, 1) == ["own"]
        assert _peer(pod, "ask", pod.ip, 7, 1) == ["own"]
    finally:
        own.kill()


def test_a_flow_moves_when_its_endpoint_is_removed(pod, cluster, nothing_dropped):
    _start_echo(cluster, "echo-3")
    talk = subprocess.Popen(pod.sandbox.command([PYTHON, "-B", _PEER, "talk", _ECHO4, "7"]),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask() -> str:
        talk.stdin.write("question\n")
        talk.stdin.flush()
        return talk.stdout.readline().strip()

    try:
        first = ask()
        assert first.startswith("echo-") and ask() == first
        gone = cluster.pods[first]
        cluster.unlist_pod(gone)
        # Its process runs on: only the directory says that it is gone.
        wait_until(lambda: ask() != first, "the flow moves", timeout=2)
        assert ask().startswith("echo-")
        cluster.stop_pod(gone)
    finally:
        talk.kill()
        for name in {"echo-0", "echo-1", "echo-2"} - cluster.pods.keys():
            _start_echo(cluster, name)
        if "echo-3" in cluster.pods:
            cluster.stop_pod(cluster.pods["echo-3"])


def test_without_endpoints_it_is_refused_at_once_and_counted(pod, nothing_dropped):
    before = _metric(pod, "datagrams_total", outcome="no_endpoints")
    asked = pod.exec(PYTHON, "-B", _PEER, "connected", _NOBODY, "7", "1", timeout=2)
    assert "ConnectionRefusedError" in asked.stderr
    assert _metric(pod, "datagrams_total", outcome="no_endpoints") == before + 1


def test_pods_and_the_outside_are_left_alone(pod, cluster):
    before = _metric(pod, "flows_opened_total")
    assert _peer(pod, "ask", cluster.pods["echo-0"].ip, 7100, 1) == ["echo-0"]
    assert _metric(pod, "flows_opened_total") == before


def test_an_idle_flow_ends(pod):
    with _restarted(pod, "--udp-stream-timeout", "1s"):
        _peer(pod, "flows", _ECHO4, 7, 5)
        assert _metric(pod, "active_flows") == 5
        wait_until(lambda: _metric(pod, "active_flows") == 0, "the flows end", timeout=4)
        assert _metric(pod, "flows_ended_total", how="idle") == 5


def test_the_number_of_flows_is_bounded_and_every_client_is_answered(pod):
    with _restarted(pod, "--udp-flows", "10"):
        answers = _peer(pod, "flows", _ECHO4, 7, 200)
        assert "timeout" not in answers
        assert _metric(pod, "active_flows") == 20, "two workers"
        assert _metric(pod, "flows_ended_total", how="evicted") == 180


def test_connections_lists_flows(pod):
    _peer(pod, "ask", _ECHO6, 8, 1)
    assert f'"dialled":"[{_ECHO6}]:8"' in pod.sidecar.admin("/connections").replace(" ", "")


def test_no_thread_of_the_sidecar_has_a_capability(pod):
    pid = pod.sidecar.daemon.pid
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(fields[which], 16) == 0, f"{status}: {which}"
        assert fields["NoNewPrivs"] == "1"
        assert fields["Uid"].split() == [str(UID)] * 4
    # It may still look at itself, although its file has a capability.
    assert pod.sidecar.metrics()["process_open_fds"] > 0


@pytest.mark.parametrize("refusal", [("--bounding-set=-all", "env"),
                                     ("--bounding-set=-all,+net_raw", "setpriv", "--no-new-privs")],
                         ids=["not added", "no escalation"])
def test_without_the_capability_the_error_says_how_to_give_it(pod, refusal):
    program = str(portolan_programs() / "portolan-proxy")
    argv = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", *refusal, program]
    failed = pod.exec(*argv, "--node", "default/none", "--state-dir", "/tmp", "--udp", "tproxy")
    assert failed.returncode == 1
    assert "CAP_NET_RAW" in failed.stderr and "add: [NET_RAW]" in failed.stderr
    # The image with the file capability is good for a sidecar without UDP, too.
    assert pod.exec(*argv, "--help").returncode == 0


def test_an_ambient_capability_will_do(pod):
    argv = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all,+net_raw",
            "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw", "--no-new-privs",
            portolan("portolan-proxy"), "--udp", "tproxy", "--node", "default/ambient", "--state-dir", "/tmp",
            "--forward-listen", "127.0.0.1:5597", "--dns-listen", "127.0.0.1:5598",
            "--admin-listen", "127.0.0.1:5596", "--status-listen", "127.0.0.1:5595", "--ready-wait", "0s"]
    daemon = pod.sandbox.start("ambient", argv)
    daemon.wait_ready(lambda: pod.exec("curl", "-sf", "http://127.0.0.1:5595/ready").returncode == 0, "it is ready")
    daemon.kill()


@pytest.mark.parametrize("families, address", [(network.IPV4_ONLY, _ECHO4), (network.IPV6_ONLY, _ECHO6)],
                         ids=["ipv4-only", "ipv6-only"])
def test_a_pod_of_one_family_has_udp(cluster, servers, nothing_dropped, families, address):
    with own_pod(cluster, "udp-one-family", replace(_UDP, families=families)) as pod:
        wait_until(lambda: pod.sidecar.feed()["inSync"], "it is in sync")
        assert set(_peer(pod, "flows", address, 7, 6)) == {"echo-0", "echo-1", "echo-2"}
        assert pod.capture.run("verify").returncode == 0


def test_off_leaves_udp_alone(cluster, frontend, servers):
    before = network.dropped_service_packets()
    assert _peer(frontend, "ask", _ECHO4, 7, 1) == ["timeout"]
    time.sleep(0.1)
    assert network.dropped_service_packets() > before, "it left the pod as it was"
    assert _metric(frontend, "flows_opened_total") == 0
