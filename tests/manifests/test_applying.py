"""manifests/ on a cluster, by kubectl: the tests' API server, which runs no pods."""

import pytest

from installed import WEBHOOK, FakeApi
from objects import MANIFESTS, NAMESPACE


@pytest.fixture
def api(programs):
    return FakeApi(programs)


@pytest.fixture
def kubectl(tools, api, tmp_path):
    def run(*words: str) -> list[str]:
        return tools.run("kubectl", "--kubeconfig", str(api.kubeconfig), "--cache-dir", str(tmp_path / "kubectl"),
                         *words).stdout.splitlines()
    return run


@pytest.fixture
def apply(kubectl):
    # Our API server has no OpenAPI documents to validate by.
    return lambda folder: kubectl("apply", "--validate=false", "-k", str(MANIFESTS / folder))


def test_applied_again_nothing_changes_and_what_the_injector_wrote_stays(apply, api):
    assert all(line.endswith(" created") for line in apply("base"))
    webhooks = api.ask("GET", WEBHOOK)
    for webhook in webhooks["webhooks"]:
        webhook["clientConfig"]["caBundle"] = "Q0E="
    api.ask("PUT", WEBHOOK, webhooks)
    before = api.ask("GET", "/fake/state")["resourceVersion"]
    apply("base")
    assert api.ask("GET", "/fake/state")["resourceVersion"] == before
    assert [webhook["clientConfig"].get("caBundle") for webhook in api.ask("GET", WEBHOOK)["webhooks"]] == 3 * ["Q0E="]


def test_deleted_nothing_of_it_is_left(kubectl, apply, api):
    before = api.ask("GET", "/fake/state")["objects"]
    apply("base")
    assert api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps")["items"]
    kubectl("delete", "--ignore-not-found", "-k", str(MANIFESTS / "base"))
    assert api.ask("GET", "/fake/state")["objects"] == before
