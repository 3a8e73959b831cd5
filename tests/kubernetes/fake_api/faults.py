"""How the server misbehaves, as `/fake/...` tells it to."""

import json
import time
from dataclasses import dataclass, field

from .kinds import Kind


@dataclass
class Refusal:
    """The next `times` requests (-1: all) whose path holds `path` get this."""
    path: str
    status: int
    body: str
    headers: list[list[str]]
    verb: str = ""  # list or watch; empty: any
    times: int = -1


@dataclass
class Faults:
    refusals: list[Refusal] = field(default_factory=list)
    # What the next event of a resource looks like on the wire: bad-json, truncated, wrong-types, wrong-kind,
    # big-annotation, no-name.
    lies: dict[str, str] = field(default_factory=dict)
    refuse_streaming: bool = False
    slow: int = 0  # bytes a second of every answer
    forbidden_until: float = 0.0  # CLOCK_MONOTONIC; a server that has just come up

    def set(self, value: dict) -> None:
        self.refusals = [Refusal(**one) for one in value.get("refusals", [])]
        self.lies = dict(value.get("lies", {}))
        self.refuse_streaming = value.get("refuse_streaming", self.refuse_streaming)
        self.slow = value.get("slow", 0)

    def refusal(self, path: str, verb: str):
        for refusal in self.refusals:
            if refusal.path in path and refusal.verb in ("", verb) and refusal.times != 0:
                refusal.times -= 1
                return refusal
        return None

    def starting(self) -> bool:
        return time.monotonic() < self.forbidden_until

    def distort(self, kind: Kind, line: bytes) -> bytes:
        """An event as it goes out; a lie is told once, and to every watch that is open."""
        lie = self.lies.get(kind.plural)
        if lie is None:
            return line
        if lie == "bad-json":
            return line.replace(b'"spec":', b'"spec"!', 1).replace(b'"endpoints":', b'"endpoints"!', 1)
        if lie == "truncated":
            return line[:len(line) * 2 // 3] + b"\n"
        event = json.loads(line)
        obj = event["object"]
        if lie == "wrong-types":
            for name in ("spec", "endpoints", "status"):
                if name in obj:
                    obj[name] = 7
        elif lie == "wrong-kind":
            obj["kind"] = "Secret"
        elif lie == "no-name":
            del obj["metadata"]["name"]
        elif lie == "big-annotation":
            obj["metadata"].setdefault("annotations", {})["big"] = "x" * (1 << 20)
        return json.dumps(event, separators=(",", ":")).encode() + b"\n"

    def told(self, kind: Kind) -> None:
        self.lies.pop(kind.plural, None)
