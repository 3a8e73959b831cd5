"""The objects of manifests/: read strictly, or rendered by kubectl and helm."""

import subprocess
from pathlib import Path
from typing import Iterable, Union

import yaml

from lab.tools import TREE

MANIFESTS = TREE / "manifests"
CHART = MANIFESTS / "helm" / "portolan"
NAMESPACE = "portolan-system"

Objects = dict[str, dict]  # by "Kind namespace/name"


class StrictLoader(yaml.SafeLoader):
    """As YAML has it, and its library here does not: no key twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def documents(text: str) -> list:
    return [document for document in yaml.load_all(text, StrictLoader) if document is not None]


def by_name(objects: Iterable[dict]) -> Objects:
    found: Objects = {}
    for obj in objects:
        name = "{} {}/{}".format(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        assert name not in found, f"{name} twice"
        found[name] = obj
    return found


def base() -> Objects:
    """What manifests/base lists, without kubectl: images are as they are written there."""
    folder = MANIFESTS / "base"
    [kustomization] = documents((folder / "kustomization.yaml").read_text())
    return by_name(obj for file in kustomization["resources"] for obj in documents((folder / file).read_text()))


class Tools:
    """kubectl and helm."""

    def __init__(self, folder: Path):
        self.folder = folder

    def kustomize(self, folder: Union[str, Path]) -> Objects:
        return by_name(documents(self.run("kubectl", "kustomize", str(MANIFESTS / folder)).stdout))

    def chart(self, *values: str) -> Objects:
        """values: NAME=VALUE each."""
        return by_name(documents(self.template(*values).stdout))

    def template(self, *values: str, check: bool = True) -> subprocess.CompletedProcess:
        flags = [word for value in values for word in ("--set", value)]
        return self.run("helm", "template", "portolan", str(CHART), "--namespace", NAMESPACE, *flags, check=check)

    def run(self, program: str, *words: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run([str(self.folder / program), *words], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 0 or not check, f"{program} {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done
