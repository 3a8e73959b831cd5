"""Which endpoint a connection reaches: what kube-proxy promises, and what it cannot do."""

import time
from collections import Counter

import pytest

from . import by_hand, network
from .by_hand import Endpoint, reached
from .faults import own_pod
from .odd_servers import HALF
from .pods import Shape
from .tools import PYTHON, wait_until

_OUTCOMES = "portolan_forwarder_connections_total"


@pytest.fixture(scope="module")
def caller(cluster):
    """Runs on node-a, in zone-a."""
    pod = cluster.tools_pod("caller", Shape(), node="node-a")
    yield pod
    cluster.stop_pod(pod)


@pytest.fixture(scope="module")
def servers(cluster):
    with by_hand.servers(cluster) as pod:
        yield pod


@pytest.fixture
def make(cluster, caller, servers):
    services = by_hand.Services(cluster, servers)
    yield lambda *endpoints, **how: services.make(caller, *endpoints, **how)
    services.end()


@pytest.fixture
def counted(caller):
    """counted(name) is by how much a metric has grown since the test began."""
    before = caller.sidecar.metrics()
    return lambda name: caller.sidecar.metrics().get(name, 0) - before.get(name, 0)


def _outcome(name: str) -> str:
    return f'{_OUTCOMES}{{outcome="{name}"}}'


# --- Destinations ---


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_ports_that_differ_in_each_slice(caller, make, ipv6):
    service = make(Endpoint(1), Endpoint(2), Endpoint(3), ipv6=ipv6)
    assert set(reached(caller, service.url)) == {"s1", "s2", "s3"}


def test_several_ports_are_told_apart_by_name(cluster, caller, servers, make):
    """Two ports of a Service, the targets of both in one slice, as the controller makes it of named target ports."""
    service = make(spec={"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]})
    obj = Endpoint(1).slice(service.name, "http", servers, ipv6=False)
    obj["ports"].append({"name": "admin", "protocol": "TCP", "port": Endpoint(2).port})
    cluster.api.apply(obj)
    try:
        wait_until(lambda: reached(caller, service.url, 1) == ["s1"], "the endpoint is held")
        assert reached(caller, f"http://{service.ip}:81/", 3) == ["s2"] * 3
        assert reached(caller, f"http://{service.ip}:82/", 1) == [""]
    finally:
        cluster.api.delete(obj)


def test_external_and_load_balancer_addresses(cluster, caller, servers, make):
    service = make(Endpoint(1))
    obj = service.object()
    obj["spec"].update({"type": "LoadBalancer", "externalIPs": ["198.51.100.77"]})
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "198.51.100.78"}]}}
    cluster.apply(obj)
    with own_pod(cluster, "external-caller", Shape(annotations={"include-cidrs": "198.51.100.64/27"})) as pod:
        service.wait_held_by(pod)
        for url in (service.url, "http://198.51.100.77/", "http://198.51.100.78/"):
            assert reached(pod, url, 2) == ["s1"] * 2, url


def test_in_cluster_mode_an_unreachable_ipv6_address_falls_back_to_ipv4(cluster):
    """An address outside of the cluster is not captured: its connect fails as it would without a sidecar."""
    aliases = tuple({"ip": ip, "hostnames": ["both.example.net"]} for ip in ("2001:db8:dead::1", network.OUTSIDE4))
    with own_pod(cluster, "happy-eyeballs", Shape(host_aliases=aliases)) as pod:
        dial = ("import socket; s = socket.create_connection(('both.example.net', 9090), 5); "
                "print(s.getpeername()[0])")
        done = pod.exec(PYTHON, "-c", dial)
        assert done.stdout.strip() == network.OUTSIDE4, done.stderr


# --- What kube-proxy promises ---


def test_session_affinity_keeps_a_pod_with_one_endpoint(caller, make, counted):
    service = make(*(Endpoint(n) for n in range(1, 7)), spec={"sessionAffinity": "ClientIP"})
    assert len(set(reached(caller, service.url, 20))) == 1
    assert counted("portolan_forwarder_affinity_total") == 19


def test_session_affinity_ends_after_its_timeout(caller, make):
    service = make(*(Endpoint(n) for n in range(1, 7)), spec={
        "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 2}}})
    names = []
    for _ in range(4):
        names += set(reached(caller, service.url, 3))
        time.sleep(2.3)
    assert len(names) == 4 and len(set(names)) > 1


def test_internal_traffic_policy_local(caller, make):
    service = make(Endpoint(1, node="node-a"), Endpoint(2), Endpoint(3), spec={"internalTrafficPolicy": "Local"})
    assert set(reached(caller, service.url)) == {"s1"}


def test_internal_traffic_policy_local_without_a_local_endpoint_resets(caller, make, counted):
    service = make(Endpoint(2), Endpoint(3), spec={"internalTrafficPolicy": "Local"})
    begin = time.monotonic()
    assert set(reached(caller, service.url, 3)) == {""}
    assert time.monotonic() - begin < 2
    assert counted(_outcome("no_local_endpoints")) == 3
    assert counted(_outcome("no_endpoints")) == 0


@pytest.mark.parametrize("distribution", ["PreferSameZone", "PreferClose"])
def test_hints_for_the_zone(caller, make, distribution):
    service = make(Endpoint(1, zones=("zone-a",)), Endpoint(2, zones=("zone-b",)), Endpoint(3, zones=("zone-a",)),
                   spec={"trafficDistribution": distribution})
    assert set(reached(caller, service.url)) == {"s1", "s3"}


def test_hints_for_the_node(caller, make):
    service = make(Endpoint(1, zones=("zone-a",), nodes=("node-b",)), Endpoint(2, zones=("zone-a",), nodes=("node-a",)),
                   spec={"trafficDistribution": "PreferSameNode"})
    assert set(reached(caller, service.url)) == {"s2"}


def test_hints_are_not_followed_where_one_endpoint_has_none(caller, make):
    service = make(Endpoint(1, zones=("zone-a",)), Endpoint(2, zones=("zone-b",)), Endpoint(3))
    assert set(reached(caller, service.url)) == {"s1", "s2", "s3"}


def test_endpoints_that_serve_while_they_terminate_are_used_where_none_is_ready(caller, make):
    service = make(Endpoint(1, ready=False, serving=False), Endpoint(2, ready=False, terminating=True),
                   Endpoint(3, ready=False, serving=False, terminating=True))
    assert set(reached(caller, service.url)) == {"s2"}
    service.set_endpoints(Endpoint(2, ready=False, terminating=True), Endpoint(4))
    service.wait_held_by(caller)
    assert set(reached(caller, service.url)) == {"s4"}


def test_publish_not_ready_addresses(cluster, caller):
    """The API reports such an endpoint as ready."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "early", "namespace": "default"},
               "spec": {"clusterIP": "10.43.78.1", "clusterIPs": ["10.43.78.1"], "ipFamilies": ["IPv4"],
                        "selector": {"app": "early"}, "publishNotReadyAddresses": True,
                        "ports": [{"name": "http", "port": 80, "targetPort": 9090}]}}
    template = {"metadata": {"name": "early", "labels": {"app": "early"}},
                "spec": {"containers": [{"name": "http", "image": "lab/http-9090",
                                         "ports": [{"containerPort": 9090}]}]}}
    cluster.apply(service)
    pod = cluster.start_pod(template, Shape(sidecar=False), listed=False)
    try:
        cluster.sync_endpoints()
        wait_until(lambda: reached(caller, "http://10.43.78.1/", 1) == ["early"], "the pod that is not ready is reached")
    finally:
        cluster.stop_pod(pod)
        cluster.delete(service)


# --- Beyond kube-proxy ---


@pytest.mark.parametrize("how", ["least-load", "round-robin", "random"])
def test_the_way_to_choose_is_asked_for_by_annotation(caller, make, how):
    service = make(Endpoint(1), Endpoint(2), Endpoint(3), annotations={"portolan.dev/load-balancer": how})
    counts = Counter(reached(caller, service.url, 30))
    assert set(counts) == {"s1", "s2", "s3"}
    if how != "random":
        # Two workers, each of which goes round.
        assert max(counts.values()) - min(counts.values()) <= 2


def test_a_limit_of_connections(caller, make, counted):
    service = make(Endpoint(1), annotations={"portolan.dev/max-connections": "2"})
    hold = ("import socket, time\n"
            f"held = [socket.create_connection(('{service.ip}', 80)) for _ in range(2)]\n"
            "print('held', flush=True)\ntime.sleep(30)")
    holder = caller.popen(PYTHON, "-c", hold)
    try:
        assert holder.stdout.readline() == "held\n"
        wait_until(lambda: counted(_outcome("forwarded")) == 2, "both are joined")
        assert reached(caller, service.url, 3) == ["", "", ""]
        assert counted(_outcome("over_limit")) == 3
    finally:
        holder.kill()
        holder.wait(5)
    wait_until(lambda: reached(caller, service.url, 1) == ["s1"], "there is room again")


def test_endpoints_that_refuse_are_passed_over(caller, make, counted):
    """Numbers above those of the servers: nobody listens there."""
    dead = by_hand.SERVERS
    service = make(Endpoint(1), Endpoint(2), Endpoint(dead + 1), Endpoint(dead + 2))
    assert set(reached(caller, service.url, 40)) == {"s1", "s2"}
    assert counted('portolan_forwarder_ejections_total{event="ejected"}') >= 2
    # Three times each on each of two workers, and trials.
    assert counted("portolan_forwarder_connect_retries_total") <= 20


def test_a_black_hole_costs_one_timeout_and_is_ejected(caller, servers, make, counted):
    service = make(Endpoint(1), Endpoint(2), Endpoint(3))
    end = by_hand.black_hole(servers, Endpoint(3).port)
    try:
        begin = time.monotonic()
        assert set(reached(caller, service.url, 40)) == {"s1", "s2"}
        # At most three on each worker before it is ejected, of 1 s each, and a trial now and then.
        assert time.monotonic() - begin < 12
        assert counted('portolan_forwarder_ejections_total{event="ejected"}') >= 1
    finally:
        end()
    wait_until(lambda: "s3" in reached(caller, service.url, 6), "a trial lets it back", timeout=15)


def test_all_endpoints_refuse(caller, make, counted):
    service = make(*(Endpoint(by_hand.SERVERS + n) for n in range(1, 7)))
    assert reached(caller, service.url, 1) == [""]
    assert counted("portolan_forwarder_connect_retries_total") == 3
    assert counted(_outcome("connect_failed")) == 1


_HOLD_OPEN = """
import socket, sys
held = socket.create_connection((sys.argv[1], 80)).makefile('rw')
for line in sys.stdin:
    held.write(line)
    held.flush()
    print(held.readline().strip(), flush=True)
"""


@pytest.mark.parametrize("what", ["unready", "deleted"])
def test_an_open_connection_outlives_what_becomes_of_its_endpoint(caller, servers, make, counted, what):
    number = {"unready": 101, "deleted": 102}[what]
    service = make(by_hand.start_odd_server(servers, "lines", number))
    holder = caller.talk(PYTHON, "-c", _HOLD_OPEN, service.ip)
    ask = lambda: (holder.stdin.write("\n"), holder.stdin.flush(), holder.stdout.readline().strip())[-1]
    try:
        assert ask() == "lines"
        remains = [Endpoint(number, ready=False, serving=False)] if what == "unready" else []
        service.set_endpoints(*remains, Endpoint(2))
        service.wait_held_by(caller)
        assert set(reached(caller, service.url, 6)) == {"s2"}
        assert ask() == "lines"
        deleted = 1 if what == "deleted" else 0
        time.sleep(1.2)
        assert counted("portolan_forwarder_endpoint_deleted_total") == deleted
        assert counted("portolan_forwarder_connections_to_deleted_endpoints") == deleted
    finally:
        holder.kill()
        holder.wait(5)
    wait_until(lambda: counted("portolan_forwarder_connections_to_deleted_endpoints") == 0, "it has ended")


def test_a_reset_in_mid_stream_reaches_the_client_after_what_was_sent(caller, servers, make, counted):
    service = make(by_hand.start_odd_server(servers, "resets", 103))
    dial = (f"import socket\ns = socket.create_connection(('{service.ip}', 80), 5)\n"
            f"print(s.recv({len(HALF)}, socket.MSG_WAITALL).decode())\ns.sendall(b'x')\n"
            "try:\n    print('end', s.recv(10))\nexcept ConnectionResetError:\n    print('reset')")
    done = caller.exec(PYTHON, "-c", dial)
    assert done.stdout.splitlines() == [HALF.decode(), "reset"], done.stderr
    assert counted('portolan_forwarder_ended_total{how="reset_by_endpoint"}') == 1


def test_a_slow_endpoint_is_waited_for(caller, servers, make):
    """The limit is for connecting alone."""
    service = make(by_hand.start_odd_server(servers, "slow", 104))
    done = caller.exec(PYTHON, "-c", f"import socket; print(socket.create_connection(('{service.ip}', 80)).recv(9))")
    assert done.stdout == "b'slow\\n'\n", done.stderr
