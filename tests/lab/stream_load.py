"""Checked streams through a sidecar: streams.py in pods, as client and as endpoints."""

import resource
from contextlib import contextmanager
from pathlib import Path

from . import by_hand
from .by_hand import Endpoint
from .cluster import Cluster, Pod, accepts
from .tools import PYTHON, run

_STREAMS = str(Path(__file__).resolve().with_name("streams.py"))
# The endpoints, all ports of one pod.
ECHO_NUMBERS = range(201, 207)

# The hard limit can be raised with CAP_SYS_RESOURCE alone, which root does not have in every container.
_MAY_RAISE = run(["prlimit", "--nofile=300000:300000", "true"], check=False).returncode == 0
RAISED = ("prlimit", "--nofile=300000:300000") if _MAY_RAISE else ()
HARD_LIMIT = 300_000 if _MAY_RAISE else resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class Dialler:
    """streams.py in a pod, told what to do."""

    def __init__(self, pod: Pod):
        self._log = pod.sandbox.folder / "dialler.log"
        self._process = pod.talk(*RAISED, PYTHON, "-B", _STREAMS, "dial", log=self._log)

    def __enter__(self) -> "Dialler":
        return self

    def __exit__(self, *_error):
        self._process.kill()
        self._process.wait(10)

    def tell(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict:
        return {name: int(value) for name, value in (pair.split("=") for pair in self._process.stdout.readline().split())}

    def ask(self, line: str) -> dict:
        self.tell(line)
        return self.answer()

    def complaint(self) -> str:
        return self._log.read_text()


@contextmanager
def echo_servers(cluster: Cluster):
    with by_hand.servers(cluster) as pod:
        ports = [Endpoint(n).port for n in ECHO_NUMBERS]
        daemon = pod.sandbox.start("echo", [*RAISED, PYTHON, "-B", _STREAMS, "serve", *map(str, ports)])
        daemon.wait_ready(lambda: accepts(pod.ip, ports[-1]), "the echo servers accept")
        yield pod
