"""Reference sets as files: built, matched, imported, and every wrong one refused."""

from __future__ import annotations

import collections
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.compare.reference import Statistics, import_statistics
from evals.compare.vector_sets import Vectors
from evals.compare.vectors import matched
from evals.errors import MetricError, StatisticsError
from evals.metrics.frechet import frechet_distance_from_moments
from evals.metrics.moments import Moments
from evals.records import Spec
from evals.video import FirstFrames
from tests.conftest import Cli, MakeClips, examples
from tests.test_fuzz import mutated

TINY = "tiny/random"
METRICS = f"fvd[{TINY}],kvd[{TINY}],fid_frames[{TINY}],precision[{TINY}],mmd2[{TINY}],fvd_unbiased[{TINY}],"
METRICS += f"memorization[{TINY}]"
Make = tuple[Cli, Path, tuple[object, ...]]


@pytest.fixture
def scored(clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path) -> Make:
    """Runs `a` and `b` with features; arguments for their weights."""
    weights = ("--weights", f"{TINY}={tiny_clip}")
    for name, prompts in (("a", 9), ("b", 8)):
        folder = clips(name).write(prompts=prompts).folder
        done = cli(
            "run", "--generator", f"folder:{folder}", "--out", tmp_path, "--metrics", METRICS, *weights
        )
        assert done.code == 0, done.err
    return cli, tmp_path, weights


def values(folder: Path) -> dict[str, float]:
    frame = pd.read_csv(folder / "distributions.csv")
    return dict(zip(frame["metric"], frame["value"], strict=True))


def test_a_file_gives_what_its_run_gives(scored: Make) -> None:
    cli, tmp, weights = scored
    out = tmp / "ref.npz"
    built = cli("reference", "build", tmp / "b", "--encoder", TINY, "--out", out, *weights)
    assert built.code == 0 and "8 videos, d = 32" in built.out, built.err
    base = ("compare", tmp / "a", "--videos", 0)
    assert cli(*base, "--reference", tmp / "b", "--out", tmp / "of-run").code == 0
    done = cli(*base, "--reference", out, "--out", tmp / "of-file")
    assert done.code == 0
    run, file = values(tmp / "of-run"), values(tmp / "of-file")
    assert set(run) == set(METRICS.split(",")) and f"fid_frames[{TINY}]" not in file
    assert "not of frames" in done.err
    assert file == {k: pytest.approx(run[k], rel=1e-12) for k in file} and len(file) == 6
    clips = tmp / "clips" / "b"
    assert cli("reference", "build", clips, "--encoder", TINY, "--out", tmp / "2.npz", *weights).code == 0
    one, two = Statistics.load(out), Statistics.load(tmp / "2.npz")
    assert np.array_equal(one.total.mean, two.total.mean) and one.features.hashes == two.features.hashes


def test_moments_alone_serve_the_frechet_distance(scored: Make) -> None:
    cli, tmp, weights = scored
    command = ("reference", "build", tmp / "b", "--encoder", TINY, "--out", tmp / "m.npz", "--no-features")
    assert cli(*command, *weights).code == 0
    kept = Statistics.load(tmp / "m.npz").features
    assert not kept.rows and len(set(kept.hashes)) == 8
    done = cli("compare", tmp / "a", "--reference", tmp / "m.npz", "--videos", 0, "--out", tmp / "r")
    assert done.code == 0 and "build it with --features" in done.err
    assert cli("compare", tmp / "a", "--reference", tmp / "b", "--videos", 0, "--out", tmp / "s").code == 0
    assert values(tmp / "r") == {f"fvd[{TINY}]": pytest.approx(values(tmp / "s")[f"fvd[{TINY}]"], rel=1e-6)}


def test_another_encoder_weights_or_normalization_is_refused(scored: Make) -> None:
    cli, tmp, weights = scored
    path = tmp / "ref.npz"
    assert cli("reference", "build", tmp / "b", "--encoder", TINY, "--out", path, *weights).code == 0
    whole = Statistics.load(path)
    changed = {
        "weights_sha256": Statistics(
            **{
                **vars(whole),
                "spec": whole.spec.model_copy(
                    update={"params": {**whole.spec.params, "weights_sha256": "x"}}
                ),
            }
        ),
        "holds features of other/net": Statistics(**{**vars(whole), "encoder": "other/net"}),
        "scored under native, the reference under fps=4": Statistics(
            **{**vars(whole), "normalization": "fps=4"}
        ),
    }
    for message, other in changed.items():
        other.save(path)
        done = cli("compare", tmp / "a", "--reference", path, "--videos", 0, "--out", tmp / "r")
        assert done.code == 0 and message in done.err, done.err
        assert pd.read_csv(tmp / "r" / "distributions.csv").empty


def test_videos_on_both_sides_are_named(scored: Make) -> None:
    cli, tmp, weights = scored
    ref = tmp / "ref.npz"
    assert cli("reference", "build", tmp / "a", "--encoder", TINY, "--out", ref, *weights).code == 0
    for reference, count in ((ref, 1), (tmp / "b", 0)):
        done = cli("compare", tmp / "a", "--reference", reference, "--videos", 0, "--out", tmp / "r")
        said = f"fvd[{TINY}]: 9 videos of a are in ref too, byte by byte"
        assert done.code == 0 and done.err.count(said) == count, done.err


def test_matching_is_said_and_done(scored: Make) -> None:
    cli, tmp, _ = scored
    base = ("compare", tmp / "a", "--reference", tmp / "b", "--videos", 0, "--out", tmp / "r")
    assert cli(*base, "--match", "prompt").code == 0
    sets = pd.read_csv(tmp / "r" / "distributions.csv")
    assert set(sets.loc[sets["metric"] == f"fvd[{TINY}]", "n"]) == {8}  # of a's nine prompts, b has eight
    assert sets["protocol"].str.endswith("; matched by prompt").all()
    assert cli("compare", tmp / "a", "--match", "prompt").code == 2


def side(*categories: str) -> Vectors:
    n = len(categories)
    return Vectors([np.array([float(i)]) for i in range(n)], [f"p{i}" for i in range(n)], list(categories),
                   ["h"] * n, ["k"] * n, videos=n)  # fmt: skip


def test_categories_are_matched_in_our_proportions() -> None:
    ours, theirs = side("x", "x", "y", "z"), side(*"xxxxyyyyyw")
    a, b = matched(ours, theirs, "category")
    assert a.categories == ["x", "x", "y"] and collections.Counter(b.categories) == {"x": 4, "y": 2}
    assert [float(r[0]) for r in b.rows] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(MetricError, match="no category in common"):
        matched(side("x"), side("y"), "category")


# --- files of other tools ---


def spec() -> Spec:
    return Spec(name="i3d", params={"weights_sha256": "w"})


def test_statistics_of_ucf_101_are_imported_with_their_distance(assets: Path, tmp_path: Path) -> None:
    names = ("i3d_ucf101_2048_res128_len16", "i3d_ucf101_full_res128_len16")
    two = [import_statistics(assets / "stats" / f"{n}.npz", "i3d", spec(), "native", 0) for n in names]
    covariances = [s.total.covariance(0) for s in two]
    found = frechet_distance_from_moments(
        two[0].total.mean, covariances[0], two[1].total.mean, covariances[1]
    )
    assert found == pytest.approx(29.96535369, abs=1e-6) and two[0].total.n == 2048
    two[0].save(tmp_path / "ucf.npz")
    again = Statistics.load(tmp_path / "ucf.npz")
    assert np.array_equal(again.total.scatter, two[0].total.scatter) and again.source.startswith("imported: ")


def test_pickles_of_numpy_are_read_and_others_run_nothing(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4))
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps({"raw_mean": x.sum(0), "raw_cov": x.T @ x, "num_items": 50}))
    found = import_statistics(path, "i3d", spec(), "native", 0)
    assert np.allclose(found.total.mean, x.mean(0)) and np.allclose(
        found.total.covariance(0), np.cov(x.T, ddof=0)
    )
    path.write_bytes(pickle.dumps({"mu": x.mean(0), "sigma": np.cov(x.T), "n": np.int64(50)}))
    assert np.allclose(import_statistics(path, "i3d", spec(), "native", 1).total.covariance(), np.cov(x.T))

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("code was run",))

    things: list[object] = [{"mu": Evil()}, Evil(), {"mu": collections.OrderedDict()}]
    for evil in things:
        path.write_bytes(pickle.dumps(evil))
        with pytest.raises(StatisticsError, match=r"not admitted|something other"):
            import_statistics(path, "i3d", spec(), "native", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": np.zeros(3)}, "no mean and covariance"),
        ({"mu": np.zeros(3), "sigma": np.eye(3)}, "--count"),
        ({"mu": np.zeros(3), "sigma": np.eye(4), "n": 5}, r"\(3,\) and \(4, 4\)"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3), "n": 5}, "NaN"),
    ],
)
def test_odd_statistics_are_named(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", **content)
    with pytest.raises(StatisticsError, match=message):
        import_statistics(tmp_path / "odd.npz", "i3d", spec(), "native", 0)
    with pytest.raises(StatisticsError, match="reference build"):
        Statistics.load(tmp_path / "odd.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    x = np.random.default_rng(1).normal(size=(6, 3))
    vectors = Vectors(list(x), [f"p{i}" for i in range(6)], ["c"] * 6, ["h"] * 6, ["k"] * 6, videos=6)
    path = tmp_path_factory.mktemp("npz") / "ref.npz"
    Statistics("ref", "i3d", spec(), "native", Moments.of(x), "test", vectors).save(path)
    return path.read_bytes()


@examples(150)
@given(data=st.data())
def test_mutated_files_load_as_they_were_or_are_refused(
    tmp_path: Path, whole: bytes, data: st.DataObject
) -> None:
    path = tmp_path / "ref.npz"
    path.write_bytes(whole)
    right = Statistics.load(path)
    path.write_bytes(data.draw(mutated(whole) | st.integers(0, len(whole)).map(lambda n: whole[:n])))
    try:
        found = Statistics.load(path)
    except StatisticsError as error:
        assert "ref.npz" in str(error)
    else:
        assert np.array_equal(found.total.scatter, right.total.scatter) and found.spec == right.spec


def test_the_file_is_plain(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ref.npz"
    path.write_bytes(whole)
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert set(file.files) == {"about", "mean", "scatter", "features"}
    assert about["format"] == 2 and about["encoder"] == "i3d" and about["n"] == 6


@pytest.mark.nightly
def test_a_reference_can_be_of_random_clips(
    clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    """StyleGAN-V takes random clips of real videos; the start comes from the video's hash, so a file is the
    same twice."""
    from safetensors.torch import save_file

    from evals.encoders.inflated import InflatedInception

    path = tmp_path / "i3d.safetensors"
    save_file(InflatedInception(400).state_dict(), path)
    made = clips("a").write(4, frames=24, step=3.0)
    native = ("--encoder", "i3d-native", "--weights", f"i3d-native={path}")
    for name, how in (("first", "first"), ("random", "random"), ("again", "random")):
        out = tmp_path / f"{name}.npz"
        done = cli("reference", "build", made.folder, *native, "--clips", how, "--out", out)
        assert done.code == 0, done.err
    first, random, again = (Statistics.load(tmp_path / f"{n}.npz") for n in ("first", "random", "again"))
    assert (first.clips, random.clips) == ("first", "random") and first.spec == random.spec
    assert np.array_equal(np.stack(random.features.rows), np.stack(again.features.rows))
    assert not np.array_equal(np.stack(random.features.rows), np.stack(first.features.rows))
    run = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path / "runs")
    assert cli(*run, "--metrics", "fvd[i3d-native]", "--weights", f"i3d-native={path}").code == 0
    reference = ("--reference", tmp_path / "random.npz", "--videos", 0, "--out", tmp_path / "report")
    assert cli("compare", tmp_path / "runs" / "a", *reference).code == 0
    sets = pd.read_csv(tmp_path / "report" / "distributions.csv")
    assert sets["protocol"][0].endswith("the reference's clips are random ones")
    assert sets["value"][0] > 0
    refused = cli("reference", "build", tmp_path / "runs" / "a", *native, "--clips", "random", "--out", path)
    assert refused.code == 2 and "takes a folder" in refused.err
    whole = ("--encoder", TINY, "--weights", f"{TINY}={tiny_clip}", "--clips", "random", "--out", path)
    other = cli("reference", "build", made.folder, *whole)
    assert other.code == 2 and "whole video" in other.err
    starts = [FirstFrames(frames=16, start="random").windows(24, video=f"{i:064x}")[0][0] for i in range(900)]
    counts = np.bincount(starts, minlength=9)
    assert len(counts) == 9 and ((counts > 60) & (counts < 140)).all()  # every start is as likely
