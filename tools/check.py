"""Everything that must hold: style, types, the import contract, tests. Arguments go to pytest.

Tests run on all cores; those marked `alone` measure time and come after, one by one. With
`-m EXPRESSION` of your own, all chosen tests run together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST: list[Path | str] = [sys.executable, "-m", "pytest", *sys.argv[1:]]
TOGETHER: list[Path | str] = ["-n", "auto", "--dist", "loadgroup"]
NONE_COLLECTED = 5
CHECKS: dict[str, list[Path | str]] = {
    "style": [BIN / "ruff", "check", "."],
    "format": [BIN / "ruff", "format", "--check", "."],
    "types": [BIN / "mypy"],
    "imports": [BIN / "lint-imports", "--no-logo"],
}
if "-m" in sys.argv:
    CHECKS["tests"] = [*PYTEST, *TOGETHER]
else:
    CHECKS["tests"] = [*PYTEST, *TOGETHER, "-m", "not alone and not nightly"]
    CHECKS["tests alone"] = [*PYTEST, "-m", "alone and not nightly"]


def main() -> int:
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        started = time.monotonic()
        # Each test process keeps to one core; numbers don't depend on the number of threads.
        env = {**os.environ, "OMP_NUM_THREADS": "1"} if name == "tests" else None
        code = subprocess.run([str(x) for x in command], cwd=ROOT, env=env, check=False).returncode
        if code not in (0, NONE_COLLECTED):
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
