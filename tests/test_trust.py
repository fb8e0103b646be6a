"""What a number stands for: the bytes that were decoded, the code and weights that ran, our own files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from evals import prompts
from evals.encoders import create as create_encoder
from evals.encoders.embedded import Embedded
from evals.errors import OutsideRun, Reason, RunError, WeightsError
from evals.runs import journal
from evals.runs.features import FeatureStore
from evals.runs.files import HashedFile
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import Cli, MakeClips, ball, call, run_of
from tests.test_run import scores

SWAPPER = """
import os, shutil
from pathlib import Path
import numpy as np
from evals import FRAME_EXTRACTORS, METRICS, About, FrameExtractor, Need, Spec, Value, VideoMetric

@FRAME_EXTRACTORS.register("swapper")
class Swapper(FrameExtractor):
    spec = Spec(name="swapper")
    def step(self, chunk):
        {swap}
        return {{"n": np.ones(len(chunk.new))}}

@METRICS.register("swapped")
class Swapped(VideoMetric):
    spec, about, needs = Spec(name="swapped"), About("none"), (Need("frames", "swapper"),)
    def score(self, clip): return Value(1.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("swap", ["os.replace({other!r}, {clip!r})", "shutil.copyfile({other!r}, {clip!r})"])
def test_a_clip_replaced_while_it_is_decoded_has_no_score(
    clips: MakeClips, tmp_path: Path, swap: str
) -> None:
    made = clips("a").write(1)
    clip, other = made.folder / "0-0.mkv", tmp_path / "other.mkv"
    encode(other, ball(12, seed=9), 8, "ffv1")
    plugin = tmp_path / "swapper.py"
    plugin.write_text(SWAPPER.format(swap=swap.format(other=str(other), clip=str(clip))))
    base = run_of(made.folder, tmp_path, "--plugin", plugin, "--metrics", "swapped,temporal_flicker")
    assert call(*base).code == 4
    found = scores(tmp_path / "a")["disc-0", 0]
    assert {s["status"] for s in found.values()} == {"failed"}
    assert {s["reason"] for s in found.values()} == {Reason.FILE_CHANGED}
    assert all(s["transient"] for s in found.values())


def test_a_checkpoint_replaced_before_it_is_loaded_is_refused(tmp_path: Path) -> None:
    shipped = Embedded("embedded").path
    mine = tmp_path / "mine.safetensors"
    shutil.copyfile(shipped, mine)
    encoder = create_encoder("embedded", {"embedded": mine})
    with safe_open(shipped, framework="numpy") as file:
        about = file.metadata()
    other = {k: v * 1.01 if v.dtype.kind == "f" else v for k, v in load_file(shipped).items()}
    save_file(other, tmp_path / "next.safetensors", about)
    (tmp_path / "next.safetensors").replace(mine)
    with pytest.raises(WeightsError, match="was replaced or written to"):
        encoder.load("cpu")
    assert create_encoder("embedded", {"embedded": mine}).spec.digest != encoder.spec.digest


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    file = HashedFile.of(path)
    assert file.is_unchanged()
    path.touch()
    assert file.is_unchanged()  # another time, the same bytes
    path.write_bytes(b"abd")
    assert not file.is_unchanged()
    path.unlink()
    assert not file.is_unchanged()


METRIC = """
from evals import METRICS, About, Need, Spec, Value, VideoMetric

@METRICS.register("mine")
class Mine(VideoMetric):
    spec, about, needs = Spec(name="mine"), About("higher"), (Need("frames", "difference"),)
    def score(self, clip): return Value({value})
"""


@pytest.mark.slow
def test_numbers_of_an_edited_plugin_do_not_mix_with_the_old(clips: MakeClips, tmp_path: Path) -> None:
    made, plugin = clips("a").write(2), tmp_path / "mine.py"
    plugin.write_text(METRIC.format(value=1.0))
    base = run_of(made.folder, tmp_path, "--plugin", plugin, "--metrics", "mine")
    assert call(*base, "--limit", 1).code == 0
    plugin.write_text(METRIC.format(value=2.0))
    assert call(*base).code == 0
    found = RunFolder(tmp_path / "a").scores("native")
    assert {s["mine"].value for s in found.values()} == {2.0} and len(found) == 2


@pytest.mark.slow
def test_an_edited_frame_extractor_makes_its_features_again(clips: MakeClips, tmp_path: Path) -> None:
    made, plugin = clips("a").write(1), tmp_path / "swapper.py"
    base = run_of(made.folder, tmp_path, "--plugin", plugin, "--metrics", "swapped")
    shards = tmp_path / "a" / "features"
    for count, swap in enumerate(["pass", "None"], 1):
        plugin.write_text(SWAPPER.format(swap=swap))
        assert call(*base).code == 0
        assert len(list(shards.glob("*.safetensors"))) == count


def foreign(run: Path) -> None:
    """Make a run look as if another user had recorded it."""
    path = run / "samples/main.jsonl"
    records = [record for _, record in journal.read(path)]
    path.unlink()
    with journal.Journal(path) as file:
        for record in records:
            file.append({**record, "origin": "0" * 32})


def test_a_run_from_elsewhere_opens_no_file_of_this_machine(scored: Path, cli: Cli, tmp_path: Path) -> None:
    run = RunFolder(scored)
    [sample] = run.samples().values()
    assert run.video_path(sample).is_file()  # recorded by us
    foreign(scored)
    [sample] = RunFolder(scored).samples().values()
    with pytest.raises(OutsideRun):
        RunFolder(scored).video_path(sample)
    refused = cli("score", scored, "--metrics", "sharpness")
    assert refused.code == 2 and "--allow-outside" in refused.err
    out = tmp_path / "report"
    assert cli("compare", scored, "--out", out).code == 0  # its numbers may be read
    assert not list(out.glob("media/*")) and "outside of the run" in (out / "data" / "rows.js").read_text()
    taken = cli("run", "--generator", f"folder:{scored}", "--out", tmp_path / "again")
    assert taken.code == 2 and "allow_outside" in taken.err
    assert cli("score", scored, "--metrics", "sharpness", "--allow-outside").code == 0
    assert cli("compare", scored, "--out", out, "--allow-outside").code == 0
    assert len(list(out.glob("media/*.mp4"))) == 1


def test_a_link_out_of_a_run_from_elsewhere_is_not_followed(scored: Path) -> None:
    [sample] = RunFolder(scored).samples().values()
    outside = RunFolder(scored).video_path(sample)
    (scored / "videos").mkdir(exist_ok=True)
    (scored / "videos" / "x.mkv").symlink_to(outside)
    linked = sample.model_copy(update={"video": "videos/x.mkv", "origin": ""})
    with pytest.raises(OutsideRun):
        RunFolder(scored).video_path(linked)


@pytest.mark.nightly
def test_without_a_home_a_command_trusts_what_it_recorded_itself(
    clips: MakeClips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/no-such-place")
    made = clips("a").write(1)
    assert call(*run_of(made.folder, tmp_path, "--metrics", "temporal_flicker")).code == 0
    later = call("score", tmp_path / "a", "--metrics", "sharpness")
    assert later.code == 2 and "--allow-outside" in later.err
    assert call("score", tmp_path / "a", "--metrics", "sharpness", "--allow-outside").code == 0


def test_a_preview_is_of_the_bytes_that_were_scored(scored: Path, cli: Cli, tmp_path: Path) -> None:
    run = RunFolder(scored)
    [sample] = run.samples().values()
    encode(run.video_path(sample), ball(5, seed=3), 8, "ffv1")
    assert cli("compare", scored, "--out", tmp_path / "report").code == 0
    shown = (tmp_path / "report" / "data" / "rows.js").read_text()
    assert not list(tmp_path.glob("report/media/*")) and "has changed since it was recorded" in shown


def test_a_prompt_set_that_was_edited_in_a_run_is_refused(scored: Path, cli: Cli) -> None:
    [path] = (scored / "prompts").iterdir()
    path.write_text(path.read_text().replace("a disc", "a dog"))
    done = cli("show", scored)
    assert done.code == 2 and str(path) in done.err and "edited" in done.err


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\r"])
def test_only_line_feeds_end_a_prompt(tmp_path: Path, character: str) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(f"a cat{character}on a mat\r\na dog\nan owl".encode())
    found = prompts.load(path).prompts
    assert [p.text for p in found] == [f"a cat{character}on a mat", "a dog", "an owl"]
    assert len({p.id for p in found}) == 3 and all(
        p.id.startswith(("a-cat-on", "a-dog", "an-owl")) for p in found
    )


@pytest.mark.parametrize(("old", "new"), [("F64", "I64"), ("[3,2]", "[2,3]")])
def test_a_shard_whose_types_or_shapes_were_changed_is_damaged(tmp_path: Path, old: str, new: str) -> None:
    store = FeatureStore(tmp_path)
    store.put("k", {"x": np.arange(6.0).reshape(3, 2)})
    store.commit()
    [shard] = tmp_path.iterdir()
    data = shard.read_bytes()
    assert old.encode() in data
    shard.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(RunError, match="is damaged"):
        FeatureStore(tmp_path).get("k")
