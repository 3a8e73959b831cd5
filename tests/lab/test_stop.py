"""A sidecar that is told to stop answers what was asked before, and serves an application that is still there."""

import time

import pytest

from .cluster import accepts
from .faults import own_pod
from .sidecar import UID
from .tools import PYTHON, portolan, wait_until

_DELAY_SECONDS = 1.5
_DRAIN_SECONDS = 3
# Of the demo's Corefile.
_LAMEDUCK_SECONDS = 5
# A DNS server that thinks before it answers, about each question for itself: probes must not queue up.
_SLOW_SERVER = f"""
import socket, threading
import dns.flags, dns.message, dns.rrset
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 5399))
print("listening", flush=True)
def answer(data, client):
    reply = dns.message.make_response(dns.message.from_wire(data))
    reply.flags |= dns.flags.RA
    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", "192.0.2.77"))
    server.sendto(reply.to_wire(), client)
while True:
    threading.Timer({_DELAY_SECONDS}, answer, server.recvfrom(4096)).start()
"""
_COREFILE = """.:53 {
    health {
        lameduck %s
    }
    forward . 127.0.0.1:5399
}
"""


@pytest.fixture(scope="module")
def slow_dns(frontend):
    server = frontend.sandbox.start("slow-dns", [PYTHON, "-B", "-c", _SLOW_SERVER])
    server.wait_ready(lambda: "listening" in server.log_tail(), "it listens")
    yield
    server.kill()


@pytest.fixture
def sidecar(frontend, slow_dns):
    """start(lameduck) gives a second sidecar in the pod, on ports of its own, as a Daemon."""
    sandbox, started = frontend.sandbox, []

    def start(lameduck: str):
        corefile = sandbox.folder / "stop.Corefile"
        corefile.write_text(_COREFILE % lameduck)
        state = sandbox.folder / "stop-state"
        state.mkdir(exist_ok=True)
        daemon = sandbox.start("stopping", [
            "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
            portolan("portolan-proxy"), "--node", "default/stopping", "--state-dir", str(state),
            "--corefile", str(corefile), "--dns-listen", "127.0.0.1:5398", "--forward-listen", "127.0.0.1:5397",
            "--admin-listen", "127.0.0.1:5396", "--status-listen", "127.0.0.1:5395", "--ready-wait", "0s",
            "--drain-time", f"{_DRAIN_SECONDS}s"])
        daemon.wait_ready(lambda: _health(frontend) == "200", "its /health says 200")
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.kill()


def _health(pod) -> str:
    return pod.exec("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}",
                    "http://127.0.0.1:5395/health").stdout


def _ask(pod):
    return pod.popen("dig", "+time=5", "+tries=1", "+short", "-p", "5398", "@127.0.0.1", "slow.example")


def test_a_question_under_way_is_answered_before_the_end(frontend, sidecar):
    daemon = sidecar("0s")
    asked = _ask(frontend)
    # The signal comes while the upstream thinks.
    time.sleep(_DELAY_SECONDS / 3)
    daemon.terminate()
    answer, _ = asked.communicate(timeout=10)
    assert answer == "192.0.2.77\n"
    # The pod's nginx is still there, so it takes its time.
    wait_until(lambda: not daemon.running(), "the sidecar ends", timeout=_DRAIN_SECONDS)


def test_lameduck_fails_health_at_once_and_goes_on_answering(frontend, sidecar):
    daemon = sidecar("3s")
    begin = time.monotonic()
    daemon.terminate()
    wait_until(lambda: _health(frontend) == "503", "/health fails", timeout=1)
    answer, _ = _ask(frontend).communicate(timeout=10)
    assert answer == "192.0.2.77\n"
    wait_until(lambda: not daemon.running(), "the sidecar ends", timeout=5)
    assert time.monotonic() - begin >= 3


@pytest.fixture
def draining(cluster):
    """A pod with an application that only listens, and a sidecar that may drain for long."""
    with own_pod(cluster, "draining") as pod:
        pod.sidecar.kill()
        pod.sidecar.start("--drain-time", "20s")
        pod.application = pod.sandbox.start("application", [PYTHON, "-B", "-m", "http.server", "8081"])
        pod.application.wait_ready(lambda: accepts(pod.ip, 8081), "the application listens")
        yield pod


def test_an_application_that_is_still_there_is_served_and_then_the_end_comes_at_once(draining, cluster):
    pod = draining
    pod.sidecar.daemon.terminate()
    for _ in range(_LAMEDUCK_SECONDS + 2):
        time.sleep(1)
        answer = pod.exec("curl", "-sS", "-m", "5", "http://backend:8080/").stdout.strip()
        assert answer in {backend.name for backend in cluster.members("backend")}
    assert pod.sidecar.daemon.running()
    pod.application.kill()
    wait_until(lambda: not pod.sidecar.daemon.running(), "the sidecar ends", timeout=2)
    assert pod.sidecar.daemon.stop() == 0


def test_a_second_signal_ends_at_once(draining):
    daemon = draining.sidecar.daemon
    daemon.terminate()
    time.sleep(0.5)
    assert daemon.running()
    daemon.terminate()
    wait_until(lambda: not daemon.running(), "the sidecar ends", timeout=1)
    assert daemon.stop() == 0
