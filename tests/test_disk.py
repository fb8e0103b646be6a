"""Disks that are full, read-only or forgetful: what was recorded stays, and the next start goes on."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.errors import RunError
from evals.runs import journal
from evals.runs.folder import RunFolder
from tests.conftest import ROOT, Cli, MakeClips
from tests.test_run import rows, scores


def test_a_rename_that_was_lost_is_done_again_and_then_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS can: confirmed and lost, done and then answered with an error, and lost for good."""
    rename, target = Path.replace, tmp_path / "x"

    def lost(self: Path, to: Path) -> Path:
        self.unlink()
        monkeypatch.setattr(Path, "replace", rename)
        return to

    def twice(self: Path, to: Path) -> Path:
        rename(self, to)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    for number, fault in enumerate((lost, twice)):
        monkeypatch.setattr(Path, "replace", fault)
        journal.write_atomically(target, b"%d" % number)
        assert target.read_bytes() == b"%d" % number and list(tmp_path.iterdir()) == [target]
    monkeypatch.setattr(Path, "replace", lambda self, to: to)
    with pytest.raises(RunError, match="lost the renaming"):
        journal.write_atomically(target, b"never")
    assert target.read_bytes() == b"1" and list(tmp_path.iterdir()) == [target]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from evals.cli import main
main(sys.argv[2:])
"""


@pytest.mark.nightly
def test_writes_that_stop_half_way_lose_nothing(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """Files end at a growing limit, wherever that is: in `run.json`, a journal's line or a shard."""
    folder = clips("a").write(4).folder
    command = ["run", "--generator", f"folder:{folder}", "--metrics", "temporal_flicker,sharpness"]
    whole = cli(*command, "--out", tmp_path / "whole")
    assert whole.code == 0
    wanted, codes = scores(tmp_path / "whole" / "a"), []
    for limit in [*range(1500, 6000, 500), 10**9]:
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, str(limit), *map(str, command), "--out", str(tmp_path / "runs")],
            capture_output=True, text=True, cwd=ROOT, timeout=120,
        )  # fmt: skip
        codes.append(done.returncode)
        assert done.returncode in (0, 2, 4), done.stderr
        if done.returncode == 2:
            assert "cannot be written: File too large" in done.stderr and "Traceback" not in done.stderr
        if (tmp_path / "runs" / "a" / "run.json").exists():
            RunFolder(tmp_path / "runs" / "a").samples()
    assert codes[0] == 2 and codes[-1] == 0 and codes.count(2) >= 3, codes
    assert scores(tmp_path / "runs" / "a") == wanted
    assert rows(tmp_path / "runs" / "a") == rows(tmp_path / "whole" / "a")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB; skips where none can be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_freed_space_is_used(
    mounted: Path, clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    folder = clips("a").write(3).folder
    command = ("run", "--generator", f"folder:{folder}", "--metrics", "temporal_flicker", "--out", mounted)
    assert cli(*command).code == 0
    before = scores(mounted / "a")
    with pytest.raises(OSError, match="No space left"), (mounted / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    more = (*command[:-4], "--metrics", "sharpness", *command[-2:])
    full = cli(*more)
    assert full.code == 2 and "No space left on device" in full.err
    assert scores(mounted / "a") == before
    assert (
        cli("show", mounted / "a").code == 0
        and cli("compare", mounted / "a", "--out", tmp_path / "r").code == 0
    )
    (mounted / "ballast").unlink()
    assert cli(*more).code == 0
    after = scores(mounted / "a")
    assert all(set(s) == {"temporal_flicker", "sharpness"} for s in after.values())
    assert all({k: s[k] for k in before[at]} == before[at] for at, s in after.items())


def test_a_run_on_a_read_only_disk_can_be_read(
    mounted: Path, clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    folder = clips("a").write(2).folder
    command = ("run", "--generator", f"folder:{folder}", "--metrics", "temporal_flicker", "--out", mounted)
    assert cli(*command).code == 0
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    assert cli("show", mounted / "a").code == 0
    assert cli("compare", mounted / "a", "--out", tmp_path / "report").code == 0
    stopped = cli(*command)
    assert stopped.code == 2 and "cannot be written: Read-only file system" in stopped.err
    assert cli("generate", "--generator", f"folder:{mounted / 'a'}", "--out", tmp_path / "of").code == 0
