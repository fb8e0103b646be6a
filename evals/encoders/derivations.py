"""Derivations: features made from stored features, on the CPU, and stored under their own key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from evals.encoders.base import CrossEncoder, Encoder
from evals.errors import UsageError
from evals.records import Need, Spec
from evals.registry import Registry, with_code
from evals.runs.features import Features


class Derivation(ABC):
    """`spec` names it and all that shapes its numbers.

    `argument` is what follows the colon in its id (`cross:xclip`), `encoders` the prepared encoders by id.
    """

    spec: Spec

    def __init__(self, argument: str, encoders: Mapping[str, Encoder]) -> None:
        """Raises `UsageError` for an argument that it cannot work with."""
        self.argument, self.encoders = argument, encoders

    @classmethod
    @abstractmethod
    def inputs(cls, argument: str) -> tuple[Need, ...]:
        """What it reads, in order."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """What this one reads, in order."""
        return self.inputs(self.argument)

    @abstractmethod
    def derive(self, features: Mapping[Need, Features]) -> Features:
        """Arrays by name from those of `needs`. Raises `DoesNotApply` where there can be none."""


class CrossSimilarity(Derivation):
    """`cosine` (1,) of a video and its prompt on an encoder whose text features depend on the video."""

    def __init__(self, argument: str, encoders: Mapping[str, Encoder]) -> None:
        super().__init__(argument, encoders)
        encoder = encoders[argument]
        if not isinstance(encoder, CrossEncoder):
            raise UsageError(f"the encoder {argument!r} does not relate a text to a video")
        self._encoder = encoder
        self.spec = Spec(name="cross", version=1, params={"encoder": encoder.spec.to_json()})

    @classmethod
    def inputs(cls, argument: str) -> tuple[Need, ...]:
        return Need("encoder", argument), Need("text", argument)

    def derive(self, features: Mapping[Need, Features]) -> Features:
        video, text = (features[need] for need in self.needs)
        return self._encoder.cross(video, text)


DERIVATIONS = Registry(
    "derivation",
    {
        "cross": "evals.encoders.derivations:CrossSimilarity",
        "motion": "evals.tracking.motion:MotionHistograms",
        "tracks": "evals.tracking.derivation:Tracks",
    },
    "evals.derivations",
)


def inputs(name: str) -> tuple[Need, ...]:
    """The needs of a derivation by its id, `NAME:ARGUMENT`. Raises `UnknownName`."""
    kind, _, argument = name.partition(":")
    found: tuple[Need, ...] = DERIVATIONS.get(kind).inputs(argument)
    return found


def create(name: str, encoders: Mapping[str, Encoder]) -> Derivation:
    """A derivation from its id, `NAME:ARGUMENT`. Raises `UnknownName` or `UsageError`."""
    kind, _, argument = name.partition(":")
    made = DERIVATIONS.get(kind)(argument, encoders)
    if not isinstance(made, Derivation):
        raise UsageError(f"{name} is not a derivation: its class does not extend evals.Derivation")
    return with_code(made)
