"""Other suites' prompt files: samples in each form load, broken ones fail with file and line, and ids are
file names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import prompts
from evals.errors import EvalsError, PromptError
from evals.prompts.readers.common import entries_of, id_of
from evals.records import PROMPT_ID, Prompt, PromptSet
from tests.conftest import examples


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    return path


def load(folder: Path, name: str, content: Any) -> PromptSet:
    return prompts.load(written(folder, name, content))


def test_vbench(assets: Path) -> None:
    found = prompts.load(assets / "formats" / "VBench_full_info.json")
    data = json.loads((assets / "formats" / "VBench_full_info.json").read_text())
    assert found.name == "vbench" and [p.text for p in found.prompts] == list(
        dict.fromkeys(e["prompt_en"].strip() for e in data)
    )
    assert {t for p in found.prompts for t in p.tags} == {f"vbench:{d}" for e in data for d in e["dimension"]}


def test_vbench_2_in_its_three_forms(tmp_path: Path) -> None:
    """`VBench2_full_info.json`, a file of `prompts/meta_info`, and `VBench2_full_text_info.json`."""
    long = "The camera rises. " * 40
    entries = [
        {"prompt_en": long, "dimension": ["Complex_Landscape"], "auxiliary_info": ["A peak.", "A lake."]},
        {
            "prompt_en": "A cork is put on water.",
            "dimension": ["Mechanics"],
            "auxiliary_info": ["Does it float?"],
        },
        {"prompt_en": "A cork is put on water.", "dimension": ["Diversity"], "auxiliary_info": {}},
    ]
    found = load(tmp_path, "VBench2_full_info.json", entries)
    assert found.name == "vbench2" and [p.category for p in found.prompts] == [
        "Complex_Landscape",
        "Mechanics",
    ]
    assert (
        found.prompts[1].tags == ("vbench2:Mechanics", "vbench2:Diversity") and not found.prompts[1].questions
    )
    assert found.prompts[0].text == long.strip() and len(found.prompts[0].id) <= 67
    meta = [
        {"prompt_en": "A lion with wings.", "dimension": "Composition", "auxiliary_info": {"judge": [True]}}
    ]
    assert load(tmp_path, "Composition.json", meta).prompts[0].tags == ("vbench2:Composition",)
    text = {long[:180]: {"caption": long, "dimension": ["Complex_Landscape"]}}
    assert load(tmp_path, "VBench2_full_text_info.json", text).prompts[0] == found.prompts[0]


def test_evalcrafter_keeps_its_numbers_and_repeats(tmp_path: Path) -> None:
    texts = ["a horse", "A cow grazes.", "two dogs", "A cow grazes."]
    found = load(tmp_path, "evalcrafter_prompt.txt", "\n".join(texts) + "\n")
    assert [p.text for p in found.prompts] == texts
    assert [p.id[:4] for p in found.prompts] == ["0000", "0001", "0002", "0003"]
    data = {
        f"{i:04d}": {"prompt": t, "attributes": {"count": "2 dog", "color": "x"} if i == 2 else {}}
        for i, t in enumerate(texts)
    }
    listed = load(tmp_path, "metadata.json", data)
    assert [p.id for p in listed.prompts] == [p.id for p in found.prompts]
    assert listed.prompts[2].tags == ("evalcrafter:color", "evalcrafter:count")


def test_t2v_compbench(tmp_path: Path) -> None:
    lines = load(tmp_path, "7_numeracy.txt", "Two cats walk.\nThree cars speed along a road.\n")
    assert [p.category for p in lines.prompts] == ["7_numeracy"] * 2
    spatial = [
        {"prompt": "A cat on the left of a vase", "spatial": "left", "object_1": "cat", "object_2": "vase"}
    ]
    found = load(tmp_path, "spatial_relationships.json", spatial)
    assert found.prompts[0].category == "spatial_relationships"
    assert [s.kind for s in found.prompts[0].subjects] == ["cat", "vase"]
    counted = [{"prompt": "Two fish and five frogs", "objects": "fish, frog", "numbers": "2, 5"}]
    subjects = load(tmp_path, "generative_numeracy.json", counted).prompts[0].subjects
    assert [(s.kind, s.count) for s in subjects] == [("fish", 2), ("frog", 5)]


def test_fetv(tmp_path: Path, assets: Path) -> None:
    rows = [
        {"video_id": "v1", "prompt": "a bird flying", "prompt complexity": ["simple"],
         "major content": {"spatial": ["animals"], "temporal": ["actions", "kinetic motions"]},
         "attribute control": {"spatial": None, "temporal": None}},
        {"video_id": "v2", "prompt": "three boys eat", "prompt complexity": ["complex"],
         "major content": {"spatial": ["people"], "temporal": ["actions"]},
         "attribute control": {"spatial": ["quantity"], "temporal": None}},
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("fetv_data.json", "fetv_data.jsonl"):
        found = load(tmp_path, name, text).prompts
        assert [(p.id, p.category, p.difficulty) for p in found] == [
            ("fetv-0", "actions", "easy"), ("fetv-1", "quantity", "hard"),
        ]  # fmt: skip
        assert found[0].tags == ("fetv:actions", "fetv:kinetic_motions", "fetv:animals")
    clips = [json.loads(x) for x in (assets / "fetv" / "zeroscope" / "videos.jsonl").read_text().splitlines()]
    assert all(row["prompt_id"].startswith("fetv-") for row in clips)  # the same ids as of the clips


def test_videophy_and_videophy_2(tmp_path: Path) -> None:
    first = load(tmp_path, "videophy_test_public.csv",
                 "caption,video_url,sa,pc,states_of_matter,complexity\n"
                 "A whisk turns cream.,u1,1,0,solid-fluid,1\nA whisk turns cream.,u2,0,0,solid-fluid,1\n"
                 "A ball rolls.,u3,1,1,solid-solid,0\n")  # fmt: skip
    assert [(p.text, p.category, p.difficulty) for p in first.prompts] == [
        ("A whisk turns cream.", "solid-fluid", "hard"), ("A ball rolls.", "solid-solid", "easy"),
    ]  # fmt: skip
    second = load(tmp_path, "videophy2.csv", 'action,caption,is_hard\npole vault,"He runs, and jumps.",1\n')
    assert (second.prompts[0].category, second.prompts[0].difficulty) == ("pole vault", "hard")
    plain = load(tmp_path, "example.csv", "videopath,caption\na.mp4,Shoe squashes a can.\n")
    assert plain.prompts[0].category == "physics" and plain.prompts[0].difficulty is None


def test_physics_iq(assets: Path) -> None:
    found = prompts.load(assets / "formats" / "physics_iq_descriptions.csv")
    assert len(found.prompts) == 198 and found.name == "physics-iq"


FETV_LINE = '{"prompt": "a", "prompt complexity": ["simple"], "major content": {}, "attribute control": {}}'


@pytest.mark.parametrize(
    ("name", "content", "line", "said"),
    [
        ("v.json", '[\n {"prompt_en": "a", "dimension": ["x"]},\n {"prompt_en": "b"}\n]', 3, "lacks"),
        ("v.json", '[\n {"prompt_en": "a", "dimension": []}]', 2, "no dimension"),
        ("v.json", '[\n {"prompt_en": " ", "dimension": ["x"]}]', 2, "needs its words"),
        ("v.json", '[\n {"prompt_en": "\\ud800", "dimension": ["x"]}]', 2, "half a character"),
        ("v.json", '[{"prompt_en": "a",\n "dimension": ["x"],}]', 2, "not valid JSON"),
        ("v.json", "3", None, "holds no list"),
        ("v.json", '[{"x": 1}]', None, "no prompt set that is known"),
        ("v.json", "[]", None, "no prompt set that is known"),
        ("m.json", '{"0000": {"prompt": "a"},\n "0002": {"prompt": "b"}}', 2, "stands where '0001' should"),
        ("m.json", '{"0000": {"prompt": "a"},\n "0001": {"prompt": 7}}', 2, "needs its words"),
        ("m.json", '{"0000": {"prompt": "a"},\n "0001": "b"}', 2, "no object"),
        ("c.json", '[{"prompt": "a"},\n 7]', 2, "no object with 'prompt'"),
        ("c.json", '[{"prompt": "a"},\n {"prompt": "b", "objects": "x, y", "numbers": "1"}]', 2, "together"),
        ("f.json", FETV_LINE + "\n" + FETV_LINE.replace("simple", "odd"), 2, "'prompt complexity'"),
        ("f.json", FETV_LINE + "\n{\n", 2, "not valid JSON"),
        ("f.json", FETV_LINE + "\n" + FETV_LINE.replace('"major content": {}', '"x": 1'), 2, "'major"),
        ("p.csv", "prompt\nA dog runs, then stops.\n", 2, "needs quotes"),
        ("p.csv", "", 1, "the first line names the columns"),
        ("p.csv", "prompt," + "x" * 200_000, None, "holds no prompts"),
        ("f.json", FETV_LINE + "\n" + FETV_LINE.replace("{}", '{"temporal": "actions"}'), 2, "or null"),
        ("f.json", FETV_LINE + "\n" + FETV_LINE.replace('["simple"]', '[["simple"]]'), 2, "'prompt"),
        ("p.csv", "caption,x\na,1\n ,2\n", 3, "needs its words"),
        ("p.csv", "a,b\n1,2\n", 1, "the header lacks"),
        ("p.csv", "prompt,motion\na,high\nb,fast\n", 3, "motion"),
        ("p.jsonl", '{"prompt": "a"}\n[]\n', 2, "a line is an object"),
        ("p.txt", "a\nb\nA\n", 3, "used before, on line 1"),
    ],
)  # fmt: skip
def test_broken_files_fail_with_file_and_line(
    tmp_path: Path, name: str, content: str, line: int | None, said: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(PromptError) as caught:
        prompts.load(path)
    assert said in str(caught.value) and caught.value.line == line and str(path) in str(caught.value)


def test_ids_are_file_names_of_their_own(tmp_path: Path) -> None:
    texts = [
        "A cat",
        "a cat!",
        "a cat 2",
        "a cat-2",
        "x" * 300,
        "x" * 301,
        "猫が走る",
        "犬が走る",
        "…",
        "é",
        "con",
    ]
    found = load(tmp_path, "p.txt", "\n".join(texts)).prompts
    ids = [p.id for p in found]
    assert len(set(ids)) == len(texts) and all(len(i) <= 120 for i in ids)
    assert {p.text for p in found} == set(texts)


@examples(200)
@given(st.lists(st.text(min_size=1, max_size=400).filter(str.strip), min_size=2, max_size=6, unique=True))
def test_any_texts_have_ids_that_are_file_names(texts: list[str]) -> None:
    usable = [t for t in texts if t.isprintable()]
    ids = [Prompt(id=id_of(t).lstrip("-"), text="x").id for t in usable]
    assert len(set(ids)) == len(usable) and all(len(i) <= 67 for i in ids)
    assert PROMPT_ID == r"^[a-z0-9-]+$"


@examples(150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "prompt",
                        "prompt_en",
                        "dimension",
                        "caption",
                        "objects",
                        "numbers",
                        "attributes",
                        "0000",
                    ]
                ),
                x,
            )
        ),
    )
)
def test_any_json_is_a_set_or_a_typed_error(tmp_path: Path, data: Any) -> None:
    path = written(tmp_path, "any.json", data)
    try:
        prompts.load(path)
    except EvalsError as error:
        assert str(path) in str(error)


def test_entries_come_with_their_lines(tmp_path: Path) -> None:
    text = '\n{"a": 1,\n\n "b": [2,\n 3], "c": {"d": "}"}\n}\n'
    found = entries_of(text, tmp_path)
    assert found == [(2, "a", 1), (4, "b", [2, 3]), (5, "c", {"d": "}"})]
    assert entries_of("[ ]", tmp_path) == [] and entries_of(' ["x"]', tmp_path) == [(1, "", "x")]
