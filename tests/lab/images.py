"""The image registry of the lab: which local programs stand for which image name.

All images have the machine's file system. What an image is for, its entrypoint, is a function from the pod's
name, the container's environment and a private folder to the command line to run.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from .container import Mount
from .namespaces import RUN
from .tools import PYTHON, LabError, portolan, run

_HERE = Path(__file__).resolve().parent
PORTOLAN = "portolan:0.1.0"
# What manifests/image/Containerfile says; tests/image holds the two against each other.
PORTOLAN_USER = 1337
PORTOLAN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin", "XTABLES_LOCKFILE": "/dev/null"}

Entrypoint = Callable[[str, dict, Path], list[str]]


@dataclass(frozen=True)
class Image:
    entrypoint: Optional[Entrypoint] = None
    user: int = 0
    environment: dict = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    mounts: tuple = ()


def _nginx(pod_name: str, environment: dict, folder: Path) -> list[str]:
    """nginx: the pod's name at /, and the backend of the environment (the seed's variables) at /backend."""
    backend = ""
    if "BACKEND_SERVICE_HOST" in environment:
        target = f"{environment['BACKEND_SERVICE_HOST']}:{environment['BACKEND_SERVICE_PORT']}"
        # nginx looks the name up when it starts: it only starts when the sidecar answers already.
        backend = f"location /backend {{ proxy_pass http://{target}/; }}"
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; master_process off; user root; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; {temporary}
  server {{
    listen 80;
    location / {{ default_type text/plain; return 200 "{pod_name}\\n"; }}
    {backend}
  }}
}}
""")
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]


def _http(port: int) -> Entrypoint:
    def command(pod_name: str, _environment: dict, _folder: Path) -> list[str]:
        return [PYTHON, str(_HERE / "http_backend.py"), str(port), pod_name]

    return command


def _pause(_pod_name: str, _environment: dict, _folder: Path) -> list[str]:
    return ["sleep", "infinity"]


def _asks(_pod_name: str, _environment: dict, folder: Path) -> list[str]:
    return ["sh", "-c", f"dig +short +time=2 +tries=1 backend.default.svc.cluster.local > {folder}/answer"]


_ENTRYPOINTS: dict[str, Entrypoint] = {
    "nginx:latest": _nginx,
    "your-backend-image:v1": _http(8080),
    # For tests: a pod that serves nothing and is there to run tools in.
    "lab/tools": _pause,
    # To its end: what the name of the backend is answered with, into a file.
    "lab/asks": _asks,
    "lab/http-9090": _http(9090),
}


def find(image: str) -> Image:
    if image == PORTOLAN:
        return Image(user=PORTOLAN_USER, environment=PORTOLAN_ENVIRONMENT,
                     mounts=(Mount(str(portolan_programs()), "/usr/local/bin", read_only=True),))
    if image not in _ENTRYPOINTS:
        raise LabError(f"image {image} stands for no local program: add it to {Path(__file__).name}")
    return Image(_ENTRYPOINTS[image])


def portolan_programs() -> Path:
    """The folder /usr/local/bin of our image: copies that any user reaches, and the sidecar's file capability."""
    folder = RUN / "portolan-image"
    if not folder.exists():
        folder.mkdir()
        for program in ("portolan-init", "portolan-proxy"):
            shutil.copy(portolan(program), folder)
        run(["setcap", "cap_net_raw+p", str(folder / "portolan-proxy")])
    return folder


def command(image: str, pod_name: str, environment: dict, folder: Path) -> list[str]:
    """For what runs in no pod."""
    return find(image).entrypoint(pod_name, environment, folder)
