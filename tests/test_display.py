"""A video is measured as a player shows it: cuts, turns, pixel shapes, fields, HDR, moving pictures."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from evals.errors import Reason, VideoError
from evals.video import Frames, Limits, encode, probe, read
from evals.video.display import Display, to_sdr
from tests.conftest import ball
from tests.test_video import write


def ffmpeg(*arguments: object) -> None:
    """Run the command-line tool, which is what users cut clips with."""
    tool = shutil.which("ffmpeg")
    if tool is None:
        pytest.skip("the ffmpeg command is not installed")
    command = [tool, "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def test_a_cut_without_re_encoding_is_whole(tmp_path: Path) -> None:
    """`-ss … -c copy` keeps the frames before the cut and hides them by an edit list."""
    frames = ball(20, (64, 64))
    encode(tmp_path / "x.mp4", frames, 10)
    whole, _ = read(tmp_path / "x.mp4")
    ffmpeg("-ss", 0.55, "-i", tmp_path / "x.mp4", "-c", "copy", tmp_path / "cut.mp4")
    back, facts = read(tmp_path / "cut.mp4")
    assert facts.frames == len(back) == 14
    assert np.array_equal(back, whole[6:])


def test_a_cut_file_behind_an_edit_list_is_truncated_all_the_same(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8), 10)
    ffmpeg("-ss", 0.55, "-i", tmp_path / "x.mp4", "-c", "copy", "-movflags", "faststart", tmp_path / "c.mp4")
    data = (tmp_path / "c.mp4").read_bytes()
    (tmp_path / "c.mp4").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(VideoError, match="truncated"):
        read(tmp_path / "c.mp4")


Turned = Callable[[Frames], Frames]
MATRICES: dict[str, tuple[tuple[int, int, int, int], Turned]] = {
    "upright": ((1, 0, 0, 1), lambda f: f),
    "mirrored": ((-1, 0, 0, 1), lambda f: f[:, :, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda f: f[:, ::-1]),
    "half turn": ((-1, 0, 0, -1), lambda f: f[:, ::-1, ::-1]),
    "quarter turn": ((0, 1, -1, 0), lambda f: np.rot90(f, 3, axes=(1, 2))),
    "other quarter turn": ((0, -1, 1, 0), lambda f: np.rot90(f, 1, axes=(1, 2))),
    "diagonal": ((0, 1, 1, 0), lambda f: f.swapaxes(1, 2)),
    "other diagonal": ((0, -1, -1, 0), lambda f: np.rot90(f, 2, axes=(1, 2)).swapaxes(1, 2)),
}


def with_matrix(path: Path, matrix: tuple[float, ...]) -> None:
    """Write a display matrix into an MP4's track header."""
    a, b, c, d = (round(x * 65536) for x in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_are_followed(tmp_path: Path, name: str) -> None:
    matrix, expected = MATRICES[name]
    frames = ball(4, (32, 48))
    encode(tmp_path / "x.mp4", frames, 8, "h264rgb")
    with_matrix(tmp_path / "x.mp4", matrix)
    back, facts = read(tmp_path / "x.mp4")
    assert np.array_equal(back, expected(frames))
    assert (facts.height, facts.width) == back.shape[1:3]
    assert any("mirrored" in note for note in facts.notes) == (
        name in ("mirrored", "upside down", "diagonal", "other diagonal")
    )


def test_every_matrix_shows_what_the_ffmpeg_command_shows(tmp_path: Path) -> None:
    for name, (matrix, _) in MATRICES.items():
        path = tmp_path / f"{name}.mp4"
        encode(path, ball(3, (32, 48)), 8, "h264rgb")
        with_matrix(path, matrix)
        ffmpeg("-i", path, "-c:v", "ffv1", "-pix_fmt", "bgr0", "-fps_mode", "passthrough", tmp_path / "s.mkv")
        assert np.array_equal(read(path)[0], read(tmp_path / "s.mkv")[0]), name


def test_an_odd_angle_is_refused(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", ball(3), 8)
    with_matrix(tmp_path / "x.mp4", (0.866, 0.5, -0.5, 0.866))
    with pytest.raises(VideoError, match="quarter turn") as refused:
        probe(tmp_path / "x.mp4")
    assert refused.value.reason == Reason.UNSUPPORTED_DISPLAY


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(3, 2), (48, 96)), (Fraction(2, 3), (72, 64))])
def test_pixels_that_are_not_square(tmp_path: Path, aspect: Fraction, shape: tuple[int, int]) -> None:
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for frame in ball(4, (48, 64)):
            container.mux(stream.encode(VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    back, facts = read(tmp_path / "x.mp4")
    assert back.shape[1:3] == shape == (facts.height, facts.width)
    assert facts.notes == (f"pixels of the shape {aspect}: 64×48 shown as {shape[1]}×{shape[0]}",)
    with pytest.raises(VideoError, match="pixels"):
        probe(tmp_path / "x.mp4", Limits(pixels=64 * 48))


def test_interlaced_fields_are_joined(tmp_path: Path) -> None:
    """Two fields of a moving edge make a comb: rows that lie a step apart from their neighbours."""
    frames = np.zeros((20, 64, 96, 3), np.uint8)
    for t in range(20):
        frames[t, :, : 8 + 4 * t] = 220
    woven = np.stack([frames[2 * t] for t in range(10)])
    for t in range(10):
        woven[t, 1::2] = frames[2 * t + 1, 1::2]
    encode(tmp_path / "x.mkv", woven, 10, "ffv1")
    ffmpeg(
        "-i", tmp_path / "x.mkv", "-c:v", "libx264", "-qp", 0, "-pix_fmt", "yuv420p", "-flags", "+ildct+ilme",
        "-x264opts", "tff=1", tmp_path / "i.mp4",
    )  # fmt: skip
    back, facts = read(tmp_path / "i.mp4")
    assert facts.notes == ("interlaced: fields joined by bwdif",) and len(back) == facts.frames == 10

    def comb(found: Frames) -> float:
        rows = found[..., 0].astype(float)
        return float(np.abs(rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).mean())

    assert comb(back) < 0.2 * comb(woven)


def pq(light: float) -> float:
    """The PQ signal of a light in cd/m² (SMPTE ST 2084, the other way round than the reader computes)."""
    y = (light / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375)


def shown(signal: float, light: str, gamut: str = "bt2020") -> int:
    value = np.full((1, 1, 3), round(signal * 65535), np.uint16)
    found = to_sdr(value, light, gamut)  # type: ignore[arg-type]
    assert np.ptp(found) <= 1  # grey stays grey
    return int(found[0, 0, 1])


def test_hdr_is_mapped_as_the_recommendations_say() -> None:
    assert pq(203) == pytest.approx(0.58, abs=0.001)  # BT.2408: reference white
    assert shown(pq(203), "pq") == pytest.approx(shown(0.75, "hlg"), abs=1)  # the same white in both
    assert shown(pq(1000), "pq") == shown(1.0, "hlg") == shown(pq(4000), "pq") == 255
    assert shown(0, "pq") == shown(0, "hlg") == 0
    dark = 0.1  # of reference white: below the knee nothing but the display's gamma
    assert shown(pq(203 * dark), "pq") == pytest.approx(255 * dark ** (1 / 2.4), abs=1)
    ramp = [shown(x, "pq") for x in np.linspace(0, 1, 200)]
    assert ramp == sorted(ramp)
    assert shown(0.5, "sdr", "p3") == pytest.approx(127.5, abs=1)
    red = to_sdr(np.array([[[65535, 0, 0]]], np.uint16), "sdr", "bt2020")
    assert red.tolist() == [[[255, 0, 0]]]  # more saturated than BT.709 can be


def test_an_hdr_file_is_read_through_the_tone_map(tmp_path: Path) -> None:
    encode(tmp_path / "x.mkv", np.full((4, 64, 64, 3), round(255 * pq(203)), np.uint8), 8, "ffv1")
    ffmpeg(
        "-i", tmp_path / "x.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params",
        "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", tmp_path / "pq.mp4",
    )  # fmt: skip
    back, facts = read(tmp_path / "pq.mp4")
    assert facts.notes == ("HDR (PQ) shown in SDR, BT.709",)
    assert np.abs(back.astype(int) - shown(pq(203), "pq")).max() <= 6


def test_an_animated_webp_is_a_video(tmp_path: Path) -> None:
    frames = ball(7)
    pictures = [Image.fromarray(f) for f in frames]
    durations = [40, 40, 40, 40, 200, 40, 40]
    pictures[0].save(
        tmp_path / "x.webp", save_all=True, append_images=pictures[1:], duration=durations, lossless=True,
        minimize_size=False, kmin=0, kmax=0,
    )  # fmt: skip
    back, facts = read(tmp_path / "x.webp")
    assert np.array_equal(back, frames)
    assert (facts.codec, facts.frames, facts.variable_rate) == ("webp", 7, True)
    assert facts.fps == pytest.approx(7 / 0.44)
    assert probe(tmp_path / "x.webp").times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.36, 0.4])
    data = (tmp_path / "x.webp").read_bytes()
    (tmp_path / "x.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="truncated"):
        probe(tmp_path / "x.webp")
    with pytest.raises(VideoError, match="limit of 3 frames"):
        (tmp_path / "x.webp").write_bytes(data)
        probe(tmp_path / "x.webp", Limits(frames=3))


def test_an_animated_avif_is_not_its_still(tmp_path: Path) -> None:
    pictures = [Image.fromarray(f) for f in ball(6, (64, 64))]
    pictures[0].save(tmp_path / "x.avif", save_all=True, append_images=pictures[1:], duration=100)
    back, facts = read(tmp_path / "x.avif")
    assert len(back) == facts.frames == 6 and facts.fps == pytest.approx(10, rel=0.3)
    assert np.abs(back.astype(int) - ball(6, (64, 64))).mean() < 8


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    encode(tmp_path / "x.mp4", ball(5), 8)
    Image.new("RGB", (32, 32)).save(tmp_path / "c.png")
    ffmpeg(
        "-i", tmp_path / "c.png", "-i", tmp_path / "x.mp4", "-map", 0, "-map", 1, "-c", "copy",
        "-disposition:v:0", "attached_pic", tmp_path / "y.mp4",
    )  # fmt: skip
    assert np.array_equal(read(tmp_path / "y.mp4")[0], read(tmp_path / "x.mp4")[0])


def test_nothing_is_noted_of_a_plain_video(tmp_path: Path) -> None:
    write(tmp_path / "x.mkv", ball(4), "ffv1", "bgr0")
    assert probe(tmp_path / "x.mkv").display == Display() and probe(tmp_path / "x.mkv").facts.notes == ()
