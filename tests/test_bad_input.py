"""Each mistake: a sentence that says what, where and what to do, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evals.cli import main
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import Cli, MakeClips, ball, call


def test_broken_files_cost_only_themselves(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(prompts=3)
    whole = (tmp_path / "whole.mp4",)[0]
    encode(whole, ball(30, (96, 128)), 8)
    data = whole.read_bytes()
    (made.folder / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    (made.folder / "zero.mp4").write_bytes(b"")
    (made.folder / "text.mp4").write_text("hello")
    encode(made.folder / "one.mp4", ball(1), 8)
    (made.folder / "folder.mp4").mkdir()
    rows = made.rows()
    for name in ("cut", "zero", "text", "one", "gone", "folder"):
        rows.append({"path": f"{name}.mp4", "prompt": f"a {name} file", "prompt_id": name})
    made.manifest(rows)
    done = cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "runs", "--workers", 2)
    assert done.code == 4, done.err
    run = RunFolder(tmp_path / "runs" / "a")
    samples = {p: s for (p, _), s in run.samples().items()}
    assert {p for p, s in samples.items() if s.status == "ok"} == {"disc-0", "disc-1", "disc-2", "one"}
    for name, reason in [
        ("cut", "cut.mp4: not a readable video"),
        ("zero", "zero.mp4: the file is empty"),
        ("text", "text.mp4: not a readable video"),
        ("gone", "gone.mp4: no such file (line 8 of the manifest)"),
        ("folder", "folder.mp4: no such file"),
    ]:
        assert reason in samples[name].message, samples[name]
    scores = run.scores("native")
    for i in range(3):
        unscored = {n for n, s in scores[f"disc-{i}", 0].items() if s.status != "ok"}
        # Neither the words nor the pictures are its own; a disc is no class of ImageNet.
        assert unscored == {"clip_similarity[embedded]", "object_presence[efficientnet-lite0]"}
    one = scores["one", 0]
    stills = {"sharpness", "blur", "blockiness", "colorfulness"}  # one frame is enough
    assert {n for n, s in one.items() if s.status == "ok"} == stills
    assert {n for n, s in one.items() if s.status == "skipped"} == set(one) - stills
    shown = cli("show", tmp_path / "runs" / "a")
    assert shown.code == 0 and "text.mp4: not a readable video" in shown.out
    again = cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "runs")
    assert again.code == 4  # nothing got better by itself, and nothing was lost
    encode(made.folder / "gone.mp4", ball(6), 8)
    cli("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "runs")
    assert run.samples()["gone", 0].status == "ok"


@pytest.mark.parametrize(
    ("manifest", "line", "message"),
    [
        ('{"path": "0-0.mkv"}\n', 1, "'prompt' is missing"),
        ('{"prompt": "x"}\n', 1, "'path' is missing"),
        ('{"path": "0-0.mkv", "prompt": "x"}\n{"path": 3, "prompt": "y"}\n', 2, "'path' is 3, not text"),
        ('{"path": "0-0.mkv", "prompt": "x", "seed": "one"}\n', 1, "seed 'one' is not a whole number"),
        ('{"path": "0-0.mkv", "prompt": "x", "prompt_id": "A b"}\n', 1, "id"),
        ('{"path": "../x.mp4", "prompt": "x"}\n', 1, "leads out of the folder"),
        ('{"path": "/etc/passwd", "prompt": "x"}\n', 1, "leads out of the folder"),
        ('{"path": "0-0.mkv", "prompt": "x"\n', 1, "not valid JSON"),
        ("[1]\n", 1, "a line is an object"),
        ("\n\n", None, "lists no clips"),
        (
            '{"path": "0-0.mkv", "prompt": "x", "seed": 1}\n{"path": "0-0.mkv", "prompt": "x", "seed": 1}\n',
            2,
            "was on line 1 already",
        ),
        (
            '{"path": "0-0.mkv", "prompt": "x", "prompt_id": "a"}\n'
            '{"path": "0-0.mkv", "prompt": "y", "prompt_id": "a", "seed": 1}\n',
            2,
            "other words than on line 1",
        ),
    ],
)
def test_manifest_mistakes_name_the_line(
    clips: MakeClips, cli: Cli, tmp_path: Path, manifest: str, line: int | None, message: str
) -> None:
    folder = clips("a").write(1).folder
    (folder / "videos.jsonl").write_text(manifest)
    done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path)
    assert done.code == 2
    assert message in done.err and f"videos.jsonl:{line}:" in done.err.replace(
        "videos.jsonl: ", "videos.jsonl:None:"
    )
    assert not (tmp_path / "a").exists()  # complaints come before anything is made


def test_csv_manifests(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    (folder / "videos.jsonl").unlink()
    (folder / "videos.csv").write_bytes(
        '\ufeffpath,prompt,seed\r\n0-0.mkv,"a disc, red",0\r\n1-0.mkv,"a disc, red",\r\n'.encode()
    )
    done = cli(
        "run", "--generator", f"folder:{folder}", "--out", tmp_path, "--json", "--metrics", "sharpness"
    )
    assert done.code == 0 and json.loads(done.out)["samples"]["ok"] == 2, done.err
    assert [s for _, s in RunFolder(tmp_path / "a").samples()] == [0, 1]
    (folder / "videos.csv").write_text("file,prompt\n0-0.mkv,x\n")
    assert (
        "needs a header with path, prompt"
        in cli("run", "--generator", f"folder:{folder}", "--out", tmp_path).err
    )


def test_unused_columns_are_named(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(1)
    made.manifest([{**made.rows()[0], "promt_id": "x", "note": 1}])
    done = call("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, "--metrics", "sharpness")
    assert done.code == 0
    assert done.err.count("warning: ") == 1 and "'promt_id'; did you mean 'prompt_id'" in done.err


def test_links_out_of_the_folder_need_a_word(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    made = clips("a").write(1)
    (tmp_path / "far.mkv").write_bytes((made.folder / "0-0.mkv").read_bytes())
    (made.folder / "0-0.mkv").unlink()
    (made.folder / "0-0.mkv").symlink_to(tmp_path / "far.mkv")
    base = ("run", "--generator", f"folder:{made.folder}", "--metrics", "sharpness", "--out", tmp_path)
    done = cli(*base)
    assert done.code == 2 and "-o follow_symlinks=true" in done.err
    assert cli(*base, "-o", "follow_symlinks=true").code == 0
    assert "did you mean 'follow_symlinks'" in cli(*base, "-o", "follow_symlink=true").err


def test_prompts_pick_from_a_folder(clips: MakeClips, tmp_path: Path) -> None:
    made = clips("a").write(2)
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "prompts:\n- {id: disc-0, text: other}\n- {id: by-text, text: 'A disc, number 1'}\n"
        "- {id: none, text: nothing}\n"
    )
    done = call(
        "run",
        "--generator",
        f"folder:{made.folder}",
        "--prompts",
        mine,
        "--out",
        tmp_path,
        "--metrics",
        "sharpness",
    )
    assert done.code == 4
    outcomes = {p: s.status for (p, _), s in RunFolder(tmp_path / "a").samples().items()}
    assert outcomes == {"disc-0": "ok", "by-text": "ok", "none": "failed"}  # what is missing counts


def test_the_suites_own_layout_and_runs_are_folders_too(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for prompt in ("ball-drop", "apple-from-branch"):
        (folder / prompt).mkdir(parents=True)
        encode(folder / prompt / "0-abcd1234.mp4", ball(6), 8)
        encode(folder / prompt / "1.mp4", ball(7), 8)
    base = ("--out", tmp_path / "runs", "--metrics", "sharpness", "--json")
    ids = ("--prompt-id", "ball-drop", "--prompt-id", "apple-from-branch")
    done = cli("run", "--generator", f"folder:{folder}", "--prompts", "physics", *ids, *base)
    assert json.loads(done.out)["samples"] == {"planned": 4, "ok": 4}, done.err
    again = cli("run", "--generator", f"folder:{tmp_path / 'runs' / 'videos'}", "--name", "copy", *base)
    assert json.loads(again.out)["samples"] == {"planned": 4, "ok": 4}, again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generator", "folder:{tmp}/none"], "no such folder"),
        (["--generator", "folder"], "write KIND:ARGUMENT"),
        (["--generator", "foldr:x"], "did you mean 'folder'"),
        (["--generator", "folder:{a}", "--metrics", "temporal_flikker"], "did you mean 'temporal_flicker'"),
        (["--generator", "folder:{a}", "--suite", "quik"], "did you mean 'quick'"),
        (
            ["--generator", "folder:{a}", "--suite", "{tmp}/bad.yaml"],
            "bad.yaml:2: unknown key 'metric'; did you mean",
        ),
        (["--generator", "folder:{a}", "--suite", "quick", "--metrics", "sharpness"], "exclude each other"),
        (
            ["--generator", "folder:{a}", "--config", "{tmp}/bad-config.yaml"],
            "bad-config.yaml:1: unknown key 'sute'",
        ),
        (["--generator", "folder:{a}", "--config", "{tmp}/none.yaml"], "cannot be read"),
        (["--generator", "folder:{a}", "--prompts", "parcs"], "did you mean 'parks'"),
        (["--generator", "folder:{a}", "--prompt-id", "disk-0"], "did you mean 'disc-0'"),
        (["--generator", "folder:{a}", "--normalize", "fsp=8"], "did you mean 'fps'"),
        (["--generator", "folder:{a}", "--weights", "x=y"], "no metric that was asked for uses this encoder"),
        (["--generator", "folder:{a}", "--weights", "x"], "write KEY=VALUE"),
        (["--generator", "folder:{a}", "--seeds", "many"], "write a count"),
        (["--generator", "folder:{a}", "--size", "big"], "WIDTHxHEIGHT"),
        (["--generator", "folder:{a}", "--seconds", "2"], "--seconds needs --fps"),
        (["--generator", "folder:{a}", "--frames", "8"], "cannot follow --frames"),
        (["--generator", "folder:{a}", "--plugin", "{tmp}/none.py"], "no such file"),
        (["--generator", "folder:{a}", "--limt", "3"], "--limit"),
        (
            ["--generator", "folder:{a}", "--metrics", "clip_similarity[ViT-B-32/openai]"],
            "ViT-B-32-quickgelu/openai",
        ),
        (["--generator", "folder:{a}", "--out", "{tmp}/file"], "file"),
        (["--generator", "folder:{tmp}/empty"], "holds none of videos.jsonl and videos.csv"),
    ],
)
def test_mistakes_on_the_command_line(
    clips: MakeClips, cli: Cli, tmp_path: Path, arguments: list[str], message: str
) -> None:
    folder = clips("a").write(1).folder
    (tmp_path / "bad.yaml").write_text("name: x\nmetric: [sharpness]\n")
    (tmp_path / "bad-config.yaml").write_text("sute: quick\n")
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "empty").mkdir()
    filled = [x.replace("{tmp}", str(tmp_path)).replace("{a}", str(folder)) for x in arguments]
    if "--out" not in filled:
        filled += ["--out", str(tmp_path / "runs")]
    done = cli("run", *filled)
    assert done.code == 2, done
    assert message in done.err and "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()


def test_other_commands_name_mistakes_too(cli: Cli, tmp_path: Path) -> None:
    assert "did you mean 'compare'" in cli("compair").err
    for arguments, message in [
        (("show", tmp_path / "none"), "no such folder"),
        (("show", tmp_path), "not a run folder"),
        (("compare", tmp_path / "none"), "no such folder"),
        (("score", tmp_path), "is no run folder"),
    ]:
        done = cli(*arguments)
        assert done.code == 2 and message in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_as_a_user(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(1).folder
    (tmp_path / "locked").mkdir(mode=0o500)
    done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path / "locked")
    assert done.code == 2 and "Permission denied" in done.err


def test_unwritable_folder(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    """The kernel's own folders refuse everybody, root too."""
    folder = clips("a").write(1).folder
    done = cli("run", "--generator", f"folder:{folder}", "--out", "/proc/runs")
    assert done.code == 2 and "cannot be made" in done.err and "--out" in done.err
    assert (
        cli("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", "sharpness").code == 0
    )
    report = cli("compare", tmp_path / "a", "--out", "/proc/report")
    assert report.code == 2 and "cannot be written" in report.err


def test_config_gives_options_and_the_command_line_wins(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    config = tmp_path / "eval.yaml"
    config.write_text(
        f"generator: folder:{folder}\nout: {tmp_path}\nname: named\n"
        "metrics: [sharpness, temporal_flicker]\nlimit: 2\n"
    )
    done = cli("run", "--config", config, "--limit", 1, "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["run"] == str(tmp_path / "named") and facts["samples"]["planned"] == 1
    assert set(facts["scores"]["native"]) == {"sharpness", "temporal_flicker"}


def test_init_writes_a_config_that_works(
    clips: MakeClips, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clips("modelA").write(1)
    assert cli("init").code == 0
    assert cli("init").code == 2  # it is left as it is
    assert cli("run", "--config", "eval.yaml").code == 0
    assert (tmp_path / "runs" / "modelA" / "scores/main.jsonl").exists()


def test_dry_run_makes_nothing(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(3).folder
    done = cli("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--dry-run", "--json")
    facts = json.loads(done.out)
    assert (
        done.code == 0
        and facts["samples"] == facts["samples_to_make"] == facts["videos_to_score"] == 3
        and facts["seconds_to_score"] > 0 < facts["bytes_of_features"]
        and "temporal_flicker" in facts["metrics"]
    )
    assert facts["bytes_to_read"] == sum(p.stat().st_size for p in folder.glob("*.mkv"))
    assert not (tmp_path / "runs").exists()


def test_a_plugin_adds_a_metric(clips: MakeClips, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import numpy as np\n"
        "from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric\n"
        "RED = Need('frames', 'red')\n"
        "@FRAME_EXTRACTORS.register('red')\n"
        "class Red(FrameExtractor):\n"
        "    spec = Spec(name='red')\n"
        "    def step(self, chunk): return {'mean': chunk.new[..., 0].mean(axis=(1, 2))}\n"
        "    def finish(self): return {}\n"
        "@METRICS.register('redness')\n"
        "class Redness(VideoMetric):\n"
        "    '''Mean of the red channel.'''\n"
        "    spec, about, needs, reads = Spec(name='redness'), About('none'), (RED,), ()\n"
        "    def score(self, clip): return Value(float(clip.features[RED]['mean'].mean()))\n"
    )
    folder = clips("a").write(1).folder
    base = ("run", "--generator", f"folder:{folder}", "--out", tmp_path / "runs", "--plugin", plugin)
    assert call(*base, "--metrics", "redness").code == 0
    found = RunFolder(tmp_path / "runs" / "a").scores("native")["disc-0", 0]["redness"].value
    assert found == pytest.approx(ball(12, seed=0)[..., 0].mean())
    assert "redness" in call("list", "metrics", "--plugin", plugin).out


def test_a_collision_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "clash.py"
    plugin.write_text("from evals import METRICS\nMETRICS.register('sharpness')(object)\n")
    done = call("list", "metrics", "--plugin", plugin)
    assert done.code == 2 and "'sharpness', which exists already" in done.err


@pytest.mark.parametrize("what", ["prompts", "generators", "encoders", "metrics", "suites"])
def test_list(cli: Cli, what: str) -> None:
    done = cli("list", what)
    assert done.code == 0 and len(done.out.splitlines()) >= 1


def test_doctor_names_what_is_missing_with_its_size(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T2V_EVALS_WEIGHTS", str(tmp_path))
    done = cli("doctor")
    assert done.code == 0 and "quick: can run" in done.out
    assert "i3d (51.2 MB)" in done.out and "`t2v-evals weights fetch standard`" in done.out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code
