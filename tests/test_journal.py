"""What is written for good: journals, feature shards, and which failures are tried again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from evals.errors import OtherSchema, RunError
from evals.runs import journal
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from tests.conftest import Cli, MakeClips, call, run_of
from tests.test_run import scores

FAST = ("--metrics", "temporal_flicker")


def test_readers_skip_a_torn_line_and_writers_close_it(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(2).folder
    base = run_of(folder, tmp_path, "--metrics", "temporal_flicker")
    assert cli(*base).code == 0
    path = tmp_path / "a" / "scores.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30])
    torn = path.read_bytes()
    assert len(scores(tmp_path / "a")) == 1 and path.read_bytes() == torn
    assert cli(*base).code == 0
    assert len(scores(tmp_path / "a")) == 2 and path.read_bytes().startswith(torn + b"\n")


def test_a_later_schema_is_refused(clips: MakeClips, cli: Cli, tmp_path: Path) -> None:
    folder = clips("a").write(1).folder
    assert (
        cli("run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", "temporal_flicker").code
        == 0
    )
    lines = (tmp_path / "a" / "samples.jsonl").read_text()
    (tmp_path / "a" / "samples.jsonl").write_text(lines.replace('"schema":2', '"schema":3'))
    with pytest.raises(OtherSchema, match="install a newer"):
        RunFolder(tmp_path / "a").samples()
    info = tmp_path / "a" / "run.json"
    info.write_text(info.read_text().replace('"schema": 2', '"schema": 9'))
    assert "schema 9" in cli("show", tmp_path / "a").err


def test_journal_appends_and_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    assert list(journal.read(path)) == []
    with journal.Journal(path) as one:
        one.append({"a": "ü\n"})
        one.append({"a": 2})
    assert list(journal.read(path)) == [(1, {"a": "ü\n"}), (2, {"a": 2})]
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
    assert [p.name for p in tmp_path.iterdir()] == ["000000.safetensors"]
    again = FeatureStore(tmp_path)
    assert np.array_equal(again.get("k")["row"], np.arange(3))
    with pytest.raises(ValueError, match="holds no arrays"):
        again.put("k", {})
    (tmp_path / "000001.safetensors").write_bytes(b"junk")
    with pytest.raises(RunError, match="000001"):
        FeatureStore(tmp_path)


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
    shard = scored / "features" / "000000.safetensors"
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
        ("samples.jsonl", '{"schema": "x"}\n', "samples.jsonl:2: schema 'x' is not a number"),
        ("scores.jsonl", '{"schema": null}\n', "scores.jsonl:2: schema"),
        ("samples.jsonl", "{}\n", "samples.jsonl:2: not a record of this suite"),
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


def test_a_line_nested_too_deeply_is_skipped(scored: Path, cli: Cli) -> None:
    with (scored / "scores.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    assert cli("show", scored).code == 0
