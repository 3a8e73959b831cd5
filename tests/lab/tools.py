"""Running programs with a limit on time, and waiting with a limit on time."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Optional, Sequence

TREE = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
# The exit status of a program that we ended, as timeout(1) has it.
TIMED_OUT = 124


class LabError(Exception):
    """Something the lab itself needs did not come about; the text says what, and shows the log."""


def sanitized() -> bool:
    """Whether our programs were built with a sanitizer: their memory and speed are its own."""
    return os.environ.get("PORTOLAN_SANITIZER", "") != ""


def portolan(program: str) -> str:
    """The path of one of our programs: from $PORTOLAN_BIN, else from the build folder of this tree."""
    path = Path(os.environ.get("PORTOLAN_BIN", TREE / "build" / "bin")).resolve() / program
    if not path.exists():
        raise LabError(f"{path} does not exist: build first, or set PORTOLAN_BIN")
    return str(path)


def free_port() -> int:
    """A port of the loopback that neither TCP nor UDP has taken.

    None that the kernel gives to clients (net.ipv4.ip_local_port_range): a UDP client that is given its server's
    port hears itself, and takes its own question for the answer.
    """
    while True:
        port = random.randrange(20000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            pass


def run(argv: Sequence[str], timeout: float = 10, check: bool = True,
        stdin: Optional[str] = None) -> subprocess.CompletedProcess:
    """Runs to the end, stdout and stderr as text. With check, a failure raises and shows both;
    without, a program that does not end in time has status TIMED_OUT."""
    try:
        done = subprocess.run(list(argv), input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as expired:
        done = subprocess.CompletedProcess(argv, TIMED_OUT, (expired.stdout or b"").decode(errors="replace"),
                                           f"no end after {timeout:g} s")
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 10, interval: float = 0.02) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)


class Daemon:
    """A process that stays: its log in a file, its end bounded in time."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, environment: Optional[dict] = None):
        self.name, self.argv, self.log = name, list(argv), log
        with open(log, "ab") as out:
            self._process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                             env=environment)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self, condition: Callable[[], bool], what: str, timeout: float = 10) -> None:
        """Waits for the condition; an early end or a timeout raises with the end of the log."""
        try:
            wait_until(lambda: not self.running() or condition(), what, timeout)
        except LabError as error:
            raise LabError(f"{self.name}: {error}\n{self.log_tail()}") from None
        if not self.running():
            raise LabError(f"{self.name} ended with status {self._process.returncode} before {what}\n"
                           f"{' '.join(self.argv)}\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's memory killer would."""
        self._process.kill()
        self._process.wait(10)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM, and no waiting."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self, grace: float = 3) -> Optional[int]:
        """SIGTERM, and after the grace SIGKILL, as a kubelet does."""
        if self.running():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def log_tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {self.name} | {line}" for line in text[-lines:])
