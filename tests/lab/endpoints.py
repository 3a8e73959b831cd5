"""The API server and the endpoints controller of the lab: objects as files in a folder.

`portolan-control --source files:DIR` watches the folder. A file appears and
changes by rename, so a reader never sees half of one.
"""

import os
import time
from pathlib import Path
from typing import Optional

import yaml

from .manifests import key


class Api:
    """One object is one file. Every method returns the time (CLOCK_MONOTONIC) just before its rename."""

    def __init__(self, folder: Path):
        self.folder = folder
        # Beside the folder, not in it: the watcher must not see files on their way.
        self._making = folder.with_name(folder.name + ".making")
        folder.mkdir(parents=True)
        self._making.mkdir()

    def apply(self, obj: dict) -> float:
        return self.write(self._file_name(obj), yaml.safe_dump(obj, sort_keys=False))

    def apply_if_changed(self, obj: dict) -> Optional[float]:
        """None when the object is there already, word for word."""
        file = self.folder / self._file_name(obj)
        if file.exists() and file.read_text() == yaml.safe_dump(obj, sort_keys=False):
            return None
        return self.apply(obj)

    def delete(self, obj: dict) -> float:
        before = time.monotonic()
        (self.folder / self._file_name(obj)).unlink(missing_ok=True)
        return before

    def write(self, file_name: str, text: str) -> float:
        """A file as it is, for tests that write what is no object."""
        made = self._making / file_name
        made.write_text(text)
        before = time.monotonic()
        os.rename(made, self.folder / file_name)
        return before

    @staticmethod
    def _file_name(obj: dict) -> str:
        kind, namespace, name = key(obj)
        return "_".join(part for part in (kind.lower(), namespace, name) if part) + ".yaml"


def slices(service: dict, pods: list[dict]) -> list[dict]:
    """The EndpointSlices of a Service with a selector: one for each address family, also when empty."""
    metadata, spec = service["metadata"], service["spec"]
    families = spec.get("ipFamilies") or ["IPv4"]
    members = [pod for pod in pods if _selects(spec["selector"], pod)
               and pod["metadata"]["namespace"] == metadata["namespace"]]
    return [_slice(service, family, members) for family in families]


def _slice(service: dict, family: str, pods: list[dict]) -> dict:
    metadata, spec = service["metadata"], service["spec"]
    endpoints = []
    for pod in pods:
        addresses = [a["ip"] for a in pod["status"]["podIPs"] if (":" in a["ip"]) == (family == "IPv6")]
        if not addresses:
            continue
        endpoint = {
            "addresses": addresses,
            "conditions": _conditions(pod, spec),
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"],
                          "namespace": pod["metadata"]["namespace"]},
        }
        if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == metadata["name"]:
            endpoint["hostname"] = pod["spec"]["hostname"]
        endpoints.append(endpoint)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{family.lower()}",
            "namespace": metadata["namespace"],
            "labels": {
                "kubernetes.io/service-name": metadata["name"],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": family,
        "ports": [_slice_port(port) for port in spec.get("ports", [])],
        "endpoints": endpoints,
    }


def _slice_port(port: dict) -> dict:
    # A named targetPort would need a slice for each distribution of numbers; no manifest of the lab has one.
    return {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"),
            "port": int(port.get("targetPort", port["port"]))}


def _conditions(pod: dict, service_spec: dict) -> dict:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
    terminating = "deletionTimestamp" in pod["metadata"]
    return {"ready": (ready and not terminating) or bool(service_spec.get("publishNotReadyAddresses")),
            "serving": ready, "terminating": terminating}


def _selects(selector: dict, pod: dict) -> bool:
    labels = pod["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in selector.items())
