"""docs/metrics.md against the words of the sources: what no test can bring about is held to the page too. What
programs serve is held to it in tests/lab/test_metrics.py."""

import re

import pytest

from . import page

_ROOMS = ("common", "directory", "dns", "xds", "proxy", "injector", "ctl")


def _named_in_sources() -> set[str]:
    names = set()
    for room in _ROOMS:
        for file in (*(page.TREE / room).rglob("*.cc"), *(page.TREE / room).rglob("*.h")):
            names |= set(re.findall(r'"((?:portolan|coredns|process)_[a-z0-9_]+)"', file.read_text()))
    return names


def test_the_page_has_the_metrics_that_the_sources_name_and_no_other():
    documented, named = set(page.read()), _named_in_sources()
    assert named - documented == set(), "not documented"
    assert documented - named == set(), "gone"


def test_names_say_their_unit_and_counters_that_they_are_counters():
    # https://prometheus.io/docs/practices/naming/
    for metric in page.read().values():
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        if metric.kind == "histogram":
            assert metric.name.endswith(("_seconds", "_bytes")), metric.name


def test_no_other_page_has_a_table_of_metrics():
    for file in sorted((page.TREE / "docs").glob("*.md")):
        if file == page.PAGE:
            continue
        rows = re.findall(r"^\| `(?:portolan|coredns)_\w+[`{].*", file.read_text(), re.M)
        assert not rows, f"{file.name}: {rows}"


def test_pages_name_metrics_that_there_are():
    documented = set(page.read())
    known = documented | {f"{name}_{part}" for name in documented for part in ("bucket", "sum", "count")}
    for file in sorted((page.TREE / "docs").glob("*.md")):
        for name, cut in re.findall(r"\b((?:portolan|coredns)_[a-z0-9_]+)(\.\.\.|\*|\{)?", file.read_text()):
            if name.endswith("_") or (cut and cut != "{"):
                assert any(metric.startswith(name) for metric in known) or file == page.PAGE, f"{file.name}: {name}"
            else:
                assert name in known or file == page.PAGE, f"{file.name}: {name}"


_TABLE = "## p\n\n| metric | type | labels | what it says |\n|---|---|---|---|\n"


@pytest.mark.parametrize("row, error", [
    ("| `a_total` | counter | |", "3 cells"),
    ("| `a_total` | timer | | x |", "'timer'"),
    ("| `a_total` | counter | | |", "says nothing"),
    ("| a_total | counter | | x |", "a_total"),
    ("| `a_total` | counter | | x |\n| `a_total` | counter | | x |", "twice"),
])
def test_a_row_that_is_not_as_the_others_is_an_error(row, error):
    with pytest.raises(AssertionError, match=error):
        page.parse(_TABLE + row)


def test_each_difference_is_told():
    documented = page.parse(
        _TABLE + "| `a_total` | counter | `outcome` | `good`, `bad` |\n| `gone_total` | counter | | x |\n")
    served = page.served('# TYPE a_total counter\na_total{outcome="good"} 1\na_total{outcome="odd"} 1\n'
                         "# TYPE h_seconds histogram\nh_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_count 1\n"
                         "h_seconds_sum 0.5\n")
    assert page.differences(documented, "p", served) == [
        "a_total: outcome=['odd'] is not in its row", "h_seconds is served and not documented for p",
        "gone_total is documented for p and was not served"]
    other = page.served('# TYPE a_total gauge\na_total{how="good"} 1\n')
    assert page.differences(documented, "p", other)[:2] == [
        "a_total is a gauge, documented as counter", "a_total has the labels ['how'], documented ['outcome']"]
