"""The container runtime of the lab: a pod's sandbox, and running programs in it.

A sandbox is a network, mount and uts namespace held by one sleeping process. Its
/etc holds the files that a kubelet writes: resolv.conf, hosts, hostname.
"""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Sequence

from . import network, sanitizers
from .namespaces import host_pid
from .tools import Daemon, run

CLUSTER_SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
# What a kubelet adds from the resolv.conf of a node in a cloud.
NODE_SEARCH = CLUSTER_SEARCH + ("eu-west-1.compute.internal",)
SIX_SEARCH = NODE_SEARCH + ("corp.example.net", "example.net")


@dataclass(frozen=True)
class Shape:
    """How a pod looks to its resolver. The default is a pod with dnsPolicy ClusterFirst."""

    families: network.Families = network.DUAL
    nameserver: str = ""
    search: tuple = CLUSTER_SEARCH
    options: str = "ndots:5"
    # dnsmasq at 127.0.0.1 in the pod, asked by resolv.conf; its own upstream is the cluster DNS.
    own_resolver: bool = False
    resolv_conf_is_empty: bool = False
    host_aliases: tuple = ()
    # Without one the pod is opted out, by its label.
    sidecar: bool = True
    # For the injector, without `portolan.dev/`.
    annotations: dict = field(default_factory=dict)
    # More flags for portolan-init, for what no annotation says.
    init_flags: tuple = ()
    # Whether what was injected is started with the pod; a test does it by hand else.
    starts_injected: bool = True

    def resolver(self) -> str:
        if self.own_resolver:
            return "127.0.0.1"
        return self.nameserver or self.cluster_dns()

    def cluster_dns(self) -> str:
        return network.CLUSTER_DNS4 if self.families.ipv4 else network.CLUSTER_DNS6

    def resolv_conf(self) -> str:
        if self.resolv_conf_is_empty:
            return ""
        return (f"search {' '.join(self.search)}\nnameserver {self.resolver()}\n"
                f"options {self.options}\n")


class Sandbox:
    """Namespaces, addresses and /etc of one pod."""

    def __init__(self, namespace: str, name: str, number: int, shape: Shape, folder: Path):
        self.namespace, self.name, self.shape, self.folder = namespace, name, shape, folder
        self._netns, self._host_end = f"pod-{number}", f"veth{number}"
        address4 = f"10.42.{number // 250}.{number % 250 + 2}"
        address6 = f"fd00:42::{number + 2:x}"
        folder.mkdir(parents=True)
        network.attach(self._netns, self._host_end, shape.families, address4, address6)
        self.ips = [a for a, has in ((address4, shape.families.ipv4), (address6, shape.families.ipv6)) if has]
        self._daemons: list[Daemon] = []
        self._write_etc()
        self._pause = self._start_pause()

    @property
    def ip(self) -> str:
        return self.ips[0]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs argv in this pod."""
        return ["nsenter", "--target", str(self._pause.pid), "--mount", "--net", "--uts",
                "--root", "--wd=/", "--", *argv]

    def exec(self, *argv: str, timeout: float = 15) -> subprocess.CompletedProcess:
        """As `kubectl exec`: stdout and stderr as text, any exit status."""
        return run(self.command(argv), timeout=timeout, check=False)

    def sh(self, script: str, timeout: float = 30) -> subprocess.CompletedProcess:
        return self.exec("sh", "-c", script, timeout=timeout)

    def popen(self, *argv: str) -> subprocess.Popen:
        return subprocess.Popen(self.command(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def talk(self, *argv: str, log: Optional[Path] = None) -> subprocess.Popen:
        """As popen, and the test writes to its input. log: where its stderr goes."""
        with open(log or os.devnull, "wb") as errors:
            return subprocess.Popen(self.command(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                    text=True)

    def start(self, container: str, argv: Sequence[str]) -> Daemon:
        daemon = Daemon(f"{self.name}/{container}", self.command(argv), self.folder / f"{container}.log",
                        {"PATH": os.environ["PATH"], "HOSTNAME": self.name, **sanitizers.environment()})
        self._daemons.append(daemon)
        return daemon

    def daemons(self) -> list[Daemon]:
        return list(self._daemons)

    def shell_hint(self) -> str:
        """A command that opens a shell in this pod, from a terminal outside of the lab."""
        # pid_for_children of nsenter's --pid makes ps and kill in that shell mean the lab's processes.
        return f"nsenter --target {host_pid(self._pause.pid)} --mount --net --uts --pid --root --wd=/ bash"

    def stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.stop()
        self._pause.kill()
        network.detach(self._netns, self._host_end)

    def _write_etc(self) -> None:
        hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        hosts += "".join(f"{ip}\t{self.name}\n" for ip in self.ips)
        hosts += "".join(f"{alias['ip']}\t{' '.join(alias['hostnames'])}\n" for alias in self.shape.host_aliases)
        for name, text in (("resolv.conf", self.shape.resolv_conf()), ("hosts", hosts),
                           # What a Debian container without systemd has.
                           ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"),
                           ("hostname", self.name + "\n")):
            (self.folder / name).write_text(text)

    def _start_pause(self) -> Daemon:
        binds = "".join(f"mount --bind {self.folder}/{name} /etc/{name}; "
                        for name in ("resolv.conf", "hosts", "nsswitch.conf", "hostname"))
        ready = self.folder / "sandbox-is-up"
        script = f"{binds} hostname {self.name} 2>/dev/null || echo {self.name} > /proc/sys/kernel/hostname; "
        script += f"touch {ready}; exec sleep infinity"
        # Propagation unchanged: all mounts of the lab are private already, and in a chroot
        # unshare could not make them so.
        pause = Daemon(f"{self.name}/pause",
                       [*network.in_namespace(self._netns), "unshare",
                        "--mount", "--uts", "--propagation", "unchanged", "sh", "-ec", script],
                       self.folder / "pause.log")
        pause.wait_ready(ready.exists, "the sandbox is up")
        return pause
