"""A pod's network namespace, in which the bench runs, and one beyond a veth for the endpoints.

10.66.0.2    the pod            10.66.1.1-4   the endpoints, port 8080
10.67.0.0/16 Services, redirected to the sidecar
10.68.0.0/16 redirected to haproxy            10.69.0.0/16  to nginx
10.71.0.1    a Service of UDP, led to the sidecar by TPROXY
10.72.0.0/16 Services, redirected to a sidecar with egress policy
10.70.0.0/16 the same Services as 10.67.0.0/16, in an nftables DNAT map as kube-proxy would make it
"""
import os, subprocess

PORT = 8080
SIDECAR = 1337  # the user whose connections are not redirected
ENDPOINTS = [f"10.66.1.{n}" for n in (1, 2, 3, 4)]
SYSCTLS = {
    # Without losses the same as Linux's default, cubic, which a namespace may not always choose. bbr, where the machine
    # has that, sets a timer for each burst: half of what bulk costs on a virtual machine.
    "net.ipv4.tcp_congestion_control": "reno",
    # A client here makes connections as a thousand would: its ports come back in time.
    "net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_tw_reuse": "1",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "1", "net.core.somaxconn": "4096",
    "net.ipv4.tcp_max_syn_backlog": "8192",
}


def service_address(range_, n):
    return f"10.{range_}.{n // 250}.{n % 250 + 1}"


def run(command, **kwargs):
    subprocess.run(command.split(), check=True, **kwargs)


class Network:
    """REQUIRES: the process is in a network namespace of its own (run.py sees to it)."""

    def __init__(self):
        # Ends with the bench, however that ends.
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        self.endpoints = f"/proc/{self.holder.pid}/ns/net"
        own = os.stat("/proc/self/ns/net").st_ino
        while os.stat(self.endpoints).st_ino == own:
            pass  # unshare has only begun
        there = f"nsenter --net={self.endpoints} "
        for command in ["ip link set lo up", "ip link add pod0 type veth peer name node0",
                        f"ip link set node0 netns {self.holder.pid}", "ip address add 10.66.0.2/16 dev pod0",
                        "ip link set pod0 up", "ip route add default via 10.66.0.1 dev pod0",
                        f"{there}ip link set lo up", f"{there}ip address add 10.66.0.1/16 dev node0",
                        f"{there}ip link set node0 up",
                        # What leaves the pod for a Service is refused, and not waited for.
                        f"{there}ip route add default via 10.66.0.2", f"{there}sysctl -qw net.ipv4.ip_forward=1",
                        f"{there}iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset"]:
            run(command)
        for address in ENDPOINTS:
            run(f"{there}ip address add {address}/16 dev node0")
        # Connection tracking is as in a pod: there is a redirect.
        run("iptables -t nat -N BENCH")
        for protocol in ("tcp", "udp"):
            run(f"iptables -t nat -A OUTPUT -p {protocol} -m owner ! --uid-owner {SIDECAR} -j BENCH")
        for name, value in SYSCTLS.items():
            self.set(name, value)
            if not name.startswith("net.netfilter"):
                self.set(name, value, there)

    @staticmethod
    def set(name, value, where=""):
        subprocess.run([*where.split(), "sysctl", "-qw", f"{name}={value}"], check=True)

    @staticmethod
    def redirect(range_, port, protocol="tcp"):
        """The latest wins."""
        run(f"iptables -t nat -I BENCH 1 -p {protocol} -d 10.{range_}.0.0/16 -j REDIRECT --to-ports {port}")

    @staticmethod
    def dnat(range_, services):
        """Each Service to one endpoint, by a map that the kernel looks up."""
        elements = ", ".join(f"{service_address(range_, n)} . {PORT} : {ENDPOINTS[n % len(ENDPOINTS)]} . {PORT}"
                             for n in range(services))
        rules = ("table ip services {\n map endpoints { type ipv4_addr . inet_service : ipv4_addr . inet_service;"
                 f" elements = {{ {elements} }} }}\n chain output {{\n type nat hook output priority -100;\n"
                 " dnat ip to ip daddr . tcp dport map @endpoints;\n }\n}\n")
        run("nft -f -", input=rules.encode())

    def stop(self):
        self.holder.communicate()
