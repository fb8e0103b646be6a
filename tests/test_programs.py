"""`command:` and `python:`: other people's programs and functions, and prompts of every kind."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from evals.errors import SampleError, UsageError
from evals.generators import create
from evals.generators.frames import as_frames
from evals.records import Prompt, Request, Settings
from evals.runs.folder import RunFolder
from tests.conftest import Cli, ball, start
from tests.helpers import written
from tests.test_jobs import samples, write_prompts

HOSTILE = [
    "a cat; rm -rf ~ && echo gone",
    "$(touch evals-was-here) `touch evals-was-here` ${HOME}",
    "first line\nsecond line\ttabbed",
    "it's \"quoted\" and 'quoted' \\ back\\slash",
    "--help --out=elsewhere -- {seed} {out} %s %(x)s",
    "x" * 10_000,
    "🦊 jumps over 🌊 👨‍👩‍👧",
    "كلب يركض في الحديقة",
    "* ? [a-z] ~ | > evals-was-here < /dev/null & !history",
]

PROGRAM = """
import json, sys, hashlib
from pathlib import Path
sys.path.insert(0, {root!r})
from evals.video import encode
from tests.conftest import ball
prompt, seed, out, width, height = sys.argv[1:6]
Path(out).with_name("seen.jsonl").open("a").write(json.dumps([prompt, seed]) + "\\n")
encode(Path(out), list(ball(4, (int(height), int(width)), seed=int(seed))), 8)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "make video.py"
    path.write_text(PROGRAM.format(root=str(Path(__file__).parent.parent)))
    return path


def template(program: Path, rest: str = "{prompt} {seed} {out} {width} {height}") -> str:
    return f"command:{sys.executable} '{program}' {rest}"


def test_hostile_prompts_reach_the_program_as_they_are(program: Path, tmp_path: Path) -> None:
    made = create(template(program), {})
    for i, text in enumerate(HOSTILE):
        prompt = Prompt(id=f"p-{i}", text=text)
        request = Request(prompt=prompt, seed=i, settings=Settings(width=48, height=32))
        found = made.generate(request, tmp_path / "videos" / f"{i}.mp4")
        assert found.status == "ok", (text, found)
    seen = [json.loads(x) for x in (tmp_path / "videos" / "seen.jsonl").read_text().splitlines()]
    assert seen == [[text, str(i)] for i, text in enumerate(HOSTILE)]
    assert not list(tmp_path.rglob("evals-was-here")) and not Path("evals-was-here").exists()


@pytest.mark.slow
def test_a_run_of_a_command_and_what_makes_it_another(program: Path, cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", ["a red ball", "two balls"])
    base = ("run", "--generator", template(program), "--prompts", prompts, "--seeds", "2", "--size", "64x48",
            "--metrics", "temporal_flicker", "--out", tmp_path, "--name", "run")  # fmt: skip
    found = cli(*base)
    assert found.code == 0, found.err
    run = RunFolder(tmp_path / "run")
    facts = [s.actual for s in run.samples().values()]
    assert len(facts) == 4 and {(f.width, f.height, f.frames) for f in facts if f} == {(64, 48, 4)}
    assert {s.requested.width for s in run.samples().values()} == {64}
    program.write_text(program.read_text() + "\n# another version\n")
    changed = cli(*base)
    assert changed.code == 2 and "has changed since this run was made" in changed.err
    assert "--name" in changed.err and "--restart" in changed.err
    again = cli(*base, "--restart")
    assert again.code == 0 and "the old run is" in again.err
    assert len(RunFolder(tmp_path / "run-before-1").samples()) == 4
    unknown = cli("run", "--generator", template(program), "--prompts", prompts, "--fps", "8")
    assert unknown.code == 2 and "fps" in unknown.err


@pytest.mark.parametrize(
    ("code", "status", "transient"),
    [
        ("sys.exit(10)", "refused", False),
        ("sys.stderr.write('CUDA error: out of luck'); sys.exit(3)", "failed", False),
        ("sys.exit(75)", "failed", True),
        ("pass", "failed", False),  # writes nothing
        ("time.sleep(60)", "failed", True),
        ("os.kill(os.getpid(), 11)", "failed", False),
    ],
)
def test_exit_codes_are_statuses(code: str, status: str, transient: bool, tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(f"import os, sys, time\n{code}\n")
    made = create(f"command:{sys.executable} {script} {{prompt}} {{out}}", {"time_limit": "1.5"})
    started = time.monotonic()
    found = made.generate(Request(prompt=Prompt(id="p", text="x")), tmp_path / "v" / "0.mp4")
    assert (found.status, found.transient) == (status, transient) and found.message
    assert time.monotonic() - started < 20 and not list((tmp_path / "v").iterdir())
    if "CUDA" in code:
        assert "exit code 3: CUDA error: out of luck" in found.message
        assert found.details["stderr"].startswith("CUDA error")


SERVER = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from evals.video import encode
from tests.conftest import ball
print("loading the model ...", flush=True)
sys.stderr.write("warm\\n"); sys.stderr.flush()
for line in sys.stdin:
    asked = json.loads(line)
    if "refuse" in asked["prompt"]:
        print(json.dumps({{"status": "refused", "message": "not this"}}), flush=True); continue
    if "die" in asked["prompt"]:
        os._exit(9)
    if "hang" in asked["prompt"]:
        time.sleep(60)
    print("noise", flush=True)
    encode(Path(asked["out"]), list(ball(4, (asked["height"] or 32, 48), seed=asked["seed"])), 8)
    print(json.dumps({{"status": "ok", "pid": os.getpid()}}), flush=True)
"""


@pytest.mark.slow
def test_a_program_that_serves_is_started_once_and_again_when_it_dies(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text(SERVER.format(root=str(Path(__file__).parent.parent)))
    texts = [
        "one ball",
        "please refuse this",
        'two 🦊\n"balls"',
        "now die",
        "three balls",
        "now hang",
        "four",
    ]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    found = cli("generate", "--generator", f"command:{sys.executable} {script}", "-o", "serve=true",
                "-o", "time_limit=6", "--prompts", prompts, "--out", tmp_path, "--name", "run")  # fmt: skip
    assert found.code == 4
    rows = samples(tmp_path / "run")
    outcomes = [rows[f"p-{i}"]["status"] for i in range(len(texts))]
    assert outcomes == ["ok", "refused", "ok", "failed", "ok", "failed", "ok"]
    pids = [rows[f"p-{i}"]["details"]["pid"] for i in (0, 2, 4, 6)]
    assert pids[0] == pids[1] and len(set(pids)) == 3
    assert "warm" in rows["p-3"]["details"]["stderr"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("command:make {prompt}", "lacks {out}"),
        ("command:make {prompt} {out} {sed}", "seed"),
        ("command:make '{prompt} {out}", "quotation"),
        ("python:nothing.py:f", "file that is there"),
        ("python:nothing", "python:FILE"),
    ],
)
def test_mistakes_are_named_before_any_work(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create(name, {})


MODEL = """
import numpy as np
import evals

calls = []

def generate(prompt, seed, width=48, height=32, frames=6, strength=1.0):
    if "forbidden" in prompt:
        raise evals.Refused("not that")
    if "crash" in prompt:
        raise RuntimeError("out of ideas")
    rng = np.random.default_rng(seed)
    clip = rng.random((frames, height, width, 3)) * strength
    return clip, 12.0

def path(prompt, **others):
    return others["file"]

def anything(**given):
    return np.zeros((2, 16, 16, 3), np.uint8)

def nothing():
    return None

number = 3
"""


def test_a_function_in_a_file(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "my_model.py"
    model.write_text(MODEL)
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball", "forbidden ball", "crash now"])
    base = ("generate", "--generator", f"python:{model}:generate", "--prompts", prompts, "--out", tmp_path,
            "--name", "run", "--frames", "5", "--size", "64x32")  # fmt: skip
    assert cli(*base, "-o", "strength=0.5").code == 4
    rows = samples(tmp_path / "run")
    assert [rows[f"p-{i}"]["status"] for i in range(3)] == ["ok", "refused", "failed"]
    actual = rows["p-0"]["actual"]
    assert (actual["width"], actual["height"], actual["frames"], actual["fps"]) == (64, 32, 5, 12.0)
    assert "out of ideas" in rows["p-2"]["message"]
    other = cli(*base, "-o", "strength=0.7")
    assert other.code == 2 and "holds a run of" in other.err
    for extra, message in (("strngth=1", "strength"), ("seed=3", "no such parameter")):
        wrong = cli(*base, "-o", extra)
        assert wrong.code == 2 and message in wrong.err
    for name, message in (
        ("generat", "generate"),
        ("nothing", "no parameter 'prompt'"),
        ("number", "no such"),
    ):
        with pytest.raises(UsageError, match=message):
            create(f"python:{model}:{name}", {})
    made = create(f"python:{model}:path", {"file": str(tmp_path / "none.mp4")})
    with pytest.raises(SampleError, match="no file"):
        made.generate(Request(prompt=Prompt(id="p", text="x")), tmp_path / "o.mp4")
    assert create(f"python:{model}:anything", {}).accepts == {"width", "height", "frames", "fps"}


def pictures() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return ball(3, (20, 30))


@pytest.mark.parametrize(
    "given",
    [
        pictures(),
        list(pictures()),
        [Image.fromarray(f) for f in pictures()],
        torch.from_numpy(pictures()),
        torch.from_numpy(pictures()).permute(0, 3, 1, 2),
        torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255,
        (torch.from_numpy(pictures()).float() / 255)[None],
        pictures().astype(np.float64) / 255,
        np.concatenate([pictures(), np.full((3, 20, 30, 1), 255, np.uint8)], -1),
    ],
)
def test_what_models_return_becomes_the_same_frames(given: Any) -> None:
    assert np.array_equal(as_frames(given), pictures())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no frames"),
        (np.zeros((3, 4)), r"\(3, 4\)"),
        (np.full((2, 8, 8, 3), np.nan), "NaN"),
        (np.full((2, 8, 8, 3), 200.0), "from 200 to 200"),
        (np.full((2, 8, 8, 3), -1.0), "from 0 to 1"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64"),
    ],
)
def test_what_is_no_video_is_said(given: Any, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        as_frames(given)


ODD = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from evals.video import encode
from tests.conftest import ball
kind = sys.argv[1]
if kind == "deaf":
    time.sleep(60)
for line in sys.stdin:
    asked = json.loads(line)
    if kind == "closes":
        os.close(1); time.sleep(60)
    encode(Path(asked["out"]), list(ball(4, (32, 48), seed=asked["seed"])), 8)
    answer = json.dumps({{"status": "ok"}})
    if kind == "surrogate":
        answer = '{{"status": "failed", "message": "half an emoji \\\\ud83d", "x": NaN}}'
    print("\\n".join([answer] * (2 if kind == "twice" else 1)), flush=True)
"""


@pytest.mark.parametrize(
    ("kind", "status"),
    [("closes", "failed"), ("deaf", "failed"), ("twice", "ok"), ("surrogate", "failed")],
)
def test_odd_programs_cost_their_samples_only(kind: str, status: str, cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(ODD.format(root=str(Path(__file__).parent.parent)))
    texts = ["a" * (200_000 if kind == "deaf" else 10), "two", "three"]
    prompts = write_prompts(tmp_path / "p.yaml", texts[: 1 if kind == "deaf" else 3])
    started = time.monotonic()
    found = cli(
        "generate", "--generator", f"command:{sys.executable} {script} {kind}", "-o", "serve=true",
        "-o", "time_limit=3", "--prompts", prompts, "--out", tmp_path, "--name", "run",
    )  # fmt: skip
    assert found.code == (0 if status == "ok" else 4), found.err
    rows = samples(tmp_path / "run")
    assert {r["status"] for r in rows.values()} == {status} and time.monotonic() - started < 45
    if kind == "surrogate":
        assert "half an emoji ?" in rows["p-0"]["message"] and rows["p-0"]["details"]["x"] == "nan"


def test_ctrl_c_ends_what_runs_side_by_side(tmp_path: Path) -> None:
    script, begun = tmp_path / "slow.py", tmp_path / "begun"
    script.write_text(f"import pathlib, time; pathlib.Path({str(begun)!r}).write_text('x'); time.sleep(60)")
    prompts = write_prompts(tmp_path / "p.yaml", ["a", "b", "c"])
    process = start("generate", "--generator", f"command:{sys.executable} {script} {{prompt}} {{out}}", "-o",
                    "concurrency=2", "--prompts", prompts, "--out", tmp_path, "--name", "run")  # fmt: skip
    written(begun, process)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - started < 15


def test_a_function_that_exits_costs_its_sample(cli: Cli, tmp_path: Path) -> None:
    model = tmp_path / "m.py"
    code = "import sys, numpy as np\n\ndef generate(prompt, seed):\n"
    code += "    if 'exit' in prompt:\n        sys.exit('enough')\n"
    code += "    return np.zeros((2, 16, 16, 3), np.uint8), np.float32(6)\n"
    model.write_text(code)
    prompts = write_prompts(tmp_path / "p.yaml", ["a", "exit now", "c"])
    made = ("generate", "--generator", f"python:{model}:generate", "--prompts", prompts, "--out", tmp_path)
    assert cli(*made, "--name", "run").code == 4
    rows = samples(tmp_path / "run")
    assert [rows[f"p-{i}"]["status"] for i in range(3)] == ["ok", "failed", "ok"]
    assert rows["p-0"]["actual"]["fps"] == 6.0 and "enough" in rows["p-1"]["message"]
