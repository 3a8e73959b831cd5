"""The Corefile that the control plane sends to every sidecar: changed as a ConfigMap's mount changes."""

import json
import os
import time
from pathlib import Path

from .cluster import Pod


def replace(path: Path, text: str) -> float:
    """The new content at once; the moment it is there."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    now = time.monotonic()
    os.rename(new, path)
    return now


def dump(pod: Pod) -> dict:
    return json.loads(pod.sidecar.admin("/config_dump"))
