"""Everything that must hold: style, the page's scripts, types, the import contract, prompt sets, tests.
Arguments go to pytest. Without any, tests that are `slow` run, too.

Tests run on all cores, but for the files of `ALONE`: they measure time and come after, one by one. With
arguments of your own, all chosen tests run together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
ALONE = ("tests/test_pool.py",)
PYTEST: list[Path | str] = [sys.executable, "-m", "pytest"]
# Files in their own order: by default those with few but long tests come last and leave cores idle.
TOGETHER: list[Path | str] = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
CHECKS: dict[str, list[Path | str]] = {
    "style": [BIN / "ruff", "check", "."],
    "format": [BIN / "ruff", "format", "--check", "."],
    "scripts": [BIN / "oxlint", "--deny-warnings"],
    "types": [BIN / "mypy"],
    "imports": [BIN / "lint-imports", "--no-logo"],
    "prompts": [sys.executable, "run_eval.py", "prompts", "lint"],
}
if sys.argv[1:]:
    CHECKS["tests"] = [*PYTEST, *TOGETHER, *sys.argv[1:]]
else:
    CHECKS["tests"] = [*PYTEST, *TOGETHER, "-m", "not nightly", *(f"--ignore={path}" for path in ALONE)]
    CHECKS["tests alone"] = [*PYTEST, *ALONE]


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        started = time.monotonic()
        # Each of the processes that run together keeps to one core.
        env = {**os.environ, "OMP_NUM_THREADS": "1"} if name == "tests" else None
        code = subprocess.run([str(x) for x in command], cwd=ROOT, env=env, check=False).returncode
        if code:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
