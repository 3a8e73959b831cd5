"""A sidecar is asked by way of the control plane, which also shows what it reported last."""

import json
import os
import signal
import time
import urllib.error
import urllib.request

from .control_plane import HTTP
from .faults import own_pod
from .sidecar import Page
from .tools import portolan, run, wait_until


def _ask(path: str, method: str = "GET") -> Page:
    request = urllib.request.Request(f"http://{HTTP}/api/v1/sidecars{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Page(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Page(error.code, error.read().decode())


def _name(pod) -> str:
    return f"{pod.sandbox.namespace}/{pod.sandbox.name}"


def _report(pod) -> dict:
    (sidecar,) = json.loads(_ask(f"?node={_name(pod)}").body)["sidecars"]
    return sidecar.get("report", {})


def _explained(pod, query: str) -> dict:
    page = _ask(f"/{_name(pod)}/explain?{query}")
    assert page.status == 200, page
    return json.loads(page.body)


def _timeless(explained: dict) -> dict:
    """Without what takes another time whenever it is asked."""
    for lookup in explained["lookups"]:
        del lookup["tookMs"], lookup["steps"]
    return explained


def _can_be_asked(pod) -> bool:
    return _ask(f"/{_name(pod)}/config_dump").status == 200


def test_explain_by_way_of_the_control_plane_is_what_the_sidecar_itself_says(frontend):
    wait_until(lambda: _can_be_asked(frontend), "the sidecar can be asked")
    for query in ("name=backend&type=A", "name=backend.default.svc.cluster.local.&type=SRV", "name=no-such-name"):
        # Not at once: the first lookup has endpoints fetched.
        wait_until(lambda q=query: _timeless(_explained(frontend, q))
                   == _timeless(json.loads(frontend.sidecar.admin(f"/explain?{q}"))), "both say the same")
    first = _explained(frontend, "name=backend")["lookups"][0]
    assert first["rcode"] == "NOERROR" and first["answers"][0].endswith(" IN A 10.43.0.123")
    assert first["service"]["name"] == "backend"
    refused = _ask(f"/{_name(frontend)}/explain?name=backend&type=AAAAA")
    assert refused.status == 502 and "did you mean 'AAAA'" in refused.body


def test_config_dump_and_log_level(frontend):
    wait_until(lambda: _can_be_asked(frontend), "the sidecar can be asked")
    dump = json.loads(_ask(f"/{_name(frontend)}/config_dump").body)
    assert dump["node"] == _name(frontend) and dump["corefile"]
    assert _ask(f"/{_name(frontend)}/logging?level=debug", "POST").status == 200
    assert _ask(f"/{_name(frontend)}/logging?level=info", "POST").status == 200
    assert _ask(f"/{_name(frontend)}/logging?level=loud", "POST").status == 502


def test_portolanctl_asks_either_way(frontend):
    wait_until(lambda: _can_be_asked(frontend), "the sidecar can be asked")
    argv = [portolan("portolanctl"), "explain", "backend", "--pod", _name(frontend)]
    by_control_plane = run([*argv, "--server", f"http://{HTTP}"]).stdout
    record = "backend.default.svc.cluster.local. 30 IN A 10.43.0.123"
    assert record in by_control_plane and "No difference." in by_control_plane
    assert record in frontend.exec(*argv, "--direct").stdout


def test_what_the_sidecar_counts_is_reported(frontend):
    wait_until(lambda: _report(frontend), "there is a report", timeout=15)
    before = _report(frontend)
    assert before["feed"]["inSync"] and before["feed"]["source"] == "control plane"
    frontend.sidecar.admin("/explain?name=backend")
    wait_until(lambda: _report(frontend)["dns"]["queries"] > before["dns"]["queries"], "it is reported", timeout=15)


def _asked(pod, name: str) -> dict:
    (asked,) = [n for n in _report(pod)["names"]["names"] if n["name"] == name] or [{"queries": 0}]
    return asked


def test_what_the_pod_looks_up_is_reported_by_the_name_it_means(frontend):
    wait_until(lambda: "names" in _report(frontend), "there is a report", timeout=15)
    before = _asked(frontend, "default/backend")
    frontend.exec("dig", "+search", "+ndots=5", "backend", "A")
    frontend.exec("dig", "+search", "+ndots=5", "no-such-name.test", "A")
    wait_until(lambda: _asked(frontend, "default/backend")["queries"] > before["queries"], "the Service is reported",
               timeout=15)
    assert _asked(frontend, "default/backend")["service"] is True
    nowhere = _asked(frontend, "no-such-name.test")
    assert nowhere["service"] is False
    # With each end of the search list, and alone.
    assert nowhere["queries"] == nowhere["nxdomain"] == nowhere["searchList"] + 1
    assert _report(frontend)["amplification"]["savedByTrailingDot"] >= nowhere["searchList"] > 0


def test_where_the_pod_connects_to_is_reported(frontend):
    wait_until(lambda: "flows" in _report(frontend), "there is a report", timeout=15)
    frontend.exec("curl", "-sS", "-m", "5", "http://backend:8080/")

    def to_backend() -> list[dict]:
        return [f for f in _report(frontend)["flows"]["flows"] if f.get("service") == "default/backend"]

    wait_until(to_backend, "the flow is reported", timeout=15)
    (flow,) = to_backend()
    assert flow["connections"] > 0 and flow["bytesDown"] > 0


def test_a_sidecar_that_stands_still_is_said_to_give_no_answer_after_two_seconds(cluster):
    with own_pod(cluster, "standing-still") as pod:
        wait_until(lambda: _can_be_asked(pod), "the sidecar can be asked")
        os.kill(pod.sidecar.daemon.pid, signal.SIGSTOP)
        try:
            asked = time.monotonic()
            late = _ask(f"/{_name(pod)}/config_dump")
            took = time.monotonic() - asked
        finally:
            os.kill(pod.sidecar.daemon.pid, signal.SIGCONT)
        assert late.status == 504 and 1.9 < took < 3, (late, took)
        wait_until(lambda: _can_be_asked(pod), "it can be asked again")
    wait_until(lambda: _ask(f"/{_name(pod)}/config_dump").status == 404, "who is gone is not found", timeout=20)


def test_after_a_restart_of_the_control_plane_sidecars_can_be_asked_and_report(cluster, frontend):
    cluster.control.kill()
    cluster.control.start()
    wait_until(lambda: _can_be_asked(frontend), "the sidecar can be asked", timeout=20)
    wait_until(lambda: _report(frontend), "and has reported")
