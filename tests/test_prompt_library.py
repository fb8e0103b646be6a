"""The standard sets: how many prompts they hold, what every prompt says, which the simulator draws. That they
are clean is `prompts lint`, a check of its own (`tools/check.py`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from evals import prompts
from evals.errors import CannotDraw, UnknownName
from evals.prompts.lint import duplicates
from evals.prompts.subsets import SIZES, apportion, choose
from evals.records import Law, Prompt, PromptSet, QuestionKind
from evals.worlds import Film

SETS = {found.name: found for found in prompts.builtin()}
ALL = [prompt for found in SETS.values() for prompt in found.prompts]
LEAST = {"parks": 100, "animals": 120, "physics": 300, "people": 60, "composition": 100, "camera": 60,
         "light-weather": 60, "long": 60}  # fmt: skip
CATEGORIES = (
    "falling", "bouncing", "throwing", "rolling", "swinging", "springs", "sliding", "colliding", "stacking",
    "friction", "deformation", "fracture", "persistence", "causality", "pouring", "floating", "heat",
    "shadow", "reflection", "refraction", "magnets", "counterfactual",
)  # fmt: skip
"""Of `physics`."""
NOT_MECHANICAL = {"deformation", "fracture", "fluid", "causality", "light", "heat", "magnetism"}


def drawable(prompt: Prompt) -> bool:
    try:
        _ = Film(prompt, 0).scene
    except CannotDraw:
        return False
    return True


@pytest.mark.parametrize("name", LEAST)
def test_a_set_is_as_large_as_it_says(name: str) -> None:
    assert len(SETS[name].prompts) >= LEAST[name]


def test_the_library_holds_nine_hundred_prompts_with_their_own_ids_and_words() -> None:
    assert set(SETS) == set(LEAST) and len(ALL) >= 900
    assert len({p.id for p in ALL}) == len({p.text.casefold() for p in ALL}) == len(ALL)


def test_every_prompt_says_what_should_be_seen() -> None:
    for name, found in SETS.items():
        for p in found.prompts:
            assert p.category != "uncategorised" and p.tags and p.difficulty and p.motion and p.camera, p.id
            assert p.subjects and p.action and p.place, p.id
            assert 2 <= len(p.questions) <= 5 and p.questions[0].kind == "subject", p.id
            assert all(q.id and q.kind for q in p.questions), p.id
            assert not p.guessed, p.id
            if name == "physics":
                assert p.law and p.must_see and p.violated_by, p.id
                assert any(q.kind == "physics" for q in p.questions), p.id
            if name == "long":
                assert any(q.kind == "order" for q in p.questions), p.id


def test_physics_has_every_law_and_bodies_from_different_heights() -> None:
    physics = SETS["physics"].prompts
    assert {p.law for p in physics} == set(get_args(Law))
    heights = [p for p in physics if len({s.height for s in p.subjects if s.height}) == 2]
    assert len(heights) >= 12
    assert sum(s.metres is not None for p in physics for s in p.subjects) >= 60
    assert sum(bool(p.counterfactual) for p in physics) >= 20
    for category in CATEGORIES:
        assert sum(p.category == category for p in physics) >= 8, category


def test_variants_name_what_they_vary() -> None:
    known = {p.id: p for p in ALL}
    rewordings = Counter(p.paraphrase_of for p in ALL if p.paraphrase_of)
    assert len(rewordings) >= 20 and min(rewordings.values()) >= 2
    assert sum(p.contrast_of is not None for p in SETS["composition"].prompts) >= 40
    for p in ALL:
        if p.contrast_of:
            asked, before = ({q.text: q.answer for q in x.questions} for x in (p, known[p.contrast_of]))
            turned = [text for text in asked if before.get(text, asked[text]) != asked[text]]
            own = set(asked) - set(before)
            assert turned or own, p.id  # the word that differs is asked about


def test_every_kind_of_question_and_expected_noes() -> None:
    asked = [q for p in ALL for q in p.questions]
    assert {q.kind for q in asked} == set(get_args(QuestionKind))
    assert 0.15 < sum(q.answer == "no" for q in asked) / len(asked) < 0.25


def test_parks_and_animals_are_in_german_too() -> None:
    for name in ("parks", "animals"):
        for p in SETS[name].prompts:
            assert p.paraphrase_of or p.translations["de"] != p.text


def test_core_and_mini_are_those_that_the_rule_chooses() -> None:
    chosen = choose(list(SETS.values()))
    for subset, size in SIZES.items():
        listed = {name: found.subsets[subset] for name, found in SETS.items()}
        assert sum(map(len, listed.values())) == size and all(listed.values())
        assert listed == {name: chosen[name][subset] for name in SETS}
    core = prompts.named("core").prompts
    assert {p.id for p in prompts.named("mini").prompts} <= {p.id for p in core} and len(core) == 60
    assert {p.difficulty for p in core} == {"easy", "medium", "hard"}
    assert not [p for p in core if p.paraphrase_of or p.contrast_of]
    assert len(prompts.named("all").prompts) == len(ALL)
    assert [p.id for p in prompts.named("physics:mini").prompts] == list(SETS["physics"].subsets["mini"])
    counting = prompts.named("composition:counting").prompts
    assert counting and {p.category for p in counting} == {"counting"}
    with pytest.raises(UnknownName, match="did you mean 'core'"):
        prompts.named("physics:cor")


def test_the_choice_is_stable_and_stratified() -> None:
    sets = list(SETS.values())
    turned = [found.model_copy(update={"prompts": found.prompts[::-1]}) for found in sets]
    first, again = choose(sets), choose(turned)
    assert all(set(first[n][s]) == set(again[n][s]) for n in first for s in first[n])
    physics = SETS["physics"]
    categories = Counter(p.category for p in physics.prompts if p.id in physics.subsets["core"])
    assert max(categories.values()) == 1 and len(categories) == len(physics.subsets["core"])
    assert apportion({"a": 100, "b": 25, "c": 0}, 15) == {"a": 10, "b": 5, "c": 0}
    assert apportion({"a": 2, "b": 400}, 10) == {"a": 1, "b": 9}
    assert apportion({"a": 1, "b": 1}, 9) == {"a": 1, "b": 1}


@pytest.mark.parametrize("name", ["parks", "animals"])
def test_the_simulator_draws_most_of_parks_and_animals(name: str) -> None:
    drawn = sum(drawable(p) for p in SETS[name].prompts)
    assert drawn >= 0.6 * len(SETS[name].prompts)


def test_the_simulator_draws_every_mechanical_law() -> None:
    drawn = {p.law for p in SETS["physics"].prompts if drawable(p)}
    assert drawn == set(get_args(Law)) - NOT_MECHANICAL


def test_no_prompt_is_another_suites(assets: Path) -> None:
    theirs = prompts.load(assets / "formats" / "VBench_full_info.json")
    assert not list(duplicates.borrowed(list(SETS.values()), theirs))
    taken = PromptSet(name="mine", prompts=(Prompt(id="a", text=theirs.prompts[3].text.upper()),))
    found = list(duplicates.borrowed([taken], theirs))
    assert [f.prompt for f in found] == ["a"] and "vbench" in found[0].message
