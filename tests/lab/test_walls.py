"""The lab leaves nothing behind on the machine, however it ends."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from .tools import PYTHON, TREE, LabError, wait_until

# A lab within the lab: what is "the host" to it is our own namespaces, where we can count.
_SMALL_LAB = """
import sys, time
from tests.lab import namespaces, network
from tests.lab.cluster_dns import ClusterDns
from tests.lab.pods import Sandbox, Shape
if not namespaces.inside():
    sys.exit(namespaces.run_inside([sys.executable, "-B", "-c", {source!r}]))
network.set_up()
dns = ClusterDns(namespaces.RUN / "cluster-dns")
pod = Sandbox("default", "nested-pod", 0, Shape(), namespaces.RUN / "pod")
assert "10.43.0.10" in pod.exec("cat", "/etc/resolv.conf").stdout
print("up", flush=True)
time.sleep(60)
"""


def _traces() -> tuple:
    """What a lab could leave: processes, network namespaces, mounts, links and rules of its surroundings."""
    processes, namespaces = set(), set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                namespaces.add(os.readlink(entry / "ns/net"))
                processes.add(entry.name)
            except OSError:
                continue
    links = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True, timeout=5).stdout
    rules = subprocess.run(["iptables-save"], stdout=subprocess.PIPE, text=True, timeout=5).stdout
    return (processes, namespaces, Path("/proc/self/mountinfo").read_text(), set(os.listdir("/run/netns")),
            links, [line for line in rules.splitlines() if line.startswith("-A")])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_behind(number):
    environment = {k: v for k, v in os.environ.items() if k != "PORTOLAN_LAB_INSIDE"}
    before = _traces()
    source = _SMALL_LAB.replace("{source!r}", "open('/proc/self/cmdline').read().split('\\0')[3]")
    lab = subprocess.Popen([PYTHON, "-B", "-c", source], cwd=TREE, env=environment,
                           stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert lab.stdout.readline() == "up\n"
    during = _traces()
    assert len(during[0]) >= len(before[0]) + 4 and len(during[1]) >= len(before[1]) + 2, "it was there"
    assert during[2:6] == before[2:6], "it is not seen from outside"
    if number == signal.SIGINT:
        os.killpg(lab.pid, number)  # as the terminal does on Ctrl-C
    else:
        lab.send_signal(number)
    lab.wait(25)
    try:
        wait_until(lambda: _traces() == before, "everything it made is gone", timeout=5)
    except LabError:
        assert _traces() == before  # shows what is left
