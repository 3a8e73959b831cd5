"""What the tools of a pod print: nslookup word for word, and dig's header taken apart."""

import re
from dataclasses import dataclass

from .cluster import Pod


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
