"""All keys: what a video, a feature, a score or a distance is tied to.

A key is a hash of everything that shapes a result. Equal keys mean equal results, so nothing with a known key
is computed twice, and nothing is ever updated under its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evals.records import MetricInfo, Normalization, Prompt, Request, Spec, digest


def generation_key(generator: Spec, request: Request, identity: Any) -> str:
    """A generated video: the generator, what it is sent, and what the generator adds (a clip's hash, say)."""
    sent = {
        "text": request.prompt.text,
        "negative": None,
        "seed": request.seed,
        "settings": request.settings.to_json(),
    }
    return digest([generator.to_json(), sent, identity])


def job_key(generator: Spec, request: Request) -> str:
    """A job that an API is asked for."""
    prompt = request.prompt
    return digest([generator.to_json(), prompt.id, prompt.text, request.seed, request.settings.to_json()])


def feature_key(sha256: str, extractor: Spec, normalization: Normalization) -> str:
    """An extractor's features of a video: the video's bytes, the extractor with its weights' hash, frames,
    size, precision and batch shape, and the normalization."""
    return digest(["feature", sha256, extractor.to_json(), str(normalization)])


def pair_key(sha256: str, other: str, extractor: Spec, normalization: Normalization) -> str:
    """An extractor's features of a video beside another, in this order."""
    return digest(["pair", sha256, other, extractor.to_json(), str(normalization)])


def facts_key(sha256: str, normalization: Normalization) -> str:
    """What decoding found out about a video: frame times, size, notes."""
    return digest(["facts", sha256, str(normalization)])


def text_key(text: str, encoder: Spec) -> str:
    """An encoder's features of a text."""
    return digest(["text", text, encoder.to_json()])


def derived_key(derivation: Spec, inputs: Sequence[str]) -> str:
    """Features made from features: the derivation and the keys of its inputs, in order."""
    return digest(["derived", derivation.to_json(), list(inputs)])


def answers_key(sha256: str, normalization: Normalization, spec: Spec, read: Any) -> str:
    """A judge's answers about a video, as features: the form of the questions stands in the spec, and what of
    the prompt they hold in `read`."""
    return digest(["answers", sha256, str(normalization), spec.to_json(), read])


def texts_spec(encoder: Spec, texts: Iterable[str]) -> Spec:
    """The identity of an encoder's features of all texts of a run, whatever their order."""
    params = {"encoder": encoder.digest, "prompts": digest(sorted(set(texts)))}
    return Spec(name="texts", params=params)


def metric_digest(info: MetricInfo) -> str:
    """A metric's numbers and how a verdict reads them (direction, range, what the prompt gives): two of them
    may be compared only where this is equal. Left out are words for people and what orders tables."""
    return digest(info.model_dump(mode="json", exclude={"source", "note", "aspect", "role", "reveals"}))


def distribution_key(metric: Spec, features: Iterable[str], reference: Iterable[str], match: str) -> str:
    """A number about two sets of videos: the metric as it was recorded, both sides' features by key (of a
    file of statistics, its digest), and how the sets were matched."""
    return digest(["distribution", metric.to_json(), sorted(features), sorted(reference), match])


def text_digest(prompt: Prompt) -> str:
    """Ties a sample to the words it was made from."""
    return digest(["text", prompt.text])


def fields_digest(prompt: Prompt, reads: Sequence[str]) -> str:
    """Ties a score to the values of the prompt fields it read."""
    fields = prompt.model_dump(mode="json")
    return digest({name: fields[name] for name in reads})


def random_seed(*parts: str) -> int:
    """The seed of a random step, from what the step is about: the same data give the same numbers."""
    return int(digest(list(parts))[:12], 16)
