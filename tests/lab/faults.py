"""Faults that a test puts into one pod, and what its sidecar needs to show for it."""

from contextlib import contextmanager
from pathlib import Path

from .cluster import Cluster, Pod
from .control_plane import XDS_PORT
from .pods import Shape
from .sidecar import UID
from .tools import PYTHON, LabError, wait_until

_HOLD = str(Path(__file__).resolve().with_name("hold.py"))

# Short, so that a test need not wait for the default of 10 s.
QUICKLY_STALE = ("--stale-after", "2s")


@contextmanager
def own_pod(cluster: Cluster, name: str, shape: Shape = Shape()):
    """A pod for what would harm others. Its sidecar ends by SIGKILL: there is no lameduck to wait for."""
    pod = cluster.tools_pod(name, shape)
    try:
        yield pod
    finally:
        pod.sidecar.kill()
        cluster.stop_pod(pod)


@contextmanager
def control_plane_black_hole(pod: Pod):
    """What the pod sends to the control plane vanishes, as behind a firewall: no reset, no ICMP."""
    rule = f"OUTPUT -p tcp --dport {XDS_PORT} -j DROP"
    _must(pod, f"iptables -I {rule} && ip6tables -I {rule}")
    try:
        yield
    finally:
        _must(pod, f"iptables -D {rule} && ip6tables -D {rule}")


def cut_off(pod: Pod) -> None:
    """The pod's connections to the control plane are reset, once."""
    rule = f"OUTPUT -p tcp --dport {XDS_PORT} -j REJECT --reject-with tcp-reset"
    _must(pod, f"iptables -I {rule} && ip6tables -I {rule}")
    try:
        wait_until(lambda: not pod.sidecar.feed()["connected"], "the feed is away")
    finally:
        _must(pod, f"iptables -D {rule} && ip6tables -D {rule}")


class SmallDisk:
    """A file system of its own under the state directory, seen in the pod only."""

    def __init__(self, pod: Pod):
        """The sidecar is stopped."""
        self._pod, self.folder = pod, pod.sidecar.state_dir
        _must(pod, f"mount -t tmpfs -o size=64k,uid={UID},gid={UID} disk {self.folder}")

    def fill(self) -> None:
        self._pod.sh(f"cat /dev/zero > {self.folder}/fill")  # ends with "No space left on device"

    def make_room(self) -> None:
        _must(self._pod, f"rm {self.folder}/fill")

    def set_read_only(self, read_only: bool) -> None:
        _must(self._pod, f"mount -o remount,{'ro' if read_only else 'rw'} {self.folder}")


class FakeClock:
    """A wall clock that a test sets, for a sidecar that is started with `before`. The monotonic one goes on."""

    def __init__(self, pod: Pod):
        # libfaketime keeps a semaphore there, which must not stay on the machine.
        _must(pod, "mount -t tmpfs -o mode=1777 shm /dev/shm")
        self._file = pod.sandbox.folder / "clock"
        self.set("+0")
        self.before = ("env", "LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1",
                       f"FAKETIME_TIMESTAMP_FILE={self._file}", "FAKETIME_NO_CACHE=1",
                       "FAKETIME_DONT_FAKE_MONOTONIC=1")

    def set(self, offset: str) -> None:
        """offset from the machine's clock, such as +1h."""
        next_file = self._file.with_suffix(".next")
        next_file.write_text(f"{offset}\n")
        next_file.rename(self._file)


@contextmanager
def held_connections(pod: Pod, count: int, address: str, port: int):
    """So many TCP connections of an application that does nothing with them; those refused are left out."""
    process = pod.popen(PYTHON, "-B", _HOLD, str(count), address, str(port))
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait(5)


def _must(pod: Pod, script: str) -> None:
    done = pod.sh(script)
    if done.returncode != 0:
        raise LabError(f"{script}: {done.stderr}")
