"""Becomes a container's process, as runc does: its file system, its user, its capabilities, then its program.

usage: container.py JSON, as root and in the pod's namespaces.

What of a container is not imitated here: pid and cgroup namespaces, resource limits, seccomp, hidden paths
below /proc, a file system other than the one given as root.
"""

import ctypes
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

PYTHON = sys.executable
# linux/capability.h. Only those that containers of ours, and of tests, ask for by name.
CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21}
# What a container that says nothing has; containerd's list.
DEFAULT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)

# Of the lab, and gone with it: namespaces.py.
OWN_FOLDERS = ("/etc/", "/run/", "/var/lib/")

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC = 0x1000, 0x4000
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38


@dataclass(frozen=True)
class Mount:
    """source, a file or folder of the node, is seen at target in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Container:
    argv: list
    environment: dict
    uid: int = 0
    gid: int = 0
    groups: list = field(default_factory=list)
    # Numbers: the bounding set. A program of root has all of them, one of another user those that its file gives.
    capabilities: list = field(default_factory=lambda: list(DEFAULT_CAPABILITIES))
    allow_privilege_escalation: bool = True
    root: str = "/"
    read_only_root: bool = False
    mounts: list = field(default_factory=list)
    # A folder where `root` is mounted for this container alone.
    place: str = ""
    working_dir: str = "/"

    def command(self) -> list[str]:
        return [PYTHON, "-B", str(Path(__file__).resolve()), json.dumps(asdict(self))]


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


_libc = ctypes.CDLL(None, use_errno=True)


def become(container: Container) -> None:
    if container.place:
        _enter_file_system(container)
    for number in range(64):
        if number not in container.capabilities and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
    os.setgroups(container.groups)
    os.setresgid(container.gid, container.gid, container.gid)
    os.setresuid(container.uid, container.uid, container.uid)
    if not container.allow_privilege_escalation:
        _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(container.working_dir)
    os.execvpe(container.argv[0], container.argv, container.environment)


def _enter_file_system(container: Container) -> None:
    """A mount namespace in which `root` is the root. The caller's mounts are private already."""
    _call("unshare", _CLONE_NEWNS)
    root = container.place
    for mount in container.mounts:
        _make_mount_point(container.root + mount["target"])
    _mount(container.root, root, _MS_BIND | _MS_REC)
    if container.read_only_root:
        _set_read_only(root)
    for mount in container.mounts:
        target = _place(container, mount["target"])
        _mount(mount["source"], target, _MS_BIND | _MS_REC)
        if mount["read_only"]:
            _set_read_only(target)
    os.chroot(root)
    os.chdir("/")


def _make_mount_point(path: str) -> None:
    """As a runtime makes it where the image has none. On the lab's own file systems only (namespaces.py)."""
    if os.path.exists(path):
        return
    real = os.path.realpath(path)
    if not real.startswith(OWN_FOLDERS):
        raise OSError(f"mount point {path} is missing, and is not in one of {', '.join(OWN_FOLDERS)}")
    os.makedirs(real)


def _place(container: Container, target: str) -> str:
    """Where a mount goes, in the container's file system. /var/run is /run."""
    within = os.path.realpath(container.root + target)
    return container.place + within.removeprefix(os.path.realpath(container.root).rstrip("/"))


def _set_read_only(target: str) -> None:
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    _call("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, ctypes.byref(attributes),
          ctypes.sizeof(attributes))


def _mount(source: str, target: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), None, flags, None, what=f"mount {source} at {target}")


def _call(name: str, *arguments, what: str = "") -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what or name}: {os.strerror(number)}")


if __name__ == "__main__":
    become(Container(**json.loads(sys.argv[1])))
