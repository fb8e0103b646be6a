"""One writer per run folder, on this machine by the kernel, from others by a note."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evals.errors import RunLocked
from evals.runs.lock import break_lock, held
from tests.conftest import Cli, MakeClips

NOTE = ".lock-owner.json"
HOLD = """
import pathlib, sys, time
from evals.runs.lock import held
with held(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    time.sleep(60)
"""


def test_a_lock_is_free_again_after_use_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        assert json.loads((tmp_path / NOTE).read_text()) == {"pid": os.getpid(), "host": socket.gethostname()}
        with pytest.raises(RunLocked, match=f"process {os.getpid()} on .* is writing"), held(tmp_path):
            pass
        _ = 1 / 0
    with held(tmp_path):
        pass
    assert not (tmp_path / NOTE).exists()


def test_a_killed_process_lets_go_and_a_running_one_does_not_even_when_asked(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"1\n"
        with pytest.raises(RunLocked, match=f"process {process.pid} "):
            break_lock(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / NOTE).exists()
        with held(tmp_path):
            pass


def test_a_note_of_another_machine_stands_until_it_is_broken(
    clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    folder = clips("a").write(1).folder
    command = ("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--metrics", "sharpness")
    assert cli(*command).code == 0
    note = tmp_path / "runs" / "a" / NOTE
    note.write_text('{"pid": 7, "host": "node-12"}')
    for again in (command, ("score", tmp_path / "runs" / "a", "--metrics", "temporal_flicker")):
        stopped = cli(*again)
        assert stopped.code == 2 and "process 7 on node-12" in stopped.err and "--break-lock" in stopped.err
    assert cli("show", tmp_path / "runs" / "a").code == 0
    assert cli(*command, "--break-lock").code == 0 and not note.exists()
    note.write_text("half a no")  # its own writing is atomic: only damage looks like this
    assert cli(*command).code == 0
