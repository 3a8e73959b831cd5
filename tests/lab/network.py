"""The node's network: bridge, Service address of the cluster DNS, a host outside, and no kube-proxy.

What reaches this network for a Service address (other than the cluster DNS's)
is dropped and counted: a pod whose sidecar carries its connections sends none.
"""

import re
from dataclasses import dataclass

from .tools import run

POD_GATEWAY4, POD_GATEWAY6 = "10.42.0.1", "fd00:42::1"
POD_CIDRS = ("10.42.0.0/16", "fd00:42::/64")
SERVICE_CIDRS = ("10.43.0.0/16", "fd00:43::/112")
CLUSTER_DNS4, CLUSTER_DNS6, NODE_LOCAL_DNS = "10.43.0.10", "fd00:43::10", "169.254.20.10"
# Documentation addresses: a host that belongs to no cluster.
OUTSIDE4, OUTSIDE6 = "198.51.100.7", "2001:db8:1::7"
# The same host's.
MORE_OUTSIDE4 = ("198.51.100.8", "198.51.100.9")
BRIDGE = "cni0"


@dataclass(frozen=True)
class Families:
    """The address families a pod has."""

    ipv4: bool = True
    ipv6: bool = True


DUAL, IPV4_ONLY, IPV6_ONLY = Families(), Families(ipv6=False), Families(ipv4=False)


def zone_of(node: str) -> str:
    """node-a is in zone-a."""
    return node.replace("node", "zone")


def set_up() -> None:
    _sysctl([], {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1,
                 "ipv6/conf/default/accept_dad": 0, "ipv6/conf/all/accept_dad": 0})
    _ip("link set lo up")
    for address in (f"{CLUSTER_DNS4}/32", f"{NODE_LOCAL_DNS}/32", f"{CLUSTER_DNS6}/128"):
        _ip(f"addr add {address} dev lo")
    # A bridge without a MAC of its own takes the lowest of its ports' and changes it as pods come:
    # what pods then send to the old one is lost.
    _ip(f"link add {BRIDGE} address 0a:58:0a:2a:00:01 type bridge")
    _ip(f"addr add {POD_GATEWAY4}/16 dev {BRIDGE}")
    _ip(f"-6 addr add {POD_GATEWAY6}/64 dev {BRIDGE} nodad")
    _ip(f"link set {BRIDGE} up")
    _drop_service_addresses()
    _outside_host()


def dropped_service_packets() -> int:
    """Packets for a Service address that came out of some pod, both families."""
    total = 0
    for save in ("iptables-save", "ip6tables-save"):
        for line in run([save, "-c", "-t", "mangle"]).stdout.splitlines():
            match = re.match(r"\[(\d+):\d+\] -A PREROUTING .*-j DROP", line)
            total += int(match.group(1)) if match else 0
    return total


def in_namespace(namespace: str) -> list[str]:
    """What goes before a command line. Not `ip netns exec` and not `ip -n`: they fail in a chroot."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--"]


def attach(namespace: str, host_end: str, families: Families, address4: str, address6: str) -> None:
    """A network namespace on the bridge, with addresses and default routes as a pod has them."""
    _ip(f"netns add {namespace}")
    _ip(f"link add {host_end} type veth peer name eth0 netns {namespace}")
    _ip(f"link set {host_end} master {BRIDGE} up")
    without_ipv6 = 0 if families.ipv6 else 1
    _sysctl(in_namespace(namespace),
            {"ipv6/conf/all/disable_ipv6": without_ipv6, "ipv6/conf/default/disable_ipv6": without_ipv6,
             "ipv6/conf/all/accept_dad": 0, "ipv6/conf/eth0/accept_dad": 0})
    _ip("link set lo up", namespace)
    _ip("link set eth0 up", namespace)
    if families.ipv4:
        _ip(f"addr add {address4}/16 dev eth0", namespace)
        _ip(f"route add default via {POD_GATEWAY4}", namespace)
    if families.ipv6:
        _ip(f"-6 addr add {address6}/64 dev eth0 nodad", namespace)
        _ip(f"-6 route add default via {POD_GATEWAY6}", namespace)


def detach(namespace: str, host_end: str) -> None:
    # The bridge end goes first: deleting a named namespace takes the kernel a while.
    run(["ip", "link", "del", host_end], check=False)
    run(["ip", "netns", "del", namespace], check=False)


def _drop_service_addresses() -> None:
    for restore, dns, cidr in (("iptables-restore", f"{CLUSTER_DNS4}/32", SERVICE_CIDRS[0]),
                               ("ip6tables-restore", f"{CLUSTER_DNS6}/128", SERVICE_CIDRS[1])):
        # PREROUTING, because a packet without a route never gets as far as FORWARD.
        run([restore], stdin=f"*mangle\n-A PREROUTING -d {dns} -j ACCEPT\n"
                             f"-A PREROUTING -d {cidr} -j DROP\nCOMMIT\n")


def _outside_host() -> None:
    _ip("netns add outside")
    _ip("link add outside type veth peer name eth0 netns outside")
    _ip("addr add 198.51.100.1/24 dev outside")
    _ip("-6 addr add 2001:db8:1::1/64 dev outside nodad")
    _ip("link set outside up")
    _sysctl(in_namespace("outside"), {"ipv6/conf/eth0/accept_dad": 0})
    _ip("link set lo up", "outside")
    _ip(f"addr add {OUTSIDE4}/24 dev eth0", "outside")
    _ip(f"-6 addr add {OUTSIDE6}/64 dev eth0 nodad", "outside")
    for address in MORE_OUTSIDE4:
        _ip(f"addr add {address}/24 dev eth0", "outside")
    _ip("link set eth0 up", "outside")
    _ip("route add default via 198.51.100.1", "outside")
    _ip("-6 route add default via 2001:db8:1::1", "outside")


def _sysctl(prefix: list[str], settings: dict[str, int]) -> None:
    """Settings below /proc/sys/net. The prefix says in which network namespace."""
    run([*prefix, "sh", "-ec", "; ".join(f"echo {value} > /proc/sys/net/{name}"
                                         for name, value in settings.items())])


def _ip(arguments: str, namespace: str = "") -> None:
    run([*(in_namespace(namespace) if namespace else []), "ip", *arguments.split()])
