"""The volumes of a pod, as a kubelet fills them: each a folder of the node.

https://kubernetes.io/docs/concepts/storage/volumes/
"""

from pathlib import Path

from .kubernetes_api import KubernetesApi
from .tokens import ProjectedToken, TokenIssuer
from .tools import LabError, wait_until


class ConfigMaps:
    """Those that pods have mounted, in files, where the volumes of all pods lead to."""

    def __init__(self, api: KubernetesApi, folder: Path):
        self._api, self._folder = api, folder
        self._written: dict[tuple, dict] = {}

    def files(self, namespace: str, name: str) -> list[Path]:
        """One for each key. Waits until there is such a ConfigMap, as a pod does that wants it."""
        place = namespace, name
        if place not in self._written:
            self._folder.joinpath(*place).mkdir(parents=True)
            self._written[place] = {}
            wait_until(lambda: self._there(place), f'configmap "{name}" in namespace {namespace}')
        return [self._folder.joinpath(*place, key) for key in self._written[place]]

    def _there(self, place: tuple) -> bool:
        self.sync()
        return bool(self._written[place])

    def hold(self, name: str, key: str, text: str) -> bool:
        """Whether those of that name hold that text by now, in every namespace that pods have one mounted in."""
        self.sync()
        return all(data.get(key) == text for place, data in self._written.items() if place[1] == name)

    def sync(self) -> None:
        """A kubelet does so every minute or so; here it is asked to."""
        for place, written in self._written.items():
            data = self._api.config_map(*place) or {}
            if data != written:
                self._written[place] = data
                for key, text in data.items():
                    following = self._folder.joinpath(*place, f"..{key}")
                    following.write_text(text)
                    following.rename(following.with_name(key))


class Volumes:
    def __init__(self, pod: dict, folder: Path, config_maps: ConfigMaps, issuer: TokenIssuer):
        self._pod, self._config_maps, self._issuer = pod, config_maps, issuer
        self._folders: dict[str, Path] = {}
        # By the volume's name.
        self.tokens: dict[str, ProjectedToken] = {}
        for volume in pod["spec"].get("volumes") or []:
            self._folders[volume["name"]] = folder / volume["name"]
            self._fill(volume, folder / volume["name"])

    def folder(self, name: str) -> Path:
        return self._folders[name]

    def _fill(self, volume: dict, folder: Path) -> None:
        folder.mkdir(parents=True)
        if "emptyDir" in volume:
            folder.chmod(0o777)
        elif "configMap" in volume:
            self._config_map(volume["configMap"], folder)
        elif "projected" in volume:
            for source in volume["projected"]["sources"]:
                self._project(volume["name"], source, folder)
        else:
            raise LabError(f"volume {volume['name']}: the lab has no such kind: {sorted(volume)}")

    def _project(self, name: str, source: dict, folder: Path) -> None:
        metadata = self._pod["metadata"]
        if token := source.get("serviceAccountToken"):
            self.tokens[name] = ProjectedToken(folder / token["path"])
            self.tokens[name].write(self._issuer.token(metadata["namespace"], metadata["name"],
                                                       token.get("audience", "https://kubernetes.default.svc")))
        elif config_map := source.get("configMap"):
            self._config_map(config_map, folder)
        elif downward := source.get("downwardAPI"):
            for item in downward["items"]:
                (folder / item["path"]).write_text(field(self._pod, item["fieldRef"]["fieldPath"]))
        else:
            raise LabError(f"volume {name}: the lab has no such source: {sorted(source)}")

    def _config_map(self, source: dict, folder: Path) -> None:
        """Links to the keys' files, so that a change is seen."""
        files = {file.name: file for file in self._config_maps.files(self._pod["metadata"]["namespace"], source["name"])}
        for item in source.get("items") or [{"key": key, "path": key} for key in files]:
            (folder / item["path"]).symlink_to(files[item["key"]])


def field(pod: dict, path: str) -> str:
    """A field of the downward API. https://kubernetes.io/docs/concepts/workloads/pods/downward-api/"""
    for kind in ("labels", "annotations"):
        if path.startswith(f"metadata.{kind}['"):
            return (pod["metadata"].get(kind) or {}).get(path.split("'")[1], "")
    metadata = pod["metadata"]
    known = {"metadata.name": lambda: metadata["name"], "metadata.namespace": lambda: metadata["namespace"],
             "spec.nodeName": lambda: pod["spec"]["nodeName"], "status.podIP": lambda: pod["status"]["podIP"],
             "status.podIPs": lambda: ",".join(ip["ip"] for ip in pod["status"]["podIPs"])}
    if path not in known:
        raise LabError(f"the lab's downward API has no field {path}")
    return known[path]()
