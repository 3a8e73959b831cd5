"""clang-tidy on every source file: usage tidy.py BUILD_FOLDER (configured with the tests, generated code made).

The whole tree takes long, so a file that was found clean is not looked at again until something changes that
could change the verdict: the file, what it includes, its command line, the checks, or clang-tidy itself.
BUILD_FOLDER/tidy/ remembers."""

import concurrent.futures
import functools
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

TIDY = "clang-tidy-14"
# The benches are compiled with PORTOLAN_BENCH alone; the fuzz targets have not been held to it so far.
LEFT_OUT = ("tests/fuzz/", "tests/bench/")


def output_of(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@functools.cache
def digest(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


class Tidy:
    def __init__(self, build: str):
        self.build = build
        entries = json.loads(Path(build, "compile_commands.json").read_text())
        self.commands = {os.path.relpath(entry["file"]): entry["command"] for entry in entries}
        configs = output_of("git", "ls-files", ".clang-tidy", "*/.clang-tidy").split()
        self.rules = output_of(TIDY, "--version").encode() + b"".join(map(digest, configs))

    def fingerprint(self, source: str, included: Path) -> str:
        """Of all that the verdict rests on. `included` is the compiler's list, as for make."""
        whole = hashlib.sha256(self.rules + self.commands[source].encode())
        for path in included.read_text().replace("\\\n", " ").split()[1:]:
            whole.update(digest(path))
        return whole.hexdigest()

    def check(self, source: str) -> str:
        """What clang-tidy has to say; empty when the file is clean."""
        if source not in self.commands:
            return f"{source} is not compiled in {self.build}\n"
        included = Path(self.build, "tidy", source + ".d")
        clean = included.with_suffix(".clean")
        try:
            if clean.read_text() == self.fingerprint(source, included):
                return ""
        except OSError:
            pass  # never looked at, or an included file is gone
        clean.unlink(missing_ok=True)
        included.parent.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [TIDY, "-p", self.build, "--quiet", f"--extra-arg=-Wp,-MD,{included}", source],
            capture_output=True, text=True)
        if result.returncode != 0:
            return result.stdout or result.stderr
        clean.write_text(self.fingerprint(source, included))
        return ""


def main() -> int:
    tidy = Tidy(os.path.abspath(sys.argv[1]))
    tracked = output_of("git", "ls-files", "*.cc").split()
    sources = [path for path in tracked if not path.startswith(LEFT_OUT)]
    faults = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(tidy.check, sources):
            if said:
                print(said, flush=True)
                faults += 1
    print(f"clang-tidy: {len(sources)} files, {faults} with faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
