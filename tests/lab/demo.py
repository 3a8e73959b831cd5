"""The demo: a name asked in a pod is answered by its own sidecar, and the connection is carried to an endpoint.

usage: /usr/bin/python3 tests/lab/demo.py [--once]

Every step prints the command it runs in the frontend pod, what the command
printed, and whether that is what was promised. With --once the exit status is 0
only if every step held; without it the cluster stays up until Ctrl-C.
"""

import argparse
import os
import sys
import time

if not __package__:  # run by its path, as ./dev does: start again as the module that it is
    _tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.execve(sys.executable, [sys.executable, "-B", "-m", "tests.lab.demo", *sys.argv[1:]],
              {**os.environ, "PYTHONPATH": _tree})

from . import namespaces, network
from .changes import Measured, measure
from .cluster import OPTED_IN, Cluster, Pod
from .cluster_dns import DECOY
from .pods import Shape
from .resolver_tools import dig, nslookup_text
from .tools import TREE, LabError

_MANIFESTS = TREE / "manifests" / "demo"
_NAME = "backend.default.svc.cluster.local"
_HEADLESS = "backend-headless.default.svc.cluster.local"
_CLUSTER_IP, _PORT = "10.43.0.123", 8080
_CHANGE_LIMIT_MS = 100


class Report:
    """Prints steps, remembers whether all held."""

    def __init__(self):
        self.failed: list[str] = []

    def title(self, text: str) -> None:
        print(f"\n== {text}", flush=True)

    def output(self, command: str, text: str) -> None:
        print(f"\n$ {command}")
        print("".join(f"  {line}\n" for line in text.rstrip("\n").split("\n")), end="", flush=True)

    def again(self, too_late: list) -> None:
        print("".join(f"  {one}\n" for one in too_late) + "  too late: measured once more", flush=True)

    def check(self, claim: str, held: bool, otherwise: str = "") -> None:
        print(f"{'✓' if held else '✗'} {claim}{'' if held or not otherwise else f': {otherwise}'}", flush=True)
        if not held:
            self.failed.append(claim)


class Demo:
    def __init__(self, cluster: Cluster, frontend: Pod, report: Report):
        self._cluster, self._frontend, self._report = cluster, frontend, report
        self._external_cached = False

    def all_names_and_connections(self, in_sync: bool = True) -> None:
        self._cluster_ip_name(in_sync)
        self._short_name()
        self._headless_name()
        self._external_name()
        self._thirty_connections()

    def changes(self) -> None:
        self._report.title("A backend is removed and one is added")
        # Anything may hold a machine up for as long as is promised; what is slow itself is slow each time.
        for last in (False, False, True):
            measured = self._replace_a_backend()
            if last or any(m.errors for m in measured.values()) or all(
                    m.within(_CHANGE_LIMIT_MS) for m in measured.values()):
                break
            self._report.again([self._words(what, m) for what, m in measured.items()])
        for what, m in measured.items():
            self._report.check(f"{self._words(what, m)} (at most {_CHANGE_LIMIT_MS} ms promised)",
                               m.within(_CHANGE_LIMIT_MS), "connections failed" if m.errors else "too late")

    def _replace_a_backend(self) -> dict[str, Measured]:
        cluster = self._cluster
        goes = cluster.members("backend")[0]
        stay = [p.ip for p in cluster.members("backend") if p is not goes]
        removed = measure(self._frontend, _HEADLESS, _CLUSTER_IP, _PORT,
                          lambda: cluster.unlist_pod(goes), stay, gone=goes.name)
        cluster.stop_pod(goes)
        comes = cluster.add_replica("backend", listed=False)
        added = measure(self._frontend, _HEADLESS, _CLUSTER_IP, _PORT,
                        lambda: cluster.list_pod(comes), stay + [comes.ip], new=comes.name)
        return {f"{goes.name} removed": removed, f"{comes.name} added": added}

    def namespace_beside(self) -> None:
        cluster, report = self._cluster, self._report
        report.title("The namespace beside it, which was not opted in")
        pod = cluster.start_pod({"metadata": {"name": "visitor", "namespace": "beside"},
                                 "spec": {"containers": [{"name": "tools", "image": "lab/tools"}]}}, Shape())
        names = [c["name"] for c in pod.obj["spec"].get("initContainers", []) + pod.obj["spec"]["containers"]]
        report.check(f"{pod.name} has the container it was written with and no other", names == ["tools"], str(names))
        asked_before = cluster.dns.queries()
        text = pod.exec("nslookup", _NAME).stdout
        report.output(f"nslookup {_NAME}  # in {pod.name}", text)
        report.check("the cluster DNS answers it (its answer is wrong on purpose, so that one can tell)",
                     f"Address: {DECOY}\n" in text and cluster.dns.queries() > asked_before)

    @staticmethod
    def _words(what: str, m: Measured) -> str:
        seen = ", ".join(f"{where} {'never' if ms is None else f'after {ms:.1f} ms'}"
                         for where, ms in (("answers follow", m.answers_ms), ("connections follow", m.connections_ms)))
        return f"{what}: {seen}" + (f"; connections failed: {m.errors}" if m.errors else "")

    def _cluster_ip_name(self, in_sync: bool) -> None:
        asked_before = self._cluster.dns.queries()
        self._nslookup(_NAME)
        if not in_sync:
            # nslookup tries the search list first, as the name has fewer than five dots. Without a
            # control plane the sidecar does not deny names that it does not know, such as
            # NAME.default.svc.cluster.local: the cluster DNS does. The name itself, with a dot at its
            # end, is still answered by the sidecar alone.
            asked_before = self._cluster.dns.queries()
            self._nslookup(f"{_NAME}.")
        asked = self._cluster.dns.queries() - asked_before
        self._report.check("the cluster DNS was not asked: its query counter did not move",
                           asked == 0, f"it moved by {asked}")
        answer = dig(self._frontend, _NAME)
        self._report.output(f"dig {_NAME} | grep flags",
                            "\n".join(line for line in answer.text.splitlines() if "flags: qr" in line) or answer.text)
        self._report.check("the answer carries AA and RA", {"aa", "ra"} <= answer.flags)

    def _nslookup(self, name: str) -> None:
        text = self._run(f"nslookup {name}")
        self._report.check("Server, Address, Name, Address and nothing else",
                           text == nslookup_text(network.CLUSTER_DNS4, _NAME, _CLUSTER_IP))

    def _short_name(self) -> None:
        text = self._run("nslookup backend")
        self._report.check("the short name is found through the search list",
                           text == nslookup_text(network.CLUSTER_DNS4, _NAME, _CLUSTER_IP))
        text = self._run("getent hosts backend")
        self._report.check("getent gives the ClusterIP and the full name", text.split() == [_CLUSTER_IP, _NAME])

    def _headless_name(self) -> None:
        expected = sorted(p.ip for p in self._cluster.members("backend"))
        command = f"for i in $(seq 12); do dig +short {_HEADLESS} | tr '\\n' ' '; echo; done"
        orders = [line.split() for line in self._run(command).splitlines()]
        self._report.check(f"the headless name gives the {len(expected)} pod addresses each time",
                           len(orders) == 12 and all(sorted(order) == expected for order in orders))
        self._report.check("in changing order", len({order[0] for order in orders if order}) > 1)

    def _external_name(self) -> None:
        asked_before = self._cluster.dns.queries()
        text = self._run("nslookup example.org")
        asked = self._cluster.dns.queries() - asked_before
        self._report.check("an external name is answered",
                           f"Address: {network.OUTSIDE4}\n" in text and f"Address: {network.OUTSIDE6}\n" in text)
        # The sidecar caches: a repetition need not get as far as the cluster DNS.
        if not self._external_cached:
            self._external_cached = True
            self._report.check("by the cluster DNS, through the sidecar: its query counter moved",
                               asked > 0, "it did not move")

    def _thirty_connections(self) -> None:
        dropped_before = network.dropped_service_packets()
        url = f"http://{_NAME}:{_PORT}/"
        text = self._run(f"for i in $(seq 30); do curl -sS -m 1 {url}; done | sort | uniq -c")
        counts = {line.split()[1]: int(line.split()[0]) for line in text.splitlines() if len(line.split()) == 2}
        backends = {p.name for p in self._cluster.members("backend")}
        self._report.check("thirty connections reach each backend at least three times",
                           set(counts) == backends and sum(counts.values()) == 30 and min(counts.values()) >= 3)
        dropped = network.dropped_service_packets() - dropped_before
        self._report.check("no packet for a Service address left the pod: there is no kube-proxy to carry it",
                           dropped == 0, f"{dropped} did")

    def _run(self, script: str) -> str:
        done = self._frontend.sh(script, timeout=40)
        self._report.output(script, done.stdout + done.stderr)
        return done.stdout


def _run_demo(once: bool) -> int:
    report = Report()
    begin = time.monotonic()
    report.title("Bringing up the cluster: frontend (2 replicas), backend (3 replicas), Service backend, the Corefile")
    with Cluster(_MANIFESTS) as cluster:
        cluster.label_namespace("default", OPTED_IN)
        print(f"  namespace default is labelled {OPTED_IN}")
        for name in ("backend", "frontend"):
            for pod in cluster.deploy(name):
                injected = ", ".join(c["name"] for c in pod.obj["spec"].get("initContainers", []))
                print(f"  {pod.name}  {' '.join(pod.sandbox.ips)}  on {pod.obj['spec']['nodeName']}, "
                      f"injected: {injected or 'nothing'}", flush=True)
        frontend = cluster.members("frontend")[0]
        print(f"  up after {time.monotonic() - begin:.1f} s; what follows runs in {frontend.name}")
        demo = Demo(cluster, frontend, report)
        report.title("Names and connections")
        demo.all_names_and_connections()
        demo.changes()
        demo.namespace_beside()
        report.title("The control plane is killed")
        cluster.control.kill()
        demo.all_names_and_connections(in_sync=False)
        report.title("The sidecar is killed and starts again, still without a control plane")
        frontend.sidecar.kill()
        frontend.sidecar.start()
        demo.all_names_and_connections(in_sync=False)
        report.title("Over all of it")
        report.check("no packet for a Service address left a pod",
                     network.dropped_service_packets() == 0, f"{network.dropped_service_packets()} did")
        if not once:
            _stay_up(cluster)
    if report.failed:
        print(f"\n{len(report.failed)} steps did not hold:", *report.failed, sep="\n  ")
        return 1
    print("\nEverything held.")
    return 0


def _stay_up(cluster: Cluster) -> None:
    cluster.control.start()
    print("\nThe cluster stays up, with a control plane again. A shell in a pod:")
    for pod in cluster.pods.values():
        print(f"  {pod.name:28} sudo {pod.sandbox.shell_hint()}")
    print("Ctrl-C ends it.", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nending")


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.split("\n")[0])
    parser.add_argument("--once", action="store_true", help="end after the steps; exit status 0 if all held")
    once = parser.parse_args().once
    if not namespaces.inside():
        return namespaces.run_inside([sys.executable, "-B", "-m", __spec__.name, *sys.argv[1:]])
    try:
        return _run_demo(once)
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"\nthe lab failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
