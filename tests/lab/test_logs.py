"""With --log-format json a collector can read every line of a program, whatever stands in it."""

import json
import os
import re

import pytest

from .faults import own_pod
from .namespaces import RUN
from .pods import Shape
from .tools import Daemon, portolan, wait_until

_COREFILE = ".:53 {\n    errors\n    log\n    kubernetes cluster.local\n    forward . 192.0.2.1\n}\n"
_HOSTILE = ("a\\010b.default.svc.cluster.local", 'quo\\"te.default.svc.cluster.local', "\\195\\040.example",
            "back\\\\slash.example", "\\000.example")
_EVENT, _CONNECTION = {"time", "level", "program", "message"}, {"time", "protocol", "source", "outcome"}


def _kind(line: str) -> str:
    """Of a line of the sidecar: ours, the access log's, or CoreDNS's."""
    if re.match(r"\[(INFO|ERROR)\] ", line):
        return line[1:line.index("]")]
    fields = set(json.loads(line))
    assert fields == _EVENT or _CONNECTION <= fields, line
    return "event" if fields == _EVENT else "connection"


@pytest.fixture
def pod(cluster):
    (cluster.control.corefiles / "logging").write_text(_COREFILE)
    with own_pod(cluster, "logs", Shape(annotations={"log-format": "json", "corefile": "logging"})) as made:
        made.sidecar.kill()
        os.truncate(made.sidecar.daemon.log, 0)
        made.sidecar.start("--access-log", "-")
        yield made


def test_every_line_of_a_sidecar_can_be_read(pod):
    for name in _HOSTILE:
        pod.exec("dig", "+time=2", "+tries=1", name)
    for _ in range(20):
        pod.sh("curl -s -o /dev/null http://backend:8080/ & dig +tries=1 +time=2 backend.default.svc.cluster.local; wait")

    def lines() -> list[str]:
        """Those that have ended."""
        return pod.sidecar.daemon.log.read_text(errors="strict").split("\n")[:-1]

    wait_until(lambda: sum(_kind(line) == "connection" for line in lines()) >= 20, "each connection is logged")
    assert {_kind(line) for line in lines()} == {"event", "connection", "INFO", "ERROR"}
    level = {json.loads(line)["level"] for line in lines() if _kind(line) == "event"}
    assert level <= {"debug", "info", "warn", "error"}


def test_every_line_of_a_control_plane_can_be_read():
    folder = RUN / "log-manifests"
    folder.mkdir()
    (folder / 'we"ird\n\\name.yaml').write_text('kind: "a\\nb\\"c\\u0001"\napiVersion: v1\nmetadata: {name: x}\n')
    argv = [portolan("portolan-control"), "--source", f"files:{folder}", "--xds-insecure", "--xds-listen",
            "127.0.0.1:15031", "--http-listen", "127.0.0.1:15083", "--status-listen", "127.0.0.1:15029",
            "--log-format", "json", "--log-level", "debug"]
    daemon = Daemon("portolan-control", argv, RUN / "log-control.log")
    try:
        daemon.wait_ready(lambda: "xDS on" in daemon.log.read_text(), "it serves")
    finally:
        daemon.stop()
    events = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert {event["program"] for event in events} == {"portolan-control"}
    assert all(set(event) == _EVENT and re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.\d{3}Z", event["time"]) for event in events)
    assert any("we\"ird" in event["message"] for event in events)
