"""What is written for good: journals, feature shards, and which failures are tried again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from evals.errors import EvalsError, OtherSchema, RunError
from evals.records import SCHEMA
from evals.runs import journal
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import Cli, MakeClips, ball, call, run_of
from tests.helpers import edit_run
from tests.test_run import scores

FAST = ("--metrics", "temporal_flicker")


def test_readers_skip_an_unfinished_line_and_writers_cut_it(
    clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    folder = clips("a").write(2).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base).code == 0
    path = tmp_path / "a" / "scores/main.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30])
    torn = path.read_bytes()
    assert len(scores(tmp_path / "a")) == 1 and path.read_bytes() == torn
    assert cli(*base).code == 0
    assert len(scores(tmp_path / "a")) == 2 and path.read_bytes() == whole


def test_a_later_schema_is_refused(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(1).folder
    assert (
        cli("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", "temporal_flicker").code
        == 0
    )
    lines = (tmp_path / "a" / "samples/main.jsonl").read_text()
    (tmp_path / "a" / "samples/main.jsonl").write_text(lines.replace(f'"schema":{SCHEMA}', '"schema":99'))
    with pytest.raises(OtherSchema, match="install a newer"):
        RunFolder(tmp_path / "a").samples()
    edit_run(tmp_path / "a", lambda data: data.update(schema=99))
    assert "schema 99" in cli("show", tmp_path / "a").err


@pytest.mark.parametrize("schema", [0, -5, True, None, "3", 1.5])
@pytest.mark.parametrize("file", ["run.json", "samples/main.jsonl", "scores/main.jsonl"])
def test_no_other_schema_is_taken(scored: Path, cli: Cli, schema: object, file: str) -> None:
    path = scored / file
    old = f'"schema": {SCHEMA}' if file == "run.json" else f'"schema":{SCHEMA}'
    path.write_text(path.read_text().replace(old, f'"schema": {json.dumps(schema)}'))
    done = cli("show", scored)
    assert done.code == 2 and "schema" in done.err and file in done.err, done.err


def test_journals_of_two_runs_do_not_mix(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(1).folder
    for name in ("one", "two"):
        assert cli(*run_of(folder, tmp_path, "--name", name, *FAST)).code == 0
    for file in ("samples/main.jsonl", "scores/main.jsonl"):
        both = [(tmp_path / name / file).read_bytes() for name in ("one", "two")]
        (tmp_path / "two" / file).write_bytes(both[0] + both[1])
        done = cli("show", tmp_path / "two")
        assert done.code == 2 and f"two/{file}:1" in done.err and "another run" in done.err
        (tmp_path / "two" / file).write_bytes(both[1])
    assert cli("show", tmp_path / "two").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("file", ["samples/main.jsonl", "scores/main.jsonl", "run.json"])
def test_no_flipped_bit_changes_what_is_read(clips: MakeClips, cli: Cli, tmp_path: Path, file: str) -> None:
    """Every bit of the newest line: a sample's older record, and its old score, never come back."""
    made = clips("a").write(1)
    assert cli(*run_of(made.folder, tmp_path, *FAST)).code == 0
    encode(made.folder / "0-0.mkv", ball(9, seed=5), 8, "ffv1")
    assert cli(*run_of(made.folder, tmp_path, *FAST)).code == 0
    path = tmp_path / "a" / file
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1 if file != "run.json" else 0
    truth = everything(tmp_path / "a")
    silent = []
    for at in range(start, len(whole)):
        for bit in range(8) if at % 7 == 0 or at >= len(whole) - 2 else (at % 8,):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            path.write_bytes(data)
            try:
                if everything(tmp_path / "a") != truth:
                    silent.append((at, bit))
            except EvalsError as error:
                assert str(path) in str(error), error
    assert not silent


def everything(path: Path) -> object:
    """All that a reader makes of a run."""
    run = RunFolder(path)
    return run.info, run.prompts, run.samples(), run.scores("native")


def test_journal_appends_and_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    assert list(journal.read(path)) == []
    with journal.Journal(path) as one:
        one.append({"a": "ü\n"})
        one.append({"a": 2})
    found = [(number, record["a"]) for number, record in journal.read(path)]
    assert found == [(1, "ü\n"), (2, 2)]
    with pytest.raises(ValueError), journal.Journal(path) as one:
        one.append({"a": float("nan")})
    assert len(list(journal.read(path))) == 2


def test_feature_store_keeps_first_and_names_broken_shards(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.put("k", {"row": np.arange(3)})
    assert "k" in store and list(tmp_path.iterdir()) == []
    store.commit()
    store.put("k", {"row": np.arange(9)})
    store.commit()
    assert [p.name for p in tmp_path.iterdir()] == ["main-000000.safetensors"]
    again = FeatureStore(tmp_path)
    assert np.array_equal(again.get("k")["row"], np.arange(3))
    with pytest.raises(ValueError, match="holds no arrays"):
        again.put("k", {})
    (tmp_path / "000001.safetensors").write_bytes(b"junk")
    with pytest.raises(RunError, match="000001"):
        FeatureStore(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("retry", "statuses"), [("none", "failed"), ("transient", "ok"), ("all", "ok")])
def test_a_transient_failure_is_tried_again_on_request(
    clips: MakeClips, tmp_path: Path, retry: str, statuses: str
) -> None:
    """A decoder killed from outside (SIGKILL) may have been unlucky; the second time it works."""
    mark = tmp_path / "was-here"
    (tmp_path / "unlucky.py").write_text(
        "import os, signal\nimport numpy as np\nfrom pathlib import Path\n"
        "from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric\n"
        f"MARK = Path({str(mark)!r})\n"
        "@FRAME_EXTRACTORS.register('unlucky')\nclass Unlucky(FrameExtractor):\n"
        "    spec = Spec(name='unlucky')\n"
        "    def step(self, chunk):\n"
        "        if not MARK.exists():\n"
        "            MARK.touch()\n            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return {'n': np.ones(len(chunk.new))}\n"
        "    def finish(self): return {}\n"
        "@METRICS.register('luck')\nclass Luck(VideoMetric):\n"
        "    spec, about, needs, reads = Spec(name='luck'), About('none'), (Need('frames', 'unlucky'),), ()\n"
        "    def score(self, clip): return Value(1.0)\n"
    )
    folder = clips("a").write(1).folder
    base = ("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--plugin", tmp_path / "unlucky.py")
    assert call(*base, "--metrics", "luck").code == 4
    first = scores(tmp_path / "a")["disc-0", 0]["luck"]
    assert first["status"] == "failed" and first["transient"] and "SIGKILL" in first["message"]
    call(*base, "--metrics", "luck", "--retry", retry)
    assert scores(tmp_path / "a")["disc-0", 0]["luck"]["status"] == statuses


@pytest.mark.parametrize(("retry", "tried"), [("none", False), ("transient", False), ("all", True)])
def test_a_final_failure_is_tried_again_only_for_all(
    clips: MakeClips, cli: Cli, tmp_path: Path, retry: str, tried: bool
) -> None:
    made = clips("a").write(1)
    (made.folder / "0-0.mkv").write_text("no video")
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path, "--metrics", "sharpness")
    assert cli(*base).code == 4
    assert cli(*base, "--retry", retry).code == 4
    attempts = [s.attempts for s in RunFolder(tmp_path / "a").samples().values()]
    assert attempts == [2 if tried else 1]


def test_a_flipped_bit_in_a_shard_is_noticed(scored: Path, cli: Cli) -> None:
    shard = scored / "features" / "main-000000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    assert load_file(shard)  # still a valid file
    done = cli("score", scored, *FAST, "--rescore")
    assert done.code == 2 and "is damaged" in done.err and "delete it to recompute" in done.err
    shard.unlink()
    assert cli("score", scored, *FAST, "--rescore").code == 0


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("samples/main.jsonl", '{"schema": "x"}\n', "samples/main.jsonl:2: schema 'x' is not a number"),
        ("scores/main.jsonl", '{"schema": null}\n', "scores/main.jsonl:2: schema"),
        ("samples/main.jsonl", "{}\n", "samples/main.jsonl:2: schema 'None' is not a number"),
        ("run.json", "[" * 100_000, "not valid JSON"),
        ("run.json", '{"schema": "x"}', "is not a number"),
        ("run.json", "[]", "is not a run's record"),
    ],
)
def test_damaged_records_are_named(scored: Path, cli: Cli, file: str, text: str, message: str) -> None:
    path = scored / file
    path.write_text((path.read_text() if file != "run.json" else "") + text)
    done = cli("show", scored)
    assert done.code == 2 and message in done.err, done.err


@pytest.mark.parametrize("line", ["[" * 100_000, "", "null", "\0\0\0", '{"schema":3,"a":1}'])
def test_a_damaged_line_is_named(scored: Path, cli: Cli, line: str) -> None:
    with (scored / "scores/main.jsonl").open("a") as file:
        file.write(line + "\n")
    done = cli("show", scored)
    assert done.code == 2 and "scores/main.jsonl:2" in done.err and "remove" in done.err, done.err
    assert cli("score", scored, *FAST).code == 2
