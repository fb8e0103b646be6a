"""Does a video match its words: X-CLIP, whose text depends on the video, and retrieval among prompts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evals.encoders import CrossEncoder, create
from evals.encoders.xclip import XClip
from evals.errors import DoesNotApply, UsageError, WeightsError
from evals.metrics.base import Skip, Value
from tests.conftest import Cli, MakeClips, ball
from tests.helpers import score_of

transformers = pytest.importorskip("transformers", reason="the extra `backbones` is not installed")


@pytest.fixture(scope="module")
def tiny_xclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small X-CLIP with random weights and a tokenizer of single letters, as transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("xclip")
    letters = "abcdefghijklmnopqrstuvwxyz ,.0123456789"
    words = {"<pad>": 0, "<start>": 1, "<unk>": 2} | {c: i + 3 for i, c in enumerate(letters)}
    words["<end>"] = len(words)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", words["<end>"])]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
    )
    fast.save_pretrained(folder)
    text = {"vocab_size": len(words), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 24, "projection_dim": 32,
            "eos_token_id": words["<end>"], "bos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 16, "num_frames": 4, "mit_hidden_size": 32,
              "mit_intermediate_size": 48, "mit_num_attention_heads": 2, "mit_num_hidden_layers": 1,
              "projection_dim": 32}  # fmt: skip
    torch.manual_seed(0)
    config = transformers.XCLIPConfig(
        text_config=text, vision_config=vision, projection_dim=32, prompt_num_attention_heads=2,
        prompt_layers=2, prompt_alpha=0.5,
    )  # fmt: skip
    transformers.XCLIPModel(config).save_pretrained(folder)
    return folder


def test_the_cosine_is_the_models_own(tiny_xclip: Path) -> None:
    encoder = create("xclip", {"xclip": tiny_xclip})
    assert isinstance(encoder, XClip) and isinstance(encoder, CrossEncoder)
    encoder.load("cpu")
    texts = ["a dog runs", "two red balls fall"]
    clips = [ball(7, (40, 50), seed=s) for s in (0, 1, 2)]
    windows = np.stack([[encoder.resize.apply(c[t]) for t in encoder.frames.windows(7)[0]] for c in clips])
    batch = np.concatenate([windows, windows[:1]])
    rows = {k: v.numpy() for k, v in encoder.encode(torch.from_numpy(batch)).items()}
    words = [one for one in encoder.encode_text(texts) if not isinstance(one, DoesNotApply)]
    model = transformers.XCLIPModel.from_pretrained(tiny_xclip).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_xclip)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = (torch.from_numpy(windows).permute(0, 1, 4, 2, 3).float() / 255 - mean) / std
    seen = []
    for j, text in enumerate(texts):
        with torch.no_grad():
            out = model(input_ids=tokenizer(text, return_tensors="pt").input_ids, pixel_values=pixels)
            theirs = (out.logits_per_video / model.logit_scale.exp())[:, 0]
        for i in range(3):
            video = {k: v[i : i + 1] for k, v in rows.items()}
            mine = float(encoder.cross(video, words[j])["cosine"][0])
            assert mine == pytest.approx(float(theirs[i]), abs=1e-5)
            seen.append(mine)
    assert np.ptp(seen) > 1e-3


def test_video_text_similarity_from_a_run(
    tiny_xclip: Path, clips: MakeClips, cli: Cli, tmp_path: Path
) -> None:
    made = clips("a").write(3, frames=6)
    rows = made.rows()
    rows[2]["prompt"] = "a very long prompt that passes the small context"
    made.manifest(rows)
    base = ("run", "--generator", f"folder:{made.folder}", "--out", tmp_path)
    metric = "video_text_similarity[xclip]"
    assert cli(*base, "--metrics", metric, "--weights", f"xclip={tiny_xclip}").code == 0
    lines = [json.loads(x) for x in (tmp_path / "a" / "scores/main.jsonl").read_text().splitlines()]
    notes = {x["prompt_id"]: x["scores"][metric].get("notes", []) for x in lines}
    assert "truncated" in notes["disc-2"][0] and not notes["disc-0"]
    assert len({x["scores"][metric]["value"] for x in lines}) == 3


def test_encoders_that_cannot_relate_words_are_refused(tiny_clip: Path, tiny_xclip: Path) -> None:
    from evals.scoring import prepare

    with pytest.raises(UsageError, match="does not relate a text to a video"):
        prepare(["video_text_similarity[tiny/random]"], {"tiny/random": tiny_clip})
    with pytest.raises(WeightsError, match="config"):
        create("xclip", {"xclip": tiny_clip})
    with pytest.raises(WeightsError, match="weights fetch 'xclip'"):
        create("xclip", {})


def retrieval(frames: list[list[float]], own: list[float], texts: list[list[float]]) -> Value | Skip:
    cut = np.zeros(len(texts), np.int64)
    rows = {
        "encoder:x/y": {"features": np.array(frames)[:, None]},
        "text:x/y": {"features": np.array([own]), "truncated": cut[:1]},
        "texts:x/y": {"features": np.array(texts), "truncated": cut},
    }
    return score_of("retrieval_r1[x/y]", rows)


def test_retrieval_by_hand() -> None:
    texts = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 2.0]]
    assert retrieval([[3.0, 1, 0]], texts[0], texts) == Value(1.0)
    assert retrieval([[3.0, 1, 0]], texts[1], texts) == Value(0.0)
    # Frames count by direction, not by length: the mean cosine to the second text is the larger.
    assert retrieval([[100.0, 0, 0], [0, 1, 0], [0, 1, 0]], texts[1], texts) == Value(1.0)
    assert retrieval([[1.0, 1, 0]], texts[0], texts) == Value(0.0)  # a tie is no match
    assert isinstance(retrieval([[1.0, 0, 0]], texts[0], [texts[0], [2.0, 0, 0]]), Skip)


def test_retrieval_goes_by_all_prompts_of_the_run_and_compares_on_the_same_only(
    clips: MakeClips, cli: Cli, tmp_path: Path, tiny_clip: Path
) -> None:
    made, metric = clips("a").write(4), "retrieval_r1[tiny/random]"
    common = ("--metrics", metric, "--weights", f"tiny/random={tiny_clip}", "--out", tmp_path)
    generator = ("--generator", f"folder:{made.folder}")
    assert cli("run", *generator, *common, "--limit", "3", "--name", "three").code == 0
    assert cli("run", *generator, *common, "--name", "four").code == 0
    report = tmp_path / "report"
    compared = cli("compare", tmp_path / "three", tmp_path / "four", "--out", report, "--videos", "0")
    assert "not comparable" in (report / "pairs.csv").read_text(), compared
    # More prompts in the run: its videos are scored anew, among all.
    before = (tmp_path / "three" / "scores/main.jsonl").read_text().count("\n")
    assert cli("run", *generator, *common, "--name", "three").code == 0
    assert (tmp_path / "three" / "scores/main.jsonl").read_text().count("\n") == before + 4
    cli("compare", tmp_path / "three", tmp_path / "four", "--out", report, "--videos", "0")
    assert "not comparable" not in (report / "pairs.csv").read_text()
