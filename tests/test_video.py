"""Video I/O: exact frames, odd files, typed errors."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from evals.errors import DoesNotApply, VideoError
from evals.records import Normalization
from evals.video import Frames, Limits, decode, encode, probe, read, select
from tests.conftest import ROOT, ball


def write(
    path: Path, frames: Frames, codec: str, pix_fmt: str, pts: list[int] | None = None, rate: int = 10
) -> None:
    """Write with PyAV alone, independent of `encode`."""
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000 if pts else rate)
        for i, frame in enumerate(frames):
            layout = {3: "rgb24", 4: "rgba"}[frame.shape[2]]
            picture = VideoFrame.from_ndarray(frame, format=layout)
            picture.pts, picture.time_base = pts[i] if pts else i, stream.codec_context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("h264rgb", ".mp4")])
@pytest.mark.parametrize("size", [(48, 64), (33, 47), (16, 17)])
def test_lossless_codecs_keep_every_bit(
    tmp_path: Path, codec: str, suffix: str, size: tuple[int, int]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, *size, 3), dtype=np.uint8)
    encode(tmp_path / f"x{suffix}", frames, 8, codec)  # type: ignore[arg-type]
    back, facts = read(tmp_path / f"x{suffix}")
    assert np.array_equal(back, frames)
    assert (facts.width, facts.height, facts.frames, facts.fps) == (size[1], size[0], 5, 8.0)


def test_h264_pads_odd_sides_and_repeats_bytes(tmp_path: Path) -> None:
    frames = ball(6, (33, 47))
    encode(tmp_path / "a.mp4", frames, 12.5)
    encode(tmp_path / "b.mp4", frames, 12.5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    back, facts = read(tmp_path / "a.mp4")
    assert back.shape == (6, 34, 48, 3) and facts.fps == 12.5
    assert np.abs(back[:, :33, :47].astype(int) - frames).mean() < 6


ENCODE = """
import hashlib, sys
from pathlib import Path
from evals.video import encode
from tests.conftest import ROOT, ball
encode(Path(sys.argv[1]), ball(32, (120, 160), step=3.0), 10, crf=30)
print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
"""


def test_equal_frames_give_equal_bytes_whatever_memory_held(tmp_path: Path) -> None:
    """x264's default settings read memory they never wrote: glibc's poisoning of it changed the bytes."""
    found = set()
    for poison in ("0", "85", "170"):
        env = {**os.environ, "MALLOC_PERTURB_": poison, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", ENCODE, str(tmp_path / "x.mp4")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_encode_refuses_nonsense_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        encode(tmp_path / "x.mp4", [], 8)
    with pytest.raises(ValueError, match="change their size"):
        encode(tmp_path / "x.mp4", [ball(1)[0], ball(1, (32, 32))[0]], 8)
    with pytest.raises(ValueError, match="uint8"):
        encode(tmp_path / "x.mp4", [ball(1)[0].astype(float)], 8)
    with pytest.raises(ValueError, match=r"is written to \.mkv"):
        encode(tmp_path / "x.mp4", [ball(1)[0]], 8, "ffv1")
    assert list(tmp_path.iterdir()) == []


def test_chunks_are_bounded_and_lead_with_one_frame(tmp_path: Path) -> None:
    frames = ball(11)
    encode(tmp_path / "x.mkv", frames, 8, "ffv1")
    chunks = list(decode(probe(tmp_path / "x.mkv"), chunk_bytes=4 * frames[0].nbytes))
    assert len(chunks) > 2 and all(c.frames.nbytes <= 4 * frames[0].nbytes for c in chunks)
    assert [c.lead for c in chunks] == [0] + [1] * (len(chunks) - 1)
    for before, after in pairwise(chunks):
        assert np.array_equal(after.frames[0], before.frames[-1])
        assert after.start == before.start + len(before.new)
    assert np.array_equal(np.concatenate([c.new for c in chunks]), frames)


def test_gif_without_delays_plays_at_10_fps(assets: Path) -> None:
    counts = {}
    for path in sorted((assets / "gif").glob("*.gif")):
        frames, facts = read(path)
        counts[path.name] = len(frames)
        assert facts.fps == 10.0 and facts.frames == len(frames)
        assert "GIF without frame delays" in facts.notes[0]
    assert counts == {"cogvideo-23.gif": 33, "gt-23.gif": 32, "zeroscope-23.gif": 24}


def test_gif_with_delays_keeps_them(tmp_path: Path) -> None:
    from PIL import Image

    pictures = [Image.fromarray(f) for f in ball(5)]
    pictures[0].save(tmp_path / "x.gif", save_all=True, append_images=pictures[1:], duration=40, loop=0)
    facts = probe(tmp_path / "x.gif").facts
    assert facts.fps == 25.0 and facts.frames == 5 and facts.notes == ()


def test_variable_frame_rate_is_noted_and_resampled_by_time(tmp_path: Path) -> None:
    frames = ball(6)
    write(tmp_path / "x.mkv", frames, "ffv1", "bgr0", pts=[0, 100, 200, 700, 800, 900])
    video = probe(tmp_path / "x.mkv")
    assert video.facts.variable_rate and "variable frame rate" in video.facts.notes
    assert np.allclose(video.times, [0, 0.1, 0.2, 0.7, 0.8, 0.9])
    assert select(video, Normalization(fps=5, seconds=1)) == [0, 2, 2, 2, 4]


def test_even_rate_is_not_called_variable(tmp_path: Path) -> None:
    write(
        tmp_path / "x.mkv", ball(12), "ffv1", "bgr0", pts=[round(i * 1000 / 24) for i in range(12)], rate=24
    )
    assert not probe(tmp_path / "x.mkv").facts.variable_rate


def test_transparent_pixels_are_shown_over_black(tmp_path: Path) -> None:
    frames = np.full((3, 32, 32, 4), 200, np.uint8)
    frames[..., 3] = 255
    frames[:, :16, :, 3] = 0
    frames[:, 16:24, :, 3] = 128
    write(tmp_path / "x.mkv", frames, "ffv1", "bgra")
    notes: list[str] = []
    chunk = next(iter(decode(probe(tmp_path / "x.mkv"), notes=notes)))
    list(decode(probe(tmp_path / "x.mkv"), notes=notes))
    assert chunk.frames[:, :16].max() == 0
    assert (chunk.frames[:, 24:] == 200).all()
    assert abs(int(chunk.frames[0, 20, 0, 0]) - 200 * 128 / 255) <= 1
    assert notes == ["transparent pixels shown over black"]


@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_rotated_phone_video_stands_upright(tmp_path: Path, degrees: int, turns: int) -> None:
    frames = ball(4, (32, 48))
    path = tmp_path / "x.mp4"
    encode(path, frames, 8, "h264rgb")
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    back, facts = read(path)
    # The display matrix turns the picture clockwise; np.rot90 turns the other way.
    assert np.array_equal(back, np.rot90(frames, turns, axes=(1, 2)))
    assert (facts.height, facts.width) == back.shape[1:3]


def test_grey_and_16_bit_video_become_rgb(tmp_path: Path) -> None:
    write(tmp_path / "grey.mkv", ball(3), "ffv1", "gray")
    write(tmp_path / "deep.mkv", ball(3), "ffv1", "yuv420p16le")
    assert read(tmp_path / "grey.mkv")[0].shape == (3, 48, 64, 3)
    assert np.abs(read(tmp_path / "deep.mkv")[0].astype(int) - ball(3)).mean() < 12


def test_one_frame(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", ball(1), 8)
    assert read(tmp_path / "x.mp4")[0].shape[0] == 1


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match="no video stream"):
        probe(path)


def test_broken_files_say_what_is_wrong(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    encode(whole, ball(20, (96, 128)), 8)
    data = whole.read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nwhole.mp4\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    for name, message in [
        ("empty", "the file is empty"),
        ("text", "not a readable video"),
        ("cut", "not a readable video"),
        ("none", "no such file"),
        ("list", "not a readable video"),
        ("concat", "not a readable video"),
    ]:
        with pytest.raises(VideoError, match=message):
            probe(tmp_path / f"{name}.mp4")
    with pytest.raises(VideoError):
        probe(tmp_path)


def faststart(path: Path, frames: Frames) -> bytes:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    return path.read_bytes()


def test_truncated_behind_its_index(tmp_path: Path) -> None:
    """The index is whole, half of the data is not: every frame is announced and some are missing."""
    data = faststart(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8))
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="truncated: the container announces 20 frames"):
        read(tmp_path / "b.mp4")


def test_limits(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", ball(8), 8)
    with pytest.raises(VideoError, match="limit of 100 pixels"):
        probe(tmp_path / "x.mp4", Limits(pixels=100))
    with pytest.raises(VideoError, match="limit of 4 frames"):
        probe(tmp_path / "x.mp4", Limits(frames=4))


def test_paths_are_files_never_protocols(tmp_path: Path) -> None:
    encode(tmp_path / "a:b,c.mkv", ball(2), 8, "ffv1")
    assert len(read(tmp_path / "a:b,c.mkv")[0]) == 2
    with pytest.raises(VideoError, match="no such file"):
        probe(Path("http://localhost/x.mp4"))


def test_views(tmp_path: Path) -> None:
    frames = ball(20, (40, 60))
    encode(tmp_path / "x.mkv", frames, 10, "ffv1")
    video = probe(tmp_path / "x.mkv")
    assert select(video, Normalization(fps=5)) == list(range(0, 20, 2))
    assert select(video, Normalization(fps=5, seconds=1)) == [0, 2, 4, 6, 8]
    assert select(video, Normalization(seconds=0.5)) == [0, 1, 2, 3, 4]
    assert select(video, Normalization(fps=10)) == list(range(20))
    small, _ = read(tmp_path / "x.mkv", Normalization(short_side=20))
    assert small.shape == (20, 20, 30, 3)
    assert np.array_equal(read(tmp_path / "x.mkv", Normalization(fps=5))[0], frames[::2])
    with pytest.raises(DoesNotApply, match="lasts 2 s"):
        select(video, Normalization(seconds=3))
    with pytest.raises(DoesNotApply, match="would repeat frames"):
        select(video, Normalization(fps=24))


def test_view_text_round_trips() -> None:
    from evals.errors import UsageError

    assert str(Normalization.parse("fps=8,seconds=2,short_side=256")) == "fps=8,seconds=2,short_side=256"
    assert str(Normalization.parse("native")) == "native" and Normalization.parse("") == Normalization()
    for text, message in [("fsp=8", "did you mean 'fps'"), ("fps=fast", "fps"), ("fps=-1", "fps")]:
        with pytest.raises(UsageError, match=message):
            Normalization.parse(text)
