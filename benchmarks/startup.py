"""Seconds until the package is imported and `--help` has answered: `python benchmarks/startup.py`.

Each command runs in fresh interpreters; figures are medians of ten, beside an interpreter that does nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import evals": ["-c", "import evals"],
    "--help": ["run_eval.py", "--help"],
    "run --help": ["run_eval.py", "run", "--help"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    for name, arguments in COMMANDS.items():
        seconds(arguments)
        print(f"{name:16s} {statistics.median(seconds(arguments) for _ in range(10)):.3f} s")


if __name__ == "__main__":
    main()
