"""docs/metrics.md, the one table of all metrics, as tests read it; and what a program serves, likewise."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PAGE = TREE / "docs" / "metrics.md"
SHARED = "Every program"

# Labels whose values are names of the cluster's or of the configuration's: too many to be listed.
OPEN_LABELS = frozenset((
    "certificate", "class", "endpoint", "goversion", "hash", "name", "plugin", "pod", "policy", "port", "protocol",
    "rcode", "resource", "revision", "secret", "server", "service", "service_namespace", "template", "to", "upstream",
    "value", "version", "view", "zone", "zones"))
_COLUMNS = ["metric", "type", "labels", "what it says"]


@dataclass(frozen=True)
class Metric:
    """A row of the table for one name; `values`: all words in backticks of what it says, and where these name other
    metrics, the words of those."""

    name: str
    kind: str
    labels: frozenset
    section: str
    values: frozenset


def read() -> dict[str, Metric]:
    """By name. A row that is not as the others, or a name that stands twice, is an error."""
    return parse(PAGE.read_text())


def parse(text: str) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    section, inside = "", False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells == _COLUMNS or not cells:
            inside = bool(cells)
        elif inside and not set(line) <= set("|- "):
            for metric in _row(cells, section, f"metrics.md:{number}"):
                assert metric.name not in found, f"metrics.md:{number}: {metric.name} twice"
                found[metric.name] = metric
    return {name: _with_values_of_others(metric, found) for name, metric in found.items()}


def _with_values_of_others(metric: Metric, found: dict[str, Metric]) -> Metric:
    others = [found[word].values for word in metric.values if word in found and word != metric.name]
    return replace(metric, values=metric.values.union(*others))


def _row(cells: list[str], section: str, where: str) -> list[Metric]:
    assert len(cells) == len(_COLUMNS), f"{where}: {len(cells)} cells"
    names, kind, labels, says = cells
    assert kind in ("counter", "gauge", "histogram"), f"{where}: a {kind!r}"
    assert says, f"{where}: says nothing"
    for cell in (names, labels):
        assert re.fullmatch(r"(`[a-z0-9_]+`(, |$))*", cell), f"{where}: {cell}"
    words = frozenset(re.findall(r"`([^`]+)`", says))
    return [Metric(name, kind, frozenset(re.findall(r"\w+", labels)), section, words)
            for name in re.findall(r"\w+", names)]


@dataclass
class Family:
    """What was served under one name: labels' values by their names."""

    kind: str
    labels: dict[str, set] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


def served(text: str) -> dict[str, Family]:
    """Prometheus' text format 0.0.4, histograms under their own name."""
    families: dict[str, Family] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            families[name] = Family(kind)
        elif line and not line.startswith("#"):
            sample = re.fullmatch(r"([a-z0-9_]+)(?:\{(.*)\})? (\S+)", line)
            assert sample is not None, line
            name, labels, value = sample.groups()
            family = _of_sample(families, name)
            family.values.append(float(value))
            for label, of_label in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""):
                if not (family.kind == "histogram" and label == "le"):
                    family.labels.setdefault(label, set()).add(of_label)
    return {name: family for name, family in families.items() if family.values}


def _of_sample(families: dict[str, Family], name: str) -> Family:
    if name in families:
        return families[name]
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    assert base in families and families[base].kind == "histogram", f"{name} has no TYPE"
    return families[base]


def differences(documented: dict[str, Metric], program: str, families: dict[str, Family]) -> list[str]:
    """Of what `program` serves to its section of the page; nothing if they agree."""
    found = []
    for name, family in families.items():
        metric = documented.get(name)
        if metric is None or metric.section not in (program, SHARED):
            found.append(f"{name} is served and not documented for {program}")
            continue
        if family.kind != metric.kind:
            found.append(f"{name} is a {family.kind}, documented as {metric.kind}")
        if set(family.labels) != metric.labels:
            found.append(f"{name} has the labels {sorted(family.labels)}, documented {sorted(metric.labels)}")
        for label in set(family.labels) - OPEN_LABELS - _LISTED_ELSEWHERE.get(name, set()):
            if unsaid := family.labels[label] - metric.values:
                found.append(f"{name}: {label}={sorted(unsaid)} is not in its row")
    for metric in documented.values():
        if metric.section == program and metric.name not in families:
            found.append(f"{metric.name} is documented for {program} and was not served")
    return found


# What a text beside the table or another row lists.
_FEED_TYPES = {name: {"type"} for name in (
    "portolan_feed_responses_total", "portolan_feed_resources_total", "portolan_feed_removed_resources_total",
    "portolan_feed_nacks_total", "portolan_feed_held_resources", "portolan_propagation_seconds")}
_LISTED_ELSEWHERE = {
    **_FEED_TYPES,
    "coredns_dns_requests_total": {"type"}, "coredns_template_matches_total": {"type"},
    "coredns_template_template_failures_total": {"type"}, "coredns_template_rr_failures_total": {"type"}}
