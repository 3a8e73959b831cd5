"""The kinds of objects that there are, as discovery lists them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    short: str = ""  # for kubectl
    # The status is written by itself, under .../NAME/status. Of the others here it is a part like any other: who plays
    # the kubelet or a controller writes it with the rest.
    has_status: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def prefix(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


KINDS = [
    Kind("", "v1", "namespaces", "Namespace", namespaced=False, short="ns"),
    Kind("", "v1", "nodes", "Node", namespaced=False, short="no"),
    Kind("", "v1", "services", "Service", short="svc"),
    Kind("", "v1", "pods", "Pod", short="po"),
    Kind("", "v1", "configmaps", "ConfigMap", short="cm"),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "serviceaccounts", "ServiceAccount"),
    Kind("", "v1", "resourcequotas", "ResourceQuota", short="quota"),
    Kind("", "v1", "events", "Event"),
    Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short="netpol"),
    Kind("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False),
    Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False,
         short="crd"),
    Kind("coordination.k8s.io", "v1", "leases", "Lease"),
    Kind("apps", "v1", "deployments", "Deployment", short="deploy"),
    Kind("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration",
         namespaced=False),
    Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
    Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Kind("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb"),
    Kind("portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy", short="dnsep", has_status=True),
    # Custom resources of others: there only when asked for.
    Kind("policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", namespaced=False,
         short="cnp", has_status=True),
    Kind("policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", namespaced=False,
         short="anp", has_status=True),
    Kind("multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport"),
]


def discovery(kinds: list[Kind], path: str):
    """The answer to a question about what there is; None where nothing is asked about."""
    groups = sorted({kind.group for kind in kinds if kind.group})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(kinds, group) for group in groups]}
    if path == "/version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"}
    if path.startswith("/apis/") and path.count("/") == 2 and path[6:] in groups:
        return _group(kinds, path[6:])
    members = [kind for kind in kinds if kind.prefix == path]
    if not members:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": members[0].api_version, "resources": [
        {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name,
         **({"shortNames": [kind.short]} if kind.short else {}),
         "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]} for kind in members] + [
        {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced, "kind": kind.name,
         "verbs": ["get", "patch", "update"]} for kind in members if kind.has_status]}


def _group(kinds: list[Kind], group: str) -> dict:
    versions = sorted({kind.version for kind in kinds if kind.group == group})
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": listed, "preferredVersion": listed[0]}
