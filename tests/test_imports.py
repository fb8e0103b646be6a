"""`import evals` and `--help` stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

HEAVY = ("torch", "pandas", "diffusers", "scipy", "open_clip", "av", "cv2")


def loaded_by(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after `code`."""
    check = f"{code}\nimport sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


HELP = """
import evals.cli
try:
    evals.cli.main(["{command}", "--help"])
except SystemExit:
    pass
"""


def test_import_is_light() -> None:
    assert loaded_by("import evals") == set()


@pytest.mark.parametrize("command", ["run", "generate", "score", "compare", "show", "list", "init", "doctor"])
def test_help_is_light(command: str) -> None:
    assert loaded_by(HELP.replace("{command}", command)) == set()


def test_top_level_help_is_light() -> None:
    assert loaded_by(HELP.replace('"{command}", ', "")) == set()


def test_the_check_can_fail() -> None:
    assert "pandas" in loaded_by("import pandas")
    assert "torch" in loaded_by("import torch")


def test_decoders_never_load_torch() -> None:
    found = loaded_by(
        "import evals.decoding.worker\nfrom evals.extractors import FRAME_EXTRACTORS\n"
        "[FRAME_EXTRACTORS.get(n) for n in FRAME_EXTRACTORS]"
    )
    assert found == {"av", "cv2"}


def test_every_public_name_is_there() -> None:
    import evals

    assert sorted(evals.__all__) == sorted(evals._MODULE)
    for name in evals.__all__:
        assert getattr(evals, name) is not None
    assert not hasattr(evals, "nothing_of_the_sort")
