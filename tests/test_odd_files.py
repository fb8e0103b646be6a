"""Odd prompt files, manifests and surroundings end in a sentence with file and line, or just work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evals import prompts
from evals.errors import PromptError
from evals.generate import RunConfig, tasks_of
from evals.generators import create
from evals.video import encode
from tests.conftest import ROOT, Cli, ball

YAML = "name: x\nprompts:\n- id: a\n  text: a ball\n"
MANY_DIGITS = "9" * 5000


def entry(**fields: object) -> bytes:
    return json.dumps([{"prompt_en": "a ball", "dimension": ["scene"], **fields}]).encode()


FINE = {
    "bom.yaml": b"\xef\xbb\xbf" + YAML.encode(),
    "crlf.yaml": YAML.replace("\n", "\r\n").encode(),
    "bom.txt": b"\xef\xbb\xbfa ball\n",
    "crlf.txt": b"a ball\r\na cube\r\n",
    "nul.txt": b"a\0ball\n",
    "long.txt": b"x" * 1_000_000 + b"\n",
    "all.txt": b"a ball\n",
    "-dash.txt": b"a ball\n",
    "ümläut 🦊.txt": b"a ball\n",
    "n" * 200 + ".txt": b"a ball\n",
    "bom.csv": b"\xef\xbb\xbfdescription,generated_video_name\na,b.mp4\n",
    "long.csv": b"description,generated_video_name\n" + b"x" * 300_000 + b",b.mp4\n",
    "bom.json": b"\xef\xbb\xbf" + entry(),
    "nan.json": b'[{"prompt_en":"a","dimension":["s"],"x":NaN}]',
    "cost.json": entry(cost=10**400),
}
WRONG = {
    "utf16.yaml": (YAML.encode("utf-16"), "not UTF-8"),
    "latin.yaml": (YAML.replace("ball", "b\xe4ll").encode("latin1"), ":4: not UTF-8"),
    "tab.yaml": (YAML.replace("  text", "\ttext").encode(), ":4: not valid YAML"),
    "nul.yaml": (YAML.replace("ball", "b\0").encode(), ":4: not valid YAML: holds U+0000"),
    "hex.yaml": (YAML.replace("a ball", "0x10").encode(), ":4: prompts.0.text"),
    "digits.yaml": (YAML.encode() + f"version: {MANY_DIGITS}\n".encode(), "number of thousands of digits"),
    "hexdigits.yaml": (
        YAML.encode() + f"  subjects: [{{kind: c, count: 0x{'F' * 5000}}}]\n".encode(),
        ":5: prompts.0.subjects.0.count",
    ),
    "infinite.yaml": (YAML.encode() + b"version: 1e999\n", ":5: version"),
    "deep.yaml": (b"a: " + b"[" * 3000, ":1: not valid YAML: "),
    "surrogate.yaml": (YAML.replace("a ball", '"\\ud800"').encode(), ":4: not valid YAML"),
    "date.yaml": (b"name: 2020-99-01\n" + YAML[8:].encode(), "not valid YAML"),
    "all.yaml": (YAML.encode() + b"  category: all\n", ":5: prompts.0.category"),
    "id.yaml": (YAML.replace("id: a", f"id: {'a' * 500}").encode(), ":3: prompts.0.id"),
    "empty.yaml": (b"", ":1: a prompt file is a mapping"),
    "latin.txt": (b"a\nb\xe4ll\n", ":2: not UTF-8"),
    "blank.txt": (b"\n \n", "holds no prompts"),
    "semicolons.csv": (b"description;generated_video_name\na;b.mp4\n", ":1: the header lacks 'description'"),
    "tabs.csv": (b"description\tgenerated_video_name\na\tb.mp4\n", ":1: the header lacks"),
    "dashes.csv": (b"description,generated_video_name\na,---.mp4\n", ":2: id"),
    "longid.csv": (b"description,generated_video_name\na," + b"b" * 500 + b".mp4\n", ":2: id"),
    "twice.csv": (b"description,generated_video_name\na,b.mp4\nc,B.mp4\n", ":3: two videos"),
    "empty.csv": (b"", ":1: holds no table"),
    "digits.json": (b'[{"prompt_en":"a","dimension":["s"],"c":' + MANY_DIGITS.encode() + b"}]", "digits"),
    "deep.json": (b"[" * 100_000, "nested too deeply"),
    "comma.json": (b'[\n{"prompt_en":"a",}]', ":2: not valid JSON"),
    "surrogate.json": (entry(prompt_en="a \ud800"), ":1: an entry holds half a character"),
    "letters.json": (entry(dimension=7), ":1: an entry lacks"),
    "mixed.json": (entry(dimension=["scene", None]), ":1: an entry has no dimension, or one that is no text"),
    "all.json": (entry(dimension=["all"]), "the prompt 'a ball': category"),
    "number.json": (entry(prompt_en=5), ":1: an entry lacks"),
}


@pytest.mark.parametrize("name", FINE)
def test_odd_prompt_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FINE[name])
    found = prompts.load(prompts.find(str(tmp_path / name))).prompts
    assert found and found[0].text.strip("\ufeff") == found[0].text
    assert len({p.id for p in found}) == len(found)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_prompt_files_are_named_with_the_line(tmp_path: Path, name: str) -> None:
    data, message = WRONG[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PromptError) as refused:
        prompts.load(prompts.find(str(tmp_path / name)))
    said = str(refused.value)
    assert str(tmp_path / name) in said and message in said and "\n" not in said
    assert "errors.pydantic.dev" not in said and "int_max_str" not in said


def row(more: str) -> str:
    return '{"path":"a.mkv","prompt":"x",' + more + "}"


ROWS = {
    row(f'"seed":{MANY_DIGITS}'): ":1: not valid JSON: a number of thousands",
    '{"path":"a.mkv","prompt":"x","seed":"0x10"}': ":1: seed '0x10'",
    '{"path":"a.mkv","prompt":"x","seed":"1_0"}': ":1: seed '1_0'",
    row(f'"seed":{10**400}'): ":1: seed 1000",
    '{"path":"a.mkv","prompt":"x","seed":NaN}': ":1: seed nan",
    row('"y":' + "[" * 100_000): ":1: not valid JSON: nested too deeply",
    '{"path":"a.mkv","path":"b.mkv","prompt":"x"}': ":1: not valid JSON: the key 'path' occurs twice",
    '{"path":"a.mkv","prompt":"x"}\r{"path":"a.mkv","prompt":"y"}': ":1: not valid JSON",
}
TABLES = {
    b"path;prompt\na.mkv;x\n": ":1: needs a header with path, prompt, and commas",
    b"path,prompt,prompt\na.mkv,x,y\n": ":1: the header has 'prompt' twice",
    b"path,prompt\na.mkv,b\xe4\n": ":2: not UTF-8",
    b"path,prompt,seed\na.mkv,x," + MANY_DIGITS.encode() + b"\n": ":2: seed '999",
    b"path,prompt\na.mkv,x\0y\n": ":2: 'prompt' holds a character",
}


@pytest.mark.parametrize("text", [*ROWS, *TABLES], ids=range(len(ROWS) + len(TABLES)))
def test_wrong_manifests_are_named_with_the_line(cli: Cli, tmp_path: Path, text: str | bytes) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    encode(folder / "a.mkv", ball(3), 8, "ffv1")
    if isinstance(text, str):
        (folder / "videos.jsonl").write_text(text + "\n")
        message = ROWS[text]
    else:
        (folder / "videos.csv").write_bytes(text)
        message = TABLES[text]
    done = cli("generate", "--generator", f"folder:{folder}", "--out", tmp_path / "runs")
    assert done.code == 2 and message in done.err and "unexpected" not in done.err
    assert len(done.err) < 600


def test_planning_looks_at_every_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    encode(folder / "0.mkv", ball(3), 8, "ffv1")
    data, rows = (folder / "0.mkv").read_bytes(), []
    for i in range(300):
        (folder / f"{i}.mkv").write_bytes(data)
        rows.append(json.dumps({"path": f"{i}.mkv", "prompt": "the same words, no seed"}))
    (folder / "videos.jsonl").write_text("\n".join(rows))
    hashed: list[Path] = []
    followed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return "0" * 64

    resolve = Path.resolve

    def counted(self: Path, strict: bool = False) -> Path:
        followed.append(self)
        return resolve(self, strict)

    monkeypatch.setattr("evals.generators.folder.file_sha256", count)
    monkeypatch.setattr(Path, "resolve", counted)
    generator = create(f"folder:{folder}")
    requests = RunConfig(generator, tmp_path / "run").requests()
    assert len(list(tasks_of(None, generator, requests))) == 300
    assert len(hashed) == len(set(hashed)) == 300
    assert len(followed) < 10  # links are followed once for a folder, not once for a file
    assert sorted(r.seed for r in requests) == list(range(300))


# --- surroundings ---

RUN = ("run", "--generator", "simulated:clean", "--prompts", "parks", "--limit", "1", "--size", "64x48",
       "--frames", "4", "--fps", "8", "--metrics", "temporal_flicker")  # fmt: skip


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of Bash with `t` for the command."""
    command = f't() {{ "{sys.executable}" "{ROOT / "run_eval.py"}" "$@"; }}\n{line}'
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env={**env, **environment}, capture_output=True, text=True,
        errors="replace", timeout=300, check=False,
    )  # fmt: skip


def test_a_reader_that_stops_reading_is_no_fault(tmp_path: Path) -> None:
    done = shell("t list metrics | head -1; echo ${PIPESTATUS[0]}", tmp_path)
    assert done.stdout.splitlines()[1] == "0" and "Traceback" not in done.stderr


@pytest.mark.nightly
def test_other_locales_low_limits_and_quiet_give_the_same_scores(tmp_path: Path) -> None:
    line = " ".join(RUN)
    plain = shell(f"t {line} --out a", tmp_path)
    assert plain.returncode == 0, plain.stderr
    c = shell(f"t {line} --out b -q", tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    low = shell(f"ulimit -n 40; t {line} --out c --workers 8", tmp_path)
    for done, name in ((c, "b"), (low, "c")):
        assert done.returncode == 0, done.stderr
        found = [
            json.loads(text)["scores"]["temporal_flicker"]["value"]
            for run in ("a", name)
            for text in (tmp_path / run / "clean" / "scores/main.jsonl").read_text().splitlines()
        ]
        assert len(found) == 2 and found[0] == found[1]
    assert c.stderr == ""
    shown = shell("t show b/clean", tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert shown.returncode == 0 and "Traceback" not in shown.stderr


@pytest.mark.slow
def test_a_limit_that_is_too_low_is_a_sentence(tmp_path: Path) -> None:
    done = shell(f"ulimit -n 12; t {' '.join(RUN)}", tmp_path)
    assert done.returncode in (0, 2)
    if done.returncode:
        assert "Too many open files" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_where_nothing_can_be_written_is_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "none"
    place.write_text("a file, so that not even root can write into it")
    done = shell(f"t {' '.join(RUN)} --out none/runs", tmp_path)
    assert done.returncode == 2 and "cannot be made" in done.stderr
    done = shell("t demo --out none/report --per-set 1", tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_user_without_a_home(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No $HOME and no entry in passwd, as in many containers."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "T2V_EVALS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    assert cli(*RUN, "--out", tmp_path).code == 0
    assert cli("compare", tmp_path / "clean", "--out", tmp_path / "r").code == 0
    listed = cli("weights", "list")
    assert listed.code == 2 and "T2V_EVALS_WEIGHTS" in listed.err and "unexpected" not in listed.err
    assert shutil.which("bash")
