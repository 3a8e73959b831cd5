"""The one Service of the bench that all clients subscribe to: large, with names of a usual length. The rest of
the cluster is made by the fake API server."""
NAMESPACE, NAME = "team-0", "shared"
ENDPOINTS, IN_SLICE = 5000, 100
PORTS = [{"name": "http", "protocol": "TCP", "port": 8080}]


def service():
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"clusterIP": "10.111.0.1", "clusterIPs": ["10.111.0.1"], "type": "ClusterIP",
                     "selector": {"app": NAME}, "ports": [{**PORTS[0], "port": 80, "targetPort": 8080}]}}


def endpoint(number):
    return {"addresses": [f"10.190.{number >> 8}.{number & 255}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"ip-10-0-{number % 500 >> 8}-{number % 256}.eu-central-1.compute.internal",
            "zone": f"eu-central-1{'abc'[number % 3]}",
            "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"{NAME}-6c9d7f5b84-{number:05x}"}}


def slice_of(first):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": PORTS,
            "metadata": {"name": f"{NAME}-{first // IN_SLICE:05}", "namespace": NAMESPACE,
                         "labels": {"kubernetes.io/service-name": NAME}},
            "endpoints": [endpoint(n) for n in range(first, first + IN_SLICE)]}


def objects():
    return [service()] + [slice_of(first) for first in range(0, ENDPOINTS, IN_SLICE)]


def changed(number):
    """The first slice with an endpoint 10.200.x.y, x.y being `number`: who has a slice has all before it."""
    made = slice_of(0)
    made["endpoints"][0]["addresses"] = [f"10.200.{number >> 8}.{number & 255}"]
    return made
