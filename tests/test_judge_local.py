"""A small video language model, built here, saved, loaded through transformers and asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evals.errors import EvalsError, Reason
from evals.judges import Ask, Sight, create
from evals.judges.local import _tokens
from evals.judges.wording import RATINGS, YES_NO
from evals.runs.folder import RunFolder
from tests.conftest import Cli
from tests.judgeserver import write_discs

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;?!\"'()-[]{}<>/@%&\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of random weights with a tokenizer of letters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("tiny-llava")
    words = ["<unk>", "<pad>", "<s>", "</s>", "<image>", *LETTERS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    template = (
        "{% for m in messages %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{{ '\\n' }}"
        "{% endfor %}"
    )
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images, tokenizer=fast, patch_size=14, chat_template=template,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=8192,
        ),
        image_token_index=words.index("<image>"), vision_feature_layer=-1,
    )  # fmt: skip
    network: Any = LlavaForConditionalGeneration(config)
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def sight(level: int) -> Sight:
    frame = np.full((40, 56, 3), level, np.uint8)
    frame[:, :20] = 255 - level
    picture = cv2.imencode(".jpg", frame)[1].tobytes()
    return Sight((picture, picture), (0.0, 0.5))


OPTIONS = {"precision": "fp32", "device": "cpu"}


def test_it_answers_from_the_next_tokens_probabilities(model: Path) -> None:
    judge = create(f"transformers:{model}", OPTIONS)
    ask = Ask("Is there a dog?", YES_NO)
    found, again = (judge.ask([sight(30)], ask, seed) for seed in (0, 1))
    assert found.choice in YES_NO and found == again
    assert set(found.probabilities) == set(YES_NO) and 0 < sum(found.probabilities.values()) <= 1
    assert found.choice == max(found.probabilities, key=lambda one: found.probabilities[one])
    other = judge.ask([sight(200)], ask, 0)
    assert other.probabilities != found.probabilities  # it is shown the pictures
    rated = judge.ask([sight(30), sight(200)], Ask("Rate it.", RATINGS), 0)
    assert rated.choice in RATINGS and len(rated.probabilities) == 5
    judge.close()


def test_its_probabilities_are_those_of_a_plain_forward_pass(model: Path) -> None:
    """Against the network called by hand, without this package's code."""
    import torch
    from PIL import Image
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from evals.judges import wording

    shown = sight(90)
    judge = create(f"transformers:{model}", OPTIONS)
    found = judge.ask([shown], Ask("Is it?", YES_NO), 0)
    judge.close()
    processor: Any = AutoProcessor.from_pretrained(model)  # type: ignore[no-untyped-call]
    network: Any = LlavaForConditionalGeneration.from_pretrained(model)
    network.eval()
    import io

    images = [Image.open(io.BytesIO(picture)) for picture in shown.pictures]
    text = (
        f"{wording.SYSTEM}\nFrame 1 of 2, at 0.00 s:<image>Frame 2 of 2, at 0.50 s:<image>Is it?\n"
        "Answer with one of: yes, no.\n"
    )
    inputs = processor(text=text, images=images, return_tensors="pt")
    with torch.inference_mode():
        likely = torch.softmax(network(**inputs).logits[0, -1], 0)
    letters = processor.tokenizer.get_vocab()
    wanted = {"yes": likely[letters["y"]] + likely[letters["Y"]],
              "no": likely[letters["n"]] + likely[letters["N"]]}  # fmt: skip
    assert found.probabilities == pytest.approx({k: float(v) for k, v in wanted.items()}, rel=1e-4)


def test_a_run_is_scored_by_it(model: Path, cli: Cli, tmp_path: Path) -> None:
    prompts = write_discs(tmp_path / "clips")
    arguments = (
        "--generator",
        f"folder:{tmp_path / 'clips'}",
        "--prompts",
        prompts,
        "--out",
        tmp_path / "runs",
    )
    assert cli("generate", *arguments, "--name", "r").code == 0
    judge, run = f"transformers:{model}", tmp_path / "runs" / "r"
    options = [
        x for one in ("precision=fp32", f"controls={run}", "frames=4") for x in ("--judge-option", one)
    ]
    done = cli("score", run, "--judge", judge, "--metrics", f"vqa_score[{judge}]", *options)
    assert done.code == 0, done.err
    folder = RunFolder(run)
    (found,) = folder.info.calibrations.values()
    assert found.pinned and "pictures" in found.fails  # random weights see nothing
    scores = folder.scores("native")
    assert {s.status for mine in scores.values() for s in mine.values()} == {"ok"}
    raw = [json.loads(line) for line in (run / "answers/main.jsonl").read_text().splitlines()]
    assert all(json.loads(line["raw"]) for line in raw) and len(raw) > 100


def test_weights_are_part_of_what_it_is(model: Path, tmp_path: Path) -> None:
    import shutil

    judge = create(f"transformers:{model}", OPTIONS)
    copy = shutil.copytree(model, tmp_path / "copy")
    same = create(f"transformers:{copy}", OPTIONS)
    assert judge.spec == same.spec
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "x": 1}))
    assert create(f"transformers:{copy}", OPTIONS).spec != judge.spec
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EvalsError, match="judge transformers:"):
        create(f"transformers:{copy}", OPTIONS).ask([sight(1)], Ask("x", YES_NO), 0)
    with pytest.raises(EvalsError, match="holds no weights"):
        create(f"transformers:{tmp_path}", OPTIONS)


def test_it_has_one_vote(model: Path) -> None:
    with pytest.raises(EvalsError, match="one vote"):
        create(f"transformers:{model}", {**OPTIONS, "votes": "3"})


def test_a_bare_space_is_no_beginning_of_an_answer() -> None:
    class Spaced:
        """Puts a token of its own before every word, as Llama's does."""

        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [0, ord(text.strip()[0])]

        def decode(self, tokens: list[int]) -> str:
            return " " if tokens == [0] else chr(tokens[0])

    assert _tokens(Spaced(), RATINGS) == {one: [ord(one)] for one in RATINGS}


def test_a_model_that_would_say_something_else_has_no_answer(model: Path) -> None:
    judge = create(f"transformers:{model}", OPTIONS)
    found = judge.ask([sight(3)], Ask("x", ("§", "°")), 0)  # letters that the tokenizer does not know
    judge.close()
    assert found.reason == Reason.ANSWER_UNPARSABLE and found.choice is None
