"""A synthetic cluster: Services of ten endpoints each in namespaces of a hundred, and one Service that is
large, as the Kubernetes API would hold them."""
import random

SERVICES_IN_NAMESPACE = 100
ENDPOINTS_OF_EACH = 9
ENDPOINTS_OF_SHARED = 5000
IN_SLICE = 100
NODES = 1000
ZONES = ["europe-west1-a", "europe-west1-b", "europe-west1-c"]
# The Service that all clients subscribe to.
SHARED = ("bench-0", "shared")
PORTS = [{"name": "http", "protocol": "TCP", "port": 8080}]


def word(rng, length):
    return "".join(rng.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(length))


def uid(rng):
    return "-".join(f"{rng.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))


def node_name(number):
    return f"gke-production-pool-{number % 10}-{number:06x}"


def metadata(rng, namespace, name, labels, **more):
    made = {"name": name, "uid": uid(rng), "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels, **more}
    return {"namespace": namespace, **made} if namespace else made


def address(number):
    return f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def endpoint(namespace, app, ip, number, pod):
    return {"addresses": [ip], "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": node_name(number % NODES), "zone": ZONES[number % NODES % len(ZONES)],
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod, "uid": f"{number:08x}-0000-4000-8000-000000000000"}}


class World:
    """`services` without the shared one. Equal arguments give equal worlds."""

    def __init__(self, services=10000, endpoints_of_each=ENDPOINTS_OF_EACH, endpoints_of_shared=ENDPOINTS_OF_SHARED):
        self.rng = random.Random(1)
        self.pods_made = 0
        self.namespaces, self.nodes, self.services, self.slices, self.pods = [], [], [], [], []
        for number in range(NODES):
            zone = ZONES[number % len(ZONES)]
            self.nodes.append({"apiVersion": "v1", "kind": "Node", "metadata": metadata(
                self.rng, None, node_name(number), {"topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux",
                                                    "topology.kubernetes.io/region": "europe-west1"}),
                "spec": {"podCIDR": f"10.{64 + number // 256}.{number % 256}.0/24"},
                "status": {"addresses": [{"type": "InternalIP", "address": f"10.0.{number >> 8}.{number & 255}"}]}})
        names = max(1, (services + SERVICES_IN_NAMESPACE - 1) // SERVICES_IN_NAMESPACE)
        for number in range(names):
            name = f"bench-{number}"
            self.namespaces.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(
                self.rng, None, name, {"kubernetes.io/metadata.name": name})})
        for number in range(services):
            self.add(f"bench-{number // SERVICES_IN_NAMESPACE}", f"service-{number}", number, endpoints_of_each)
        self.add(*SHARED, services, endpoints_of_shared)
        self.shared = [s for s in self.slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == SHARED[1]]

    def add(self, namespace, name, number, endpoints):
        self.services.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata(
            self.rng, namespace, name, {"app": name, "team": f"team-{number % 40}"}),
            "spec": {"clusterIP": f"10.43.{number >> 8}.{number & 255}", "clusterIPs": [f"10.43.{number >> 8}.{number & 255}"],
                     "type": "ClusterIP", "selector": {"app": name}, "ipFamilies": ["IPv4"],
                     "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]}})
        replica_set = word(self.rng, 9)
        for first in range(0, endpoints, IN_SLICE):
            some = []
            for _ in range(min(IN_SLICE, endpoints - first)):
                pod, ip = f"{name}-{replica_set}-{word(self.rng, 5)}", address(self.pods_made)
                some.append(endpoint(namespace, name, ip, self.pods_made, pod))
                self.add_pod(namespace, name, pod, ip, self.pods_made)
                self.pods_made += 1
            self.slices.append({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                                "metadata": metadata(self.rng, namespace, f"{name}-{word(self.rng, 5)}", {
                                    "kubernetes.io/service-name": name, "app": name,
                                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}),
                                "endpoints": some, "ports": PORTS})

    def add_pod(self, namespace, app, name, ip, number):
        """As much as a pod of one container has, or the reader of lists has it too easy."""
        self.pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(
            self.rng, namespace, name, {"app": app, "pod-template-hash": word(self.rng, 10)},
            managedFields=[{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                            "fieldsV1": {"f:status": {f"f:{field}": {} for field in (
                                "conditions", "containerStatuses", "hostIP", "phase", "podIP", "podIPs", "startTime")}}}]),
            "spec": {"nodeName": node_name(number % NODES), "restartPolicy": "Always", "serviceAccountName": "default",
                     "containers": [{"name": app, "image": "registry.example/app:1", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                                     "env": [{"name": f"SETTING_{i}", "value": "x" * 40} for i in range(8)],
                                     "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "10.0.0.1",
                       "conditions": [{"type": t, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                                      for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
                       "containerStatuses": [{"name": app, "ready": True, "restartCount": 0, "image": "registry.example/app:1",
                                              "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}})

    def changed_slice(self, number):
        """A slice of the shared Service whose first endpoint is 10.200.x.y, x.y being `number`; it is always
        the same slice, so a client that has this one has all before."""
        made = dict(self.shared[0])
        first = dict(made["endpoints"][0], addresses=[f"10.200.{number >> 8}.{number & 255}"])
        made["endpoints"] = [first] + made["endpoints"][1:]
        return made
