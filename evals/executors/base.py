"""What an executor is given, and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals import generators
from evals.errors import Reason
from evals.executors.making import Made, Order
from evals.generators.base import Generator
from evals.generators.translated import Translated
from evals.metrics.needs import Prepared, VideoAndText
from evals.records import Need, Normalization
from evals.runs.facts import DecodedFacts
from evals.runs.features import Features


@dataclass(frozen=True)
class Source:
    """A video by its bytes, and where they lie; of a pair also the `other` one."""

    sha256: str
    path: Path
    other: Source | None = None

    @property
    def name(self) -> str:
        """What is known of the source is kept under this name: its hash, or both of a pair."""
        return self.sha256 if self.other is None else f"{self.sha256}:{self.other.sha256}"

    @property
    def of(self) -> VideoAndText:
        """What its features are of."""
        return VideoAndText(self.sha256, other=self.other.sha256 if self.other else "")


@dataclass(frozen=True)
class Problem:
    """Why there are no features of a need for a video; `skip` where none can be expected."""

    skip: bool
    reason: Reason
    message: str
    transient: bool = False


Problems = Mapping[Need, Problem]


@dataclass(frozen=True)
class Task:
    """A source, and the needs whose features are missing."""

    source: Source
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class Extracted:
    """What became of a source.

    `features` by need, which the caller commits; or the executor has committed them, in feature shards of the
    run called `shards`. `facts` are those of decoding, None where it failed. `seconds` by stage, `frames` and
    `peak` (resident bytes of the decoder) are what it took. With `last` nothing more comes of this source;
    encoders that don't fit onto a device together give theirs in several parts.
    """

    source: Source
    features: Mapping[Need, Features] = field(default_factory=dict)
    problems: Problems = field(default_factory=dict)
    facts: DecodedFacts | None = None
    shards: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    peak: int = 0
    last: bool = True


@dataclass(frozen=True)
class GeneratorRecipe:
    """How another process makes the same generator."""

    name: str
    options: Mapping[str, str]
    language: str | None = None

    def made(self) -> Generator:
        """The generator. Raises `UsageError` or `UnknownName`."""
        generator = generators.create(self.name, dict(self.options))
        return Translated(generator, self.language) if self.language is not None else generator


class Executor(ABC):
    """Base of executors."""

    @abstractmethod
    def extract(
        self, prepared: Prepared, normalization: Normalization, tasks: Sequence[Task], folder: Path
    ) -> Iterator[Extracted | None]:
        """Make the missing features of every task, in any order. None means that nothing is ready yet, which
        gives the caller a chance to commit what is. Feature shards, if it commits itself, go into `folder`.
        An exception (Ctrl-C) ends all work that is under way."""

    @abstractmethod
    def make(
        self, generator: Generator, recipe: GeneratorRecipe | None, orders: Sequence[Order]
    ) -> Iterator[Made]:
        """Have the generator make videos, in any order; other processes make theirs by the `recipe`."""
