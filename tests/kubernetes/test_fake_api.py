"""The tests' API server behaves like the recordings of a real one."""

import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

_TREE = Path(__file__).resolve().parents[2]
_RECORDINGS = Path(__file__).resolve().parent / "recordings"
_SERVICES = "/api/v1/services"


class Api:
    def __init__(self, *flags: str):
        argv = [sys.executable, "-B", "-m", "tests.kubernetes.fake_api", "--listen", "127.0.0.1:0",
                "--bookmark-interval", "0.2", *flags]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=_TREE,
                                        env={**os.environ, "PYTHONPATH": str(_TREE)})
        self.port = int(self.process.stdout.readline().split()[-1])
        for number in range(7):
            self.ask("POST", "/api/v1/namespaces/shop/services",
                     {"metadata": {"name": f"web-{number}"}, "spec": {"ports": [{"port": 80}]}})

    def ask(self, method: str, target: str, body=None, content_type: str = "") -> tuple[int, str]:
        default = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, target, json.dumps(body) if body is not None else None,
                           {"Content-Type": content_type or default})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def page(self, query: str = "") -> dict:
        status, text = self.ask("GET", f"{_SERVICES}?{query}")
        assert status == 200, text
        return json.loads(text)

    def watch(self, query: str, seconds: int = 1) -> list[dict]:
        """Its events, until timeoutSeconds."""
        status, text = self.ask("GET", f"{_SERVICES}?watch=true&timeoutSeconds={seconds}&{query}")
        assert status == 200, text
        return [json.loads(line) for line in text.splitlines()]

    @property
    def version(self) -> int:
        return int(self.page("limit=1")["metadata"]["resourceVersion"])


@pytest.fixture
def api():
    made = Api()
    yield made
    made.process.kill()
    made.process.wait()


def _recorded(name: str) -> dict:
    return json.loads((_RECORDINGS / name).read_text())


def test_pages_show_the_moment_of_the_first(api):
    first = api.page("limit=3")
    api.ask("DELETE", "/api/v1/namespaces/shop/services/web-4")
    names, token = [item["metadata"]["name"] for item in first["items"]], first["metadata"]["continue"]
    assert first["metadata"]["remainingItemCount"] == 4
    while token:
        page = api.page(f"limit=3&continue={urllib.parse.quote(token)}")
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
    assert names == [f"web-{number}" for number in range(7)]


def test_an_expired_token_is_refused_with_one_that_goes_on(api):
    token = api.page("limit=3")["metadata"]["continue"]
    api.ask("POST", "/api/v1/namespaces/shop/services", {"metadata": {"name": "zz"}})
    api.ask("POST", "/fake/compact")
    status, text = api.ask("GET", f"{_SERVICES}?limit=3&continue={token}")
    recorded = _recorded("refusals/141-410-continue-services.json")
    answer = json.loads(text)
    assert status == 410 and {**answer, "metadata": 0} == {**recorded, "metadata": 0}
    page = api.page(f"limit=3&continue={answer['metadata']['continue']}")
    assert page["items"][0]["metadata"]["name"] == "web-3"


def test_items_carry_no_kind_and_objects_in_events_do(api):
    assert "kind" not in api.page()["items"][0] and api.page()["kind"] == "ServiceList"
    event = api.watch("resourceVersion=0")[0]
    assert event["type"] == "ADDED" and event["object"]["kind"] == "Service"


def test_a_streamed_list_ends_with_its_bookmark_and_becomes_the_watch(api):
    events = api.watch("allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", seconds=2)
    assert [event["type"] for event in events[:8]] == ["ADDED"] * 7 + ["BOOKMARK"]
    recorded = json.loads((_RECORDINGS / "watches/16-streaming-list-empty.ndjson").read_text())
    recorded["object"]["metadata"]["resourceVersion"] = str(api.version)
    assert events[7] == recorded
    assert events[-1]["type"] == "BOOKMARK" and "annotations" not in events[-1]["object"]["metadata"]


def test_a_streamed_list_wants_its_match_said(api):
    status, text = api.ask("GET", f"{_SERVICES}?watch=true&sendInitialEvents=true")
    assert status == 422 and "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan" in text


def test_too_old_a_version_is_200_and_then_an_error(api):
    api.ask("POST", "/fake/compact")
    events = api.watch("resourceVersion=1")
    recorded = json.loads((_RECORDINGS / "watches/23-too-old.ndjson").read_text())
    recorded["object"]["message"] = f"too old resource version: 1 ({api.version})"
    assert events == [recorded]


def test_a_version_from_the_future_is_silent(api):
    assert api.watch("resourceVersion=99999999&allowWatchBookmarks=true") == []


def test_what_happened_since_is_told_in_order(api):
    version = api.version
    api.ask("DELETE", "/api/v1/namespaces/shop/services/web-0")
    api.ask("PATCH", "/api/v1/namespaces/shop/services/web-1", {"metadata": {"labels": {"a": "b"}}})
    events = api.watch(f"resourceVersion={version}")
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("DELETED", "web-0"), ("MODIFIED", "web-1")]
    assert [int(event["object"]["metadata"]["resourceVersion"]) for event in events] == [version + 1, version + 2]


def test_a_change_that_changes_nothing_is_none(api):
    version = api.version
    api.ask("PATCH", "/api/v1/namespaces/shop/services/web-1", {"metadata": {"name": "web-1"}})
    assert api.version == version


def test_refusals_read_as_recorded(api):
    assert api.ask("GET", "/apis/sea.example/v1/ships") == (
        404, (_RECORDINGS / "refusals/087-404-unknown-group.txt").read_text())
    status, text = api.ask("GET", "/api/v1/sextants")
    assert status == 404 and json.loads(text) == _recorded("refusals/086-404-unknown-resource.json")


_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_JSON_PATCH = "application/json-patch+json"


def _bundle_patch(name: str, bundle: str) -> list[dict]:
    return [{"op": "test", "path": "/webhooks/1/name", "value": name},
            {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": bundle}]


@pytest.fixture
def webhooks(api):
    api.ask("POST", _WEBHOOKS, {"metadata": {"name": "w"}, "webhooks": [
        {"name": name, "clientConfig": {"service": {"name": "s"}}} for name in ("first", "second")]})
    return f"{_WEBHOOKS}/w"


def test_a_json_patch_with_a_test_changes_the_one_webhook(api, webhooks):
    status, text = api.ask("PATCH", webhooks, _bundle_patch("second", "QQ=="), _JSON_PATCH)
    assert status == 200 and [one["clientConfig"].get("caBundle") for one in json.loads(text)["webhooks"]] == [
        None, "QQ=="]
    version = api.version
    api.ask("PATCH", webhooks, _bundle_patch("second", "QQ=="), _JSON_PATCH)
    assert api.version == version


def test_a_test_that_fails_is_422_and_changes_nothing(api, webhooks):
    version = api.version
    status, text = api.ask("PATCH", webhooks, _bundle_patch("elsewhere", "QQ=="), _JSON_PATCH)
    assert status == 422 and json.loads(text) == _recorded("refusals/119-patch-cabundle-json-test-fails.json")
    assert api.version == version


def test_a_strategic_merge_finds_webhooks_by_name_and_a_json_merge_replaces_the_list(api, webhooks):
    patch = {"webhooks": [{"name": "second", "clientConfig": {"caBundle": "QQ=="}}]}
    status, text = api.ask("PATCH", webhooks, patch, "application/strategic-merge-patch+json")
    assert status == 200 and json.loads(text)["webhooks"][1] == {
        "name": "second", "clientConfig": {"service": {"name": "s"}, "caBundle": "QQ=="}}
    status, text = api.ask("PATCH", webhooks, patch)
    assert status == 200 and len(json.loads(text)["webhooks"]) == 1


def test_a_bundle_is_base64_and_may_be_rubbish(api, webhooks):
    assert api.ask("PATCH", webhooks, _bundle_patch("second", "%%%"), _JSON_PATCH)[0] == 422
    assert api.ask("PATCH", webhooks, _bundle_patch("second", "cnViYmlzaA=="), _JSON_PATCH)[0] == 200


def test_a_patch_of_an_unknown_type_is_refused(api, webhooks):
    status, text = api.ask("PATCH", webhooks, {}, "application/json")
    assert status == 415 and json.loads(text) == _recorded("refusals/127-patch-unknown-content-type.json")


def test_of_two_who_write_one_version_the_second_is_refused(api):
    secrets = "/api/v1/namespaces/shop/secrets"
    status, text = api.ask("POST", secrets, {"metadata": {"name": "s"}, "data": {"a": "QQ=="}})
    first, second = json.loads(text), json.loads(text)
    assert status == 201 and api.ask("POST", secrets, {"metadata": {"name": "s"}})[0] == 409
    first["data"]["a"], second["data"]["a"] = "Qg==", "Qw=="
    assert api.ask("PUT", f"{secrets}/s", first)[0] == 200
    status, text = api.ask("PUT", f"{secrets}/s", second)
    assert status == 409 and json.loads(text)["reason"] == "Conflict"


_POLICIES = "/apis/portolan.dev/v1alpha1/namespaces/shop/dnsegresspolicies"


@pytest.fixture
def policy(api):
    """ask(METHOD, BODY, SUBRESOURCE): the answer's status and the object."""
    assert api.ask("POST", _POLICIES, {"metadata": {"name": "p"}, "spec": {"audit": True},
                                       "status": {"selectedPods": 7}})[0] == 201

    def ask(method: str, body=None, subresource: str = "") -> tuple[int, dict]:
        status, text = api.ask(method, f"{_POLICIES}/p{subresource}", body)
        return status, json.loads(text)
    return ask


def test_a_status_is_written_by_itself_alone(policy):
    _, made = policy("GET")
    assert "status" not in made and made["metadata"]["generation"] == 1
    status, written = policy("PATCH", {"status": {"selectedPods": 1}, "spec": {"audit": False},
                                       "metadata": {"labels": {"a": "b"}}}, "/status")
    assert status == 200 and written["status"] == {"selectedPods": 1}
    assert written["spec"] == {"audit": True} and "labels" not in written["metadata"]
    assert int(written["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert written["metadata"]["generation"] == 1
    _, other = policy("PATCH", {"status": {"selectedPods": 2}, "metadata": {"labels": {"a": "b"}}})
    assert other["status"] == {"selectedPods": 1} and other["metadata"]["generation"] == 1
    _, changed = policy("PUT", {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"audit": False}})
    assert changed["status"] == {"selectedPods": 1} and changed["metadata"]["generation"] == 2


def test_a_status_of_another_version_is_refused(policy):
    _, made = policy("GET")
    of_it = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert policy("PATCH", {**of_it, "status": {"selectedPods": 1}}, "/status")[0] == 200
    status, answer = policy("PATCH", {**of_it, "status": {"selectedPods": 2}}, "/status")
    assert status == 409 and answer["reason"] == "Conflict"
    assert policy("GET")[1]["status"] == {"selectedPods": 1}


def test_a_status_that_is_the_same_is_no_write(api, policy):
    policy("PATCH", {"status": {"selectedPods": 1}}, "/status")
    version = api.version
    assert policy("PATCH", {"status": {"selectedPods": 1}}, "/status")[0] == 200
    assert api.version == version


def test_there_is_no_status_of_what_is_not_there(api):
    assert api.ask("PATCH", f"{_POLICIES}/none/status", {"status": {}})[0] == 404
