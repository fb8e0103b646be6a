"""What a hostile tester found: each stays mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import ROOT, Cli, MakeClips, ball, call

FAST = ("--metrics", "temporal_flicker")


def test_runs_of_one_name_keep_their_own_numbers(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    a, b = clips("a").write(2), clips("b").write(2, step=5.0)
    for made, parent in ((a, "x/runs"), (b, "y/runs")):
        out = tmp_path / parent
        assert (
            cli("run", "--generator", f"folder:{made.folder}", "--out", out, "--name", "model", *FAST).code
            == 0
        )
    report = tmp_path / "report"
    assert cli("compare", tmp_path / "x/runs/model", tmp_path / "y/runs/model", "--out", report).code == 0
    summary = pd.read_csv(report / "means.csv")
    means = summary[summary["category"] == "all"].set_index("run")["mean"]
    assert list(means.index) == ["x/runs/model", "y/runs/model"] and means.iloc[0] != means.iloc[1]


def test_a_reference_folder_is_what_it_is_now(
    clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    name = "fvd[tiny/random]"
    weights = ("--weights", f"tiny/random={tiny_clip}")
    a, r = clips("a").write(3), clips("r").write(4, step=5.0)
    assert (
        cli("run", "--generator", f"folder:{a.folder}", "--out", tmp_path, "--metrics", name, *weights).code
        == 0
    )
    base = ("compare", tmp_path / "a", "--reference", r.folder, *weights, "--videos", 0, "--out")
    values = []
    for out in ("same", "same", "fresh"):
        assert cli(*base, tmp_path / out).code == 0
        sets = pd.read_csv(tmp_path / out / "distributions.csv")
        values.append((sets["value"].item(), sets["n_reference"].item()))
        if len(values) == 1:
            r.manifest(r.rows()[:2])
    assert values[0][1] == 4 and values[1] == values[2] and values[1][1] == 2
    (r.folder / "0-0.mkv").write_bytes(b"broken")
    broken = cli(*base, tmp_path / "broken")
    assert "1 of 2 samples have no video" in broken.err


@pytest.mark.slow
def test_clips_that_left_the_folder_are_named(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(3)
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST)
    assert call(*base).err == ""
    made.manifest(made.rows()[:2])
    again = call(*base)
    assert again.code == 0 and "holds 1 samples that folder:a does not have now (such as disc-2" in again.err
    assert call(*base, "--limit", 1).err == again.err


def test_other_words_than_the_prompt_set_are_named(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(1)
    (tmp_path / "p.yaml").write_text("prompts: [{id: disc-0, text: hi}]")
    base = (
        "run",
        "--generator",
        f"folder:{made.folder}",
        "--out",
        tmp_path,
        "--prompts",
        tmp_path / "p.yaml",
    )
    assert "1 clips have other words" in call(*base, *FAST).err


def test_odd_categories_survive_the_tables(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(2)
    rows = made.rows()
    rows[0]["category"] = 'a\rb,"c"\nd'
    made.manifest(rows)
    assert cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST).code == 0
    assert cli("compare", tmp_path / "a", "--out", tmp_path / "r", "--videos", 0).code == 0
    scores = pd.read_csv(tmp_path / "r" / "scores.csv")
    assert len(scores) == 2 and 'a\rb,"c"\nd' in set(scores["category"])
    rows[0]["category"] = "all"
    made.manifest(rows)
    refused = cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "n", *FAST)
    assert refused.code == 2 and "videos.jsonl:1" in refused.err and "'all'" in refused.err


def test_an_open_quote_does_not_swallow_clips(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(2)
    (made.folder / "videos.jsonl").unlink()
    (made.folder / "videos.csv").write_text('path,prompt\n0-0.mkv,"hello\n1-0.mkv,bye\n')
    assert "not valid CSV" in cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path).err


def test_a_truncated_matroska_file_is_no_whole_video(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(1, frames=40)
    path = made.folder / "0-0.mkv"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST).code == 4
    assert (
        "truncated: the container announces 5 s" in RunFolder(tmp_path / "a").samples()["disc-0", 0].message
    )


def test_pipes_devices_and_loops_cost_one_sample(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(1)
    os.mkfifo(made.folder / "pipe.mp4")
    (made.folder / "zero.mp4").symlink_to("/dev/zero")
    (made.folder / "loop.mp4").symlink_to("loop.mp4")
    rows = made.rows()
    rows += [{"path": f"{n}.mp4", "prompt": n} for n in ("pipe", "zero", "loop", "x" * 300)]
    made.manifest(rows)
    base = (
        "run",
        "--generator",
        f"folder:{made.folder}",
        "--out",
        tmp_path,
        *FAST,
        "-o",
        "follow_symlinks=true",
    )
    done = call(*base)
    assert done.code == 4 and "1 of 5 samples ok, 4 failed" in done.out, done.err
    assert call(*base, "--dry-run").code == 0


def test_a_start_killed_before_its_record_can_go_on(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(1)
    (tmp_path / "a" / "features").mkdir(parents=True)
    (tmp_path / "a" / ".lock").touch()
    assert cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST).code == 0


def test_two_that_start_together(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(2)
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST)
    results: list[tuple[int, str]] = []

    def one() -> None:
        done = call(*base)
        results.append((done.code, done.err))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for code, err in results:
        assert code == 0 or (code == 2 and "is writing to this run" in err), err
    assert {s.status for s in RunFolder(tmp_path / "a").samples().values()} == {"ok"}


@pytest.mark.parametrize(
    "options",
    [
        ["--size", "10x10"], ["--size", "²x²"], ["--fps", "2000"], ["--fps", "inf"], ["--fps", "nan"],
        ["--frames", "1000000"], ["--seconds", "inf", "--fps", "1"], ["--memory-limit", "inf"],
        ["--memory-limit", "1e30"], ["--name", "n" * 300], ["--name", "../x"], ["--name", ".."],
        ["--name", "\udcff"], ["--seeds", "1000000000"], ["--seeds", ","], ["--seeds", "0"],
        ["--metrics", ","], ["--metrics", ""], ["--normalize", "fps=8,fps=9"],
        ["--generator", "folder:~nobody9/x"],
        ["--generator", "folder:" + "x" * 300], ["--prompts", "x" * 300 + ".yaml"], ["--plugin", "y" * 300],
    ],
)  # fmt: skip
def test_odd_options_are_usage_errors(clips: MakeClips, cli: Cli, tmp_path: Path, options: list[str]) -> None:
    made = clips("a").write(1)
    base = () if "--generator" in options else ("--generator", f"folder:{made.folder}")
    done = cli("run", *base, "--out", tmp_path / "runs", *options)
    assert done.code == 2 and done.err and "should not happen" not in done.err, done
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "0-0.mkv", "prompt": "bad \ud800"}, "cannot be written"),
        ({"path": "\ud800", "prompt": "x"}, "cannot be written"),
        ({"path": "0-0.mkv\0", "prompt": "x"}, "cannot be written"),
        ({"path": "0-0.mkv", "prompt": "", "prompt_id": ["x"]}, "'prompt_id' is ['x'], not text"),
        ({"path": 5, "prompt": "x"}, "'path' is 5, not text"),
        ({"path": "0-0.mkv", "prompt": "x", "prompt_id": 0}, "'prompt_id' is 0, not text"),
        ({"path": "0-0.mkv", "prompt": "x", "seed": 1.5}, "not a whole number"),
    ],
)
def test_odd_manifest_values(
    clips: MakeClips, cli: Cli, tmp_path: Path, row: dict[str, object], message: str
) -> None:
    made = clips("a").write(1)
    made.manifest([row])
    done = cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path)
    assert done.code == 2 and message in done.err and "videos.jsonl:1:" in done.err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("from evals import METRICS\nMETRICS.register(5)(object)", "without a name"),
        (
            "from evals import METRICS\n@METRICS.register('bad')\nclass B: pass",
            "bad is not a metric: its class extends neither",
        ),
        (
            "from evals import METRICS\n@METRICS.register('bad')\nclass B:\n    def __init__(self): 1/0",
            "bad cannot be made: ZeroDivisionError",
        ),
        (
            "from evals import METRICS, Spec, About, VideoMetric\n@METRICS.register('bad')\n"
            "class B(VideoMetric):\n"
            "    spec, about, needs, reads = Spec(name='b'), About('none'), (), ('nofield',)\n"
            "    def score(self, clip): pass",
            "reads 'nofield'",
        ),
    ],
)
def test_broken_plugins_are_usage_errors(clips: MakeClips, tmp_path: Path, code: str, message: str) -> None:
    made = clips("a").write(1)
    (tmp_path / "p.py").write_text(code)
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "runs", "--metrics", "bad")
    done = call(*base, "--plugin", tmp_path / "p.py")
    assert done.code == 2 and message in done.err and "Traceback" not in done.err


def test_a_metric_that_gives_up_costs_its_scores(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(1)
    (tmp_path / "p.py").write_text(
        "from evals import METRICS, About, Need, Spec, VideoMetric\n@METRICS.register('quits')\n"
        "class B(VideoMetric):\n"
        "    spec, about, needs, reads = Spec(name='b'), About('none'), (Need('frames', 'difference'),), ()\n"
        "    def score(self, clip): raise SystemExit(3)"
    )
    base = (
        "run",
        "--generator",
        f"folder:{made.folder}",
        "--out",
        tmp_path / "runs",
        "--plugin",
        tmp_path / "p.py",
    )
    assert call(*base, "--metrics", "quits,temporal_flicker").code == 4
    found = RunFolder(tmp_path / "runs" / "a").scores("native")["disc-0", 0]
    assert (found["quits"].status, found["temporal_flicker"].status) == ("failed", "ok")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("generator:", "None is not a value"),
        ("limit: {a: 1}", "takes one value"),
        ("workers: [[1]]", "is not a value"),
        ("normalize: {fsp: 8}", "did you mean 'fps'"),
    ],
)
def test_odd_configurations(clips: MakeClips, cli: Cli, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    made = clips("a").write(1)
    base = () if "generator" in text else ("--generator", f"folder:{made.folder}")
    done = cli("run", *base, "--config", tmp_path / "c.yaml")
    assert done.code == 2 and message in done.err, done.err


def test_configuration_lists_mappings_and_long_names(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(prompts=3, seeds=3)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"generator: folder:{made.folder}\nout: {tmp_path}\nseeds: [2]\nprompt-id: [disc-1, disc-2]\n"
        "suite: quick\nnormalize: {fps: 4, seconds: 1}\njson: true\n"
    )
    done = cli("run", "--config", config, *FAST)  # --metrics on the command line wins over the file's suite
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["samples"] == {"planned": 2, "ok": 2}
    assert facts["scores"] == {"fps=4,seconds=1": {"temporal_flicker": {"ok": 2}}}
    assert set(RunFolder(tmp_path / "a").samples()) == {("disc-1", 2), ("disc-2", 2)}
    report = cli("compare", tmp_path / "a", "--config", config, "--out", tmp_path / "r", "--videos", 0)
    assert report.code == 0 and (tmp_path / "r" / "index.html").exists(), report.err


def test_nothing_to_compare(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    a, b = clips("a").write(1), clips("b").write(1)
    b.manifest([{**b.rows()[0], "prompt_id": "other", "prompt": "other"}])
    for made in (a, b):
        assert cli("generate", "--generator", f"folder:{made.folder}", "--out", tmp_path).code == 0
    runs = (tmp_path / "a", tmp_path / "b")
    none = cli("compare", *runs, "--out", tmp_path / "r")
    assert none.code == 2 and "t2v-evals score" in none.err
    assert cli("score", *runs, *FAST).code == 0
    apart = cli("compare", *runs, "--out", tmp_path / "r", "--videos", 0)
    assert apart.code == 3 and "is not comparable" in apart.out
    useless = cli("compare", *runs, "--out", tmp_path / "r", "--weights", "x=y")
    assert useless.code == 2 and "--weights is only used" in useless.err


def test_a_normalisation_that_fits_no_clip_says_so(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    a, b = clips("a").write(2), clips("b").write(2)
    for made in (a, b):
        assert cli("generate", "--generator", f"folder:{made.folder}", "--out", tmp_path).code == 0
    runs = (tmp_path / "a", tmp_path / "b")
    done = cli("score", *runs, *FAST, "--normalize", "seconds=9")
    assert "2 of 2 scores skipped (seconds=9), mostly because: lasts 1.5 s" in done.out
    found = cli("compare", *runs, "--out", tmp_path / "r", "--videos", 0)
    assert found.code == 3 and "a: 2 of 2 videos have no score under seconds=9: each lasts 1.5 s" in found.err
    assert "videos scored: seconds=9" in found.err
    assert cli("score", *runs, *FAST, "--normalize", "short_side=96").code == 0
    large = cli("compare", *runs, "--out", tmp_path / "r", "--videos", 0, "--normalize", "short_side=96")
    assert "4 of 4 videos are smaller than short_side=96 and were enlarged" in large.err


@pytest.mark.slow
def test_the_page_has_the_same_bytes_each_time(assets: Path, tmp_path: Path) -> None:
    generator = f"folder:{assets / 'fetv' / 'cogvideo'}"
    assert call("run", "--generator", generator, "--out", tmp_path, "--limit", 4, *FAST).code == 0
    pages = set()
    for workers in (1, 2, 2):
        base = ("compare", tmp_path / "cogvideo", "--out", tmp_path / "r", "--workers", workers)
        assert call(*base).code == 0
        pages.add((tmp_path / "r" / "index.html").read_bytes())
    assert len(pages) == 1


def test_hints_can_be_followed(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    a, b = clips("a").write(1), clips("b").write(1)
    encode(b.folder / "0-0.mkv", ball(1), 600, "ffv1")
    for made in (a, b):
        assert cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, *FAST).code == 0
    done = cli("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "r", "--videos", 0)
    normalization = done.err.split("--normalize ")[1].split()[0]
    assert cli("score", tmp_path / "a", tmp_path / "b", *FAST, "--normalize", normalization).code == 0, (
        normalization
    )


def test_a_full_disk_for_output_is_no_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, ROOT / "run_eval.py", "list", "metrics"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0 and "Traceback" not in done.stderr


def test_the_unexpected_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from evals.cli import list_

    def broken(what: str) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(list_, "catalogue", broken)
    done = cli("list", "suites")
    assert done.code == 2 and "error: unexpected" in done.err and "Traceback" not in done.err
