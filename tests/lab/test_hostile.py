"""What is no manifest changes nothing but the log, and what follows it is seen."""

import time

import pytest

from .resolver_tools import dig
from .tools import wait_until

_NAME = "steady.default.svc.cluster.local"
_FILE = "steady.yaml"


def _service(ip: str) -> str:
    return ("apiVersion: v1\nkind: Service\nmetadata: {name: steady, namespace: default}\n"
            f"spec: {{clusterIP: {ip}, clusterIPs: [{ip}], ports: [{{port: 80}}]}}\n")


@pytest.fixture
def steady(cluster, frontend):
    cluster.api.write(_FILE, _service("10.43.0.90"))
    wait_until(lambda: dig(frontend, _NAME).data("A") == ["10.43.0.90"], "the Service appears", timeout=3)
    yield
    (cluster.api.folder / _FILE).unlink()
    wait_until(lambda: dig(frontend, _NAME).status == "NXDOMAIN", "the Service goes", timeout=3)


@pytest.mark.parametrize("text", [
    "apiVersion: v1\nkind: Service\nmetadata: {name: steady\n",            # no YAML
    _service("not-an-address"),
    _service("10.43.0.91").replace("port: 80", "port: 70000"),
    _service("10.43.0.91").replace("name: steady", "name: [1, 2]"),
    "- just\n- a list\n",
    "\x00\x01\x02 binary",
    "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),  # 2^39 when expanded
    "[" * 20000,
], ids=["yaml", "address", "port", "name", "list", "binary", "aliases", "deep"])
def test_a_file_that_turns_invalid_keeps_its_last_good_state(cluster, frontend, steady, text):
    logged = len(cluster.control.log())
    cluster.api.write(_FILE, text)
    wait_until(lambda: _FILE in cluster.control.log()[logged:], "the log names the file", timeout=3)
    time.sleep(0.2)
    assert cluster.control.running()
    assert dig(frontend, _NAME).data("A") == ["10.43.0.90"]
    cluster.api.write(_FILE, _service("10.43.0.92"))
    wait_until(lambda: dig(frontend, _NAME).data("A") == ["10.43.0.92"], "the repaired file counts", timeout=3)


def test_bad_dns_gets_an_error_or_silence_and_the_sidecar_lives(frontend):
    """Bytes that are no query, to the captured address; the next good query is answered."""
    script = ("for bytes in '\\000' '\\001\\002\\003\\004\\005\\006\\007\\010\\011\\012\\013\\014' "
              "'\\000\\001\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\377\\377\\377' "
              "'\\000\\001\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\300\\014\\000\\001\\000\\001'; do "
              "printf \"$bytes\" | timeout 1 socat -t0.2 - UDP4:10.43.0.10:53 | od -c | head -3; done")
    frontend.sh(script)
    assert frontend.sidecar.daemon.running()
    assert dig(frontend, "backend.default.svc.cluster.local").data("A") == ["10.43.0.123"]
