"""Models of the Hugging Face hub: which ones encoders use, where they lie, and fetching them once.

Nothing but `t2v-evals weights fetch` downloads. The first fetch writes the repository's commit into
`pins.json` in the folder of weights; later ones take the same commit, and so do look-ups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evals.encoders.published import folder
from evals.errors import WeightsError
from evals.runs.journal import write_atomically

WEIGHTS_AND_CONFIG = ("*.json", "*.txt", "*.model", "model.safetensors")


@dataclass(frozen=True)
class HubModel:
    """A repository of the hub and the files of it that are needed; `name` is the encoder's id, `megabytes`
    about what the files take, 0 where that is not known."""

    name: str
    repo: str
    files: tuple[str, ...] = WEIGHTS_AND_CONFIG
    megabytes: int = 0
    licence: str = "licence: see its page on the hub"
    use: str = ""

    @property
    def shown_size(self) -> str:
        """Its size for people; empty where it is not known."""
        return f"about {self.megabytes:,} MB" if self.megabytes else ""

    def is_here(self) -> bool:
        return cached(self) is not None


CLIP_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
HUB_MODELS: dict[str, HubModel] = {
    m.name: m
    for m in (
        HubModel("dino", "timm/vit_base_patch16_224.dino", WEIGHTS_AND_CONFIG, 343, "Apache-2.0",
                 "encoder dino: subject_consistency"),
        HubModel("dinov2", "timm/vit_base_patch14_dinov2.lvd142m", WEIGHTS_AND_CONFIG, 346, "Apache-2.0",
                 "encoder dinov2"),
        HubModel("xclip", "microsoft/xclip-base-patch32", WEIGHTS_AND_CONFIG, 790, "MIT",
                 "encoder xclip: video_text_similarity"),
        HubModel("ViT-B-32-quickgelu/openai", "timm/vit_base_patch32_clip_224.openai", CLIP_FILES, 605, "MIT",
                 "OpenAI's CLIP ViT-B/32"),
        HubModel("ViT-L-14-quickgelu/openai", "timm/vit_large_patch14_clip_224.openai", CLIP_FILES, 1711,
                 "MIT", "OpenAI's CLIP ViT-L/14"),
    )
}  # fmt: skip


def pins() -> dict[str, str]:
    """The commit of every repository that was fetched, by its name."""
    try:
        found = json.loads((folder() / "pins.json").read_bytes())
        return {str(k): str(v) for k, v in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{folder() / 'pins.json'}: cannot be read ({error}); delete it") from None


def cached(model: HubModel) -> Path | None:
    """The model's folder in the hub's local cache, at its pinned commit where there is one; nothing is
    fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        revision = pins().get(model.repo)
        found = Path(snapshot_download(model.repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    weights = [name for name in model.files if name.endswith(".safetensors")]
    return found if all((found / name).is_file() for name in weights) else None


def locate(model: HubModel) -> Path:
    """The model's folder. Raises `WeightsError` with what to do."""
    found = cached(model)
    if found is None:
        what = ", ".join(filter(None, (model.shown_size, model.licence)))
        raise WeightsError(
            f"the weights of {model.name} ({model.repo}) are not here; `t2v-evals weights fetch"
            f" '{model.name}'` fetches them ({what}), or give --weights '{model.name}=PATH'"
        )
    return found


def fetch(model: HubModel) -> Path:
    """Download a model unless it is there, and pin its commit. Raises `WeightsError`."""
    from huggingface_hub import snapshot_download

    known = pins()
    try:
        found = Path(
            snapshot_download(model.repo, revision=known.get(model.repo), allow_patterns=list(model.files))
        )
    except Exception as error:
        raise WeightsError(
            f"{model.repo}: cannot be fetched ({type(error).__name__}); what came is kept, the same command"
            " goes on from there"
        ) from error
    folder().mkdir(parents=True, exist_ok=True)
    pinned = json.dumps({**known, model.repo: found.name}, indent=1, sort_keys=True)
    write_atomically(folder() / "pins.json", pinned.encode())
    return found
