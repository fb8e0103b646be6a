"""`transformers:NAME`: a video language model on this machine (the extra `backbones`).

It is not made to write: the probability that its next token begins one of the answers offered is read off, so
a question has the same answer each time. Where hardly any of it goes to these, there is no answer."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from evals.errors import Reason, UsageError, WeightsError
from evals.judges import wording
from evals.judges.base import Ask, Judge, JudgeOptions, Reply, Sight
from evals.records import digest
from evals.runs.files import HashedFile

LEAST = 0.01  # of the next token's probability that must go to the answers offered
FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")


class Local(Judge):
    """A model that `AutoModelForImageTextToText` opens, from a folder or from the hub's local cache:
    `transformers:Qwen/Qwen2.5-VL-7B-Instruct`. Nothing is downloaded; code that comes with a model is not
    run."""

    class Options(JudgeOptions):
        """`device`: auto, cpu, cuda, cuda:1 …; `precision` of the network."""

        device: str = "auto"
        precision: Literal["fp32", "bf16"] = "bf16"

    def __init__(self, name: str, argument: str, options: Options) -> None:
        super().__init__(name, options)
        if options.votes > 1:
            raise UsageError(f"judge {name}: gives the same answer each time, so it has one vote")
        self._set = options
        self._folder = _folder(argument, options.revision)
        found = sorted({path for pattern in FILES for path in self._folder.glob(pattern)})
        if not any(path.suffix == ".safetensors" for path in found):
            raise WeightsError(f"judge {name}: {self._folder} holds no weights (*.safetensors)")
        try:
            self._files = [HashedFile.of(path) for path in found]
        except OSError as error:
            raise WeightsError(f"judge {name}: {error.filename}: {error.strerror}") from None
        held = digest([[file.path.name, file.sha256] for file in self._files])
        self.spec = self.describe("transformers", 1, True, files=held, precision=options.precision)
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, str] | None = None

    def _open(self) -> tuple[Any, Any, str]:
        """The processor, the network and its device. Raises `WeightsError` or `UsageError`."""
        if self._loaded is None:
            import torch

            try:
                from transformers import AutoModelForImageTextToText, AutoProcessor
            except ImportError:
                raise UsageError(
                    "this judge needs the package transformers: pip install 't2v-evals[backbones]'"
                ) from None
            wanted = self._set.device
            device = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
            dtype = torch.bfloat16 if self._set.precision == "bf16" else torch.float32
            try:
                processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                    self._folder, local_files_only=True
                )
                network: Any = AutoModelForImageTextToText.from_pretrained(
                    self._folder, local_files_only=True, dtype=dtype
                )
                network = network.eval().to(device)
            except Exception as error:  # noqa: BLE001 - many libraries read a model's files
                said = str(error).splitlines()[0] if str(error) else ""
                raise WeightsError(f"judge {self.name}: {type(error).__name__}: {said:.200}") from None
            for file in self._files:
                if not file.is_unchanged():
                    raise WeightsError(f"{file.path}: was written to while the command ran; run it again")
            self._loaded = processor, network, device
        return self._loaded

    def ask(self, sights: Sequence[Sight], ask: Ask, seed: int) -> Reply:
        import torch

        with self._lock, torch.inference_mode():
            processor, network, device = self._open()
            inputs = self._inputs(processor, sights, ask).to(device)
            logits = network(**inputs).logits[0, -1].float()
            likely = torch.softmax(logits, 0).cpu()
        tokens = _tokens(processor.tokenizer, ask.choices)
        found = {one: float(likely[ids].sum()) for one, ids in tokens.items()}
        raw = json.dumps({one: round(value, 6) for one, value in found.items()})
        facts: dict[str, Any] = {
            "raw": raw,
            "model": self.name,
            "tokens_in": int(inputs["input_ids"].shape[1]),
        }
        if not sum(found.values()) >= LEAST:
            message = f"{self.name} would answer with something else than {', '.join(ask.choices)}"
            return Reply(reason=Reason.ANSWER_UNPARSABLE, message=message, **facts)
        return Reply(choice=max(found, key=lambda one: found[one]), probabilities=found, **facts)

    def _inputs(self, processor: Any, sights: Sequence[Sight], ask: Ask) -> Any:
        from PIL import Image

        content: list[dict[str, str]] = []
        images = []
        for number, sight in enumerate(sights, 1):
            for i, (picture, time) in enumerate(zip(sight.pictures, sight.times, strict=True), 1):
                video = number if len(sights) > 1 else None
                said = wording.caption(video, i, len(sight.pictures), time)
                content += [{"type": "text", "text": said}, {"type": "image"}]
                images.append(Image.open(io.BytesIO(picture)).convert("RGB"))
        end = "" if ask.probabilities else f"\nAnswer with one of: {', '.join(ask.choices)}."
        content.append({"type": "text", "text": ask.text + end})
        messages = [
            {"role": "system", "content": [{"type": "text", "text": wording.SYSTEM}]},
            {"role": "user", "content": content},
        ]
        try:
            text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except (ValueError, AttributeError) as error:
            raise UsageError(f"judge {self.name}: has no template for a chat ({error!s:.100})") from None
        return processor(text=text, images=images, return_tensors="pt")

    def close(self) -> None:
        self._loaded = None


def _tokens(tokenizer: Any, choices: Sequence[str]) -> dict[str, list[int]]:
    """The tokens that begin each choice and no other one."""
    found: dict[str, set[int]] = {}
    for one in choices:
        forms = {form for word in (one, one.capitalize()) for form in (word, f" {word}")}
        encoded = (tokenizer.encode(form, add_special_tokens=False) for form in forms)
        # Some tokenizers put a bare space before a word: what tells words apart comes after it.
        starts = (next((t for t in ids if tokenizer.decode([t]).strip()), None) for ids in encoded)
        found[one] = {token for token in starts if token is not None}
    every = [token for ids in found.values() for token in ids]
    return {one: sorted(t for t in ids if every.count(t) == 1) for one, ids in found.items()}


def _folder(argument: str, revision: str | None) -> Path:
    """Where a model's files lie. Raises `WeightsError`."""
    if (here := Path(argument)).is_dir():
        return here
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(argument, revision=revision, local_files_only=True))
    except (ImportError, OSError, ValueError):
        raise WeightsError(
            f"judge transformers:{argument}: no such folder, and not in the hub's local cache; fetch it with"
            f" `hf download {argument}`"
        ) from None
