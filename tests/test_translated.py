"""`--language de`: the generator gets German, metrics read English, and runs in both compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals import prompts
from evals.runs.folder import RunFolder
from tests.conftest import Cli
from tests.test_expand import MODEL
from tests.test_jobs import samples

BASE = ("--prompts", "parks", "--limit", "2", "--metrics", "temporal_flicker")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL + f"# {tmp_path.name}\n")  # equal code would be one module
    return path


def test_the_generator_gets_german_and_the_run_keeps_english(cli: Cli, tmp_path: Path, model: Path) -> None:
    made = ("run", "--generator", f"python:{model}:generate", *BASE, "--out", tmp_path)
    assert cli(*made, "--name", "german", "--language", "de").code == 0
    assert cli(*made, "--name", "english").code == 0
    parks = prompts.load(prompts.find("parks")).prompts[:2]
    seen = [json.loads(x)[0] for x in (tmp_path / "seen.jsonl").read_text().splitlines()]
    assert seen == [*(p.translations["de"] for p in parks), *(p.text for p in parks)]
    rows = samples(tmp_path / "german")
    assert rows[parks[0].id]["details"]["sent"] == parks[0].translations["de"]
    assert RunFolder(tmp_path / "german").prompts[parks[0].id].text == parks[0].text
    mixed = cli(*made, "--name", "german")
    assert mixed.code == 2 and "holds a run of" in mixed.err  # another run: in English
    compared = cli(
        "compare", tmp_path / "german", tmp_path / "english", "--out", tmp_path / "report", "--json"
    )
    assert compared.code == 0, compared.err
    assert json.loads(compared.out)["pairs"][0]["n_prompts"] == 2  # the same prompts, pair by pair


def test_a_corrected_translation_makes_another_video(cli: Cli, tmp_path: Path, model: Path) -> None:
    path = tmp_path / "p.yaml"
    made = ("generate", "--generator", f"python:{model}:generate", "--prompts", path, "--out", tmp_path,
            "--name", "one", "--language", "de")  # fmt: skip
    for words in ("Ein Hund rennt.", "Ein Pferd schläft.", "Ein Pferd schläft."):
        path.write_text(f"name: p\nprompts:\n  - {{id: a, text: A dog, translations: {{de: {words}}}}}\n")
        assert cli(*made).code == 0
        assert samples(tmp_path / "one")["a"]["details"]["sent"] == words
    assert len((tmp_path / "seen.jsonl").read_text().splitlines()) == 2
    empty = cli(*made[:-1], "")
    assert empty.code == 2 and "no prompt has a text in it" in empty.err


def test_prompts_without_the_language_are_left_out(cli: Cli, tmp_path: Path, model: Path) -> None:
    path = tmp_path / "p.yaml"
    rows = "  - {id: a, text: A dog, translations: {de: Ein Hund}}\n  - {id: b, text: A cat}\n"
    path.write_text(f"name: p\nprompts:\n{rows}")
    made = ("generate", "--generator", f"python:{model}:generate", "--prompts", path, "--out", tmp_path)
    found = cli(*made, "--name", "one", "--language", "de")
    assert found.code == 0 and "1 of 2 prompts have no text in 'de' and are left out" in found.err + found.out
    assert set(samples(tmp_path / "one")) == {"a"}
    none = cli(*made, "--name", "none", "--language", "fr")
    assert none.code == 2 and "no prompt has a text in it; there are de" in none.err
    both = cli(*made, "--name", "both", "--language", "de", "--expand", "openai-chat:m@http://127.0.0.1:1/v1")
    assert both.code == 2 and "give one of them" in both.err
    (tmp_path / "clips").mkdir()
    folder = cli(
        "generate", "--generator", f"folder:{tmp_path / 'clips'}", "--language", "de", "--out", tmp_path
    )
    assert folder.code == 2 and "exist already" in folder.err
