"""Every header compiles on its own: usage headers.py BUILD_FOLDER (for the generated code's path)."""

import concurrent.futures
import os
import subprocess
import sys


def check(header: str, generated: list[str]) -> str:
    result = subprocess.run(
        ["g++", "-std=c++20", "-fsyntax-only", "-I.", *generated, "-x", "c++", "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
        timeout=120,
    )
    return result.stderr if result.returncode != 0 else ""


def main() -> int:
    generated = [f"-isystem{folder.path}" for folder in os.scandir(os.path.join(sys.argv[1], "generated"))]
    headers = subprocess.run(
        ["git", "ls-files", "*.h", ":!tests"], check=True, capture_output=True, text=True
    ).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda header: check(header, generated), headers))
    faults = 0
    for header, error in zip(headers, errors):
        if error:
            faults += 1
            print(f"{header} does not compile on its own:\n{error}")
    print(f"headers: {len(headers)} headers, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
