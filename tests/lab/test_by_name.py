"""What the sidecar shows of connections by the names of Services and pods, headless ones among them."""

import json

import pytest

from .faults import own_pod
from .sidecar import STATE_DIR
from .tools import PYTHON, wait_until

# Connects, asks slowly, and holds the connection until it is killed.
_HOLD = """
import socket, sys, time
held = socket.create_connection((sys.argv[1], int(sys.argv[2])))
held.sendall(b"GET / HTTP/1.1\\r\\n")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def pod(cluster):
    with own_pod(cluster, "by-name") as made:
        made.sidecar.kill()
        made.log = made.sidecar.state_dir / "access.log"
        made.sidecar.start("--access-log", f"{STATE_DIR}/access.log")
        yield made


def _backends(cluster) -> set[str]:
    return {f"default/{backend.name}" for backend in cluster.members("backend")}


def _held(pod, host: str, port: int):
    process = pod.popen(PYTHON, "-B", "-c", _HOLD, host, str(port))
    assert process.stdout.readline() == "held\n"
    return process


def _listed(pod) -> list[dict]:
    return json.loads(pod.sidecar.admin("/connections"))


def _samples(pod, metric: str, *labels: str) -> dict:
    return {name: value for name, value in pod.sidecar.metrics().items()
            if name.startswith(f"portolan_forwarder_{metric}{{") and all(label in name for label in labels)}


@pytest.mark.parametrize("host, port, service, how", [("backend", 8080, "backend", "forwarded"),
                                                      ("backend-headless", 8080, "backend-headless", "passed_through")])
def test_a_connection_shows_its_service_and_pod_while_it_is_open(pod, cluster, host, port, service, how):
    process = _held(pod, host, port)
    try:
        wait_until(lambda: [c["service"] for c in _listed(pod)] == [f"default/{service}"], "it is listed", timeout=2)
        shown = _listed(pod)[0]
        assert shown["pod"] in _backends(cluster)
        labels = ('service_namespace="default"', f'service="{service}"', f'port="{port}"')
        assert set(_samples(pod, "service_active_connections", *labels).values()) == {1}
        at_pod = (*labels, f'endpoint="{shown["endpoint"]}"', f'pod="{shown["pod"]}"')
        assert set(_samples(pod, "endpoint_active_connections", *at_pod).values()) == {1}
    finally:
        process.kill()
        process.wait(5)
    wait_until(lambda: sum(_samples(pod, "service_active_connections", *labels).values()) == 0, "it has ended")
    assert sum(_samples(pod, "service_connections_total", *labels, f'outcome="{how}"').values()) == 1


def test_the_first_connection_to_a_pod_is_named_when_it_has_ended(cluster, pod):
    """The control plane is asked for the address while the connection goes on without a name."""
    backend = cluster.add_replica("backend")
    try:
        wait_until(lambda: pod.exec("curl", "-sS", "-m", "5", f"http://{backend.ip}:8080/").stdout.strip() == backend.name,
                   "it answers")
        name = f'pod="default/{backend.name}"'
        wait_until(lambda: sum(_samples(pod, "endpoint_connections_total", name).values()) >= 1, "it counts", timeout=2)
    finally:
        cluster.stop_pod(backend)


def test_the_access_log_has_a_line_for_each_connection(pod, cluster):
    before = len(pod.log.read_text().splitlines())
    for url in ("http://backend:8080/", "http://nobody:8080/"):
        pod.exec("curl", "-sS", "-m", "5", url)
    wait_until(lambda: len(pod.log.read_text().splitlines()) >= before + 2, "both are written", timeout=2)
    lines = [json.loads(line) for line in pod.log.read_text().splitlines()[before:]]
    served, refused = sorted(lines, key=lambda line: line["service"])
    assert (served["service"], served["outcome"], served["ended"]) == ("default/backend", "forwarded", "closed")
    assert served["pod"] in _backends(cluster)
    assert served["source"].startswith(f"{pod.ip}:") and served["dialled"] == "10.43.0.123:8080"
    assert served["bytesUp"] > 0 and served["bytesDown"] > 0 and served["attempts"] == 1
    assert (refused["service"], refused["outcome"], refused["ended"]) == ("default/nobody", "no_endpoints", "")
