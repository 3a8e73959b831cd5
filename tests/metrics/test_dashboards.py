"""The Grafana dashboards: whole, described, and made of metrics that there are."""

import itertools
import json
import re

import pytest
import yaml

from . import expressions, page

_FOLDER = page.TREE / "manifests" / "grafana"
_FILES = sorted(_FOLDER.glob("*.json"))
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _no_key_twice(pairs):
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def _read(file) -> dict:
    return json.loads(file.read_text(), object_pairs_hook=_no_key_twice)


def _panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _filled_in(expression: str) -> str:
    """As Grafana sends it."""
    return expression.replace("$__rate_interval", "5m").replace("$namespace", "default|shop").replace("$pod", ".*")


@pytest.fixture(scope="module")
def documented():
    return page.read()


def test_there_is_one_for_each_part_and_all_of_them_are_installed():
    assert [file.stem for file in _FILES] == ["control", "dns", "forwarder", "injector"]
    kustomization = yaml.safe_load((_FOLDER / "kustomization.yaml").read_text())
    [generated] = kustomization["configMapGenerator"]
    assert sorted(generated["files"]) == [f"portolan-{file.stem}.json={file.name}" for file in _FILES]
    assert generated["options"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
class TestDashboard:
    def test_grafana_9_and_10_take_it_for_any_prometheus(self, file):
        dashboard = _read(file)
        # 37 is Grafana 9's; 10 migrates it.
        assert dashboard["schemaVersion"] == 37
        assert dashboard["uid"] == f"portolan-{file.stem}"
        assert "__inputs" not in dashboard and "id" not in dashboard
        variables = dashboard["templating"]["list"]
        assert [v["name"] for v in variables] == ["datasource", "namespace", "pod"]
        assert all(v["datasource"] == _DATASOURCE for v in variables[1:])
        for panel in _panels(dashboard):
            assert {json.dumps(t["datasource"]) for t in panel["targets"]} == {json.dumps(_DATASOURCE)}

    def test_each_panel_says_what_it_shows_and_in_which_unit(self, file):
        dashboard = _read(file)
        panels = _panels(dashboard)
        assert len({panel["title"] for panel in panels}) == len(panels)
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
        for panel in panels:
            assert len(panel["description"]) > 15, panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]

    def test_no_panel_lies_over_another(self, file):
        taken = set()
        for panel in _read(file)["panels"]:
            at = panel["gridPos"]
            cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
            assert max(x for x, _ in cells) < 24 and not cells & taken, panel["title"]
            taken |= cells

    def test_it_asks_for_metrics_and_labels_that_there_are(self, file, documented):
        dashboard = _read(file)
        found = {}
        for panel in _panels(dashboard):
            for target in panel["targets"]:
                expression = target["expr"]
                faults = expressions.faults(expression, documented)
                named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", expression))))
                faults += [f"the legend names {label}" for label in named - grouped - expressions.TARGET_LABELS]
                if faults:
                    found[f"{panel['title']}: {expression}"] = faults
        for variable in dashboard["templating"]["list"][1:]:
            found.update({variable["name"]: name for name in expressions.names(variable["definition"])
                          if name not in documented})
        assert found == {}

    def test_prometheus_understands_it(self, file, tmp_path):
        rules = [{"record": f"panel:{panel['id']}:{target['refId']}", "expr": _filled_in(target["expr"])}
                 for panel in _panels(_read(file)) for target in panel["targets"]]
        expressions.check_syntax([{"name": "panels", "rules": rules}], tmp_path)

    def test_no_panel_is_empty_where_its_metrics_are_there(self, file, documented, tmp_path):
        shown = [_filled_in(target["expr"]) for panel in _panels(_read(file)) for target in panel["targets"]]
        assert expressions.shows_something(shown, documented, tmp_path) == ""


def test_a_certificate_that_is_not_the_injector_s_own_is_shown_too(documented, tmp_path):
    """With --tls-cert it serves nothing of those that --self-signed makes."""
    panels = {panel["title"]: panel for panel in _panels(_read(_FOLDER / "injector.json"))}
    shown = [_filled_in(panels[title]["targets"][0]["expr"]) for title in ("First to expire", "Until they expire")]
    own = frozenset(("portolan_injector_certificate_expiry_timestamp_seconds",))
    assert expressions.shows_something(shown, documented, tmp_path, absent=own) == ""
    assert panels["Trusted"]["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.parametrize("expression, fault", [
    ("sum(rate(portolan_no_such_total[5m]))", "no metric portolan_no_such_total"),
    ("sum(coredns_dns_requests_total)", "coredns_dns_requests_total is a counter outside of rate() and increase()"),
    ("rate(portolan_feed_age_seconds[5m])", "portolan_feed_age_seconds is a gauge in rate() or increase()"),
    ('rate(portolan_forwarder_ended_total{why="idle"}[5m])', "portolan_forwarder_ended_total has no label why"),
    ('rate(portolan_forwarder_ended_total{how=~"idle|bored"}[5m])', "portolan_forwarder_ended_total: no how bored"),
    ("sum by (how) (rate(coredns_dns_requests_total[5m]))", "no metric of it has the label how"),
])
def test_what_is_not_in_the_table_is_found(documented, expression, fault):
    assert expressions.faults(expression, documented) == [fault]


def test_an_expression_without_a_result_is_found(documented, tmp_path):
    assert "FAILED" in expressions.shows_something(["portolan_feed_in_sync > 1"], documented, tmp_path)
