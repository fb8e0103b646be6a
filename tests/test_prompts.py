"""Prompt files: the shipped sets are complete, and every mistake is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import prompts
from evals.errors import EvalsError, PromptError, UnknownName
from evals.records import Prompt, PromptSet
from tests.conftest import examples


def test_first_prompts() -> None:
    park = prompts.load(prompts.find("parks")).prompts[0]
    assert {s.kind for s in park.subjects} == {"child", "dog", "ball"}
    assert "catch" in park.text and "chases a ball" in park.text
    assert any("hang in the air" in p.text for p in prompts.load(prompts.find("animals")).prompts[:5])


def test_sets_merge() -> None:
    sets = prompts.builtin()
    merged = prompts.merge(sets)
    assert len(merged.prompts) == sum(len(s.prompts) for s in sets)
    again = sets[0].model_copy(update={"name": "again"})
    assert prompts.merge([sets[0], again]).prompts == sets[0].prompts  # each once
    other = again.model_copy(update={"prompts": (sets[0].prompts[0].model_copy(update={"text": "other"}),)})
    with pytest.raises(PromptError, match=f"'{sets[0].name}' and 'again' have different prompts with the id"):
        prompts.merge([sets[0], other])


GOOD = "name: mine\nprompts:\n  - id: one\n    text: A ball rolls.\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (GOOD + "    colour: red\n", 5, "unknown key 'colour'"),
        (GOOD + "    motoin: high\n", 5, "did you mean 'motion'"),
        (GOOD + "  - id: one\n    text: Another.\n", 5, "id 'one' was used before, on line 3"),
        (GOOD + "  - id: two\n    text: a BALL rolls.\n", 5, "was used before, on line 3"),
        (GOOD + "  - id: two\n    text: '  '\n", 6, "text"),
        (GOOD + "  - id: two\n", 5, "'text' is missing"),
        (GOOD + "  - id: Two Words\n    text: Another.\n", 5, "id"),
        (GOOD + "    motion: fast\n", 5, "motion"),
        (GOOD + "    subjects:\n      - {kind: dog, legs: 4}\n", 6, "unknown key 'legs'"),
        (GOOD + "    text: twice\n", 5, "occurs twice"),
        (GOOD + "    tags: [a\n", 6, "not valid YAML"),
        ("prompts: []\n", 1, "at least one prompt"),
        ("just a text\n", 1, "mapping"),
        ("- a dog\n- 3\n", 2, "a list of prompts holds texts"),
        ("- a dog\n- A dog\n", 2, "was used before, on line 1"),
        ("name: x\nprompt: []\n", 1, "at least one prompt"),
        ("name: x\nprompts: [text]\n", 2, "a prompt is a mapping"),
        (GOOD + "licence: &a x\ndescription: *a\n", 6, "aliases"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "not valid YAML"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        prompts.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.line == line


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        prompts.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("text: é".encode("latin-1"))
    with pytest.raises(PromptError, match="not UTF-8"):
        prompts.load(tmp_path / "latin.yaml")
    with pytest.raises(UnknownName, match="did you mean 'parks'"):
        prompts.find("parcs")


def test_hash_follows_content_not_layout(tmp_path: Path) -> None:
    one, other, changed = (tmp_path / f"{n}.yaml" for n in "abc")
    one.write_text(GOOD)
    other.write_text("# a comment\nprompts: [{text: A ball rolls., id: one}]\n")
    changed.write_text(GOOD + "    motion: high\n")
    digests = [prompts.load(p).digest for p in (one, other, changed)]
    assert digests[0] == digests[1] != digests[2]


def test_one_set_never_holds_an_id_twice() -> None:
    prompt = Prompt(id="a", text="x")
    with pytest.raises(ValueError, match="occurs twice"):
        PromptSet(name="x", prompts=(prompt, prompt))


@examples(150)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda s: (GOOD + s).encode())))
def test_any_bytes_are_a_set_or_a_typed_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(data)
    try:
        prompts.load(path)
    except EvalsError as error:
        assert str(path) in str(error)


def test_a_document_nested_without_end_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("name: x\nprompts: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(PromptError, match=r"deep\.yaml:2: .*nest"):
        prompts.load(path)
