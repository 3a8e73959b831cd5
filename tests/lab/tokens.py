"""Service account tokens, as an API server signs them and a kubelet projects them into a pod."""

import base64
import json
import os
import time
from pathlib import Path

from .tools import run

_ISSUER = "https://kubernetes.default.svc.cluster.local"
_HOUR = 3600


class TokenIssuer:
    """The API server's key for tokens; `public` is what portolan-control checks them by."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self._key, self.public = folder / "sa.key", folder / "sa.pub"
        run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self._key)])
        run(["openssl", "pkey", "-in", str(self._key), "-pubout", "-out", str(self.public)])

    def token(self, namespace: str, pod: str, audience: str = "portolan", lifetime: int = _HOUR) -> str:
        """lifetime: seconds from now, negative for one that has expired."""
        now = int(time.time())
        claims = {"aud": [audience], "exp": now + lifetime, "iat": now, "nbf": now - _HOUR, "iss": _ISSUER,
                  "sub": f"system:serviceaccount:{namespace}:default",
                  "kubernetes.io": {"namespace": namespace, "pod": {"name": pod, "uid": f"uid-of-{pod}"},
                                    "serviceaccount": {"name": "default", "uid": f"uid-in-{namespace}"}}}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        part = self._key.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}")
        part.write_text(signed)
        run(["openssl", "dgst", "-sha256", "-sign", str(self._key), "-out", f"{part}.sig", str(part)])
        signature = Path(f"{part}.sig").read_bytes()
        part.unlink()
        Path(f"{part}.sig").unlink()
        return f"{signed}.{_base64url(signature)}"


class ProjectedToken:
    """In a pod's volume: `file` is always whole. Any user of the pod reads it, as its containers have several."""

    def __init__(self, file: Path):
        self.file = file

    def write(self, token: str) -> None:
        following = self.file.with_name("..next")
        following.write_text(token)
        following.chmod(0o644)
        following.rename(self.file)

    def remove(self) -> None:
        self.file.unlink()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
