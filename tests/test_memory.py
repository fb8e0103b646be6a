"""Memory is bounded by chunks, batches and shards, not by how long or how many the videos are."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evals.runs.folder import RunFolder
from evals.video import Frames, encode
from tests.conftest import start
from tests.helpers import PLAIN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
MIB = 1 << 20
COUNT = int(os.environ.get("SHORT_VIDEOS", "400"))


def resident(pid: int) -> int:
    """Resident bytes of a process and all below it; 0 when it is gone. A page that several share counts
    once: a process that has just forked would else be counted twice."""
    total = 0
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += 1024 * int(re.search(r"^Pss: +(\d+) kB", rollup, re.M)[1])  # type: ignore[index]
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident(int(child)) for child in (task / "children").read_text().split())
    except (OSError, IndexError, TypeError):
        pass
    return total


def watched(*arguments: object, log: Path) -> tuple[int, list[tuple[int, int]]]:
    """Run the command line; its exit code, and (lines of a journal, resident bytes) as it goes."""
    seen = []
    with start(*arguments) as process:
        while process.poll() is None:
            lines = log.read_bytes().count(b"\n") if log.exists() else 0
            seen.append((lines, resident(process.pid)))
            time.sleep(0.1)
        process.communicate()
    return process.returncode, seen


def scene(count: int, height: int, width: int) -> Iterator[Frames]:
    """A textured ground that drifts, and a disc before it."""
    rng = np.random.default_rng(0)
    ground = np.kron(
        rng.integers(40, 200, (height // 8, width // 4, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    yy, xx = np.mgrid[:height, :width]
    for i in range(count):
        frame = ground[:, i % width : i % width + width].copy()
        frame[(yy - height // 2) ** 2 + (xx - (7 * i) % width) ** 2 < (height // 8) ** 2] = 230
        yield frame


@pytest.mark.nightly
def test_a_long_1080p_video_leaves_memory_flat_and_under_one_and_a_half_gigabytes(tmp_path: Path) -> None:
    """160 frames are 1 GB of pixels; the second half of the pass keeps none of its own."""
    folder = tmp_path / "clips"
    folder.mkdir()
    encode(folder / "0.mp4", scene(160, 1080, 1920), 24)
    (folder / "videos.jsonl").write_text('{"path": "0.mp4", "prompt": "a disc"}\n')
    journal = tmp_path / "runs" / "clips" / "scores/main.jsonl"
    command = ("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--metrics", PLAIN)
    code, seen = watched(*command, log=journal)
    assert code == 0
    peak = max(size for _, size in seen)
    half = len(seen) // 2
    early, late = (max(size for _, size in part) for part in (seen[:half], seen[half:]))
    assert len(seen) > 20 and peak < 1500 * MIB, f"{peak / MIB:.0f} MiB"
    # The encoder is loaded near the end (115 MiB seen); the frames of the second half would be 498 MB.
    assert late < early + 300 * MIB, f"{early / MIB:.0f} MiB, then {late / MIB:.0f} MiB"
    print(f"peak {peak / MIB:.0f} MiB")


@pytest.mark.nightly
def test_many_short_videos_leave_memory_flat(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    rng = np.random.default_rng(1)
    lines = []
    for i in range(COUNT):
        frames = np.kron(rng.integers(0, 255, (6, 6, 8, 3), dtype=np.uint8), np.ones((1, 8, 8, 1), np.uint8))
        encode(folder / f"{i}.mp4", frames, 8)
        lines.append(f'{{"path": "{i}.mp4", "prompt": "noise", "prompt_id": "n{i}"}}\n')
    (folder / "videos.jsonl").write_text("".join(lines))
    journal = tmp_path / "runs" / "clips" / "scores/main.jsonl"
    command = ("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--metrics", PLAIN)
    code, seen = watched(*command, log=journal)
    assert code == 0 and len(RunFolder(tmp_path / "runs" / "clips").samples()) == COUNT
    early = [size for lines, size in seen if COUNT // 5 <= lines < 2 * COUNT // 5]
    late = [size for lines, size in seen if lines >= 4 * COUNT // 5]
    assert early and late
    growth = float(np.median(late) - np.median(early))
    assert growth < 40 * MIB, f"{growth / MIB:.0f} MiB more"
    print(f"{np.median(early) / MIB:.0f} MiB early, {growth / MIB:+.0f} MiB late")
