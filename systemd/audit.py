#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says whether a version in requirements.txt is known to be vulnerable; the exit status is 1 then.

pip-audit, of the extra "test", asks the index for what is known. Where that does not answer, or
not for all, this says so, and is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path

FILES = ("requirements.txt", "build-requirements.txt")

UNREACHED = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError")
"""What pip-audit ends with where nobody answers."""


def main() -> None:
    """Ask, and say what is known."""
    files = [str(Path(__file__).with_name(name)) for name in FILES]
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json"]
    for file in files:
        command += ["--requirement", file]
    command += ["--require-hashes", "--disable-pip"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines, is_bad = verdict(run.stdout, run.stderr)
    print("\n".join(lines))
    sys.exit(is_bad)


def verdict(output: str, errors: str) -> tuple[list[str], bool]:
    """Return what there is to say of pip-audit's output, and whether that is a failure."""
    if not output.strip():
        last = errors.strip().splitlines()[-1:] or ["it says nothing"]
        reached = not any(word in errors for word in UNREACHED)
        return [f"nothing was looked up: {last[0]}"], reached
    parts = json.loads(output)["dependencies"]
    bad = [
        f"{part['name']} {part['version']}: {each['id']}, mended in {each['fix_versions']}"
        for part in parts
        for each in part.get("vulns", ())
    ]
    skipped = [part["name"] for part in parts if "skip_reason" in part]
    said = [f"{len(parts) - len(skipped)} of {len(parts)} were looked up"]
    if skipped:
        said.append(f"nothing is said of {', '.join(skipped)}")
    return [*bad, *said], bool(bad)


if __name__ == "__main__":
    main()
