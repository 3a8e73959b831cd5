"""What manifests/base promises, read as it is written."""

import itertools

import pytest
import yaml

from objects import MANIFESTS, NAMESPACE, StrictLoader, base, documents

_DEPLOYMENTS = ["portolan-control", "portolan-injector"]
_SYSTEM = ["kube-system", "kube-public", "kube-node-lease", NAMESPACE]


@pytest.fixture(scope="module")
def objects():
    return base()


def _pod(objects, deployment: str) -> dict:
    return objects[f"Deployment {NAMESPACE}/{deployment}"]["spec"]["template"]["spec"]


def test_a_key_that_stands_twice_is_an_error():
    with pytest.raises(yaml.YAMLError, match="the key 'a' twice"):
        documents("b: {a: 1, a: 2}")


def test_every_file_is_listed_and_no_key_stands_twice():
    for kustomization in MANIFESTS.rglob("kustomization.yaml"):
        [listed] = documents(kustomization.read_text())
        named = {patch["path"] for patch in listed.get("patches", []) if "path" in patch}
        named |= set(listed.get("resources", []))
        files = {file.name for file in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert files == {name for name in named if name.endswith(".yaml")}, kustomization
        for file in files:
            yaml_text = (kustomization.parent / file).read_text()
            assert list(yaml.load_all(yaml_text, StrictLoader))


def test_the_corefile_is_the_one_that_every_cluster_has_word_for_word(objects):
    [cluster] = documents((MANIFESTS / "demo" / "coredns-configmap.yaml").read_text())
    assert objects[f"ConfigMap {NAMESPACE}/portolan-corefiles"]["data"] == {"default": cluster["data"]["Corefile"]}


@pytest.mark.parametrize("name", _DEPLOYMENTS)
def test_two_replicas_and_never_fewer_ready_ones_while_they_are_replaced(objects, name):
    spec = objects[f"Deployment {NAMESPACE}/{name}"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = objects[f"PodDisruptionBudget {NAMESPACE}/{name}"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spec["selector"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", _DEPLOYMENTS)
def test_our_own_pods_pass_the_restricted_pod_security_standard(objects, name):
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    pod = _pod(objects, name)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert all(set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "projected"} for volume in pod["volumes"])
    for container in pod["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                "capabilities": {"drop": ["ALL"]}}
        assert "hostPort" not in str(container["ports"])
    labels = objects[f"Namespace /{NAMESPACE}"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "portolan.dev/inject" not in labels


@pytest.mark.parametrize("name", _DEPLOYMENTS)
def test_ports_that_are_named_exist(objects, name):
    pod = _pod(objects, name)
    [container] = pod["containers"]
    ports = {port["name"] for port in container["ports"]}
    used = {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")}
    for service in (obj for key, obj in objects.items() if key.startswith("Service ")):
        if service["spec"]["selector"]["app.kubernetes.io/name"] == name:
            used |= {port["targetPort"] for port in service["spec"]["ports"]}
    for rule in objects[f"NetworkPolicy {NAMESPACE}/{name}"]["spec"]["ingress"]:
        used |= {port["port"] for port in rule["ports"]}
    assert used == ports


def test_volumes_come_from_what_is_installed_or_what_the_injector_makes(objects):
    made = {f"Secret {NAMESPACE}/portolan-control-tls", f"ConfigMap {NAMESPACE}/portolan-ca"}
    for name in _DEPLOYMENTS:
        pod = _pod(objects, name)
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            if "projected" in volume:  # by the kubelet
                continue
            source = (f"Secret {NAMESPACE}/{volume['secret']['secretName']}" if "secret" in volume else
                      f"ConfigMap {NAMESPACE}/{volume['configMap']['name']}")
            assert source in set(objects) | made


def test_replicas_find_each_other(objects):
    pod = _pod(objects, "portolan-control")
    [container] = pod["containers"]
    flags = dict(word.split("=", 1) for word in container["args"])
    host, port = flags["--http-peers"].rsplit(":", 1)
    peers = objects[f"Service {NAMESPACE}/{host.removesuffix(f'.{NAMESPACE}.svc')}"]["spec"]
    assert peers["clusterIP"] == "None"
    assert {each["name"]: each["port"] for each in peers["ports"]}["peers"] == int(port)
    assert flags["--peer-listen"].endswith(f":{port}")
    assert f"Service {NAMESPACE}/{flags['--peer-server-name'].removesuffix(f'.{NAMESPACE}.svc')}" in objects
    [token] = [volume["projected"]["sources"] for volume in pod["volumes"] if "projected" in volume]
    assert token[0]["serviceAccountToken"]["audience"] == "portolan-peers"
    # The default of --peer-token.
    assert "/var/run/secrets/portolan/peers" in {mount["mountPath"] for mount in container["volumeMounts"]}
    policy = objects[f"NetworkPolicy {NAMESPACE}/portolan-control"]["spec"]
    for rules, end in ((policy["ingress"], "from"), (policy["egress"], "to")):
        assert {"ports": [{"port": "peers"}], end: [{"podSelector": {
            "matchLabels": {"app.kubernetes.io/name": "portolan-control"}}}]} in rules


def test_nobody_may_read_the_dashboard_until_somebody_says_so(objects):
    assert objects["ClusterRole /portolan-dashboard-reader"]["rules"] == [
        {"nonResourceURLs": ["/portolan/api/v1/*"], "verbs": ["get"]}]
    assert not [name for name, obj in objects.items() if obj.get("roleRef", {}).get("name") == "portolan-dashboard-reader"]


def _fits(selector: dict, labels: dict) -> bool:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#set-based-requirement"""
    assert set(selector) == {"matchExpressions"}
    for term in selector["matchExpressions"]:
        value = labels.get(term["key"])
        fits = {"In": lambda: value in term["values"], "NotIn": lambda: value not in term["values"],
                "DoesNotExist": lambda: value is None}[term["operator"]]()
        if not fits:
            return False
    return True


def _asked(objects, namespace: dict, pod: dict, annotated: bool) -> list[str]:
    """The webhooks that the API server asks about a pod. matchConditions are CEL: taken for what they say."""
    found = []
    for webhook in objects["MutatingWebhookConfiguration /portolan-injector"]["webhooks"]:
        if not _fits(webhook["namespaceSelector"], namespace) or not _fits(webhook["objectSelector"], pod):
            continue
        if "matchConditions" not in webhook or annotated:
            found.append(webhook["name"].partition(".")[0])
    return found


_KEY = "portolan.dev/inject"


@pytest.mark.parametrize("enabled, label, annotated, expected", [
    (True, None, False, ["namespace"]),
    (True, None, True, ["namespace"]),
    (True, "true", False, ["namespace"]),
    (True, "false", True, []),
    (True, "yes", False, ["namespace"]),  # and is refused, for being neither
    (False, None, False, []),
    (False, None, True, ["annotation"]),
    (False, "true", False, ["pod"]),
    (False, "true", True, ["pod"]),
    (False, "false", True, []),
    (False, "yes", False, []),
])
def test_who_was_opted_in_is_asked_about_once_and_nobody_else(objects, enabled, label, annotated, expected):
    namespace = {"kubernetes.io/metadata.name": "shop", **({_KEY: "enabled"} if enabled else {})}
    assert _asked(objects, namespace, {_KEY: label} if label else {}, annotated) == expected


@pytest.mark.parametrize("name", _SYSTEM)
def test_nothing_in_the_namespaces_of_the_cluster_and_in_ours_is_ever_asked_about(objects, name):
    for enabled, label, annotated in itertools.product((True, False), (None, "true", "false"), (True, False)):
        namespace = {"kubernetes.io/metadata.name": name, **({_KEY: "enabled"} if enabled else {})}
        assert _asked(objects, namespace, {_KEY: label} if label else {}, annotated) == []


def test_the_webhooks_differ_in_whom_they_are_for_and_in_nothing_else(objects):
    webhooks = objects["MutatingWebhookConfiguration /portolan-injector"]["webhooks"]
    different = ("name", "namespaceSelector", "objectSelector", "matchConditions")
    common = [{key: value for key, value in webhook.items() if key not in different} for webhook in webhooks]
    assert common == 3 * [{
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"],
                   "scope": "Namespaced"}],
        "clientConfig": {"service": {"namespace": NAMESPACE, "name": "portolan-injector", "path": "/inject",
                                     "port": 443}},
        "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded", "sideEffects": "None", "timeoutSeconds": 5}]
