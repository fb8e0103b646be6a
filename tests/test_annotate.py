"""`prompts annotate`: what rules and a model tell of a text, and that guesses are marked; sets written as
YAML are read as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evals import prompts
from evals.annotate import ask_model, guess
from evals.annotate.model import INSTRUCTIONS
from evals.errors import UsageError
from evals.prompts.writer import dump
from evals.records import Prompt, PromptSet, Question
from evals.remote import pacing
from evals.remote.chat import Chat
from tests.conftest import Cli, examples
from tests.videoserver import Handler, World, serve


def annotated(text: str, **fields: Any) -> Prompt:
    return guess(Prompt(id="p", text=text, **fields))


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("A dog runs.", [("dog", 1, None, "run")]),
        ("Three yellow ducklings paddle past a rusty old boat.",
         [("duckling", 3, "yellow", "paddle"), ("boat", 1, None, None)]),
        ("Children wave at two grey horses.", [("child", 2, None, "wave"), ("horse", 2, "grey", None)]),
        ("A red ball and a blue cup fall.", [("ball", 1, "red", None), ("cup", 1, "blue", "fall")]),
        ("A pair of boots stands by the door.", [("boot", 2, None, "stand"), ("door", 1, None, None)]),
        ("A flock of geese crosses the sky.", [("goose", 5, None, "cross"), ("sky", 1, None, None)]),
        ("The camera pans left across three tents.", [("tent", 3, None, None)]),
        ("A drone shot of 12 sheep walking over a green hill.", [("sheep", 12, None, "walk")]),
    ],
)  # fmt: skip
def test_subjects_with_counts_colours_and_actions(text: str, subjects: list[tuple[Any, ...]]) -> None:
    found = annotated(text)
    assert [(s.kind, s.count, s.colour, s.action) for s in found.subjects] == subjects
    assert found.guessed["subjects"] == "rules"


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("25 ducks swim.", [("duck", 20)]), ("Twenty-one ducks swim.", [("duck", 20)]),
        ("No dogs run here, without a leash.", []), ("A pâté meets a pätä.", [("pâté", 1), ("pätä", 1)]),
        ("x" * 5000, [("x" * 40, 1)]),
    ],
)  # fmt: skip
def test_odd_counts_absent_things_and_long_words(text: str, subjects: list[tuple[str, int]]) -> None:
    found = annotated(text)
    assert [(s.kind, s.count) for s in found.subjects] == subjects
    assert all("exactly" not in q.text for q in found.questions)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("A dog chases a cat in a park.", {"place": "park", "motion": "high", "action": "chase"}),
        ("The camera slowly zooms in on a candle.", {"camera": "zoom"}),
        ("A drone flies over a lake, seen from above.", {"camera": "aerial"}),
        ("A handheld shot of a woman who reads in a library.", {"camera": "handheld", "motion": "low"}),
        ("A static shot: a box stands on a shelf.", {"camera": "static", "motion": "none"}),
        ("A man sits down. Then cut to a street.", {"cuts": True}),
        ("A panda eats bamboo.", {"camera": None, "place": None, "cuts": None}),
    ],
)
def test_place_motion_and_camera(text: str, fields: dict[str, Any]) -> None:
    found = annotated(text)
    assert {name: getattr(found, name) for name in fields} == fields
    assert {name for name, value in fields.items() if value} <= set(found.guessed)


def test_questions_follow_from_what_was_found() -> None:
    found = annotated("Three yellow ducklings paddle past an old boat.")
    assert [(q.id, q.kind, q.text, q.depends_on) for q in found.questions] == [
        ("ducklings", "subject", "Are there ducklings in the video?", ()),
        ("ducklings-count", "count", "Are there exactly three ducklings?", ("ducklings",)),
        ("ducklings-colour", "attribute", "Are the ducklings yellow?", ("ducklings",)),
        ("boat", "subject", "Is there a boat in the video?", ()),
    ]


def test_two_things_of_a_kind_are_asked_about_apart() -> None:
    found = annotated("A red ball hits a blue ball.")
    assert [(q.id, q.text) for q in found.questions] == [
        ("red-ball", "Is there a red ball in the video?"),
        ("blue-ball", "Is there a blue ball in the video?"),
    ]


def test_what_is_there_is_kept() -> None:
    mine = (Question(id="x", kind="subject", text="Is there a hound?"),)
    found = annotated("Two dogs run.", motion="low", questions=mine)
    assert found.motion == "low" and found.questions == mine
    assert not {"motion", "questions"} & set(found.guessed) and "subjects" in found.guessed
    assert guess(found) == found  # once is enough


@examples(60)
@given(st.text(min_size=1, max_size=200).filter(str.strip))
def test_any_text_can_be_annotated(text: str) -> None:
    found = guess(Prompt(id="p", text=text))
    assert found.text == Prompt(id="p", text=text).text and len(found.questions) <= 5


ANSWER = {
    "category": "play", "difficulty": "easy", "action": "chase", "place": "beach", "motion": "high",
    "subjects": [{"kind": "dog", "colour": "brown", "size": None, "action": "chase", "target": "gull"}],
    "camera": None, "law": None, "must_see": [], "questions": [
        {"id": "dog", "kind": "subject", "text": "Is there a dog?", "answer": "yes", "depends_on": []},
        {"id": "late", "kind": "order", "text": "Does it stop?", "answer": "no", "depends_on": ["dog"]}],
}  # fmt: skip


class Model(Handler):
    """Answers with annotations; a prompt says what goes wrong."""

    def do_POST(self) -> None:
        raw = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert raw["messages"][0]["content"] == INSTRUCTIONS and raw["temperature"] == 0
        text = raw["messages"][1]["content"]
        self.world.submits[text, raw["model"]] += 1
        if "refused" in text:
            return self.error(400, "no")
        said = f"Here you are:\n```json\n{json.dumps(ANSWER)}\n```"
        said = {"prose": "It shows a dog.", "cut": said[:90]}.get(text.split()[-1].strip("."), said)
        if "wrong" in text:
            said = json.dumps({**ANSWER, "motion": "fast"})
        return self.send(200, {"choices": [{"message": {"content": said}}]})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "PAUSE", 0.01)


def test_a_model_is_asked_first_and_rules_fill_the_rest(cli: Cli, tmp_path: Path) -> None:
    texts = [
        "A dog chases a gull.",
        "Two cats sleep, wrong.",
        "A horse trots, in prose.",
        "A cow is refused.",
    ]
    texts.append("A goat jumps, and the answer is cut.")
    (tmp_path / "mine.txt").write_text("\n".join(texts))
    world = World(tmp_path / "server")
    with serve(world, Model) as base:
        found = cli("prompts", "annotate", tmp_path / "mine.txt", "--model", f"openai-chat:m@{base}")
    assert found.code == 4, found.err  # four answers could not be used
    assert "5 prompts" in found.out and "prompts lint" in found.out
    made = prompts.load(tmp_path / "mine.yaml").prompts
    first = made[0]
    fields = ("difficulty", "subjects", "action", "place", "motion", "questions")
    assert first.guessed == dict.fromkeys(fields, "openai-chat:m")
    assert first.subjects[0].colour == "brown" and first.questions[1].answer == "no"
    assert [set(p.guessed.values()) for p in made[1:]] == [{"rules"}] * 4
    assert found.err.count("by rules instead") == 4
    for said in ("what is no annotation: motion", "is no JSON object", "could not be asked"):
        assert said in found.err
    assert sum(world.submits.values()) == 5
    again = cli("prompts", "annotate", tmp_path / "mine.txt")
    assert again.code == 2 and "exists already" in again.err
    lint = cli("prompts", "lint", tmp_path / "mine.yaml")
    assert lint.code == 1 and lint.out.count("[guessed]") == 5


def test_a_models_answer_that_breaks_the_form_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with serve(world, Model) as base:
        model = Chat(f"openai-chat:m@{base}", INSTRUCTIONS, "--model")
        with pytest.raises(UsageError, match="gave what is no annotation: motion"):
            ask_model(Prompt(id="p", text="wrong"), model)
        model.close()
    with pytest.raises(UsageError, match="--model gpt: write openai-chat:MODEL"):
        Chat("gpt", INSTRUCTIONS, "--model")


def test_other_lists_are_annotated_in_their_own_place(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,prompt,motion\none,A red kite flies over a beach.,low\n")
    found = cli("prompts", "annotate", tmp_path / "mine.csv", "--out", tmp_path / "new" / "set.yaml")
    assert found.code == 0, found.err
    made = prompts.load(tmp_path / "new" / "set.yaml").prompts[0]
    assert (made.id, made.motion, made.place) == ("one", "low", "beach") and "motion" not in made.guessed
    assert cli("prompts", "annotate", tmp_path / "none.txt").code == 2


LINE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda x: bool(x.strip()))


@examples(120)
@given(
    LINE, LINE, st.dictionaries(st.sampled_from(["de", "fr", "zh-Hant"]), LINE), st.lists(LINE, max_size=3)
)
def test_a_written_set_is_read_as_it_was(
    tmp_path: Path, text: str, other: str, translations: dict[str, str], tags: list[str]
) -> None:
    asked = (Question(id="a", text=text, kind="subject"), Question(id="b", text=other, depends_on=("a",)))
    prompt = Prompt.model_validate({
        "id": "a", "text": text, "translations": translations, "tags": tags, "action": other,
        "must_see": [other], "subjects": [{"kind": text, "count": 3, "metres": 0.5}], "questions": asked,
        "guessed": {"motion": other},
    })  # fmt: skip
    made = PromptSet(name="mine", prompts=(prompt,), description=text, subsets={"core": ("a",)})
    path = tmp_path / "mine.yaml"
    path.write_text(dump(made), encoding="utf-8", newline="")
    assert prompts.load(path) == made


@pytest.mark.parametrize("name", prompts.builtin_names())
def test_standard_sets_are_written_as_they_stand_for_any_reader(name: str) -> None:
    path = prompts.builtin_folder() / f"{name}.yaml"
    text, found = path.read_text(encoding="utf-8"), prompts.load(path)
    assert dump(found) == text
    data = yaml.load(text, yaml.SafeLoader)  # without C: stricter
    assert [p["text"] for p in data["prompts"]] == [p.text for p in found.prompts]
    assert PromptSet.model_validate(data) == found
