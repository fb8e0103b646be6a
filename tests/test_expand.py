"""Prompt rewriting: both texts are stored, seeds share one, metrics go by the original."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.remote import pacing
from evals.runs.folder import RunFolder
from tests.conftest import Cli
from tests.test_jobs import samples, write_prompts
from tests.videoserver import Handler, World, serve


class ChatHandler(Handler):
    """`/v1/chat/completions`: says a prompt again, longer; faults as the videos' server has them."""

    def do_POST(self) -> None:
        raw = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return None
        prompt = raw["messages"][-1]["content"]
        assert raw["temperature"] == 0 and raw["messages"][0]["role"] == "system"
        self.world.submits[prompt, raw["model"]] += 1
        fault = self.world.fault("chat", prompt, "")
        if fault in ("429", "500", "400"):
            return self.error(int(fault), "not now")
        if fault == "empty":
            return self.send(200, {"choices": [{"message": {"content": " "}}]})
        if fault == "reset":
            return self.reset()
        words = f"In golden light, {prompt} Slow camera."
        return self.send(200, {"choices": [{"message": {"content": words}}]})


MODEL = """
import json
from pathlib import Path
import numpy as np

def generate(prompt, seed):
    with Path(__file__).with_name("seen.jsonl").open("a") as file:
        file.write(json.dumps([prompt, seed]) + "\\n")
    return np.random.default_rng(seed).random((4, 32, 48, 3))
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "PAUSE", 0.01)


def test_the_generator_gets_other_words_and_metrics_the_original(
    cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    model = tmp_path / "model.py"
    model.write_text(MODEL)
    broken = ["a cat [chat=400*9]", "a dog [chat=empty*99]"]
    texts = ["a ball", "a cube [chat=429 chat=500 chat=reset]", *broken]
    prompts = write_prompts(tmp_path / "p.yaml", texts)
    world = World(tmp_path / "server")
    metric = "clip_similarity[tiny/random]"
    with serve(world, ChatHandler) as base:
        made = (
            "run", "--generator", f"python:{model}:generate", "--prompts", prompts, "--seeds", "2",
            "--out", tmp_path, "--name", "run", "--metrics", metric, "--weights", f"tiny/random={tiny_clip}",
        )  # fmt: skip
        expanded = (*made, "--expand", f"openai-chat:gpt@{base}")
        assert cli(*expanded).code == 4
        rows = samples(tmp_path / "run")
        assert [rows[f"p-{i}"]["status"] for i in range(4)] == ["ok", "ok", "failed", "failed"]
        assert "could not be rewritten" in rows["p-2"]["message"]
        assert rows["p-0"]["details"]["sent"] == "In golden light, a ball Slow camera."
        seen = [json.loads(x) for x in (tmp_path / "seen.jsonl").read_text().splitlines()]
        assert [s for s in seen if "a ball" in s[0]] == [[rows["p-0"]["details"]["sent"], s] for s in (0, 1)]
        assert world.submits["a ball", "gpt"] == 1  # once for both seeds
        assert RunFolder(tmp_path / "run").prompts["p-0"].text == "a ball"
        again = cli(*expanded, "--seeds", "3", "--prompt-id", "p-0")
        assert again.code in (0, 4) and world.submits["a ball", "gpt"] == 1  # kept for a later seed
        plain = cli(*made)
        assert plain.code == 2 and "holds a run of" in plain.err  # another run: without rewriting
        words = (tmp_path / "run" / "expansions/main.jsonl").read_text().splitlines()
        assert {json.loads(x)["text"] for x in words} == set(texts[:2])
        assert cli(*made, "--name", "plain").code == 0
    scores = {}
    for name in ("run", "plain"):
        lines = [json.loads(x) for x in (tmp_path / name / "scores/main.jsonl").read_text().splitlines()]
        first = next(x for x in lines if (x["prompt_id"], x["seed"]) == ("p-0", 0))
        scores[name] = first["scores"][metric]["value"]
    assert scores["run"] == scores["plain"]  # the same frames against the same original words


def test_mistakes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball"])
    base = ("generate", "--generator", "simulated:clean", "--prompts", prompts, "--out", tmp_path)
    for given, message in (("gpt-9", "openai-chat:MODEL"), ("openai-chat:gpt-9", "OPENAI_API_KEY")):
        found = cli(*base, "--expand", given)
        assert found.code == 2 and message in found.err
    (tmp_path / "clips").mkdir()
    folder = cli("generate", "--generator", f"folder:{tmp_path / 'clips'}", "--expand",
                 "openai-chat:m@http://127.0.0.1:1/v1", "--out", tmp_path)  # fmt: skip
    assert folder.code == 2 and "exist already" in folder.err


def test_a_dry_run_of_rewritten_prompts_shows_the_cost_and_asks_nobody(cli: Cli, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.yaml", ["a ball", "a cube"])
    world = World(tmp_path / "server")
    with serve(world, ChatHandler) as base:
        found = cli(
            "run", "--generator", f"openai-videos:tiny@{base}", "-o", "price=0.5", "--prompts", prompts,
            "--seeds", "2", "--out", tmp_path / "runs", "--metrics", "temporal_flicker",
            "--expand", f"openai-chat:gpt@{base}", "--dry-run", "--json",
        )  # fmt: skip
    assert found.code == 0, found.err
    facts = json.loads(found.out)
    assert facts["cost"] == 2.0 and facts["samples_to_make"] == 4 and facts["metrics"] == ["temporal_flicker"]
    assert not world.seen and not world.submits and not (tmp_path / "runs").exists()
