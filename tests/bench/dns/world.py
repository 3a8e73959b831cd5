"""What every server of the bench holds; names.cc asks for the same.

service-N   a ClusterIP Service with one port, "http" 80
headless-N  a headless Service with three endpoints
host-N.example.org   at the upstream
"""
import json, os

# Word for word what the seed asks for.
COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    hosts {
       # Static entries if needed
       fallthrough
    }
    cache 30
    loop
    reload
    loadbalance
}
"""
NAMESPACE = "bench"
DOMAIN = "bench.svc.cluster.local"
ENDPOINTS = 3
TTL = 30
MANIFESTS_IN_A_FILE = 1000


def dotted(n):
    return ".".join(str(n >> s & 255) for s in (24, 16, 8, 0))


def service_address(i):
    return dotted(0x0A2B0100 + i)


def endpoint_addresses(i):
    return [dotted(0x0A2C0100 + 4 * i + k) for k in range(ENDPOINTS)]


def service(name, ip):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{clusterIP: {ip}, ports: [{{name: http, port: 80}}]}}
"""


def headless(i):
    endpoints = ", ".join(f"{{addresses: [{a}], conditions: {{ready: true}}}}" for a in endpoint_addresses(i))
    return service(f"headless-{i}", "None") + f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: headless-{i}-x, namespace: {NAMESPACE}, labels: {{kubernetes.io/service-name: headless-{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{endpoints}]
"""


def endpoints_of_service(i, count):
    """As a cluster writes them down: of pods, on nodes in zones."""
    endpoints = ", ".join(f"{{addresses: [{dotted(0x0B000000 + count * i + k)}],"
                          f" nodeName: node-{k}, zone: zone-{k % 3}, targetRef: {{kind: Pod, namespace: {NAMESPACE}, name: service-{i}-5d4f8c7b9-x{k:04}}}}}"
                          for k in range(count))
    return f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: service-{i}-x7k2p, namespace: {NAMESPACE}, labels: {{kubernetes.io/service-name: service-{i}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{endpoints}]
"""


def write_manifests(folder, services, headless_services=0, endpoints=0, others=()):
    """endpoints: of each ClusterIP Service; others: objects beside them."""
    os.mkdir(folder)
    objects = [service(f"service-{i}", service_address(i)) for i in range(services)]
    objects += [endpoints_of_service(i, endpoints) for i in range(services) if endpoints]
    objects += [headless(i) for i in range(headless_services)]
    objects += [f"---\n{json.dumps(o)}\n" for o in others]
    for at in range(0, len(objects), MANIFESTS_IN_A_FILE):
        with open(f"{folder}/{at // MANIFESTS_IN_A_FILE:03}.yaml", "w") as f:
            f.writelines(objects[at:at + MANIFESTS_IN_A_FILE])


def records(count):
    """(owner, type, data) of the cluster's names, without final dots."""
    for i in range(count):
        yield f"service-{i}.{DOMAIN}", "A", service_address(i)
        yield f"_http._tcp.service-{i}.{DOMAIN}", "SRV", f"0 100 80 service-{i}.{DOMAIN}."
        for address in endpoint_addresses(i):
            yield f"headless-{i}.{DOMAIN}", "A", address


def write_cluster_zone(path, count):
    with open(path, "w") as f:
        f.write(f"$ORIGIN cluster.local.\n$TTL {TTL}\n@ SOA ns.dns hostmaster 1 7200 1800 86400 {TTL}\n@ NS ns.dns\n")
        f.write("ns.dns A 10.43.0.10\n")
        for owner, kind, data in records(count):
            f.write(f"{owner}. {kind} {data}\n")


def write_upstream_zone(path, count):
    with open(path, "w") as f:
        f.write("$ORIGIN example.org.\n$TTL 3600\n@ SOA ns hostmaster 1 7200 1800 86400 30\n@ NS ns\nns A 192.0.2.1\n")
        for i in range(count):
            f.write(f"host-{i} A {service_address(i)}\n")
