"""CoreDNS's published panels and alerts find on us what they ask for: which metrics they read, and which labels
they select and group by, as facts out of

- kube-prometheus-stack's dashboard `k8s-coredns` (on grafana.com 12539),
  https://github.com/prometheus-community/helm-charts, charts/kube-prometheus-stack/templates/grafana
- coredns-mixin, https://github.com/povilasv/coredns-mixin, its dashboard and its alerts

`job`, `instance`, `pod` and `cluster` come from Prometheus. Where a panel asks for a name of before CoreDNS 1.7
`or` its present name, the present one stands here.
"""

import re

import pytest

from . import page

_STACK_PANELS = [
    ("coredns_dns_requests_total", {"proto"}),
    ("coredns_dns_requests_total", {"type"}),
    ("coredns_dns_requests_total", {"zone"}),
    ("coredns_dns_do_requests_total", set()),
    ("coredns_dns_request_size_bytes_bucket", {"proto", "le"}),
    ("coredns_dns_responses_total", {"rcode"}),
    ("coredns_dns_request_duration_seconds_bucket", {"le"}),
    ("coredns_dns_response_size_bytes_bucket", {"proto", "le"}),
    ("coredns_cache_entries", {"type"}),
    ("coredns_cache_hits_total", {"type"}),
    # By type too, which misses have not in CoreDNS either: one line.
    ("coredns_cache_misses_total", set()),
]
_MIXIN_PANELS = [
    ("coredns_build_info", set()),
    ("coredns_panics_total", set()),
    ("coredns_dns_responses_total", {"rcode"}),
    ("coredns_forward_responses_total", {"rcode"}),
    ("coredns_dns_request_duration_seconds_bucket", {"server", "zone", "le"}),
    ("coredns_forward_request_duration_seconds_bucket", {"to", "le"}),
    ("coredns_dns_requests_total", {"type"}),
    ("coredns_dns_requests_total", {"zone"}),
    ("coredns_forward_requests_total", {"to"}),
    ("coredns_plugin_enabled", {"name"}),
    ("coredns_dns_request_size_bytes_bucket", {"server", "zone", "proto", "le"}),
    ("coredns_dns_response_size_bytes_bucket", {"server", "zone", "proto", "le"}),
    ("coredns_cache_hits_total", {"type"}),
    ("coredns_cache_misses_total", set()),
    ("coredns_cache_entries", {"type"}),
    ("process_resident_memory_bytes", set()),
    ("process_cpu_seconds_total", set()),
]
_MIXIN_ALERTS = [
    ("coredns_dns_request_duration_seconds_bucket", {"server", "zone", "le"}),
    ("coredns_dns_responses_total", {"rcode"}),
    ("coredns_forward_request_duration_seconds_bucket", {"to", "le"}),
    ("coredns_forward_responses_total", {"rcode"}),
    ("coredns_forward_healthcheck_failures_total", {"to"}),
    ("coredns_forward_healthcheck_broken_total", set()),
]
# Asked for by one panel of the mixin each; ours would be empty.
_PANELS_WITHOUT_DATA = ["coredns_kubernetes_dns_programming_duration_seconds", "go_goroutines"]


@pytest.mark.parametrize("metric, labels", _STACK_PANELS + _MIXIN_PANELS + _MIXIN_ALERTS)
def test_a_panel_finds_its_metric_and_labels(metric, labels):
    documented = page.read()
    base = re.sub(r"_bucket$", "", metric)
    assert base in documented
    assert (documented[base].kind == "histogram") == metric.endswith("_bucket")
    assert labels - {"le"} <= documented[base].labels


@pytest.mark.parametrize("metric", _PANELS_WITHOUT_DATA)
def test_the_page_says_which_panels_are_empty_and_why(metric):
    assert metric not in page.read()
    missing = page.PAGE.read_text().partition("## Metrics of CoreDNS that are not here")[2]
    names = [name.replace("*", "") for name in re.findall(r"`([a-z0-9_]+\*?)`", missing)]
    assert any(metric == name or (name.endswith("_") and metric.startswith(name)) for name in names)
