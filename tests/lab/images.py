"""The image registry of the lab: which local program stands for which image name.

An image here is a function from the pod's name, the container's environment and
a private folder to the command line to run.
"""

from pathlib import Path
from typing import Callable

from .tools import PYTHON

_HERE = Path(__file__).resolve().parent


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


def _http(port: int) -> Callable[[str, dict, Path], list[str]]:
    def command(pod_name: str, _environment: dict, _folder: Path) -> list[str]:
        return [PYTHON, str(_HERE / "http_backend.py"), str(port), pod_name]

    return command


def _pause(_pod_name: str, _environment: dict, _folder: Path) -> list[str]:
    return ["sleep", "infinity"]


_IMAGES: dict[str, Callable[[str, dict, Path], list[str]]] = {
    "nginx:latest": _nginx,
    "your-backend-image:v1": _http(8080),
    # For tests: a pod that serves nothing and is there to run tools in.
    "lab/tools": _pause,
    "lab/http-9090": _http(9090),
}


def command(image: str, pod_name: str, environment: dict, folder: Path) -> list[str]:
    if image not in _IMAGES:
        raise LookupError(f"image {image} stands for no local program: add it to {Path(__file__).name}")
    return _IMAGES[image](pod_name, environment, folder)
