"""Judges behind a chat endpoint: the official client against a server with every fault."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.errors import Reason, UsageError
from evals.judges import Ask, Sight, create
from evals.judges.answer_log import AnswerLog
from evals.judges.asker import Asker
from evals.judges.openai_chat import DATED
from evals.judges.parsing import chosen
from evals.judges.wording import YES_NO
from evals.runs.journal import read
from tests.judgeserver import DATE, Judges, World, disc
from tests.videoserver import serve

LOOKER = f"looker-{DATE}"
QUICK = {"pause": "0.01", "concurrency": "2"}


def sight(colour: str = "red") -> Sight:
    import cv2

    frames = disc(colour, 4)
    pictures = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]
    return Sight(tuple(pictures), (0.0, 0.5, 1.0, 1.5))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "server")


@pytest.fixture
def base(world: World) -> Iterator[str]:
    with serve(world, Judges) as at:
        yield at


FAULTS = {
    "429*2": None,
    "500*2": None,
    "reset": None,
    "garbage": None,
    "429*9": Reason.JUDGE_UNAVAILABLE,
    "500*9": Reason.JUDGE_UNAVAILABLE,
    "garbage*9": Reason.JUDGE_UNAVAILABLE,
    "slow*9": Reason.JUDGE_UNAVAILABLE,
    "400": Reason.JUDGE_REJECTED,
    "filter": Reason.ANSWER_REFUSED,
    "refusal": Reason.ANSWER_REFUSED,
    "malformed": Reason.ANSWER_UNPARSABLE,
    "other": Reason.ANSWER_UNPARSABLE,
    "tool": Reason.ANSWER_UNPARSABLE,
    "empty": Reason.ANSWER_EMPTY,
    "cut": Reason.ANSWER_TRUNCATED,
    "model": Reason.OTHER_MODEL,
    "gateway*9": Reason.JUDGE_UNAVAILABLE,
    "page*9": Reason.JUDGE_UNAVAILABLE,
    "shape": Reason.ANSWER_UNPARSABLE,
    "flagged": Reason.ANSWER_REFUSED,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_its_status(base: str, fault: str) -> None:
    wanted = FAULTS[fault]
    options = {**QUICK, "deadline": "0.7" if fault.startswith("slow") else "20"}
    judge = create(f"openai-chat:{LOOKER}@{base}", options)
    try:
        ask = Ask(f"Is there a red disc in the video? [judge={fault}]", YES_NO)
        found = judge.ask([sight()], ask, 0)
    finally:
        judge.close()
    assert found.reason == wanted, found
    if wanted is None:
        assert found.choice == "yes" and found.model == LOOKER and found.tokens_in == 1000
    else:
        assert found.choice is None and found.message
    assert found.transient == (wanted == Reason.JUDGE_UNAVAILABLE)


def test_retry_after_is_kept_to(base: str) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    began = time.monotonic()
    found = judge.ask([sight()], Ask("Is there a red disc? [judge=429*2]", YES_NO), 0)
    judge.close()
    assert found.choice == "yes" and time.monotonic() - began >= 0.4  # the server asks for 0.2 s each


def test_a_wrong_key_or_model_stops_the_run(base: str) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    with pytest.raises(UsageError, match="check the model's name, the address and the key"):
        judge.ask([sight()], Ask("x [judge=403]", YES_NO), 0)
    judge.close()


@pytest.mark.parametrize("fault", ["401", "402", "404"])
def test_an_account_that_is_at_its_end_stops_the_run(base: str, fault: str) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    with pytest.raises(UsageError, match=f"HTTP {fault}"):
        judge.ask([sight()], Ask(f"x [judge={fault}]", YES_NO), 0)
    judge.close()


def test_another_model_all_the_time_stops_the_run_unless_it_is_vouched_for(base: str) -> None:
    name = f"openai-chat:{LOOKER}@{base}"
    judge = create(name, QUICK)
    asks = [Ask(f"Is there a red disc? {i} [judge=model]", YES_NO) for i in range(5)]
    assert all(judge.ask([sight()], ask, 0).reason == Reason.OTHER_MODEL for ask in asks[:4])
    with pytest.raises(UsageError, match="served=another-model"):
        judge.ask([sight()], asks[4], 0)
    judge.close()
    vouched = create(name, {**QUICK, "served": "another-model"})
    assert vouched.ask([sight()], Ask("Is there a red disc? [judge=model]", YES_NO), 0).choice == "yes"
    vouched.close()


def test_prices_belong_together() -> None:
    with pytest.raises(UsageError, match="belong together"):
        create("openai-chat:m@http://127.0.0.1:9/v1", {"price_in": "1"})


def test_the_first_vote_and_seed_are_in_the_log(base: str, tmp_path: Path) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    with AnswerLog(tmp_path / "answers.jsonl") as log:
        Asker(judge, log).votes([sight()], Ask("Is there a red disc?", YES_NO), seed=0)
    judge.close()
    ((_, record),) = read(tmp_path / "answers.jsonl")
    assert record["vote"] == 0 and record["seed"] == 0 and record["tokens_in"] == 1000


def test_a_server_without_schemas_is_asked_in_plain_words(base: str, world: World) -> None:
    judge = create(f"openai-chat:plain-{DATE}@{base}", QUICK)
    for text in ("Is there a red disc?", "Is there a blue disc?"):
        assert judge.ask([sight()], Ask(text, YES_NO), 0).choice == ("yes" if "red" in text else "no")
    judge.close()
    asked = sorted(count for (question, _), count in world.submits.items() if "disc" in question)
    assert asked == [1, 2]  # the schema is tried once


def test_probabilities_come_from_the_first_words_log_probabilities(base: str) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    found = judge.ask([sight()], Ask("Is there a red disc?", YES_NO, probabilities=True), 0)
    judge.close()
    assert found.probabilities["yes"] == pytest.approx(0.91)  # "Yes" and " Yes"
    assert found.probabilities["no"] == pytest.approx(0.08)
    mute = create(f"openai-chat:mute-{DATE}@{base}", QUICK)
    none = mute.ask([sight()], Ask("Is there a red disc?", YES_NO, probabilities=True), 0)
    mute.close()
    assert none.reason == Reason.NO_PROBABILITIES


def test_what_is_sent(base: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    answer = Judges.answer

    def look(self: Judges, raw: dict[str, Any], *rest: Any) -> dict[str, Any]:
        seen.append(raw)
        return answer(self, raw, *rest)

    monkeypatch.setattr(Judges, "answer", look)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-ours")
    judge = create(f"openai-chat:{LOOKER}@{base}", QUICK)
    judge.ask([sight(), sight("blue")], Ask("Is there a red disc?", YES_NO), 7)
    judge.close()
    raw = seen[0]
    assert raw["temperature"] == 0 and raw["seed"] == 7
    schema = raw["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["properties"]["answer"]["enum"] == ["yes", "no"]
    said = [part["text"] for part in raw["messages"][1]["content"] if part["type"] == "text"]
    assert said[0] == "Video 1, frame 1 of 4, at 0.00 s:" and said[7] == "Video 2, frame 4 of 4, at 1.50 s:"
    headers = world.seen[0][2]
    assert "org-of-ours" not in json.dumps(headers)  # what is OpenAI's goes to OpenAI alone
    assert not any(name.lower() == "authorization" and "sk-" in value for name, value in headers.items())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"answer": "yes"}', "yes"), ('```json\n{"answer": "No"}\n```', "no"), ("Yes.", "yes"),
        ("<think>is it no?</think>\nyes", "yes"), ("**No**", "no"), ('{"answer": true}', None),
        ("yes and no", None), ('{"answer": "yes"} {"answer": "no"}', None), ('{"answer": "maybe"}', None),
        ("", None), ('{"other": "yes"}', None), ('{"answer": ["yes"]}', None), ("{" * 5000, None),
    ],
)  # fmt: skip
def test_only_what_is_clear_is_an_answer(text: str, found: str | None) -> None:
    assert chosen(text, YES_NO) == found


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("gpt-4o-2024-08-06", True), ("claude-sonnet-4-20250514", True), ("gpt-4-0613", False),
        ("claude-3-5-sonnet-20241022-v2:0", True), ("m-2024-08-06-latest", False),
        ("gpt-4o", False), ("chatgpt-4o-latest", False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", False), ("model-2048", False), ("internvl-1024", False),
    ],
)  # fmt: skip
def test_a_release_date_pins_a_name(name: str, pinned: bool) -> None:
    judge = create(f"openai-chat:{name}@http://127.0.0.1:9/v1")
    assert judge.spec.params["pinned"] is pinned and bool(DATED.search(name)) is pinned
    by_hand = create(f"openai-chat:{name}@http://127.0.0.1:9/v1", {"revision": "abc"})
    assert by_hand.spec.params["pinned"] is True


def test_a_revision_is_the_same_wherever_it_is_served() -> None:
    options = {"revision": "abc", "base_url": "http://node1:8000/v1"}
    one = create("openai-chat:qwen", options)
    two = create("openai-chat:qwen", {**options, "base_url": "http://node2:8000/v1"})
    assert one.spec == two.spec
    del options["revision"]
    moved = create("openai-chat:qwen", {"base_url": "http://node2:8000/v1"})
    assert create("openai-chat:qwen", options).spec != moved.spec


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("openai-chat", {}, "write KIND:MODEL"), ("openai-chat:", {}, "write KIND:MODEL"),
        ("chat:m@http://x", {}, "unknown judge"), ("openai-chat:@http://x/v1", {}, "names no model"),
        ("openai-chat:m@ftp://x", {}, "an API's address is"),
        ("openai-chat:m@http://x/v1", {"vote": "3"}, "did you mean 'votes'"),
        ("openai-chat:m@http://x/v1", {"votes": "0"}, "votes"),
        ("openai-chat:m", {}, "OPENAI_API_KEY"), ("transformers:no/such", {}, "hf download"),
    ],
)  # fmt: skip
def test_names_and_options_are_checked(
    name: str, options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from evals.errors import EvalsError

    with pytest.raises(EvalsError, match=said):
        create(name, options)


def test_votes_have_seeds_of_their_own_and_drift_is_told(base: str, world: World, tmp_path: Path) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", {**QUICK, "votes": "3", "seed": "4"})
    with AnswerLog(tmp_path / "answers.jsonl") as log:
        asker = Asker(judge, log)
        found = asker.votes([sight()], Ask("Is there a red disc? [judge=drift*9]", YES_NO))
        again = Asker(judge, log).votes([sight()], Ask("Is there a red disc? [judge=drift*9]", YES_NO))
    judge.close()
    assert [reply.choice for reply in found] == ["yes", "no", "yes"]  # seeds 4, 5, 6
    assert [reply.choice for reply in again] == ["yes", "no", "yes"]
    assert sorted(seed for _, seed in world.submits) == ["4", "5", "6"]
    assert set(world.submits.values()) == {1}


def test_costs_are_counted_and_capped(base: str, tmp_path: Path) -> None:
    options = {**QUICK, "price_in": "2", "price_out": "8", "max_cost": "0.005", "concurrency": "1"}
    judge = create(f"openai-chat:{LOOKER}@{base}", options)
    from evals.errors import NoAnswer

    with AnswerLog(tmp_path / "answers.jsonl") as log:
        asker = Asker(judge, log)
        for number in range(2):  # 1,000 tokens in and 10 out: 0.00208 each
            asker.votes([sight()], Ask(f"Is there a red disc? {number}", YES_NO))
        with pytest.raises(NoAnswer, match="spending cap") as stopped:
            asker.votes([sight()], Ask("Is there a red disc? 2", YES_NO))
        assert stopped.value.reason == Reason.BUDGET and stopped.value.transient
    with AnswerLog(tmp_path / "answers.jsonl") as log:
        assert log.costs[judge.name] == pytest.approx([0.00208, 0.00208])
        with pytest.raises(NoAnswer, match="spending cap"):
            Asker(judge, log).votes([sight()], Ask("Is there a red disc? 3", YES_NO))
    judge.close()


def test_without_a_price_a_cap_cannot_be_kept(base: str, tmp_path: Path) -> None:
    judge = create(f"openai-chat:{LOOKER}@{base}", {**QUICK, "max_cost": "1"})
    with AnswerLog(tmp_path / "answers.jsonl") as log:
        asker = Asker(judge, log)
        asker.votes([sight()], Ask("Is there a red disc? 0", YES_NO))
        with pytest.raises(UsageError, match="price_in and price_out"):
            asker.votes([sight()], Ask("Is there a red disc? 1", YES_NO))
    judge.close()
