"""What the tools of a pod print: nslookup word for word, dig's header taken apart, and a load of questions."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from .cluster import Pod
from .tools import PYTHON

_LOAD = str(Path(__file__).resolve().with_name("dns_load.py"))


def nslookup_text(server: str, name: str, *addresses: str) -> str:
    """What BIND's nslookup prints for an authoritative answer, and nothing else."""
    found = "".join(f"Name:\t{name}\nAddress: {address}\n" for address in addresses)
    return f"Server:\t\t{server}\nAddress:\t{server}#53\n\n{found}\n"


@dataclass
class Dig:
    status: str
    flags: set
    answer: list  # of (owner, ttl, type, data)
    authority: list
    transport: str
    text: str

    def data(self, rdtype: str) -> list:
        return [data for _, _, kind, data in self.answer if kind == rdtype]


def dig(pod: Pod, *arguments: str) -> Dig:
    """One try of two seconds, asking the pod's resolver unless the arguments name another."""
    done = pod.exec("dig", "+time=2", "+tries=1", *arguments)
    text = done.stdout
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r";; flags: ([\w ]*);", text)
    transport = re.search(r";; SERVER: .*\((UDP|TCP)\)", text)
    return Dig(status.group(1) if status else f"none: {text}{done.stderr}",
               set(flags.group(1).split()) if flags else set(),
               _section(text, "ANSWER"), _section(text, "AUTHORITY"),
               transport.group(1) if transport else "none", text)


def _section(text: str, name: str) -> list:
    match = re.search(rf";; {name} SECTION:\n(.*?)\n\n", text, re.S)
    records = []
    for line in match.group(1).splitlines() if match else []:
        owner, ttl, _class, kind, data = line.split(None, 4)
        records.append((owner, int(ttl), kind, data))
    return records


class Load:
    """dns_load.py in a pod: `questions` as it takes them, asked at a steady rate until the end of the `with` block."""

    def __init__(self, pod: Pod, per_second: int, *questions: str):
        self._argv = (PYTHON, "-B", _LOAD, pod.sandbox.shape.resolver(), "3600", str(per_second), *questions)
        self._pod = pod
        self.asked, self.slowest = 0, 0.0
        self.wrong: list[dict] = []
        self.missing: list[dict] = []

    def __enter__(self) -> "Load":
        self._process = self._pod.popen(*self._argv)
        self._process.stdout.readline()
        return self

    def __exit__(self, *_error) -> None:
        self._process.terminate()
        found = json.loads(self._process.communicate(timeout=10)[0])
        self.asked, self.slowest = found["asked"], found["slowest"]
        self.wrong, self.missing = found["wrong"], found["missing"]

    def all_answered(self) -> bool:
        return self.asked > 0 and not self.wrong and not self.missing

    def __str__(self) -> str:
        return f"{self.asked} asked, wrong: {self.wrong}, missing: {self.missing}, slowest {self.slowest:.3f} s"
