"""Where numbers come from: versions, code, hardware. Nothing here is part of a key."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = (
    "t2v-evals", "torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "numpy",
    "scipy", "pandas", "pillow", "pymunk",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of what shapes the numbers; read from metadata, nothing is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision(folder: Path) -> str | None:
    """Commit of the checkout that `folder` lies in, with `+dirty` where it differs; None outside one."""
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        if head.returncode:
            return None
        state = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "-uno"],
            capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+dirty" if state.stdout.strip() else "")


def hardware() -> dict[str, Any]:
    """Processor, cores and, where torch is loaded already, its CUDA devices."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["cuda"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def provenance() -> dict[str, Any]:
    """All of the above as one record."""
    return {
        "versions": versions(),
        "revision": git_revision(Path(__file__).resolve().parent),
        "hardware": hardware(),
    }
