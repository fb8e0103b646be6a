"""`simulated:` as a generator, and the demo: bytes, outcomes, options, kills, what the user is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from evals import prompts
from evals.cli.demo import FLAWS, REFERENCE, VARIANTS, choose_prompts
from evals.errors import UnknownName, UsageError
from evals.generators import create
from evals.generators.simulated import Simulated
from evals.records import Request, Settings
from evals.runs.folder import RunFolder
from evals.video import read
from tests.conftest import Cli, call, start

KITE = next(p for p in prompts.load(prompts.find("parks")).prompts if p.id == "park-kite")
SMALL = ("--size", "96x72", "--frames", 13, "--fps", 8)


def run(cli: Cli, out: Path, generator: str, *more: object) -> RunFolder:
    base = (
        "run",
        "--generator",
        generator,
        "--prompts",
        "parks",
        "--limit",
        3,
        *SMALL,
        "--metrics",
        "temporal_flicker",
    )
    done = cli(*base, "--out", out, "--name", "r", *more)
    assert done.code == 0, done.err
    return RunFolder(out / "r")


def hashes(run: RunFolder) -> dict[tuple[str, int], str | None]:
    return {at: s.sha256 for at, s in run.samples().items()}


def test_the_same_seed_gives_the_same_bytes_on_every_run(cli: Cli, tmp_path: Path) -> None:
    first = run(cli, tmp_path / "a", "simulated:flicker@0.2", "--seeds", 2, "--workers", 1)
    second = run(cli, tmp_path / "b", "simulated:flicker@0.2", "--seeds", 2, "--workers", 2)
    assert hashes(first) == hashes(second) and len(set(hashes(first).values())) == 6
    sample = first.samples()["park-catch-and-dog", 0]
    assert sample.actual is not None and sample.status == "ok"
    facts = sample.actual
    assert (facts.width, facts.height, facts.frames, facts.fps) == (96, 72, 13, 8.0)


def test_what_cannot_be_drawn_is_refused_and_counts_as_such(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "--generator", "simulated:clean", "--prompts", "parks", "--prompt-id", "park-seesaw",
               "--prompt-id", "park-kite", *SMALL, "--metrics", "temporal_flicker", "--out",
                   tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    samples = RunFolder(tmp_path / "clean").samples()
    assert samples["park-kite", 0].status == "ok"
    refused = samples["park-seesaw", 0]
    assert refused.status == "refused" and "a child that does 'ride' cannot be drawn" in refused.message
    assert "1 refused" in done.out


@pytest.mark.nightly
def test_films_survive_a_kill_and_are_the_same(tmp_path: Path) -> None:
    command = (
        "generate",
        "--generator",
        "simulated:clean",
        "--prompts",
        "animals",
        "--size",
        "64x48",
        "--out",
    )
    whole = call(*command, tmp_path / "a")
    assert whole.code == 0, whole.err
    journal = tmp_path / "b" / "clean" / "samples/main.jsonl"
    deadline = time.monotonic() + 60
    with start(*command, tmp_path / "b") as process:
        while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert call(*command, tmp_path / "b").code == 0
    assert hashes(RunFolder(tmp_path / "a" / "clean")) == hashes(RunFolder(tmp_path / "b" / "clean"))


def test_a_process_that_dies_costs_one_film_and_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Simulated("clean", Simulated.Options())
    request = Request(prompt=KITE, settings=Settings(width=64, height=48, frames=2))
    assert generator.generate(request, tmp_path / "a.mp4").status == "ok"
    idle = generator._idle
    assert len(idle) == 1
    idle[0].kill()
    idle[0].wait()
    lost = generator.generate(request, tmp_path / "b.mp4")
    assert lost.status == "failed" and lost.transient and "died" in lost.message
    assert generator.generate(request, tmp_path / "b.mp4").status == "ok"
    generator.close()
    assert not generator._idle
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_trajectories_are_written_where_asked_for(tmp_path: Path) -> None:
    generator = create("simulated:teleport", {"trajectories": "true", "strength": "1"})
    request = Request(prompt=KITE, settings=Settings(width=64, height=48, frames=8))
    assert generator.generate(request, tmp_path / "a.mp4").status == "ok"
    truth = json.loads((tmp_path / "a.json").read_text())
    assert (truth["width"], truth["height"], truth["fps"]) == (64, 48, 12.0)
    assert set(truth["actors"]) == {"0-boy-0", "1-kite-0"} and len(truth["actors"]["0-boy-0"]["x"]) == 8
    generator.close()
    assert len(read(tmp_path / "a.mp4")[0]) == 8


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("simulated:flikker", {}, "did you mean 'flicker'"),
        ("simulated:flicker@2", {}, "a number from 0 to 1"),
        ("simulated:flicker@hard", {}, "a number from 0 to 1"),
        ("simulated:flicker@0.2", {"strength": "0.3"}, "given twice"),
        ("simulated:clean", {"strength": "0.3"}, "takes no strength"),
        ("simulated:flicker", {"strenght": "0.3"}, "did you mean 'strength'"),
        ("simulated:flicker", {"strength": "nan"}, "strength"),
        ("simulated:blur", {"noise": "-1"}, "noise"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises((UsageError, UnknownName), match=message):
        create(name, options)


def test_a_strength_is_part_of_the_identity_and_of_the_name() -> None:
    weak, strong = create("simulated:blur@0.2", {}), create("simulated:blur", {"strength": "0.9"})
    assert weak.label == "simulated:blur@0.2" and strong.label == "simulated:blur@0.9"
    assert weak.spec != strong.spec and create("simulated:blur@0.9", {}).spec == strong.spec
    other = KITE.model_copy(update={"place": "beach"})
    assert weak.identity(Request(prompt=KITE)) != weak.identity(Request(prompt=other))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A demo, made twice in one folder: the second has nothing to do."""
    out = tmp_path_factory.mktemp("demo") / "report"
    first = call("demo", "--out", out, "--per-set", 2, "--videos", 1)
    assert first.code == 0, first.err
    before = {p: p.read_bytes() for p in out.rglob("*.*") if "runs" not in p.parts and p.is_file()}
    again = call("demo", "--out", out, "--per-set", 2, "--videos", 1)
    assert again.code == 0
    assert {p: p.read_bytes() for p in before} == before
    return out, first.out, first.err


@pytest.mark.slow
def test_the_demo_ends_with_what_it_found_and_where_the_report_is(shown: tuple[Path, str, str]) -> None:
    out, said, told = shown
    assert said.rstrip().endswith(f"report: {out / 'index.html'}")
    # The story: one sentence for each generator, from the verdicts. So few prompts allow none.
    lines = said.splitlines()
    assert sum(line.startswith(tuple(f"{name}: " for name in FLAWS)) for line in lines) == len(FLAWS)
    assert any(line.startswith("clean has no flaw, and is not shown to differ") for line in lines)
    assert "No metric of this suite tests whether things fall" in said
    assert all(f"{name}: {generator}" in told for name, generator in VARIANTS.items())
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["status"]) == {"ok"}
    assert not scores["metric"].str.contains("efficientnet").any()
    assert scores["run"].nunique() == len(VARIANTS) >= 4
    assert {p.split("-")[0] for p in scores["prompt_id"]} >= {"park", "dog", "ball"}
    distances = pd.read_csv(out / "distributions.csv")
    assert set(distances["metric"]) == {"fvd[embedded]", "kvd[embedded]"} and set(distances["reference"]) == {
        REFERENCE
    }
    copies = {path.stem for path in (out / "media").glob("*.mp4")}
    rows = (out / "data" / "rows.js").read_text()
    assert 1 < len(copies) <= len(VARIANTS) and all(name in rows for name in copies)  # some videos are alike
    assert not re.search(r"(src|href|srcset)=.https?:", (out / "index.html").read_text())


def test_the_demos_prompts_come_from_all_sets_and_suffice_for_intervals() -> None:
    ids = [p.id for p in choose_prompts(8).prompts]
    assert len(ids) == 24
    assert {"park-catch-and-dog", "dog-jumps-and-hangs", "ball-drop"} <= set(ids)


def test_the_studio_ends_with_its_input() -> None:
    studio = subprocess.run(
        [sys.executable, "-m", "evals.worlds.studio"],
        input='{"film": 3}\n',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert studio.returncode == 0 and json.loads(studio.stdout)["status"] == "failed"
