"""Where numbers come from: versions, code, hardware, times. Nothing here is part of a key."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.records import Record

PACKAGES = (
    "t2v-evals", "torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "numpy",
    "scipy", "pandas", "pillow", "pymunk",
)  # fmt: skip


class Provenance(Record):
    """The machine, the code and the time of one stage of a run. Times are ISO 8601, UTC."""

    started: str
    finished: str
    versions: dict[str, str] = {}
    revision: str | None = None
    hardware: dict[str, Any] = {}


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record(started: str) -> Provenance:
    """This machine and code, for work that began at `started` and ends now."""
    return Provenance(
        started=started,
        finished=now(),
        versions=versions(),
        revision=git_revision(Path(__file__).resolve().parent),
        hardware=hardware(),
    )


def versions() -> dict[str, str]:
    """Versions of what shapes the numbers; read from metadata, nothing is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def git_revision(folder: Path) -> str | None:
    """Commit of the checkout that `folder` lies in, with `+dirty` where it differs; None outside one."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        if head.returncode:
            return None
        state = _git(folder, "status", "--porcelain", "-uno")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+dirty" if state.stdout.strip() else "")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
    )


def hardware() -> dict[str, Any]:
    """System, processor, usable cores and, where torch is loaded already, its CUDA devices and driver."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if processor := _first_match("/proc/cpuinfo", r"model name\s*:\s*(.+)"):
        facts["processor"] = processor
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["cuda"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        facts["cuda_version"] = torch.version.cuda
        if driver := _first_match("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+[\d.]+)"):
            facts["driver"] = driver
    return facts


def _first_match(path: str, pattern: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(errors="replace"))
    except OSError:
        return None
    return found[1].strip() if found else None
