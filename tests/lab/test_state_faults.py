"""Whatever becomes of its disk, a sidecar answers from memory and says what is wrong."""

import pytest

from .cluster_dns import DECOY
from .faults import SmallDisk, control_plane_black_hole, own_pod
from .resolver_tools import dig
from .sidecar import STATE_DIR
from .tools import wait_until

_NAME = "backend.default.svc.cluster.local"
_NEW = "saved.default.svc.cluster.local"


@pytest.fixture(scope="module")
def pod(cluster):
    with own_pod(cluster, "state-faults") as made:
        made.sidecar.kill()
        made.disk = SmallDisk(made)
        made.sidecar.start()
        yield made


@pytest.fixture
def state(pod):
    """The state file in the pod, there and whole; the sidecar runs."""
    path = pod.disk.folder / "directory.state"
    wait_until(lambda: pod.exec("test", "-s", str(path)).returncode == 0, "the state is saved")
    return path


@pytest.fixture
def change(cluster, pod):
    """Makes a change that has to be saved: a Service that goes with the test."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "saved", "namespace": "default"},
               "spec": {"clusterIP": "10.43.0.72", "clusterIPs": ["10.43.0.72"], "ports": [{"port": 80}]}}

    def make():
        cluster.apply(service)
        wait_until(lambda: dig(pod, _NEW).data("A") == ["10.43.0.72"], "the change arrives", timeout=3)

    yield make
    cluster.delete(service)
    wait_until(lambda: dig(pod, _NEW).status == "NXDOMAIN", "the Service goes", timeout=3)


def test_a_full_disk_is_served_from_memory_and_the_old_state_stays(pod, state, change):
    before = pod.exec("md5sum", str(state)).stdout
    pod.disk.fill()
    try:
        change()
        _expect_fault(pod, "cannot be saved", "No space left on device")
        assert pod.sidecar.metrics()['portolan_feed_state_writes_total{result="failed"}'] >= 1
        assert pod.exec("md5sum", str(state)).stdout == before
    finally:
        pod.disk.make_room()
    wait_until(lambda: not pod.sidecar.feed()["stateFault"], "it is saved again")
    pod.sidecar.kill()
    _start_from_disk(pod)
    assert dig(pod, _NEW).data("A") == ["10.43.0.72"]


def test_a_disk_that_turns_read_only_is_served_from_memory(pod, state, change):
    pod.disk.set_read_only(True)
    try:
        change()
        _expect_fault(pod, "cannot be saved", "Read-only file system")
        pod.sidecar.kill()
        _start_from_disk(pod)
        assert dig(pod, _NAME).data("A") == ["10.43.0.123"], "what was saved before is still good"
    finally:
        pod.disk.set_read_only(False)
        pod.sidecar.kill()
        pod.sidecar.start()


@pytest.mark.parametrize("damage, said", [
    # Of a length that the header denies.
    ("truncate -s -100 {}", "expected"),
    ("truncate -s 0 {}", "not a state file"),
    # The format version is the four bytes behind the name.
    ("printf '\\377' | dd of={} bs=1 seek=8 conv=notrunc", "format 255, this program reads"),
    ("printf 'x' | dd of={} bs=1 seek=100 conv=notrunc", "checksum"),
], ids=["truncated", "empty", "other-version", "rotten"])
def test_a_state_that_cannot_be_used_is_set_aside(pod, state, damage, said):
    pod.sidecar.kill()
    pod.sh(damage.format(state))
    pod.sidecar.start()
    assert dig(pod, _NAME).data("A") == ["10.43.0.123"]
    _expect_fault(pod, said, f"set aside as {STATE_DIR}/directory.state.bad-")
    assert pod.sh(f"ls {state}.bad-*").returncode == 0
    wait_until(lambda: pod.exec("test", "-s", str(state)).returncode == 0, "a good state is saved", timeout=3)


def test_a_damaged_state_on_a_read_only_disk_without_a_control_plane_still_starts(pod, state):
    """Then nothing is known: queries are passed on, as before any state exists."""
    pod.sidecar.kill()
    pod.sh(f"truncate -s 10 {state}")
    pod.disk.set_read_only(True)
    try:
        with control_plane_black_hole(pod):
            pod.sidecar.start()
            assert dig(pod, _NAME).data("A") == [DECOY]
            _expect_fault(pod, "not a state file", "cannot be set aside: Read-only file system")
    finally:
        pod.disk.set_read_only(False)
    wait_until(lambda: dig(pod, _NAME).data("A") == ["10.43.0.123"], "the feed comes", timeout=15)


def _start_from_disk(pod):
    with control_plane_black_hole(pod):
        pod.sidecar.start()
        assert pod.sidecar.feed()["source"] == "disk"


def _expect_fault(pod, *words):
    """In /ready, which stays 200, in /config_dump and in the log."""
    wait_until(lambda: pod.sidecar.feed()["stateFault"], "the fault is seen", timeout=3)
    ready = pod.sidecar.page("/ready")
    assert ready.status == 200
    for text in (ready.body, pod.sidecar.feed()["stateFault"], pod.sidecar.daemon.log_tail(10)):
        assert all(word in text for word in words), text
