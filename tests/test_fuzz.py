"""Damaged input of every kind: videos, prompt sets, manifests, journals, shards, weights."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st

from evals import prompts
from evals.encoders.base import Setup
from evals.encoders.embedded import Embedded
from evals.errors import EvalsError
from evals.generators import create
from evals.records import SCHEMA, Settings
from evals.runs import journal
from evals.runs.features import FeatureStore
from evals.runs.folder import RunFolder
from evals.video import encode
from tests.conftest import ball, call, examples
from tests.damage import DAMAGE, damaged

TIME_LIMIT = 20.0
FAST = examples(150)


def whole_files(folder: Path, assets: Path) -> list[Path]:
    """Small real clips and every container and codec that is written here, of 1 frame and of many."""
    folder.mkdir()
    real = sorted((assets / "fetv").glob("*/*.mp4"), key=lambda p: (p.stat().st_size, p.name))[:8]
    made = [folder / f"{i}{suffix}" for i, suffix in enumerate([".mp4", ".mp4", ".mkv", ".mkv"])]
    encode(made[0], ball(1, (48, 64)), 8)
    encode(made[1], ball(30, (96, 128)), 24)
    encode(made[2], ball(12, (48, 64)), 8, codec="ffv1")
    encode(made[3], ball(9, (50, 70)), 8, codec="ffv1")
    others = {
        ".avi": ("mpeg4", "yuv420p"),
        ".ts": ("mpeg2video", "yuv420p"),
        ".webm": ("libvpx-vp9", "yuv420p"),
        ".mov": ("mjpeg", "yuvj420p"),
        ".gif": ("gif", "rgb8"),
    }
    for suffix, (codec, pixels) in others.items():
        made.append(folder / f"other{suffix}")
        with av.open(str(made[-1]), "w") as container:
            stream = container.add_stream(codec, rate=25)
            assert isinstance(stream, VideoStream)
            stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
            for frame in ball(15, (48, 64)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    return real + made


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_damaged_videos_cost_themselves_alone(assets: Path, tmp_path: Path) -> None:
    """`DAMAGED_VIDEOS=5000` tries more of them, `DAMAGE_SEED=8` others."""
    count = int(os.environ.get("DAMAGED_VIDEOS", "500"))
    whole = whole_files(tmp_path / "whole", assets)
    clips = tmp_path / "clips"
    clips.mkdir()
    made = damaged(whole, clips, count, int(os.environ.get("DAMAGE_SEED", "7")))
    assert {p.stem.partition("-")[2] for p in made} == set(DAMAGE)
    lines = [json.dumps({"path": p.name, "prompt": "damaged", "prompt_id": p.stem}) for p in made]
    (clips / "videos.jsonl").write_text("\n".join(lines))
    started = time.monotonic()
    done = call(
        "run", "--generator", f"folder:{clips}", "--out", tmp_path / "runs", "--time-limit", TIME_LIMIT,
        "--stall-limit", TIME_LIMIT, "--metrics", "temporal_flicker,scene_cuts,sharpness,dynamic_degree[dis]",
        "--memory-limit", 2,
    )  # fmt: skip
    assert done.code == 4 and "Traceback" not in done.err, done.err
    assert time.monotonic() - started < max(600, count)
    run = RunFolder(tmp_path / "runs" / "clips")
    samples = run.samples()
    assert len(samples) == count
    outcomes = Counter(s.status for s in samples.values())
    print(outcomes)
    assert set(outcomes) == {"ok", "failed"} and min(outcomes.values()) > count // 10, outcomes
    assert all(s.reason for s in samples.values() if s.status == "failed")
    scores = run.scores("native")
    assert set(scores) == {at for at, s in samples.items() if s.status == "ok"}
    for found in scores.values():
        for score in found.values():
            assert (score.status == "ok" and np.isfinite(score.value or 0.0)) or score.reason


GOOD = prompts.find("parks").read_bytes()[:3000].rpartition(b"\n  - id")[0]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes replaced, removed or put in."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        size = draw(st.integers(0, 12))
        out[at : at + size] = draw(
            st.binary(max_size=12)
            | st.sampled_from(
                [
                    b"[",
                    b"{",
                    b"*a",
                    b"&a",
                    b"\n",
                    b"  ",
                    b"-",
                    b":",
                    b"!!python/object:os.system",
                    b"9" * 400,
                    b"\x00",
                    b'"',
                ]
            )
        )
    return bytes(out)


@FAST
@given(data=mutated(GOOD))
def test_mutated_prompt_sets_load_or_name_the_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "set.yaml"
    path.write_bytes(data)
    try:
        found = prompts.load(path)
    except EvalsError as error:
        assert "set.yaml" in str(error)
    else:
        assert all(p.id and p.text for p in found.prompts)


LINE = {"path": "0.mkv", "prompt": "A dog jumps.", "prompt_id": "dog", "seed": 0, "category": "animals"}


@FAST
@given(data=mutated("\n".join(json.dumps({**LINE, "seed": i}) for i in range(3)).encode()))
@pytest.mark.filterwarnings("ignore::evals.errors.EvalsWarning")
def test_mutated_manifests_are_read_or_name_the_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "videos.jsonl").write_bytes(data)
    try:
        create(f"folder:{tmp_path}").plan(None, None, Settings())
    except EvalsError as error:
        assert "videos.jsonl" in str(error)


RECORD = journal.sealed(json.dumps({"schema": SCHEMA, "a": [1, 2.5, None], "b": {"c": "ü"}}).encode())


@FAST
@given(data=mutated((RECORD + b"\n") * 4))
def test_mutated_journals_give_whole_records_or_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(data)
    try:
        found = list(journal.read(path))
    except EvalsError as error:
        assert "scores.jsonl" in str(error)
    else:
        whole = json.loads(RECORD)
        del whole["check"]
        assert all(record == whole for _, record in found)
    with journal.Journal(path) as one:
        one.append({"last": True})
    assert path.read_bytes().startswith(data[: data.rfind(b"\n") + 1])
    try:
        assert list(journal.read(path))[-1][1] == {"schema": SCHEMA, "last": True}
    except EvalsError as error:
        assert "scores.jsonl" in str(error)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("shard")
    store = FeatureStore(folder)
    store.put("k", {"row": np.arange(40.0), "other": np.zeros((3, 2), np.float32)})
    store.commit()
    return next(folder.glob("*.safetensors")).read_bytes()


@FAST
@given(data=st.data())
def test_mutated_shards_give_the_numbers_that_were_stored_or_an_error(
    tmp_path: Path, shard: bytes, data: st.DataObject
) -> None:
    path = tmp_path / "main-000000.safetensors"
    path.write_bytes(data.draw(mutated(shard)))
    try:
        store = FeatureStore(tmp_path)
        rows = store.get("k") if "k" in store else {}
    except EvalsError as error:
        assert "main-000000.safetensors" in str(error)
    else:
        assert "row" not in rows or np.array_equal(rows["row"], np.arange(40.0))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    whole = Embedded("embedded").path.read_bytes()
    for number in range(20):
        path = tmp_path / f"w{number}.safetensors"
        path.write_bytes(DAMAGE["cut"](whole, np.random.default_rng([3, number])))
        with pytest.raises(EvalsError, match=path.name):
            Embedded("embedded", Setup(path)).load("cpu")
    for number in range(20):  # in the length of the header; flipped weights are told by their hash alone
        flipped = DAMAGE["flip"](whole[:8], np.random.default_rng([4, number])) + whole[8:]
        path.write_bytes(flipped)
        with pytest.raises(EvalsError, match=path.name):
            Embedded("embedded", Setup(path)).load("cpu")
