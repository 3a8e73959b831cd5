"""What sanitizers say of our programs while the lab runs. A race is no crash: the program goes on, so somebody
has to look."""

import os
from pathlib import Path

from .container import Mount
from .namespaces import RUN

_FOLDER = RUN / "sanitizers"
_OPTIONS = ("ASAN_OPTIONS", "TSAN_OPTIONS")
_read: dict[Path, int] = {}


def set_up() -> None:
    """Every program started from now on reports into a file of its own."""
    _FOLDER.mkdir()
    _FOLDER.chmod(0o1777)  # sidecars are no root
    for name in _OPTIONS:
        os.environ[name] = f"{os.environ.get(name, '')} log_path={_FOLDER}/report"


def environment() -> dict:
    """For programs that do not inherit ours."""
    return {name: os.environ[name] for name in _OPTIONS if name in os.environ}


def mounts() -> list[Mount]:
    """For containers whose root is read-only."""
    return [Mount(str(_FOLDER), str(_FOLDER))] if _FOLDER.exists() else []


def new_reports() -> str:
    """All that was reported since the last call."""
    text = ""
    for path in sorted(_FOLDER.glob("report.*")):
        with open(path, errors="replace") as file:
            file.seek(_read.get(path, 0))
            text += file.read()
            _read[path] = file.tell()
    return text
