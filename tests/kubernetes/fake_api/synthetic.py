"""A large cluster made up: as many Services, endpoints and pods as asked for, in objects of the usual size."""

from .store import Store, encode

_MANAGED = [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
             "time": "2026-11-23T02:07:19Z", "fieldsType": "FieldsV1", "fieldsV1": {
                 "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}},
                 "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
                     ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {
                         ".": {}, "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {
                             ".": {}, "f:containerPort": {}, "f:name": {}, "f:protocol": {}}},
                     "f:resources": {}, "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}}},
                     "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}}}}]
_TIME = "2026-11-23T02:07:19Z"


def fill(store: Store, services: int, endpoints: int, namespaces: int = 100, nodes: int = 500,
         pods: bool = True) -> None:
    """`endpoints` spread evenly; a slice holds 100 at most."""
    kinds = {kind.plural: kind for kind in store.tables}

    def put(plural: str, key: str, obj: dict) -> None:
        store.version += 1
        obj["metadata"].update(resourceVersion=str(store.version), creationTimestamp=_TIME,
                               uid=f"00000000-0000-4000-8000-{store.version:012d}")
        table = store.tables[kinds[plural]]
        table.items[key] = encode(obj)

    for number in range(namespaces):
        put("namespaces", _namespace(number), {
            "metadata": {"name": _namespace(number), "labels": {"kubernetes.io/metadata.name": _namespace(number)}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    for number in range(nodes):
        put("nodes", f"node-{number}", {
            "metadata": {"name": f"node-{number}", "labels": {"topology.kubernetes.io/zone": f"zone-{number % 3}"}},
            "spec": {"podCIDRs": [f"10.{128 + number // 256}.{number % 256}.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.{number // 256}.{number % 256}"}]}})
    put("servicecidrs", "kubernetes", {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]}})
    pod = 0
    for number in range(services):
        namespace, name = _namespace(number % namespaces), f"service-{number}"
        put("services", f"{namespace}/{name}", {
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "managedFields": _MANAGED},
            "spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 8080, "targetPort": 8080}],
                     "selector": {"app": name}, "clusterIP": _ip(10, 96, number), "clusterIPs": [_ip(10, 96, number)],
                     "type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"],
                     "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"},
            "status": {"loadBalancer": {}}})
        count = endpoints // services + (number < endpoints % services)
        members = range(pod, pod + count)
        pod += count
        for first in range(0, max(count, 1), 100):
            slice_name = f"{name}-{first // 100:05d}"
            put("endpointslices", f"{namespace}/{slice_name}", _slice(namespace, name, slice_name,
                                                                      members[first:first + 100], nodes))
        if pods:
            for member in members:
                put("pods", f"{namespace}/{_pod(name, member)}", _pod_object(namespace, name, member, nodes))
    for table in store.tables.values():
        table.keys = sorted(table.items)
        table.oldest = store.version


def _namespace(number: int) -> str:
    return f"team-{number}"


def _ip(first: int, second: int, number: int) -> str:
    return f"{first}.{second + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def _pod(service: str, number: int) -> str:
    return f"{service}-7d9c4b8f6d-{number:05x}"


def _slice(namespace: str, service: str, name: str, members, nodes: int) -> dict:
    return {"metadata": {"name": name, "generateName": service + "-", "namespace": namespace,
                         "labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                                    "kubernetes.io/service-name": service},
                         "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": _TIME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [_ip(10, 128, member)],
                           "conditions": {"ready": True, "serving": True, "terminating": False},
                           "targetRef": {"kind": "Pod", "namespace": namespace, "name": _pod(service, member),
                                         "uid": f"00000000-0000-4000-8001-{member:012d}"},
                           "nodeName": f"node-{member % nodes}", "zone": f"zone-{member % nodes % 3}"}
                          for member in members] or None,
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}


def _pod_object(namespace: str, service: str, number: int, nodes: int) -> dict:
    return {"metadata": {"name": _pod(service, number), "generateName": service + "-7d9c4b8f6d-",
                         "namespace": namespace, "labels": {"app": service, "pod-template-hash": "7d9c4b8f6d"},
                         "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True,
                                              "name": service + "-7d9c4b8f6d", "blockOwnerDeletion": True,
                                              "uid": "00000000-0000-4000-8002-000000000000"}],
                         "managedFields": _MANAGED},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "resources": {},
                                     "env": [{"name": f"VARIABLE_{i}", "value": "x" * 40} for i in range(10)],
                                     "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                                     "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent",
                                     "terminationMessagePolicy": "File"}],
                     "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
                     "nodeName": f"node-{number % nodes}", "schedulerName": "default-scheduler",
                     "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                                      "effect": "NoExecute", "tolerationSeconds": 300}]},
            "status": {"phase": "Running", "hostIP": "192.168.0.1", "podIP": _ip(10, 128, number),
                       "podIPs": [{"ip": _ip(10, 128, number)}], "startTime": _TIME, "qosClass": "BestEffort",
                       "conditions": [{"type": kind, "status": "True", "lastTransitionTime": _TIME} for kind in (
                           "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")],
                       "containerStatuses": [{"name": "app", "ready": True, "restartCount": 0, "started": True,
                                              "image": "registry.example/app:1",
                                              "imageID": "registry.example/app@sha256:" + "0" * 64}]}}
