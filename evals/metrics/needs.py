"""From a need to features: for each kind one resolver, which says where the features are stored (key), what
they are made from (inputs), and reads them. Nothing else takes a need apart.

A resolver goes by the specs of needs alone: those of prepared extractors when features are made, the recorded
ones when they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evals.encoders import Precision, Start, derivations
from evals.encoders.base import Encoder, TextEncoder
from evals.encoders.derivations import Derivation
from evals.errors import UsageError
from evals.judges import forms
from evals.judges.base import Judge
from evals.metrics.base import DistributionMetric, VideoMetric
from evals.records import MetricInfo, Need, NeedKind, Normalization, Prompt, Spec
from evals.runs.features import Features, FeatureStore
from evals.runs.keys import answers_key, derived_key, feature_key, pair_key, text_key, texts_spec

Specs = Mapping[Need, Spec]


@dataclass(frozen=True)
class VideoAndText:
    """What features are of: a video by its SHA-256, its prompt's text, all texts of the run, the SHA-256 of
    the other video of a pair, and the prompt whose questions a judge was asked."""

    sha256: str
    text: str = ""
    texts: Sequence[str] = ()
    other: str = ""
    prompt: Prompt | None = None


@dataclass(frozen=True)
class Recipe:
    """What frame extractors and encoders, by id, are made from."""

    frames: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    precision: Precision = "fp32"
    start: Start = "first"


@dataclass(frozen=True)
class Prepared:
    """Everything that makes features, found and ready before any work starts: specs of frame extractors,
    encoders, derivations, pair extractors and judges, by id; `weights` are local files of frame
    extractors. By the `recipe` other processes make the same features of videos."""

    frames: Mapping[str, Spec] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    derivations: Mapping[str, Derivation] = field(default_factory=dict)
    pairs: Mapping[str, Spec] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    recipe: Recipe | None = None

    def specs(self, texts: Sequence[str] = ()) -> dict[Need, Spec]:
        """The identity of every need's features, in a run with these texts."""
        found = {Need("frames", name): spec for name, spec in self.frames.items()}
        for name, encoder in self.encoders.items():
            found[Need("encoder", name)] = found[Need("text", name)] = found[Need("pair", name)] = (
                encoder.spec
            )
            found[Need("texts", name)] = texts_spec(encoder.spec, texts)
        for name, derivation in self.derivations.items():
            found[Need("derived", name)] = derivation.spec
        for name, judge in self.judges.items():
            for form in forms.FORMS:
                params = {**judge.spec.params, "form": form}
                spec = judge.spec.model_copy(update={"params": params})
                found[Need("answers", f"{form}:{name}")] = spec
        return found | {Need("pair", name): spec for name, spec in self.pairs.items()}

    @property
    def of_video(self) -> tuple[Need, ...]:
        """The needs that come from a video alone: what decoders and encoders make."""
        frames = [Need("frames", name) for name in self.frames]
        return (*frames, *(Need("encoder", name) for name in self.encoders))

    @property
    def of_pair(self) -> tuple[Need, ...]:
        """The needs that come from two videos alone."""
        return tuple(Need("pair", name) for name in (*self.pairs, *self.encoders))


class Resolver(ABC):
    """Base: one kind of need. `kinds` are the resolvers of all kinds."""

    def __init__(self, specs: Specs, normalization: Normalization, kinds: Mapping[str, Resolver]) -> None:
        self.specs, self.normalization, self.kinds = specs, normalization, kinds

    @abstractmethod
    def key(self, need: Need, of: VideoAndText) -> str:
        """Where the features are stored."""

    def inputs(self, need: Need) -> tuple[Need, ...]:
        """What the features are made from; nothing where they come from a video or a text itself."""
        return ()

    def read(self, need: Need, of: VideoAndText, store: FeatureStore) -> Features:
        """The features. Raises `KeyError` where there are none."""
        return store.get(self.key(need, of))


class _OfVideo(Resolver):
    def key(self, need: Need, of: VideoAndText) -> str:
        return feature_key(of.sha256, self.specs[need], self.normalization)


class _OfPair(Resolver):
    def key(self, need: Need, of: VideoAndText) -> str:
        return pair_key(of.sha256, of.other, self.specs[need], self.normalization)


class _OfText(Resolver):
    def key(self, need: Need, of: VideoAndText) -> str:
        return text_key(of.text, self.specs[need])


class _OfTexts(Resolver):
    """Features (n, d) of all of the run's prompts that the encoder has any for."""

    _gathered: dict[Need, Features] | None = None

    def key(self, need: Need, of: VideoAndText) -> str:
        return self.specs[need].digest

    def inputs(self, need: Need) -> tuple[Need, ...]:
        return (Need("text", need.id),)

    def read(self, need: Need, of: VideoAndText, store: FeatureStore) -> Features:
        self._gathered = self._gathered or {}
        if need not in self._gathered:
            encoder = self.specs[Need("text", need.id)]
            keys = [text_key(text, encoder) for text in sorted(set(of.texts))]
            found = [store.get(key) for key in keys if key in store]
            if not found:
                raise KeyError(need)
            self._gathered[need] = {n: np.concatenate([one[n] for one in found]) for n in found[0]}
        return self._gathered[need]


class _Derived(Resolver):
    def key(self, need: Need, of: VideoAndText) -> str:
        inputs = [self.kinds[one.kind].key(one, of) for one in self.inputs(need)]
        return derived_key(self.specs[need], inputs)

    def inputs(self, need: Need) -> tuple[Need, ...]:
        return derivations.inputs(need.id)


class _Answers(Resolver):
    def key(self, need: Need, of: VideoAndText) -> str:
        assert of.prompt is not None
        read = forms.read_of(need.id.partition(":")[0], of.prompt)
        return answers_key(of.sha256, self.normalization, self.specs[need], read)

    def inputs(self, need: Need) -> tuple[Need, ...]:
        spec = self.specs.get(need)  # the judge's options say what it is shown
        return (Need("frames", spec.params["pictures"]),) if spec is not None else ()


RESOLVERS: dict[NeedKind, type[Resolver]] = {
    "frames": _OfVideo,
    "encoder": _OfVideo,
    "text": _OfText,
    "texts": _OfTexts,
    "derived": _Derived,
    "pair": _OfPair,
    "answers": _Answers,
}


class Needs:
    """All resolvers together, under one normalization."""

    def __init__(self, specs: Specs, normalization: Normalization) -> None:
        self._resolvers: dict[str, Resolver] = {}
        for kind, resolver in RESOLVERS.items():
            self._resolvers[kind] = resolver(specs, normalization, self._resolvers)

    def key(self, need: Need, of: VideoAndText) -> str:
        """Where a need's features are stored."""
        return self._resolvers[need.kind].key(need, of)

    def inputs(self, need: Need) -> tuple[Need, ...]:
        """The needs it is made from, directly."""
        return self._resolvers[need.kind].inputs(need)

    def sources(self, need: Need) -> tuple[Need, ...]:
        """The needs it comes from in the end: those of videos and texts."""
        inputs = self.inputs(need)
        if not inputs:
            return (need,)
        return tuple(dict.fromkeys(source for one in inputs for source in self.sources(one)))

    def read(self, need: Need, of: VideoAndText, store: FeatureStore) -> Features:
        """A need's features. Raises `KeyError` where there are none."""
        return self._resolvers[need.kind].read(need, of, store)


def expanded(metric: VideoMetric | DistributionMetric) -> tuple[Need, ...]:
    """A metric's needs and the needs that those are made from."""
    needs, found, left = Needs({}, Normalization()), dict[Need, None](), list(metric.needs)
    while left:
        need = left.pop(0)
        found[need] = None
        left += [one for one in needs.inputs(need) if one not in found]
    return tuple(found)


def recorded_specs(info: MetricInfo) -> dict[Need, Spec]:
    """The specs of a metric's needs, as they were recorded."""
    return {Need.parse(name): spec for name, spec in info.extractors.items()}


def check_text_side(metric_id: str, need: Need, encoder: Encoder) -> None:
    """Raises `UsageError` for a need of texts on an encoder that has no text side."""
    if need.kind in ("text", "texts") and not isinstance(encoder, TextEncoder):
        raise UsageError(f"{metric_id}: the encoder {need.id!r} has no text side")
