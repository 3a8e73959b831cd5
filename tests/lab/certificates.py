"""Certificates for the control plane, as cert-manager would make them and a kubelet mount them."""

from pathlib import Path

from .tools import run

# Of openssl req and x509.
_DAYS = "2"


class CertificateAuthority:
    """A CA; `file` is what sidecars know it by, which a new one of the same folder replaces."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self.folder, self.file, self._key = folder, folder / "ca.crt", folder / "ca.key"
        _new_key(self._key)
        run(["openssl", "req", "-x509", "-new", "-key", str(self._key), "-subj", "/CN=lab", "-days", _DAYS,
             "-out", str(self.file)])
        # Sidecars read it as another user; a Secret's key is never theirs.
        self.file.chmod(0o644)

    def sign(self, key: Path, names: str, certificate: Path) -> None:
        """names as openssl has them: DNS:a.example,IP:10.0.0.1."""
        request, extension = key.with_suffix(".csr"), key.with_suffix(".ext")
        extension.write_text(f"subjectAltName={names}\n")
        run(["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=portolan-control", "-out", str(request)])
        run(["openssl", "x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key),
             "-days", _DAYS, "-extfile", str(extension), "-out", str(certificate)])


class Secret:
    """tls.crt and tls.key in a folder where they are links, all of which one rename changes."""

    def __init__(self, folder: Path, ca: CertificateAuthority, names: str):
        folder.mkdir()
        self._folder, self._names, self._count = folder, names, 0
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.renew(ca)
        for link in (self.certificate, self.key):
            link.symlink_to(f"..data/{link.name}")

    def renew(self, ca: CertificateAuthority) -> None:
        version = self._next()
        _new_key(version / "tls.key")
        ca.sign(version / "tls.key", self._names, version / "tls.crt")
        self._swap(version)

    def spoil(self) -> None:
        """A key that is not the certificate's."""
        version = self._next()
        (version / "tls.crt").write_bytes(self.certificate.read_bytes())
        _new_key(version / "tls.key")
        self._swap(version)

    def _next(self) -> Path:
        self._count += 1
        version = self._folder / f"..{self._count}"
        version.mkdir()
        return version

    def _swap(self, version: Path) -> None:
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")


def _new_key(path: Path) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)])
