"""Every route is in openapi.json, and every answer of a populated control plane is as it says."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest

from .conftest import NODE

_TREE = Path(__file__).resolve().parents[3]
_DOCUMENT = json.loads((_TREE / "xds/dashboard/openapi.json").read_text())
_SIDECAR = f"/api/v1/sidecars/{NODE}"


def _plain(schema):
    """OpenAPI 3.0 as JSON Schema: what may be null says so in its own way there."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _check(value, schema: dict) -> None:
    jsonschema.Draft4Validator({**_plain(schema), "components": _plain(_DOCUMENT["components"])}).validate(value)


def _path_of(target: str) -> str:
    path = target.split("?")[0]
    for template in _DOCUMENT["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template
    raise AssertionError(f"{path} is not in openapi.json")


def _hold(running, target: str, method: str = "GET", status: int = 200) -> dict:
    operation = _DOCUMENT["paths"][_path_of(target)][method.lower()]
    got, content_type, body = running.fetch(target, method)
    assert got == status, body
    assert content_type == "application/json"
    content = operation["responses"][str(status)]["content"]["application/json"]
    value = json.loads(body)
    _check(value, content["schema"])
    known = {parameter["name"] for parameter in operation["parameters"]}
    for word in re.findall(r"[?&](\w+)=", target):
        assert word in known, f"{target}: {word}"
    return value


@pytest.mark.parametrize("target", [
    "/api/v1/status", "/api/v1/names", "/api/v1/names?limit=5&offset=3&sort=changed&scope=local",
    "/api/v1/names?warning=any&search=s1&namespace=ns1&label=kind", "/api/v1/sidecars", "/api/v1/sidecars?sort=lag",
    f"{_SIDECAR}/config_dump", f"{_SIDECAR}/explain?name=s0&type=A",
    f"{_SIDECAR}/policy_test?to=s0&port=80", f"{_SIDECAR}/policy_test?to=192.0.2.1&port=443&protocol=udp",
    "/api/v1/flows", "/api/v1/flows?limit=3", "/api/v1/policies", "/api/v1/policies?scope=local",
    "/api/v1/denials", "/api/v1/denials?namespace=a&pod=b&policy=c&name=d&search=e&limit=3&scope=local",
    "/api/v1/amplifiers", "/api/v1/amplifiers?sort=nxdomain&limit=3", "/api/v1/openapi.json",
    f"/api/v1/explain?pod={NODE}&name=s0", f"/api/v1/explain?pod={NODE}&name=no.such.name.&type=AAAA",
    "/api/v1/explain?pod=no/pod&name=s0", "/api/v1/history", "/api/v1/history?limit=3&cause=first-seen&scope=local",
    "/api/v1/history?namespace=ns0&name=s0&since=2026-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"])
def test_answers_are_as_the_document_says(running, target):
    running.dig([("no-such-name.ns0.svc.cluster.local.", "A"), ("s0", "A")])
    _hold(running, target)


def test_every_kind_of_name_is_as_the_document_says(running):
    for service in running.services[:48]:
        detail = _hold(running, f"/api/v1/names/{service.namespace}/{service.name}")
        assert detail["dnsName"] + "." == service.dns


def test_what_a_name_was_at_its_last_entry_is_what_it_is(running):
    for service in running.services[:48]:
        of_it = f"namespace={service.namespace}&name={service.name}"
        entry = _hold(running, f"/api/v1/history?{of_it}")["entries"][0]
        name = f"/api/v1/names/{service.namespace}/{service.name}"
        then, now = _hold(running, f"{name}?at={entry['time']}"), running.get(name)
        assert then["entry"] == entry
        for key in ("type", "clusterIPs", "externalName", "ports", "endpoints", "labels", "endpointSlices"):
            assert then.get(key) == now.get(key), f"{service.name}: {key}"


def test_errors_are_as_the_document_says(running):
    _hold(running, "/api/v1/names?limit=0", status=400)
    _hold(running, "/api/v1/names/no/such", status=404)
    _hold(running, "/api/v1/names/no/such?at=2026-01-01T00:00:00Z", status=404)
    _hold(running, "/api/v1/history?cause=boredom", status=400)
    _hold(running, "/api/v1/sidecars?sort=x", status=400)
    _hold(running, "/api/v1/sidecars/no/such/config_dump", status=404)
    _hold(running, f"{_SIDECAR}/explain?name=s0&type=AAAAA", status=502)
    _hold(running, f"{_SIDECAR}/policy_test?to=s0&port=none", status=502)
    _hold(running, "/api/v1/explain?pod=x&name=y", status=400)
    _hold(running, "/api/v1/flows?limit=x", status=400)
    _hold(running, "/api/v1/amplifiers?sort=x", status=400)
    _hold(running, "/api/v1/denials?continue=x", status=400)


def test_the_log_level_is_set_as_the_document_says(running):
    _hold(running, f"{_SIDECAR}/logging?level=info", "POST")


def test_every_route_of_the_program_is_in_the_document():
    files = subprocess.run(["git", "ls-files", "xds/*.cc"], cwd=_TREE, check=True, capture_output=True, text=True)
    served = set()
    for file in files.stdout.split():
        served |= set(re.findall(r'"(/api/v1/[a-z0-9_./*]+)"', (_TREE / file).read_text()))
    assert "/api/v1/names" in served
    for route in served:
        prefix = route.rstrip("*").rstrip("/")
        assert any(path == prefix or path.startswith(prefix + "/") for path in _DOCUMENT["paths"]), route


def test_what_is_not_in_the_document_is_not_served(running):
    for path, operations in _DOCUMENT["paths"].items():
        target = re.sub(r"\{\w+\}", "x", path)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {each.upper() for each in operations}:
            assert running.fetch(target, method)[0] in (404, 405), f"{method} {path}"


def test_the_document_is_whole():
    text = json.dumps(_DOCUMENT)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in _DOCUMENT["components"]["schemas"], name
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == set(_DOCUMENT["components"]["schemas"])
    for path, operations in _DOCUMENT["paths"].items():
        for operation in operations.values():
            templated = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert templated == set(re.findall(r"\{(\w+)\}", path)), path
