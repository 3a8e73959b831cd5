"""portolanctl against the lab's control plane, and the sidecars behind it."""

import json

from .control_plane import HTTP
from .tools import portolan, run, wait_until


def _ctl(*argv: str, check: bool = True) -> str:
    return run([portolan("portolanctl"), "--server", f"http://{HTTP}", *argv], check=check).stdout


def _name(pod) -> str:
    return f"{pod.sandbox.namespace}/{pod.sandbox.name}"


def _differences(pod) -> list:
    diff = json.loads(_ctl("diff", _name(pod), "-o", "json", check=False) or "{}")
    return [(one["type"], one["missing"], one["extra"], one["stale"]) for one in diff["types"]
            if one["missing"] or one["extra"] or one["stale"]]


def test_names_and_endpoints_are_those_of_the_cluster(cluster):
    assert "10.43.0.123" in _ctl("names", "backend", "-n", "default")
    text = _ctl("endpoints", "backend")
    assert text.startswith("default/backend: ClusterIP, 10.43.0.123")
    assert text.count(" ready ") == 3, text


def test_a_sidecar_that_is_in_sync_holds_what_it_is_served(frontend):
    wait_until(lambda: _name(frontend) in _ctl("proxy-status"), "the sidecar is connected")
    wait_until(lambda: not _differences(frontend), "there is no difference", timeout=20)
    diff = json.loads(_ctl("diff", _name(frontend), "-o", "json"))
    counts = {one["type"]: (one["served"], one["held"]) for one in diff["types"]}
    names = json.loads(_ctl("names", "-o", "json"))["names"]
    assert counts["Service"] == (len(names), len(names))
    assert counts["Namespace"][0] == counts["Namespace"][1] > 0
    # Those of backend at least, which the pod has asked for.
    frontend.sidecar.admin("/explain?name=backend")
    wait_until(lambda: json.loads(_ctl("diff", _name(frontend), "-o", "json"))["types"][-1]["held"] > 1,
               "endpoints are held")
