"""The walls of the lab: mount, network, pid, uts and ipc namespaces of its own.

Everything the lab starts is a descendant of the first process in a pid
namespace, and everything it mounts or configures lives in namespaces which
only those processes hold. The kernel takes all of it away when that first
process ends, and that one ends with its parent (PR_SET_PDEATHSIG), even when
the parent is killed with SIGKILL. There is no clean-up code to forget.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

# The lab's own tmpfs: logs, pod files, the folder of manifests. It vanishes with the mount namespace.
RUN = Path("/run/lab")
# The /proc of the host, seen from inside: the only way to tell a user the pid that nsenter wants.
HOST_PROC = Path("/run/host-proc")

_MARK = "PORTOLAN_LAB_INSIDE"
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 20

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    return _MARK in os.environ


def run_inside(argv: list[str]) -> int:
    """Runs argv as the first process of fresh namespaces and returns its exit status."""
    if os.geteuid() != 0:
        print("the lab makes network namespaces and must run as root (sudo)", file=sys.stderr)
        return 1
    sys.stdout.flush()
    sys.stderr.flush()
    alive_read, alive_write = os.pipe()
    _call("unshare", _CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        try:
            os.close(alive_write)
            _become_first_process(alive_read, argv)
        except BaseException as error:  # a forked child must not return into the caller's stack
            print(f"lab: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os.close(alive_read)
    return _wait(child)


def host_pid(pid: int) -> int:
    """The number that a process of the lab has outside of it."""
    namespace = os.stat(f"/proc/{pid}/ns/pid").st_ino
    for entry in HOST_PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.stat(entry / "ns/pid").st_ino != namespace:
                continue
            for line in (entry / "status").read_text().splitlines():
                if line.startswith("NSpid:") and line.split()[-1] == str(pid):
                    return int(entry.name)
        except OSError:
            continue  # the process ended while we looked
    raise LookupError(f"process {pid} of the lab is not visible outside")


def _become_first_process(alive_read: int, argv: list[str]) -> None:
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the line above: then the pipe has no writer any more.
    if select.select([alive_read], [], [], 0)[0]:
        os._exit(1)
    os.close(alive_read)
    _call("unshare", _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWUTS | _CLONE_NEWIPC)
    _make_mounts_private()
    # The host's resolvers, firewall lock and named namespaces live in /run: hide them all.
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in ("/run/netns", "/run/lock", str(HOST_PROC), str(RUN)):
        os.makedirs(folder)
    _mount("--bind", "/proc", str(HOST_PROC))
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "sysfs", "sysfs", "/sys")
    _own_etc()
    _own_var_lib()
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    environment[_MARK] = "1"
    os.execvpe(argv[0], argv, environment)


def _make_mounts_private() -> None:
    """Private from the true root down, also when we stand in a chroot.

    In a chroot "/" is no mount point and cannot be made private. Joining our
    own mount namespace puts us at its root; afterwards we step back.
    """
    chroot = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    where = os.getcwd()
    _call("setns", own, _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    os.fchdir(chroot)
    os.chroot(".")
    os.chdir(where)
    os.close(own)
    os.close(chroot)


def _own_etc() -> None:
    """A copy of /etc in which the files that pods replace exist and are no symbolic links."""
    copy = RUN / "etc"
    subprocess.run(["cp", "-a", "/etc", str(copy)], check=True, timeout=60)
    for name in ("resolv.conf", "hosts", "nsswitch.conf", "hostname"):
        (copy / name).unlink(missing_ok=True)
        (copy / name).write_text("127.0.0.1 localhost\n" if name == "hosts" else "")
    _mount("--bind", str(copy), "/etc")


def _own_var_lib() -> None:
    """A folder in which pods may have mount points, and all else is as on the machine."""
    folder = RUN / "var-lib"
    folder.mkdir()
    for entry in Path("/var/lib").iterdir():
        if entry.is_dir() and not entry.is_symlink():
            (folder / entry.name).mkdir()
            _call("mount", bytes(entry), bytes(folder / entry.name), None, _MS_BIND | _MS_REC, None)
    _mount("--rbind", str(folder), "/var/lib")


def _wait(child: int) -> int:
    """Waits for the lab. Ctrl-C reaches it by the terminal; SIGTERM and SIGHUP are passed on as Ctrl-C."""

    def pass_on(_signal, _frame):
        os.kill(child, signal.SIGINT)
        signal.alarm(_GRACE_SECONDS)

    def end(_signal, _frame):
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    signal.signal(signal.SIGALRM, end)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=10)


def _call(name: str, *arguments) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
