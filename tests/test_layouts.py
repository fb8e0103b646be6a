"""`folder:` as other suites lay clips out: which file is whose, and what nobody can know."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from evals import prompts
from evals.errors import ManifestError, PromptError, UsageError
from evals.generators import layouts, shards
from evals.records import Prompt, PromptSet
from evals.video import encode
from tests.conftest import Cli, ball
from tests.test_jobs import samples


def prompt_set(texts: list[str], categories: list[str] | None = None) -> PromptSet:
    rows = [
        Prompt(id=f"p-{i}", text=text, category=(categories or ["x"] * len(texts))[i])
        for i, text in enumerate(texts)
    ]
    return PromptSet(name="x", prompts=tuple(rows))


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def owners(found: layouts.Preflight) -> dict[str, tuple[str, int]]:
    return {f.path.name: (f.prompt.id, f.seed) for f in found.found}


def test_vbench_names_and_their_traps(tmp_path: Path) -> None:
    long = "a very long prompt about a river that flows through a valley with many stones and trees " * 4
    texts = ["a cat", "a dog part-2", "a dog part", "A Fantasy landscape", "a fantasy landscape"]
    texts += ["what? a/b: c", long.strip(), "never made"]
    names = [
        "a cat-0.mp4", "a cat-1.mp4",
        "a dog part-2-0.mp4",  # prompt 1 with seed 0
        "a dog part-0.mp4",  # prompt 2 with seed 0
        "a dog part-2.mp4",  # prompt 2 with seed 2, or prompt 1 without a seed
        "a fantasy landscape-0.mp4",  # whose, on a file system that knows no case?
        "what_ a_b_ c-0.mp4",
        long[:200].strip() + ".mp4",
        "somebody else's-0.mp4", "notes.txt",
    ]  # fmt: skip
    found = layouts.match(touch(tmp_path, *names), prompt_set(texts), "vbench")
    assert owners(found) == {
        "a cat-0.mp4": ("p-0", 0), "a cat-1.mp4": ("p-0", 1), "a dog part-2-0.mp4": ("p-1", 0),
        "a dog part-0.mp4": ("p-2", 0), "what_ a_b_ c-0.mp4": ("p-5", 0),
        long[:200].strip() + ".mp4": ("p-6", 0),
    }  # fmt: skip
    assert set(found.ambiguous) == {"a dog part-2.mp4", "a fantasy landscape-0.mp4"}
    assert "p-1 with seed 0" in found.ambiguous["a dog part-2.mp4"]
    assert found.extra == ["somebody else's-0.mp4"]
    assert found.missing == ["p-3", "p-4", "p-7"] and set(found.contested) == {"p-3", "p-4"}
    assert layouts.detect(tmp_path, prompt_set(texts)) == "vbench"
    text = str(found)
    assert "matched        6" in text and "ambiguous      2" in text


def test_two_cut_prompts_with_the_same_beginning_are_nobodys(tmp_path: Path) -> None:
    start = "the same long beginning of two prompts, word for word, over and over again and " * 3
    texts = [start + "then a cat", start + "then a dog"]
    found = layouts.match(touch(tmp_path, start[:200].strip() + ".mp4"), prompt_set(texts), "vbench")
    assert not found.found and len(found.ambiguous) == 1 and found.missing == ["p-0", "p-1"]


def test_numbers(tmp_path: Path) -> None:
    made = prompt_set(["one", "two", "three"], ["a", "a", "b"])
    zero = touch(tmp_path / "zero", "0000.mp4", "0002.mp4", "0007.mp4")
    assert layouts.detect(zero, made) == "evalcrafter"
    found = layouts.match(zero, made, "evalcrafter")
    assert owners(found) == {"0000.mp4": ("p-0", 0), "0002.mp4": ("p-2", 0)}
    assert found.extra == ["0007.mp4"] and found.missing == ["p-1"]
    grouped = touch(tmp_path / "grouped", "a/0001.mp4", "a/0002.mp4", "b/0001.mp4", "c/0001.mp4")
    assert layouts.detect(grouped, made) == "t2v-compbench"
    found = layouts.match(grouped, made, "t2v-compbench")
    assert [(f.path.parent.name, f.prompt.id) for f in found.found] == [
        ("a", "p-0"),
        ("a", "p-1"),
        ("b", "p-2"),
    ]
    assert found.extra == ["c/0001.mp4"]
    with pytest.raises(UsageError, match="--layout evalcrafter"):
        layouts.detect(touch(tmp_path / "doubt", "0001.mp4", "0002.mp4"), made)
    by_id = touch(tmp_path / "ids", "0.mp4", "2.mp4", "1.mp4")
    with pytest.raises(UsageError, match="--layout evalcrafter"):
        layouts.detect(by_id, made)  # from 0 or from 1 on? of ids that are not FETV's nobody knows
    rows = tuple(Prompt(id=f"fetv-{n}", text=f"text {n}") for n in (2, 0, 7))
    theirs = PromptSet(name="fetv", prompts=rows)
    assert layouts.detect(by_id, theirs) == "fetv"
    matched = layouts.match(by_id, theirs, "fetv")
    assert owners(matched) == {"0.mp4": ("fetv-0", 0), "2.mp4": ("fetv-2", 0)}
    assert matched.extra == ["1.mp4"] and matched.missing == ["fetv-7"]
    with pytest.raises(UsageError, match="did you mean 'vbench'"):
        layouts.checked("vbnch")


def test_physics_iq_by_its_own_index(assets: Path, tmp_path: Path) -> None:
    found = prompts.load(assets / "formats" / "physics_iq_descriptions.csv")
    assert len(found.prompts) == 198
    folder = touch(tmp_path, "0001_perspective-left_trimmed-ball-and-block-fall.mp4", "0003_something.mp4",
                   "0999_nothing.mp4")  # fmt: skip
    assert layouts.detect(folder, found) == "physics-iq"
    matched = layouts.match(folder, found, "physics-iq")
    assert {f.path.name[:4]: f.prompt.id[:4] for f in matched.found} == {"0001": "0001", "0003": "0003"}
    assert matched.extra == ["0999_nothing.mp4"] and len(matched.missing) == 196


def test_a_prompt_per_line(tmp_path: Path) -> None:
    """Ids come from the words, so that lines may move."""
    path = tmp_path / "prompt700.txt"
    path.write_text("a cat\n\n  two dogs \n")
    first = prompts.load(path).prompts
    assert [p.text for p in first] == ["a cat", "two dogs"] and first[0].id.startswith("a-cat-")
    path.write_text("two dogs\na cat\n")
    assert {p.id for p in prompts.load(path).prompts} == {p.id for p in first}


@pytest.mark.parametrize(("name", "text"), [
    ("p.txt", "a cat\ntwo dogs\n"),
    ("p.yaml", "- a cat\n- text: two dogs\n  id: dogs\n"),
    ("p.jsonl", '{"prompt": "a cat"}\n\n{"text": "two dogs", "id": "dogs"}\n'),
    ("p.csv", 'id,prompt\n,a cat\ndogs,two dogs\n'),
    ("q.csv", "prompt\na cat\ntwo dogs\n"),
])  # fmt: skip
def test_plain_lists_of_prompts(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    found = prompts.load(prompts.find(str(path)))
    assert [p.text for p in found.prompts] == ["a cat", "two dogs"]
    assert re.fullmatch(r"dogs|two-dogs-[0-9a-f]{6}", found.prompts[1].id)
    again = {"yaml": "- TWO dogs\n", "jsonl": '{"prompt": "TWO dogs"}\n'}.get(path.suffix[1:], "TWO dogs\n")
    path.write_text(text + (",TWO dogs\n" if "id,prompt" in text else again))
    with pytest.raises(PromptError, match=r"text 'two dogs' was used before, on line [2-4]"):
        prompts.load(path)


def fetv(assets: Path) -> list[dict[str, str]]:
    text = (assets / "fetv" / "zeroscope" / "videos.jsonl").read_text()
    return [json.loads(x) for x in text.splitlines()]


@pytest.mark.slow
def test_fetv_in_three_layouts_gives_the_same_scores(assets: Path, cli: Cli, tmp_path: Path) -> None:
    rows = fetv(assets)[:5]
    source = assets / "fetv" / "zeroscope"
    texts = [{"id": r["prompt_id"], "text": r["prompt"], "category": r["category"]} for r in rows]
    listed = tmp_path / "p.yaml"
    listed.write_text(yaml.safe_dump({"name": "fetv", "prompts": texts}))
    for name in ("vbench", "evalcrafter", "fetv"):
        (tmp_path / name).mkdir()
    for i, row in enumerate(rows):
        shutil.copy(source / row["path"], tmp_path / "vbench" / f"{row['prompt']}-0.mp4")
        shutil.copy(source / row["path"], tmp_path / "evalcrafter" / f"{i:04d}.mp4")
        shutil.copy(source / row["path"], tmp_path / "fetv" / row["path"])
    with tarfile.open(tmp_path / "shards-000.tar", "w") as tar:
        for i, row in enumerate(rows):
            tar.add(source / row["path"], f"{i:06d}.mp4")
            data = json.dumps({"prompt": row["prompt"], "prompt_id": row["prompt_id"]}).encode()
            info = tarfile.TarInfo(f"{i:06d}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (tmp_path / "webdataset").mkdir()
    shutil.move(tmp_path / "shards-000.tar", tmp_path / "webdataset")
    scores = {}
    for name in ("vbench", "evalcrafter", "fetv", "webdataset"):
        found = cli("run", "--generator", f"folder:{tmp_path / name}", "--prompts", listed, "--metrics",
                    "temporal_flicker", "--out", tmp_path / "runs")  # fmt: skip
        assert found.code == 0, found.err
        if name != "webdataset":
            assert f"layout     {name}" in found.err and "matched        5" in found.err
        lines = [
            json.loads(x) for x in (tmp_path / "runs" / name / "scores/main.jsonl").read_text().splitlines()
        ]
        scores[name] = {x["prompt_id"]: x["scores"]["temporal_flicker"]["value"] for x in lines}
    assert len(scores["fetv"]) == 5 and len(set(scores["fetv"].values())) == 5
    assert scores["vbench"] == scores["evalcrafter"] == scores["fetv"] == scores["webdataset"]
    again = cli("run", "--generator", f"folder:{tmp_path / 'webdataset'}", "--prompts", listed, "--metrics",
                "temporal_flicker", "--out", tmp_path / "runs")  # fmt: skip
    assert again.code == 0
    text = (tmp_path / "runs" / "webdataset" / "samples/main.jsonl").read_text()
    assert text.count("\n") == 5  # unpacked once


def test_what_is_ambiguous_fails_with_its_reason_and_is_said_before_any_work(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("A cat-0.mkv", "a dog-0.mkv", "stray-0.mkv"):
        encode(folder / name, list(ball(4)), 8, "ffv1")
    listed = tmp_path / "p.yaml"
    rows = [{"id": f"p-{i}", "text": t} for i, t in enumerate(["a cat", "a dog", "a cow"])]
    listed.write_text(yaml.safe_dump({"name": "x", "prompts": rows}))
    made = ("generate", "--generator", f"folder:{folder}", "--prompts", listed, "--out", tmp_path / "runs")
    found = cli(*made, "--layout", "vbench")
    assert found.code == 4 and "missing        1  p-2" in found.err and "stray-0.mkv" in found.err
    assert {k: v["status"] for k, v in samples(tmp_path / "runs" / "clips").items()} == {
        "p-0": "ok", "p-1": "ok", "p-2": "failed",
    }  # fmt: skip
    assert sorted(p.name for p in folder.iterdir()) == ["A cat-0.mkv", "a dog-0.mkv", "stray-0.mkv"]
    both = listed.with_name("both.yaml")
    both.write_text(yaml.safe_dump({"name": "x", "prompts": [*rows[:1], {"id": "p-3", "text": "a cat-0"}]}))
    other = ("generate", "--generator", f"folder:{folder}", "--prompts", both, "--layout", "vbench")
    doubt = cli(*other, "--out", tmp_path / "runs", "--name", "doubt")
    assert doubt.code == 4 and "ambiguous      1" in doubt.err
    reasons = [r.get("message", "") for r in samples(tmp_path / "runs" / "doubt").values()]
    assert all("ambiguous: A cat-0.mkv could be its or another" in reason for reason in reasons)
    wrong = cli(*made, "--layout", "fetv", "--name", "wrong")
    assert wrong.code == 4 and "extra          3" in wrong.err
    unknown = cli(*made, "--layout", "vbnch", "--name", "unknown")
    assert unknown.code == 2 and "vbench" in unknown.err
    without = cli(
        "generate", "--generator", f"folder:{folder}", "--layout", "vbench", "--out", tmp_path, "--name", "w"
    )
    assert without.code == 2 and "--prompts" in without.err


def test_shards_with_faults(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ManifestError, match=r"a\.tar"):
        shards.clips_of(tmp_path)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("x.mp4")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(ManifestError, match="what the prompt is"):
        shards.clips_of(tmp_path)


def test_the_same_number_twice_is_nobodys_and_hidden_folders_are_not_read(tmp_path: Path) -> None:
    made = prompt_set(["one", "two"])
    folder = touch(tmp_path, "0000.mp4", "0000.webm", "00.mp4", ".trash/0001.mp4", "0001.mp4", "sub/.x.mp4")
    found = layouts.match(folder, made, "evalcrafter")
    assert owners(found) == {"0001.mp4": ("p-1", 0)} and len(found.ambiguous) == 3
    assert found.missing == ["p-0"] and "0000.webm" in found.contested["p-0"]
    ids = PromptSet(name="f", prompts=(Prompt(id="fetv-0", text="a"), Prompt(id="fetv-1", text="b")))
    again = layouts.match(touch(tmp_path / "f", "0.mp4", "00.mp4", "1.mp4"), ids, "fetv")
    assert owners(again) == {"1.mp4": ("fetv-1", 0)} and len(again.ambiguous) == 2


def test_accents_and_emoji_are_not_dropped(tmp_path: Path) -> None:
    decomposed = "a cafe\u0301-0.mp4"  # as macOS writes it
    made = prompt_set(["a cafe", "a café", "🔥"])
    found = layouts.match(touch(tmp_path, decomposed, "!!!-0.mp4", "🔥-1.mp4"), made, "vbench")
    assert owners(found) == {decomposed: ("p-1", 0), "🔥-1.mp4": ("p-2", 1)}
    assert found.extra == ["!!!-0.mp4"]


def test_manifest_words_that_differ_in_case_find_their_own(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(2):
        encode(folder / f"{i}.mkv", list(ball(4, seed=i)), 8, "ffv1")
    rows = [{"path": "0.mkv", "prompt": "a dog"}, {"path": "1.mkv", "prompt": "A Dog"}]
    (folder / "videos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = tmp_path / "set.json"
    entries = [{"prompt_en": t, "dimension": ["scene"]} for t in ("A Dog", "a dog")]
    made.write_text(json.dumps(entries))
    assert (
        cli("generate", "--generator", f"folder:{folder}", "--prompts", made, "--out", tmp_path / "r").code
        == 0
    )
    found = samples(tmp_path / "r" / "clips")
    texts = {p.id: p.text for p in prompts.load(made).prompts}
    assert {texts[k]: Path(v["video"]).name for k, v in found.items()} == {"a dog": "0.mkv", "A Dog": "1.mkv"}
