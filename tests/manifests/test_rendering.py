"""manifests/ as kubectl and helm make objects of it."""

import copy

import pytest

from api_types import ApiTypes
from objects import CHART, NAMESPACE, documents
from roles import rights_of

# What Helm says of itself, and kustomize does not.
_ONLY_HELM_HAS = {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "portolan-0.1.0"}
_NAMESPACE = "createNamespace=true"
_VARIANTS = {"base": [], "overlays/cert-manager": ["certificates=cert-manager"],
             "overlays/mounted-certificates": ["certificates=mounted"],
             "overlays/grafana": ["grafana.dashboards=true"],
             "overlays/prometheus": ["podMonitors.enabled=true", "prometheusRules.enabled=true"]}
# Of custom resources: kubernetes-types has none.
_CUSTOM = ("cert-manager.io/", "monitoring.coreos.com/")


def _without_what_only_helm_has(objects):
    objects = copy.deepcopy(objects)
    for name, obj in objects.items():
        labels = obj["metadata"]["labels"]
        for label, value in _ONLY_HELM_HAS.items():
            assert labels.pop(label) == value, name
    return objects


@pytest.fixture(scope="module")
def types(npm):
    return ApiTypes(npm / "kubernetes-types")


@pytest.mark.parametrize("folder", _VARIANTS)
def test_the_chart_makes_the_objects_that_kustomize_makes(tools, folder):
    by_kustomize = tools.kustomize(folder)
    by_helm = _without_what_only_helm_has(tools.chart(_NAMESPACE, *_VARIANTS[folder]))
    assert by_helm.keys() == by_kustomize.keys()
    for name, obj in by_kustomize.items():
        assert by_helm[name] == obj, name


def test_the_namespace_is_the_one_object_that_a_chart_leaves_to_others(tools):
    assert tools.chart(_NAMESPACE).keys() - tools.chart().keys() == {f"Namespace /{NAMESPACE}"}


@pytest.mark.parametrize("certificates", ["self-signed", "cert-manager", "mounted"])
def test_the_chart_goes_where_its_release_is(tools, certificates):
    done = tools.run("helm", "template", "portolan", str(CHART), "--namespace", "mesh", "--set",
                     f"certificates={certificates},createNamespace=true,podMonitors.enabled=true,"
                     "prometheusRules.enabled=true,grafana.dashboards=true")
    assert NAMESPACE not in done.stdout


@pytest.mark.parametrize("folder", _VARIANTS)
def test_the_api_knows_every_field(tools, types, folder):
    faults = {name: types.faults(obj) for name, obj in tools.kustomize(folder).items()
              if not obj["apiVersion"].startswith(_CUSTOM)}
    assert {name: fault for name, fault in faults.items() if fault} == {}


def test_a_field_that_the_api_does_not_know_is_found(types):
    [pod] = documents("""
        apiVersion: v1
        kind: Pod
        metadata: {name: a, labels: {b: 1}}
        spec: {container: [], containers: [{name: c, ports: [{containerPort: "80"}], readinesProbe: {}}]}
    """)
    assert types.faults(pod) == [
        "Pod.metadata.labels.b: 1 is no string", "Pod.spec: PodSpec has no field container",
        "Pod.spec.containers[0].ports[0].containerPort: '80' is no number",
        "Pod.spec.containers[0]: Container has no field readinesProbe"]
    assert types.faults({"apiVersion": "v1", "kind": "Pot"}) == ["no kind Pot in v1"]


@pytest.mark.parametrize("folder, webhooks", [("overlays/mounted-certificates", True),
                                              ("overlays/cert-manager", False)])
def test_with_certificates_from_elsewhere_the_injector_sees_no_secret(tools, folder, webhooks):
    objects = tools.kustomize(folder)
    may = {right.resource.partition(".")[0] for right in rights_of(objects, f"{NAMESPACE}/portolan-injector")}
    assert "secrets" not in may
    assert ("mutatingwebhookconfigurations" in may) == webhooks
    [container] = objects[f"Deployment {NAMESPACE}/portolan-injector"]["spec"]["template"]["spec"]["containers"]
    assert "--self-signed" not in container["args"]
    assert ("--patch-webhook" in container["args"]) == webhooks
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    files = [arg.partition("=")[2] for arg in container["args"] if "=/" in arg]
    assert {file.rpartition("/")[0] for file in files} == mounted


def test_cert_manager_makes_the_secrets_that_are_mounted_for_the_names_that_are_dialled(tools):
    objects = tools.kustomize("overlays/cert-manager")
    for name in ("portolan-control", "portolan-injector"):
        certificate = objects[f"Certificate {NAMESPACE}/{name}"]["spec"]
        volumes = objects[f"Deployment {NAMESPACE}/{name}"]["spec"]["template"]["spec"]["volumes"]
        assert {"name": "tls", "secret": {"secretName": certificate["secretName"]}} in volumes
        assert f"{name}.{NAMESPACE}.svc" in certificate["dnsNames"]


def test_an_image_is_named_once(tools, tmp_path):
    (tmp_path / "kustomization.yaml").write_text(f"""
resources: [base]
images:
- {{name: portolan, newName: registry.example.com/mesh/portolan, newTag: 0.2.0}}
""")
    (tmp_path / "base").symlink_to(CHART.parents[1] / "base")
    for objects in (tools.kustomize(tmp_path.resolve()),
                    tools.chart("image.repository=registry.example.com/mesh/portolan", "image.tag=0.2.0")):
        images = [container["image"] for obj in objects.values() if obj["kind"] == "Deployment"
                  for container in obj["spec"]["template"]["spec"]["containers"]]
        assert images == 2 * ["registry.example.com/mesh/portolan:0.2.0"]
        assert "portolan:0.1.0" not in str(objects)


def test_helm_finds_nothing_to_complain_about(tools):
    done = tools.run("helm", "lint", "--strict", str(CHART))
    assert "WARNING" not in done.stdout and "ERROR" not in done.stdout, done.stdout


@pytest.mark.parametrize("value, complaint", [
    ("control.logLevel=loud", "at '/control/logLevel': value must be one of 'debug', 'info', 'warn', 'error'"),
    ("injector.logFormat=xml", "at '/injector/logFormat': value must be one of 'text', 'json'"),
    ("control.replica=3", "at '/control': additional properties 'replica' not allowed"),
    ("injector.replicas=0", "at '/injector/replicas': minimum: got 0, want 1"),
    ("certificates=mine", "at '/certificates': value must be one of 'self-signed', 'cert-manager', 'mounted'"),
    ("networkPolicies.apiServerPorts={443,https}", "at '/networkPolicies/apiServerPorts/1': got string, want integer"),
    ("corefiles.a/b=x", "at '/corefiles': additional properties 'a/b' not allowed"),
    ("clusterDomain=Cluster.Local", "at '/clusterDomain': 'Cluster.Local' does not match pattern"),
    ("injection.loglevel=debug", "at '/injection': additional properties 'loglevel' not allowed"),
    ("portolan=1", "at '': additional properties 'portolan' not allowed"),
])
def test_a_value_that_makes_no_sense_is_refused_by_its_name(tools, value, complaint):
    done = tools.template(value, check=False)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_cluster_without_native_sidecars_is_refused(tools):
    done = tools.run("helm", "template", "portolan", str(CHART), "--kube-version", "1.28.0", check=False)
    assert done.returncode != 0
    assert "chart requires kubeVersion: >=1.29.0-0" in done.stderr
