"""The definition of DNSEgressPolicy, as far as JSON Schema goes: what its rules in CEL say is left to an API server."""

import jsonschema
import pytest

from objects import base


@pytest.fixture(name="schema", scope="module")
def _schema():
    definition = base()["CustomResourceDefinition /dnsegresspolicies.portolan.dev"]
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_a_status_as_it_is_written_is_taken_and_another_is_not(schema):
    condition = {"type": "Accepted", "status": "True", "observedGeneration": 1, "reason": "Accepted", "message": "",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"observedGeneration": 1, "selectedPods": 2, "enforcingSidecars": 1, "partlyEnforced": 1,
              "conditions": [condition]}
    jsonschema.validate({**_policy(), "status": status}, schema)
    for wrong in ({"selectedPods": "2"}, {"conditions": [{**condition, "status": True}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**_policy(), "status": {**status, **wrong}}, schema)


def _policy(*rules: dict, **spec) -> dict:
    return {"apiVersion": "portolan.dev/v1alpha1", "kind": "DNSEgressPolicy", "metadata": {"name": "a"},
            "spec": {"rules": list(rules), **spec}}


@pytest.mark.parametrize("rule", [
    {"names": ["api.example.com"]}, {"names": ["*.example.com", "API.example.com."]}, {"names": ["_sip._udp.a.b"]},
    {"names": ["a"], "ports": [{"port": 443}, {"port": 1, "endPort": 9, "protocol": "UDP"}, {}]}])
def test_what_is_right_is_taken(schema, rule):
    jsonschema.validate(_policy(rule, defaultDeny=True, audit=False, podSelector={"matchLabels": {"app": "a"}}), schema)


@pytest.mark.parametrize("rule", [
    {}, {"names": []}, {"names": [""]}, {"names": ["*"]}, {"names": ["a.*.com"]}, {"names": ["*.*.com"]}, {"names": ["a..b"]},
    {"names": ["a/b"]}, {"names": ["a"] * 101}, {"names": ["a"], "ports": [{"port": 0}]},
    {"names": ["a"], "ports": [{"port": "http"}]}, {"names": ["a"], "ports": [{"port": 1, "protocol": "SCTP"}]}])
def test_what_is_wrong_is_refused(schema, rule):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_policy(rule), schema)
