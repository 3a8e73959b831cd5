"""PromQL as our dashboards and rules have it: which metrics and labels it names, held to docs/metrics.md."""

import re
import subprocess
from pathlib import Path

import yaml

from . import page

# Set by Prometheus; where a metric of ours has such a label too, it becomes exported_LABEL.
TARGET_LABELS = frozenset(("namespace", "pod", "container", "instance", "job", "endpoint"))
_NAME = re.compile(r"\b(?:portolan|coredns|process)_[a-z0-9_]+\b")
_SELECTOR = re.compile(r"\b((?:portolan|coredns|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"((?:[^\"\\]|\\.)*)\"")


def names(expression: str) -> set[str]:
    return set(_NAME.findall(expression))


def faults(expression: str, documented: dict[str, page.Metric]) -> list[str]:
    """What the table of metrics does not have; nothing if all is there."""
    found, labels = [], set()
    for match in _SELECTOR.finditer(expression):
        name, matchers = match.group(1), match.group(2) or ""
        metric = documented.get(_base(name, documented))
        if metric is None:
            found.append(f"no metric {name}")
            continue
        if metric.kind == "gauge" and _is_rated(expression[:match.start()]):
            found.append(f"{name} is a gauge in rate() or increase()")
        if metric.kind != "gauge" and not _is_rated(expression[:match.start()]):
            found.append(f"{name} is a {metric.kind} outside of rate() and increase()")
        own = {f"exported_{label}" if label in TARGET_LABELS else label for label in metric.labels}
        labels |= own
        for label, _, value in _MATCHER.findall(matchers):
            if label not in own | TARGET_LABELS:
                found.append(f"{name} has no label {label}")
            elif label not in page.OPEN_LABELS | TARGET_LABELS:
                found += [f"{name}: no {label} {word}" for word in re.findall(r"[\w/-]{2,}", value.replace(".*", ""))
                          if not any(known.startswith(word) for known in metric.values)]
    for grouping in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        for label in re.findall(r"\w+", grouping):
            if label not in labels | TARGET_LABELS | {"le"}:
                found.append(f"no metric of it has the label {label}")
    return found


def _base(name: str, documented: dict[str, page.Metric]) -> str:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in documented and documented[base].kind == "histogram" else name


def _is_rated(before: str) -> bool:
    return re.search(r"\b(rate|increase)\($", before) is not None


def check_syntax(groups: list, folder: Path) -> None:
    """By `promtool check rules`."""
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout


def shows_something(expressions: list[str], documented: dict[str, page.Metric], folder: Path,
                    absent: frozenset = frozenset()) -> str:
    """By `promtool test rules`, with every metric of theirs but the absent served by two pods, all its labels and
    their values: nothing if each expression then has a result, else what promtool says."""
    wanted = {name for expression in expressions for name in names(expression)}
    metrics = {_base(name, documented) for name in wanted} - absent
    values = {match[2] for expression in expressions for match in _MATCHER.findall(expression) if match[1] == "="}
    series = [{"series": one, "values": _VALUES[documented[name].kind]}
              for name in sorted(metrics) for one in _series(documented[name], sorted(values))]
    tests = [{"expr": f"count({expression}) > bool 0", "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]}
             for expression in expressions]
    (folder / "no-rules.yaml").write_text("groups: []\n")
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["no-rules.yaml"], "evaluation_interval": "1m", "tests": [
        {"interval": "1m", "input_series": series, "promql_expr_test": tests}]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return "" if done.returncode == 0 else done.stdout


# Half of what is 0 or 1; counters grow.
_VALUES = {"gauge": "0.5x60", "counter": "0+7x60", "histogram": "0+7x60"}


def _series(metric: page.Metric, values: list[str]) -> list[str]:
    """One label after the other has all its values, the rest the first."""
    labels = {f"exported_{label}" if label in TARGET_LABELS else label:
              ["x", *values, *(() if label in page.OPEN_LABELS else sorted(metric.values))]
              for label in sorted(metric.labels)}
    sets = [{label: known[0] for label, known in labels.items()}]
    sets += [{**sets[0], label: value} for label, known in labels.items() for value in known[1:]]
    found = []
    for pod, own in ((pod, own) for pod in ("web-1", "web-2") for own in sets):
        all_of_it = {"namespace": "shop", "pod": pod, "instance": f"{pod}:15020", "job": "mesh/portolan", **own}
        for suffix, more in _PARTS[metric.kind]:
            words = ",".join(f'{label}="{value}"' for label, value in {**all_of_it, **more}.items())
            found.append(f"{metric.name}{suffix}{{{words}}}")
    return list(dict.fromkeys(found))


_PARTS = {"gauge": [("", {})], "counter": [("", {})],
          "histogram": [("_bucket", {"le": "0.1"}), ("_bucket", {"le": "+Inf"}), ("_count", {}), ("_sum", {})]}
