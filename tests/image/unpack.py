"""An image in the OCI layout, unpacked as a container runtime does: layer by layer, with owners and capabilities.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import io
import json
import os
import tarfile
from pathlib import Path

_CAPABILITY = "security.capability"


class Image:
    def __init__(self, archive: Path, folder: Path):
        """folder is made here and holds the root file system afterwards."""
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.place = folder / "place"
        self.place.mkdir()
        with tarfile.open(archive) as layout:
            (manifest,) = _json(layout, "index.json")["manifests"]
            self.name = manifest["annotations"]["org.opencontainers.image.ref.name"]
            content = _blob(layout, manifest["digest"])
            self.compressed_size = sum(layer["size"] for layer in content["layers"])
            self.config = _blob(layout, content["config"]["digest"])["config"]
            for layer in content["layers"]:
                self._unpack(layout.extractfile(_path(layer["digest"])).read())
        # What a runtime makes where the image has none.
        for name in ("proc", "dev"):
            (self.root / name).mkdir(exist_ok=True)

    def files(self) -> list[Path]:
        return [Path(folder) / name for folder, _, names in os.walk(self.root) for name in names]

    def _unpack(self, layer: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(layer)) as files:
            files.extractall(self.root, numeric_owner=True)
            for member in files:
                capability = member.pax_headers.get(f"SCHILY.xattr.{_CAPABILITY}")
                if capability:
                    os.setxattr(self.root / member.name, _CAPABILITY, capability.encode("utf-8", "surrogateescape"))


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(layout: tarfile.TarFile, path: str) -> dict:
    return json.load(layout.extractfile(path))


def _blob(layout: tarfile.TarFile, digest: str) -> dict:
    return _json(layout, _path(digest))
