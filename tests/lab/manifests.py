"""Reading Kubernetes manifests: a folder or file of YAML documents, as `kubectl apply -f` takes them."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass
class Manifests:
    """Objects by kind, in the order of the files. Kinds that the lab has no use for are kept all the same."""

    objects: list[dict] = field(default_factory=list)

    def kind(self, kind: str) -> list[dict]:
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, name: str) -> dict:
        found = [o for o in self.kind(kind) if o["metadata"]["name"] == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} objects are {kind} {name}, one is wanted")
        return found[0]

    def corefile(self) -> str:
        return self.one("ConfigMap", "coredns")["data"]["Corefile"]


def read(path: Path) -> Manifests:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    manifests = Manifests()
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            if document is not None:
                document["metadata"].setdefault("namespace", "default")
                if document["kind"] in ("Namespace", "Node"):
                    del document["metadata"]["namespace"]
                manifests.objects.append(document)
    return manifests


def key(obj: dict) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]
