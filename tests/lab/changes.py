"""Measuring how fast a change of the cluster is seen by an application: in answers and in connections."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from .cluster import Pod
from .tools import PYTHON, LabError, wait_until

_PROBE = str(Path(__file__).resolve().with_name("probe.py"))
# How long we go on looking after the change, so that a relapse into the old state is seen too.
_AFTERWARDS_SECONDS = 0.5


@dataclass
class Measured:
    """Milliseconds from the moment the EndpointSlice changed; None when it was not seen at all."""

    answers_ms: Optional[float]
    connections_ms: Optional[float]
    errors: list

    def within(self, limit_ms: float) -> bool:
        return all(ms is not None and ms <= limit_ms for ms in (self.answers_ms, self.connections_ms)) \
            and not self.errors


class Probe:
    """probe.py in a pod; `lines` grows as it prints."""

    def __init__(self, pod: Pod, *arguments: str):
        self.lines: list[dict] = []
        self._process = pod.popen(PYTHON, "-B", _PROBE, *arguments)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: bool(self.lines), f"the probe {' '.join(arguments)} sees anything")

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def stop(self) -> list[dict]:
        self._process.kill()
        self._process.wait(5)
        self._reader.join(5)
        return self.lines


def measure(pod: Pod, name: str, address: str, port: int, change: Callable[[], float],
            expected: list, gone: str = "", new: str = "") -> Measured:
    """Makes the change while `pod` polls the headless `name` and connects to address:port.

    expected: the addresses in the answer afterwards. gone or new: the pod that must no longer be
    reached, or must be reached. For `gone` the figure is the last connection that began and still
    reached it; for `new` the first that reached it.
    """
    answers = Probe(pod, "dns", pod.sandbox.shape.resolver(), name, "A")
    connections = Probe(pod, "http", address, str(port))
    time.sleep(0.2)
    changed = change()
    try:
        wait_until(lambda: answers.lines[-1]["answer"] == sorted(expected), "the answer changes", timeout=3)
    except LabError:
        pass  # the figure will be None
    time.sleep(_AFTERWARDS_SECONDS)
    seen, made = answers.stop(), [c for c in connections.stop() if c["t"] > changed]
    answers_ms = None
    if seen[-1]["answer"] == sorted(expected):
        answers_ms = (seen[-1]["t"] - changed) * 1000
    return Measured(answers_ms, _connections_ms(made, changed, gone, new),
                    [c["who"] for c in made if c["who"].startswith("error")][:3])


def _connections_ms(made: list[dict], changed: float, gone: str, new: str) -> Optional[float]:
    if not made:
        return None
    if gone:
        last = max((c["t"] for c in made if c["who"] == gone), default=changed)
        # Reached to the very end: it never went.
        return None if last >= made[-1]["t"] else (last - changed) * 1000
    return min(((c["end"] - changed) * 1000 for c in made if c["who"] == new), default=None)
