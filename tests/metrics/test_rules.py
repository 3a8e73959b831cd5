"""The alert rules, by `promtool test rules`: each fires when it is to, not before its time, and not in quiet times."""

import re
import subprocess
from dataclasses import dataclass

import pytest
import yaml

from . import expressions, page

_FILE = page.TREE / "manifests" / "components" / "prometheus" / "rules.yaml"
_POD = 'namespace="shop",pod="web-1",instance="web-1:15020"'
_OTHER = 'namespace="shop",pod="web-2",instance="web-2:15020"'
_CORE_DNS = 'namespace="kube-system",pod="coredns-1",instance="coredns-1:9153"'
_CONTROL = 'namespace="mesh",pod="control-1",instance="control-1:15014"'
_INJECTOR = 'namespace="mesh",pod="injector-1",instance="injector-1:9443"'
_STOPPED = "5+0x60"  # a counter that no longer counts
_IS_SIDECAR = (f"portolan_feed_connected{{{_POD}}}", "1x60")
_SERVICE = f'{_POD},service_namespace="shop",service="db",port="5432",protocol="tcp"'


def _grows(metric: str, labels: str, per_minute: float) -> tuple[str, str]:
    return f"{metric}{{{labels}}}", f"0+{per_minute}x60"


def _is(metric: str, labels: str, value: str) -> tuple[str, str]:
    return f"{metric}{{{labels}}}", f"{value}x60"


def _buckets(metric: str, labels: str, fast: float, slow: float) -> list[tuple[str, str]]:
    """So many a minute below 0.1 s, and at 30 s."""
    return [_grows(f"{metric}_bucket", f'{labels},le="{bound}"', count)
            for bound, count in (("0.1", fast), ("1", fast), ("60", fast + slow), ("+Inf", fast + slow))]


@dataclass
class Case:
    """Series and values as promtool has them. `labels`: of the alert; `at`: minutes when it fires, and `early` when
    it does not yet."""

    fires: list
    labels: dict
    quiet: list
    at: int = 30
    early: int = 1


_IN_POD = {"namespace": "shop", "pod": "web-1"}
_OF_POD = {**_IN_POD, "instance": "web-1:15020"}
_OF_SERVICE = {"service_namespace": "shop", "service": "db"}
_OF_CONTROL = {"namespace": "mesh", "pod": "control-1"}
_OF_INJECTOR = {"namespace": "mesh", "pod": "injector-1"}


def _shares(metric: str, labels: str, good: str, bad: str) -> tuple[list, list]:
    """9 in 100 are bad, and 1 in 1,000."""
    return ([_grows(metric, f"{labels},{good}", 91), _grows(metric, f"{labels},{bad}", 9)],
            [_grows(metric, f"{labels},{good}", 999), _grows(metric, f"{labels},{bad}", 1)])


_SERVFAIL, _FEW_SERVFAIL = _shares("coredns_dns_responses_total", _POD, 'rcode="NOERROR"', 'rcode="SERVFAIL"')
_IN_VAIN, _SELDOM_IN_VAIN = _shares("portolan_upstream_questions_total", _POD, 'outcome="answered"',
                                    'outcome="timed_out"')
_REFUSED, _SELDOM_REFUSED = _shares("portolan_forwarder_service_connections_total", _SERVICE, 'outcome="forwarded"',
                                    'outcome="connect_failed"')
_DNS_SECONDS, _PROPAGATION = "coredns_dns_request_duration_seconds", "portolan_propagation_seconds"
_ACKNOWLEDGED = f'{_CONTROL},type="Endpoints",stage="acknowledged"'

_CASES = {
    "PortolanSidecarOutOfSync": Case(
        [_is("portolan_feed_in_sync", _POD, "0")], _OF_POD, [[_is("portolan_feed_in_sync", _POD, "1")]]),
    "PortolanSidecarsOutOfSync": Case(
        [_is("portolan_feed_in_sync", _POD, "0"), _is("portolan_feed_in_sync", _OTHER, "1")], {},
        [[_is("portolan_feed_in_sync", _POD, "0"),
          *(_is("portolan_feed_in_sync", _POD.replace("web-1", f"web-{n}"), "1") for n in range(2, 13))]]),
    "PortolanFeedOld": Case(
        [("portolan_feed_age_seconds{%s}" % _POD, "0+60x60")], _OF_POD,
        [[_is("portolan_feed_age_seconds", _POD, "0")], [_is("portolan_feed_age_seconds", _POD, "1700")]], at=35),
    "PortolanUpdateRefused": Case(
        [("portolan_feed_nacks_total{%s,type=\"ProxyConfig\"}" % _POD, "0x20 1x40")], {**_IN_POD, "type": "ProxyConfig"},
        [[("portolan_feed_nacks_total{%s,type=\"ProxyConfig\"}" % _POD, _STOPPED)]]),
    "PortolanUpstreamDown": Case(
        [_grows("portolan_upstream_server_failures_total", f'{_POD},to="10.0.0.1:53"', 80),
         _grows("coredns_forward_requests_total", f'{_POD},to="10.0.0.1:53"', 100),
         # CoreDNS's own questions to it do not make it look better.
         _grows("coredns_forward_requests_total", f'{_CORE_DNS},to="10.0.0.1:53"', 9000), _IS_SIDECAR],
        {"to": "10.0.0.1:53"},
        [[_grows("portolan_upstream_server_failures_total", f'{_POD},to="10.0.0.1:53"', 2),
          _grows("coredns_forward_requests_total", f'{_POD},to="10.0.0.1:53"', 100), _IS_SIDECAR],
         [_grows("portolan_upstream_server_failures_total", f'{_POD},to="10.0.0.1:53"', 0),
          _grows("coredns_forward_requests_total", f'{_POD},to="10.0.0.1:53"', 0), _IS_SIDECAR]]),
    "PortolanUpstreamsFail": Case(
        _IN_VAIN, {"namespace": "shop"},
        [_SELDOM_IN_VAIN,
         # One question in ten minutes is no share.
         [_grows("portolan_upstream_questions_total", f'{_POD},outcome="timed_out"', 0.1)]]),
    "PortolanDnsErrors": Case(
        [*_SERVFAIL, _IS_SIDECAR], {"namespace": "shop"},
        [[*_FEW_SERVFAIL, _IS_SIDECAR], _SERVFAIL]),  # the second: of a CoreDNS that is no sidecar
    "PortolanDnsSlow": Case(
        [*_buckets(_DNS_SECONDS, _POD, 90, 10), _IS_SIDECAR], {"namespace": "shop"},
        [[*_buckets(_DNS_SECONDS, _POD, 1000, 1), _IS_SIDECAR], _buckets(_DNS_SECONDS, _CORE_DNS, 90, 10)]),
    "PortolanForwardingLoop": Case(
        [_is("portolan_upstream_server_leads_back", f'{_POD},to="10.0.0.1:53"', "2")], {**_IN_POD, "to": "10.0.0.1:53"},
        [[_is("portolan_upstream_server_leads_back", f'{_POD},to="10.0.0.1:53"', "0")]]),
    "PortolanConntrackNearlyFull": Case(
        [_is("portolan_conntrack_nearly_full", _POD, "1")], _OF_POD,
        [[_is("portolan_conntrack_nearly_full", _POD, "0")]]),
    "PortolanNoEndpoints": Case(
        [_grows("portolan_forwarder_service_connections_total", f'{_SERVICE},outcome="no_endpoints"', 3)], _OF_SERVICE,
        [[_grows("portolan_forwarder_service_connections_total", f'{_SERVICE},outcome="forwarded"', 3),
          ("portolan_forwarder_service_connections_total{%s,outcome=\"no_endpoints\"}" % _SERVICE, _STOPPED)]]),
    "PortolanConnectionsFail": Case(_REFUSED, _OF_SERVICE, [_SELDOM_REFUSED]),
    "PortolanControlDown": Case([], {}, [[_is("portolan_xds_clients", _CONTROL, "0")]]),
    "PortolanControlNotReady": Case(
        [_is("portolan_source_complete", f'{_CONTROL},resource="pods"', "1"),
         _is("portolan_source_complete", f'{_CONTROL},resource="services"', "0")], _OF_CONTROL,
        [[_is("portolan_source_complete", f'{_CONTROL},resource="services"', "1")]]),
    "PortolanApiServerAway": Case(
        [_is("portolan_source_connected", f'{_CONTROL},resource="services"', "0"),
         _is("portolan_source_absent", f'{_CONTROL},resource="services"', "0")], _OF_CONTROL,
        [[_is("portolan_source_connected", f'{_CONTROL},resource="services"', "1"),
          # Of a cluster that does not have them.
          _is("portolan_source_connected", f'{_CONTROL},resource="serviceimports"', "0"),
          _is("portolan_source_absent", f'{_CONTROL},resource="serviceimports"', "1")]]),
    "PortolanRelists": Case(
        [_grows("portolan_source_relists_total", f'{_CONTROL},resource="pods"', 0.5)], {**_OF_CONTROL, "resource": "pods"},
        [[("portolan_source_relists_total{%s,resource=\"pods\"}" % _CONTROL, "0x10 1x50")]], at=40),
    "PortolanPropagationSlow": Case(
        _buckets(_PROPAGATION, _ACKNOWLEDGED, 90, 10), {"type": "Endpoints"},
        [_buckets(_PROPAGATION, _ACKNOWLEDGED, 1000, 1)]),
    "PortolanClientsNotLetIn": Case(
        [_grows("portolan_xds_authentications_total", f'{_CONTROL},result="refused"', 6)], {"result": "refused"},
        [[_grows("portolan_xds_authentications_total", f'{_CONTROL},result="accepted"', 60),
          _grows("portolan_xds_authentications_total", f'{_CONTROL},result="unavailable"', 0.1)]]),
    "PortolanReportsMissing": Case(
        [_is("portolan_sidecars_reporting", _CONTROL, "1"), _IS_SIDECAR, _is("portolan_feed_connected", _OTHER, "1")], {},
        [[_is("portolan_sidecars_reporting", _CONTROL, "1"), _IS_SIDECAR,
          _is("portolan_feed_connected", _OTHER, "0")]]),
    "PortolanHistoryLost": Case(
        [("portolan_history_lost_total{%s}" % _CONTROL, "0x20 40x40"),
         _grows("portolan_history_write_failures_total", _CONTROL, 0)], _OF_CONTROL,
        [[_grows("portolan_history_entries_total", _CONTROL, 90), ("portolan_history_lost_total{%s}" % _CONTROL, _STOPPED),
          _grows("portolan_history_write_failures_total", _CONTROL, 0)]]),
    "PortolanInjectorDown": Case([], {}, [[_is("portolan_injector_ca_configmaps_missing", _INJECTOR, "0")]]),
    "PortolanInjectorNotTrusted": Case(
        [_is("portolan_injector_certificate_trusted", _INJECTOR, "0")], {**_OF_INJECTOR, "instance": "injector-1:9443"},
        [[_is("portolan_injector_certificate_trusted", _INJECTOR, "1")]]),
    "PortolanInjectorCallsFail": Case(
        [_grows("portolan_http_handshakes_total", f'{_INJECTOR},server="webhook",result="failed"', 2),
         _grows("portolan_http_handshakes_total", f'{_INJECTOR},server="webhook",result="h2"', 2)], {},
        [[_grows("portolan_http_handshakes_total", f'{_INJECTOR},server="webhook",result="h2"', 2),
          _grows("portolan_injector_reviews_total", f'{_INJECTOR},outcome="bad-review"', 0),
          # A port scan of another server.
          _grows("portolan_http_handshakes_total", f'{_CONTROL},server="api",result="failed"', 9)]]),
    "PortolanInjectorBlind": Case(
        [_is("portolan_injector_followed_connected", f'{_INJECTOR},resource="/api/v1/nodes"', "0")], _OF_INJECTOR,
        [[_is("portolan_injector_followed_connected", f'{_INJECTOR},resource="/api/v1/nodes"', "1")]]),
    "PortolanInjectionDenied": Case(
        [("portolan_injector_reviews_total{%s,outcome=\"denied-port\"}" % _INJECTOR, "0x20 1x40")],
        {"outcome": "denied-port"},
        [[_grows("portolan_injector_reviews_total", f'{_INJECTOR},outcome="injected"', 2),
          _grows("portolan_injector_reviews_total", f'{_INJECTOR},outcome="opted-out"', 2)]]),
    "PortolanCaMissing": Case(
        [_is("portolan_injector_ca_configmaps_missing", _INJECTOR, "2")], {},
        [[_is("portolan_injector_ca_configmaps_missing", _INJECTOR, "0")]]),
    "PortolanCertificateExpires": Case(
        [_is("portolan_injector_certificate_expiry_timestamp_seconds", f'{_INJECTOR},certificate="shown"', "86400")],
        {**_OF_INJECTOR, "certificate": "shown"},
        [[_is("portolan_injector_certificate_expiry_timestamp_seconds", f'{_INJECTOR},certificate="shown"', "864000"),
          # None of that kind is held.
          _is("portolan_injector_certificate_expiry_timestamp_seconds", f'{_INJECTOR},certificate="control"', "0"),
          _is("portolan_tls_certificate_expiry_timestamp_seconds", _CONTROL, "864000")]], early=0),
}


@pytest.fixture(scope="module")
def groups() -> list:
    return yaml.safe_load(_FILE.read_text())["spec"]["groups"]


@pytest.fixture(scope="module")
def alerts(groups) -> dict:
    found = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in found}) == len(found)
    return {rule["alert"]: rule for rule in found}


def _promtool(groups: list, folder, alert: str, series: list, minutes: int, expected: list) -> str:
    """Nothing if the labels of what fires of this name, its own aside, are the expected ones."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [
        {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series],
         "promql_expr_test": [{
             "expr": f'sum without (alertname, alertstate, severity) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
             "eval_time": f"{minutes}m",
             "exp_samples": [{"labels": _text(labels), "value": 1} for labels in expected]}]}]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    return "" if done.returncode == 0 else done.stdout


def _text(labels: dict) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def test_each_alert_has_its_cases(alerts):
    assert set(_CASES) == set(alerts)


def test_prometheus_understands_the_rules(groups, tmp_path):
    expressions.check_syntax(groups, tmp_path)


def test_they_ask_for_metrics_and_labels_that_there_are(alerts):
    documented = page.read()
    faults = {name: expressions.faults(rule["expr"], documented) for name, rule in alerts.items()}
    assert {name: of for name, of in faults.items() if of} == {}


@pytest.mark.parametrize("alert", _CASES)
def test_it_fires_and_not_before_its_time(groups, alert, tmp_path):
    case = _CASES[alert]
    assert _promtool(groups, tmp_path, alert, case.fires, case.at, [case.labels]) == ""
    if case.early:
        assert _promtool(groups, tmp_path, alert, case.fires, case.early, []) == ""


def test_a_dns_server_that_is_down_is_told_of_though_another_one_is_asked_in_its_place(groups, tmp_path):
    """It fails a few questions, and gets nothing but probes from then on."""
    server = 'to="10.0.0.1:53"'
    asked = [(f"portolan_upstream_server_failures_total{{{_POD},{server}}}", "0x5 3x55"),
             (f"coredns_forward_requests_total{{{_POD},{server}}}", "0+100x5 503x55"), _IS_SIDECAR]
    probes = f'coredns_proxy_healthcheck_failures_total{{%s,proxy_name="forward",{server}}}'
    fail = [(probes % _POD, "0x5 0+30x55")]
    for series, fires in ((asked + fail, [{"to": "10.0.0.1:53"}]),
                          # It was back after a moment; and the probes are CoreDNS's own.
                          ([*asked, (probes % _POD, "0x5 3x55"), (probes % _CORE_DNS, "0+30x60")], [])):
        assert _promtool(groups, tmp_path, "PortolanUpstreamDown", series, 30, fires) == ""


@pytest.mark.parametrize("alert", _CASES)
def test_it_is_silent_in_quiet_times(groups, alert, tmp_path):
    for quiet in _CASES[alert].quiet:
        assert _promtool(groups, tmp_path, alert, quiet, 30, []) == ""


@pytest.mark.parametrize("alert", _CASES)
def test_it_says_what_is_wrong_and_where_to_read_on(alerts, alert):
    rule = alerts[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook"}
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values())))
    assert named <= set(_CASES[alert].labels), "a label that the alert does not have"
    file, _, section = annotations["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)", (page.TREE / file).read_text(), re.M)
    assert section in [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]
