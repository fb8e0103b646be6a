"""`prompts lint` catches what was planted, and leaves the rest alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.prompts.language import Word, named, words
from evals.prompts.lint import RULES, Finding, lint
from evals.prompts.lint.duplicates import alike, shingles, similarity
from evals.prompts.lint.form import differing
from evals.records import PromptSet
from tests.conftest import Cli

QUESTIONS = [
    {"id": "ball", "kind": "subject", "text": "Is there a ball in the video?"},
    {"id": "red", "kind": "attribute", "text": "Is the ball red?", "depends_on": "ball"},
    {
        "id": "two",
        "kind": "count",
        "text": "Are there exactly two balls?",
        "answer": "no",
        "depends_on": "ball",
    },
]
GOOD: dict[str, Any] = {
    "id": "red-ball-rolls", "text": "A red ball rolls slowly across an empty table.", "category": "rolling",
    "tags": ["single-subject"], "difficulty": "easy", "action": "roll", "place": "table", "motion": "medium",
    "camera": "static", "subjects": [{"kind": "ball", "colour": "red", "action": "roll"}],
    "questions": QUESTIONS,
}  # fmt: skip
OTHERS = (
    "Two geese walk past a barn in the rain.", "A woman folds a paper boat and sets it on a pond.",
    "Smoke rises from a chimney at dusk.", "Three boys carry a long ladder over a bridge.",
    "The camera tilts up along a lighthouse.", "An old clock swings its pendulum in a dark hall.",
)  # fmt: skip


def mine(*changes: dict[str, Any], **fields: Any) -> PromptSet:
    """A set of prompts that differ from the good one by `changes`."""
    made = [{**GOOD, **change} for change in changes or ({},)]
    return PromptSet.model_validate({"name": "mine", "prompts": made, **fields})


def messages(found: PromptSet, rule: str) -> list[str]:
    return [f"{f.prompt}: {f.message}" for f in lint([found]) if f.rule == rule]


def test_a_good_prompt_passes_every_rule() -> None:
    assert lint([mine()]) == []


@pytest.mark.parametrize(
    ("rule", "change", "said"),
    [
        ("id", {"id": "red--ball"}, "single hyphens"),
        ("id", {"id": "-red-ball"}, "single hyphens"),
        ("id", {"id": "a" * 81}, "at most 80"),
        ("missing", {"camera": None, "tags": []}, "lacks tags, camera"),
        ("missing", {"category": "uncategorised"}, "lacks category"),
        ("length", {"text": "A ball."}, "2 words; 5 to 45"),
        ("length", {"text": "A red ball rolls. " * 20}, "80 words"),
        ("praise", {"text": "A stunning red ball rolls over a table, cinematic."}, "'stunning' says nothing"),
        ("guessed", {"guessed": {"motion": "rules"}}, "motion (rules)"),
        ("variants", {"paraphrase_of": "gone"}, "no other prompt here"),
        ("variants", {"contrast_of": "red-ball-rolls"}, "no other prompt"),
        ("questions", {"questions": QUESTIONS[:1]}, "1 questions; 2 to 5"),
        ("questions", {"questions": [QUESTIONS[0], QUESTIONS[0] | {"id": "b"}]}, "the same question twice"),
        ("questions", {"questions": [{"text": "Is there a ball?"}, QUESTIONS[0]]}, "needs an id and a kind"),
    ],
)  # fmt: skip
def test_planted_faults(rule: str, change: dict[str, Any], said: str) -> None:
    found = messages(mine(change), rule)
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"text": "What colour is the ball?"}, "begins with"),
        ({"text": "Is the ball red."}, "question mark"),
        ({"text": "Does the video match the prompt?"}, "does not show 'prompt'"),
        ({"text": "Does the ball make a loud sound?"}, "does not show 'loud'"),
        ({"text": "Does the ball feel cold?"}, "does not show 'feel'"),
        ({"text": "Is the ball " + "very " * 20 + "red?"}, "more than 20 words"),
        ({"text": "Does the ball roll?", "kind": "action", "depends_on": ()}, "depends on the one whether"),
    ],
)  # fmt: skip
def test_questions_that_no_silent_video_answers(question: dict[str, Any], said: str) -> None:
    planted = {"id": "odd", "kind": "attribute", "depends_on": "ball", **question}
    found = messages(mine({"questions": [QUESTIONS[0], planted]}), "questions")
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"kind": "attribute", "text": "Is the ball blue?"}, "the colour 'blue', which is not annotated"),
        ({"kind": "count", "text": "Are there exactly three balls?"}, "asks for 3, and 1 × ball are"),
        ({"kind": "count", "text": "Are there many balls?"}, "a number from one to twenty"),
        ({"kind": "action", "text": "Does a dog chase the ball?"}, "asks for 'dog', which is not annotated"),
        ({"kind": "subject", "text": "Is there a ball?", "answer": "no"}, "expects no, and 'ball' is"),
        ({"kind": "attribute", "text": "Is the ball red?", "answer": "no"}, "the ball is annotated red"),
        ({"kind": "count", "text": "Is there exactly one ball?", "answer": "no"}, "expects no, and 1 are"),
    ],
)  # fmt: skip
def test_answers_that_contradict_the_annotations(question: dict[str, Any], said: str) -> None:
    planted = {"id": "odd", "depends_on": "ball", **question}
    dog = GOOD | {"id": "dog", "text": "A dog sleeps in the shade of a wall.", "subjects": [{"kind": "dog"}],
                  "questions": []}  # fmt: skip
    found = messages(mine({"questions": [QUESTIONS[0], planted]}, dog), "answers")
    assert len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": "Two red balls roll slowly across an empty table."}, "'Two' of the ball, and the"),
        ({"subjects": [{"kind": "ball", "colour": "red"}, {"kind": "cup", "count": 3}],
          "questions": [QUESTIONS[0], {"id": "n", "kind": "count", "text": "Are three balls there?"}]},
         "asks for 3"),
        ({"questions": [QUESTIONS[0], {"id": "e", "kind": "subject", "text": "Is there an elephant?"}]},
         "asks for 'elephant'"),
        ({"subjects": [{"kind": "ball", "colour": "red", "size": "small"}],
          "questions": [QUESTIONS[0], {"id": "l", "kind": "attribute", "text": "Is the ball large?",
                                       "depends_on": "ball"}]}, "whether the ball is large"),
    ],
)  # fmt: skip
def test_counts_things_and_sizes_that_nothing_tells_of(change: dict[str, Any], said: str) -> None:
    found = messages(mine(change), "answers")
    assert len(found) == 1 and said in found[0], found


def test_colours_of_the_text_are_bound_to_their_subjects() -> None:
    wrong = {"text": "A blue ball rolls slowly across an empty table.", "questions": QUESTIONS[::2]}
    assert "'blue' of the ball" in messages(mine(wrong), "answers")[0]
    unsaid = {"text": "A ball rolls slowly across an empty table."}
    assert "which the text does not say" in messages(mine(unsaid), "answers")[0]
    swapped = {
        "text": "A red cup stands beside a blue plate.", "questions": [],
        "subjects": [{"kind": "cup", "colour": "blue"}, {"kind": "plate", "colour": "red"}],
    }  # fmt: skip
    assert len(messages(mine(swapped), "answers")) == 2


@pytest.mark.parametrize(
    "again",
    [
        "A red ball rolls slowly across an empty table!",
        "Slowly, a red ball rolls across an empty table.",
        "A red ball rolls slowly over a table that is empty.",
        "Across an empty table slowly rolls a ball that is red.",
        "A crimson ball rolls slowly across the empty table.",
    ],
)
def test_planted_duplicates_and_paraphrases_are_reported_with_the_pair(again: str) -> None:
    others = [{"id": f"other-{i}", "text": text} for i, text in enumerate(OTHERS)]
    found = [f for f in lint([mine({}, *others, {"id": "again", "text": again})]) if f.rule == "duplicates"]
    assert [(f.prompt, f.other) for f in found] == [("again", "red-ball-rolls")]
    assert "shingles" in found[0].message and "meaning" in found[0].message
    marked = {"id": "again", "text": again, "paraphrase_of": "red-ball-rolls"}
    assert all("repeats the words" in m for m in messages(mine({}, *others, marked), "duplicates"))


def test_a_paraphrase_has_other_words_and_the_same_scene() -> None:
    copied = {
        "id": "b",
        "text": "A red ball rolls slowly across an empty table now.",
        "paraphrase_of": "red-ball-rolls",
    }
    assert "repeats the words" in messages(mine({}, copied), "duplicates")[0]
    other = {
        "id": "b",
        "text": "Over a bare table top comes a ball of red.",
        "paraphrase_of": "red-ball-rolls",
    }
    assert lint([mine({}, other)]) == []
    assert "its motion is not that of" in messages(mine({}, {**other, "motion": "high"}), "variants")[0]
    third = {
        **other,
        "id": "c",
        "text": "Red and round, a ball makes its way over the table.",
        "paraphrase_of": "b",
    }
    assert "which is one itself" in messages(mine({}, other, third), "variants")[0]


def test_a_contrast_differs_in_one_word() -> None:
    blue = {
        "id": "blue", "text": "A blue ball rolls slowly across an empty table.",
        "contrast_of": "red-ball-rolls", "subjects": [{"kind": "ball", "colour": "blue"}],
        "questions": QUESTIONS[::2],
    }  # fmt: skip
    assert lint([mine({}, blue)]) == []
    two = {**blue, "text": "A blue ball rolls quickly across an empty table."}
    assert "in 2 words" in messages(mine({}, two), "variants")[0]
    assert differing("A cat sits.", "A cat sits down.") == 1 and differing("a b", "c d") == 2


def test_many_alike_are_reported_once_each() -> None:
    rows = [{"id": f"p-{i}", "text": f"A red ball rolls slowly across table number {i}."} for i in range(40)]
    found = [f for f in lint([mine(*rows)]) if f.rule == "duplicates"]
    assert len(found) == 39 and len({f.prompt for f in found}) == 39


def test_rules_and_guesses_name_fields_that_there_are() -> None:
    for wrong in ({"words": [45, 5]}, {"requires": ["lawww"]}):
        with pytest.raises(ValueError, match=r"words|lawww"):
            mine(rules=wrong)
    with pytest.raises(ValueError, match="no field of a prompt"):
        mine({"guessed": {"nonsense": "rules"}})
    both = {"id": "b", "paraphrase_of": "red-ball-rolls", "contrast_of": "red-ball-rolls"}
    assert any("one of them" in m for m in messages(mine({}, both), "variants"))
    english = mine({"translations": {"de": GOOD["text"]}}, rules={"languages": ["de"]})
    assert "lacks translations: de" in messages(english, "missing")[0]


def test_the_same_id_in_two_sets_is_named() -> None:
    found = lint([mine(), mine().model_copy(update={"name": "other"})])
    assert ("id", "other", "red-ball-rolls") in [(f.rule, f.set, f.prompt) for f in found]


def lopsided(n: int, **odd: Any) -> PromptSet:
    """`n` different prompts, balanced but for `odd`."""
    levels = ("easy", "medium", "hard")
    rows = [
        {"id": f"p-{i}", "text": " ".join(f"word{i + k}" for k in range(5)), "category": f"c{i % 3}",
         "difficulty": levels[i % 3], **{k: v(i) for k, v in odd.items()}}
        for i in range(n)
    ]  # fmt: skip
    return mine(*rows)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"category": lambda i: "rare" if i == 0 else f"c{i % 3}"}, "category 'rare' has 1 of 30"),
        ({"difficulty": lambda i: "easy" if i else "hard"}, "difficulty 'easy' has 29 of 30"),
        ({"questions": lambda i: QUESTIONS[:2]}, "expected answer 'no' has 0 of 60"),
    ],
)
def test_unbalanced_sets(odd: dict[str, Any], said: str) -> None:
    assert messages(lopsided(30), "balance") == []
    assert any(said in m for m in messages(lopsided(30, **odd), "balance"))
    assert messages(lopsided(9, **odd), "balance") == []  # too few to be out of balance


def test_rules_of_a_set_add_to_what_is_needed() -> None:
    strict = mine(rules={"requires": ["law"], "languages": ["de"], "words": [10, 20]})
    assert {f.rule for f in lint([strict])} == {"missing", "length", "questions"}
    assert "lacks law, translations: de" in messages(strict, "missing")[0]
    lawful = mine({"law": "rolling"}, rules={"requires": ["law"]})
    assert "no question of kind physics" in messages(lawful, "questions")[0]


def test_shingles_and_their_similarity() -> None:
    assert shingles("One, two THREE four") == {("one", "two", "three"), ("two", "three", "four")}
    assert shingles("Hi there") == {("hi", "there")}
    assert similarity(frozenset("abc"), frozenset("bcd")) == 0.5
    assert alike(["a b c d e", "x y z"], ["a b c d f", "a b c d e"]) == {(0, 1): 1.0}


def test_words_know_plurals_colours_and_counts() -> None:
    found = words("Three grey geese and two children pass a toy boat; does the pendulum swing?")
    assert named(found, {"goose", "child", "toy boat", "boat", "swing", "pendulum"}) == {
        "goose", "child", "toy boat", "pendulum",
    }  # fmt: skip
    assert [w.number for w in found if w.number] == [3, 2] and [w.colour for w in found if w.colour] == [
        "grey"
    ]
    assert Word("gray", "gray", "adjective").colour == "grey" and Word("21", "21", "number").number is None


def test_the_command_names_what_to_mend(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"name": "mine", "prompts": [GOOD]}))
    clean = cli("prompts", "lint", path)
    assert clean.code == 0 and "1 prompts in 1 sets: nothing to mend" in clean.out
    path.write_text(json.dumps({"name": "mine", "prompts": [GOOD | {"text": "A ball."}]}))
    found = cli("prompts", "lint", path)
    assert (
        found.code == 1
        and "mine: red-ball-rolls: the text has 2 words" in found.out
        and "[length]" in found.out
    )
    skipped = cli("prompts", "lint", path, "--skip", "length,answers")
    assert skipped.code == 0, skipped.out
    as_json = json.loads(cli("prompts", "lint", path, "--json").out)
    assert {Finding.model_validate(f).rule for f in as_json["findings"]} >= {"length"}
    wrong = cli("prompts", "lint", path, "--skip", "lenght")
    assert wrong.code == 2 and "did you mean 'length'" in wrong.err
    path.write_text(json.dumps({"name": "mine", "prompts": [GOOD | {"id": "No Id"}]}))
    bad = cli("prompts", "lint", path)
    assert bad.code == 2 and "mine.yaml" in bad.err and "only a-z, 0-9 and '-'" in bad.err
    assert set(RULES) >= {"id", "duplicates", "balance", "answers"}
