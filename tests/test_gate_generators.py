"""The gate on real generators: the tiny Wan pipeline in its variants, and simulated worlds with camera noise.
The table of docs/gate.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Result, call

MODEL = f"python:{ROOT / 'tests' / 'wan_model.py'}:generate"
METRICS = "temporal_flicker,sharpness,blur,temporal_quality[dis]"
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3000)]


def made(folder: Path, name: str, generator: str, **options: object) -> Path:
    given = [x for key, value in options.items() for x in ("-o", f"{key}={value}")]
    found = call("run", "--generator", generator, "--prompts", "animals", "--limit", 25, "--seeds", 2, *given,
                 "--out", folder, "--name", name, "--metrics", METRICS, "-q")  # fmt: skip
    assert found.code in (0, 4), found.err
    return folder / name


def calibrated(folder: Path, *runs: Path, margin: str = "0.75sd") -> Path:
    base = folder / f"{runs[0].name}.json"
    found = call("gate", "baseline", runs[0], "--out", base, "--clips", "--margin", margin)
    assert found.code == 0, found.err
    found = call("gate", "calibrate", *runs, "--baseline", base, "-q")
    assert found.code == 0, found.err
    return base


def checked(base: Path, run: Path, *more: object) -> dict[str, Any]:
    found: Result = call("gate", "check", base, run, "-q", "--json", *more)
    result: dict[str, Any] = json.loads(found.out)
    return result


def psnr(result: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in result["pairs"] if row["metric"] == "fidelity_psnr")


def test_variants_of_a_diffusion_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tiny_wan import save

    monkeypatch.setenv("TINY_WAN", str(save(tmp_path / "wan")))
    runs = {n: made(tmp_path, n, MODEL) for n in ("first", "again")}
    base = calibrated(tmp_path, runs["first"], runs["again"])
    same = checked(base, runs["again"])
    assert same["verdict"] == "pass" and psnr(same)["identical"] == 50
    math = made(tmp_path, "math", MODEL, attention="math")
    assert checked(base, math)["verdict"] == "not comparable"
    assert checked(base, math, "--under-test", "attention")["fidelity"] == "pass"
    half = checked(base, made(tmp_path, "bf16", MODEL, dtype="bfloat16"), "--under-test", "dtype")
    assert half["fidelity"] == "regression" and 35 < psnr(half)["median"] < 50
    leaking = [made(tmp_path, f"leak{i}", MODEL, leak=0.3, repeat=i) for i in range(4)]
    assert checked(base, leaking[0])["fidelity"] == "regression"
    assert checked(calibrated(tmp_path, *leaking[:3]), leaking[3])["fidelity"] == "pass"


def test_simulated_worlds_with_camera_noise(tmp_path: Path) -> None:
    """The noise has the film's seed, so repeats are equal; more of it is another video."""
    first, again = (made(tmp_path, name, "simulated:clean", noise=2) for name in ("first", "again"))
    base = calibrated(tmp_path, first, again, margin="1.5sd")
    assert checked(base, again)["verdict"] == "pass"
    noisier = checked(base, made(tmp_path, "noisier", "simulated:clean", noise=8))
    assert noisier["verdict"] == "regression" and noisier["fidelity"] == "regression"
