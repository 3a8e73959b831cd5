"""What the API server does with a pod that is created: it mounts the service account's token, asks the webhooks
of the MutatingWebhookConfiguration whose selectors fit, and as they changed the pod does both again.

The order, the second round and every field sent are as recorded of a real one (tests/kubernetes/recordings).
"""

import base64
import copy
import http.client
import json
import socket
import ssl
import uuid
from pathlib import Path
from typing import Optional

import jsonpatch

from .tools import LabError

_TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
# The one match condition of ours, without its line breaks: there is no CEL here.
_ANNOTATED = ("has(object.metadata.annotations) && 'portolan.dev/inject' in object.metadata.annotations"
              " && object.metadata.annotations['portolan.dev/inject'] == 'true'")


class Refused(LabError):
    """The pod is not created; the text is what the API server says to its creator."""


class Admission:
    def __init__(self, configuration: dict, address: tuple, ca: Path):
        """address: IP and port of the Service that the configuration names."""
        self._webhooks = configuration["webhooks"]
        self._address, self._ca = address, ca

    def create(self, pod: dict, namespace: dict) -> dict:
        """The pod as it is stored."""
        first = _with_token(pod)
        mutated = self._ask_webhooks(first, namespace)
        if mutated == first:
            return first
        second = _with_token(mutated)
        again = self._ask_webhooks(second, namespace)
        if again != second:
            raise LabError(f"asked again, the webhook changed its own pod:\n{jsonpatch.make_patch(second, again)}")
        return again

    def _ask_webhooks(self, pod: dict, namespace: dict) -> dict:
        for webhook in self._webhooks:
            if _asked(webhook, pod, namespace):
                pod = self._ask(webhook, pod)
        return pod

    def _ask(self, webhook: dict, pod: dict) -> dict:
        review = _review(pod)
        try:
            answer = self._post(webhook, json.dumps(review))["response"]
        except (OSError, ValueError, KeyError) as error:
            raise Refused(f'failed calling webhook "{webhook["name"]}": {error}') from None
        if answer["uid"] != review["request"]["uid"]:
            raise Refused(f'webhook "{webhook["name"]}" answered for another request')
        if not answer["allowed"]:
            raise Refused(f'admission webhook "{webhook["name"]}" denied the request: {answer["status"]["message"]}')
        if "patch" not in answer:
            return pod
        return jsonpatch.apply_patch(pod, base64.b64decode(answer["patch"]).decode())

    def _post(self, webhook: dict, body: str) -> dict:
        service = webhook["clientConfig"]["service"]
        name, limit = f"{service['name']}.{service['namespace']}.svc", webhook["timeoutSeconds"]
        connection = http.client.HTTPSConnection(name, 443, timeout=limit)
        # As an API server's own resolver: by the name of the Service, to one of its endpoints.
        connection.sock = ssl.create_default_context(cafile=str(self._ca)).wrap_socket(
            socket.create_connection(self._address, timeout=limit), server_hostname=name)
        try:
            connection.request("POST", f"{service['path']}?timeout={limit}s", body,
                               {"Content-Type": "application/json", "Accept": "application/json, */*",
                                "User-Agent": "kube-apiserver-admission", "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}: {text}")
        return json.loads(text)


def _asked(webhook: dict, pod: dict, namespace: dict) -> bool:
    labels = {"kubernetes.io/metadata.name": namespace["metadata"]["name"], **namespace["metadata"].get("labels", {})}
    return (_selects(webhook["namespaceSelector"], labels)
            and _selects(webhook["objectSelector"], pod["metadata"].get("labels", {}))
            and all(_meets(condition, pod) for condition in webhook.get("matchConditions", [])))


def _selects(selector: dict, labels: dict) -> bool:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"""
    for requirement in selector.get("matchExpressions", []):
        value, values = labels.get(requirement["key"]), requirement.get("values", [])
        held = {"In": value in values, "NotIn": value not in values, "Exists": value is not None,
                "DoesNotExist": value is None}[requirement["operator"]]
        if not held:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _meets(condition: dict, pod: dict) -> bool:
    if " ".join(condition["expression"].split()) != _ANNOTATED:
        raise LabError(f"the lab does not know this match condition: {condition['expression']}")
    return pod["metadata"].get("annotations", {}).get("portolan.dev/inject") == "true"


def _with_token(pod: dict) -> dict:
    """As ServiceAccount admission: a volume, and its mount in each container that has none there."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    if spec.get("automountServiceAccountToken") is False:
        return pod
    volumes = spec.setdefault("volumes", [])
    volume = _token_volume(volumes)
    if volume is None:
        volume = {"name": f"kube-api-access-{uuid.uuid4().hex[:5]}", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1",
                                                                          "fieldPath": "metadata.namespace"}}]}}]}}
        volumes.append(volume)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        mounts = container.setdefault("volumeMounts", [])
        if all(mount["mountPath"] != _TOKENS for mount in mounts):
            mounts.append({"name": volume["name"], "readOnly": True, "mountPath": _TOKENS})
    return pod


def _token_volume(volumes: list) -> Optional[dict]:
    return next((volume for volume in volumes if volume["name"].startswith("kube-api-access-")), None)


def _review(pod: dict) -> dict:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": str(uuid.uuid4()), "kind": kind, "resource": resource, "requestKind": kind,
        "requestResource": resource, "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
        "operation": "CREATE", "userInfo": {"username": "lab", "groups": ["system:authenticated"]},
        "object": pod, "oldObject": None, "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}}
