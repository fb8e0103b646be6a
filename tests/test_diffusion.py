"""`diffusers:` on a tiny Wan pipeline with random weights, loaded through the real code path."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import warnings
from pathlib import Path

import pytest

from evals.errors import UsageError, WeightsError
from evals.generators import create
from evals.generators.diffusion import ALIASES, Diffusers
from evals.records import Prompt, Request, Settings
from tests.conftest import Cli, call, start
from tests.test_jobs import samples, write_prompts

diffusers = pytest.importorskip("diffusers", reason="the extra `diffusion` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wan pipeline of a few thousand parameters, as diffusers saves it."""
    from tests.tiny_wan import save

    return save(tmp_path_factory.mktemp("wan") / "tiny-wan")


OPTIONS = ("-o", "dtype=float32", "-o", "steps=2", "-o", "device=cpu", "-o", "max_sequence_length=16")
SHAPE = ("--size", "32x32", "--frames", "9")


def generate(wan: Path, prompts: Path, out: Path, *more: object) -> tuple[object, ...]:
    base = ("generate", "--generator", f"diffusers:{wan}", *OPTIONS, *SHAPE)
    return (*base, "--prompts", prompts, "--out", out, "--name", "run", *more)


def hashes(run: Path) -> dict[tuple[str, int], str]:
    rows = [json.loads(x) for x in (run / "samples/main.jsonl").read_text().splitlines()]
    return {(r["prompt_id"], r["seed"]): r["sha256"] for r in rows if r["status"] == "ok"}


def test_a_tiny_pipeline_generates_scores_and_compares(tiny_wan: Path, cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", ["a red ball", "two blue cubes"])
    for name, steps in (("few", "2"), ("more", "3")):
        options = [o if o != "steps=2" else f"steps={steps}" for o in OPTIONS]
        found = cli(
            "run", "--generator", f"diffusers:{tiny_wan}", *options, *SHAPE, "--prompts", prompts,
            "--seeds", "2", "--metrics", "temporal_flicker", "--out", tmp_path, "--name", name,
        )  # fmt: skip
        assert found.code == 0, found.err
    row = samples(tmp_path / "few")["p-0"]
    assert row["requested"] == {"width": 32, "height": 32, "frames": 9}
    assert (row["actual"]["width"], row["actual"]["frames"], row["actual"]["fps"]) == (32, 9, 16.0)
    assert row["wall_seconds"] > 0 and row["details"]["pipeline"] == "WanPipeline"
    assert len(set(hashes(tmp_path / "few").values())) == 4  # prompts and seeds matter
    compared = cli("compare", tmp_path / "few", tmp_path / "more", "--out", tmp_path / "r", "--videos", "0")
    assert compared.code == 0 and (tmp_path / "r" / "index.html").exists()


def test_wan_rounds_frames_and_the_record_says_so(tiny_wan: Path, tmp_path: Path) -> None:
    made = create(f"diffusers:{tiny_wan}", {"dtype": "float32", "steps": "1", "device": "cpu"})
    request = Request(prompt=Prompt(id="p", text="a ball"), settings=Settings(width=32, height=32, frames=7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = made.generate(request, tmp_path / "v.mp4")
    from evals.video import probe

    assert found.status == "ok" and probe(tmp_path / "v.mp4").facts.frames == 9 - 4


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_bytes_also_after_a_kill(tiny_wan: Path, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", [f"ball {i}" for i in range(6)])
    assert call(*generate(tiny_wan, prompts, tmp_path / "whole", "--seeds", "2")).code == 0
    made = generate(tiny_wan, prompts, tmp_path / "broken", "--seeds", "2")
    process = start(*made)
    journal = tmp_path / "broken" / "run" / "samples/main.jsonl"
    while process.poll() is None and (not journal.exists() or journal.read_text().count("\n") < 3):
        time.sleep(0.02)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 3 <= len(hashes(tmp_path / "broken" / "run")) < 12
    assert call(*made).code == 0
    assert hashes(tmp_path / "broken" / "run") == hashes(tmp_path / "whole" / "run")


def test_a_batch_of_prompts_keeps_every_prompts_seed(tiny_wan: Path, cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", ["a red ball", "two blue cubes", "three cats"])
    found = cli(*generate(tiny_wan, prompts, tmp_path / "a", "-o", "batch=2"))
    assert found.code == 0, found.err
    assert cli(*generate(tiny_wan, prompts, tmp_path / "b", "-o", "batch=2")).code == 0
    assert hashes(tmp_path / "a" / "run") == hashes(tmp_path / "b" / "run")
    assert len(set(hashes(tmp_path / "a" / "run").values())) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": "2"}, "did you mean 'steps'"),
        ({"num_inference_steps": "2", "steps": "3"}, "given twice"),
        ({"prompt": "x"}, "no such argument"),
        ({"dtype": "float12"}, "dtype"),
    ],
)
def test_unknown_arguments_are_refused(tiny_wan: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create(f"diffusers:{tiny_wan}", options)


def test_pipelines_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="model_index"):
        create(f"diffusers:{tmp_path}", {})
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline"}')
    with pytest.raises(WeightsError, match="NoSuchPipeline"):
        create(f"diffusers:{tmp_path}", {})
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionImg2ImgPipeline"}')
    with pytest.raises(UsageError, match="no video from a prompt"):
        create(f"diffusers:{tmp_path}", {})
    with pytest.raises(UsageError, match="no such folder"):
        create("diffusers:./nothing", {})


@pytest.mark.parametrize(
    ("kind", "frames", "fps"),
    [
        ("WanPipeline", "num_frames", None),
        ("LattePipeline", "video_length", None),
        ("SanaVideoPipeline", "frames", None),
        ("LTXPipeline", "num_frames", "frame_rate"),
        ("CosmosTextToWorldPipeline", "num_frames", "fps"),
        ("CogVideoXPipeline", "num_frames", None),
        ("MochiPipeline", "num_frames", None),
        ("HunyuanVideoPipeline", "num_frames", None),
    ],
)
def test_aliases_fit_the_pipelines_of_diffusers(kind: str, frames: str, fps: str | None) -> None:
    """The signatures of the installed diffusers, without any weights."""
    from evals.generators.diffusion import _arguments

    class Bare(Diffusers):
        def __init__(self) -> None:
            self.known = _arguments(kind)
            self.kind = kind

    made = Bare()
    assert made._name("frames") == frames and made._name("fps") == fps
    assert made._asked(Settings(width=64, frames=9)) == {"width": 64, frames: 9}
    assert set(ALIASES) >= {"steps", "guidance"} and made._name("steps") == "num_inference_steps"


def test_pipelines_that_take_turns_are_loaded_once_each(
    tiny_wan: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(tiny_wan, tmp_path / "other-wan")
    loaded: list[str] = []
    load = diffusers.WanPipeline.from_pretrained

    def counted(folder: Path, **options: object) -> object:
        loaded.append(Path(folder).name)
        return load(folder, **options)

    monkeypatch.setattr(diffusers.WanPipeline, "from_pretrained", counted)
    prompts = write_prompts(tmp_path / "p.yaml", ["a", "b", "c"])
    both = ("--generator", f"diffusers:{tiny_wan}", "--generator", f"diffusers:{other}")
    base = ("generate", *both, *OPTIONS, *SHAPE, "--prompts", prompts, "--out", tmp_path / "runs")
    found = cli(*base, "--interleave", "1")
    assert found.code == 0, found.err
    assert loaded == [tiny_wan.name, other.name]
    runs = sorted((tmp_path / "runs").iterdir())
    assert [len(hashes(run)) for run in runs] == [3, 3]
