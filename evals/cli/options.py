"""Options of the command line, typed once: groups that several commands share, and what they mean."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from evals.cli import values
from evals.cli.output import Formatter
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.decoding.resources import Resources
    from evals.encoders import Precision
    from evals.executors import Executor
    from evals.generate import Retry, RunConfig
    from evals.records import Normalization, Settings
    from evals.runs.segments import Shard
    from evals.scoring import Metrics

Function = Callable[..., Any]
PATH = click.Path(path_type=Path)
POSITIVE = click.FloatRange(0.1)


def group(
    keyword: str, kind: type, *options: Callable[[Function], Function]
) -> Callable[[Function], Function]:
    """A decorator that adds options to a command and gives them to it as one value of `kind`."""
    names = [field.name for field in fields(kind)]

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(**values: Any) -> Any:
            values[keyword] = kind(**{name: values.pop(name) for name in names})
            return function(**values)

        decorated: Function = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


# --- groups ---


@dataclass(frozen=True)
class Common:
    """What every working command takes."""

    workers: int | None
    device: str
    time_limit: float | None
    stall_limit: float | None
    memory_limit: float | None
    plugins: tuple[Path, ...]
    as_json: bool
    verbose: bool
    quiet: bool

    def start(self) -> None:
        """Set up logging and load plugins. Called once, before anything looks up a name."""
        from evals.registry import load_plugin

        level = logging.INFO if self.verbose else logging.WARNING
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Formatter("%(message)s"))
        logging.basicConfig(level=level, handlers=[handler])
        for plugin in self.plugins:
            load_plugin(plugin)

    def resources(self) -> Resources:
        """The machine's resources within the limits given."""
        from evals.decoding.resources import Resources
        from evals.video import Limits

        given: dict[str, Any] = {"seconds": self.time_limit, "stall": self.stall_limit}
        if self.memory_limit is not None:
            given["memory"] = int(self.memory_limit * 2**30)
        limits = Limits(**{name: value for name, value in given.items() if value is not None})
        return Resources(self.workers, self.device, limits, self.plugins)


common = group(
    "common",
    Common,
    click.option("--config", type=PATH, callback=values.config_file, is_eager=True, expose_value=False,
                 help="YAML file with any of these options; see `init`."),
    click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes (default: one per core)."),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … for encoders."),
    click.option("--time-limit", type=POSITIVE, callback=values.finite, help="Seconds allowed per video."),
    click.option("--stall-limit", type=POSITIVE, callback=values.finite,
                 help="Seconds a decoder may make no progress."),
    click.option("--memory-limit", type=click.FloatRange(0.5, 4096), callback=values.finite,
                 help="GiB a decoder process may use."),
    click.option("--plugin", "plugins", type=PATH, multiple=True,
                 help="Python file with components of your own; repeatable."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    click.option("-v", "--verbose", is_flag=True, help="Log more on stderr."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
)  # fmt: skip


@dataclass(frozen=True)
class Working:
    """Which part of a run to work on and who does the work, which failures to try again, whose lock to take
    over."""

    retry: Retry
    break_lock: bool
    shard: Shard | None
    executor: str
    address: str | None
    executor_options: dict[str, str]

    @contextmanager
    def executing(self, resources: Resources) -> Iterator[Executor]:
        """Who does the work. Raises `UsageError`."""
        from evals.executors import LocalExecutor

        if self.executor == "ray":
            from evals.executors.cluster import RayExecutor, options_of

            with RayExecutor(resources, self.address, options_of(self.executor_options)) as cluster:
                yield cluster
        elif self.address or self.executor_options:
            raise UsageError("--address and --executor-option are for --executor ray")
        else:
            yield LocalExecutor(resources)

    def break_locks(self, *folders: Path) -> None:
        """Where it was asked for, take folders over from processes of other machines."""
        if self.break_lock:
            take_over(*folders, writer=self.shard.writer if self.shard else "main")


def take_over(*folders: Path, writer: str = "main") -> None:
    """Take folders over from processes of other machines that have ended."""
    from evals.runs.lock import break_lock

    for folder in folders:
        break_lock(folder, writer)


break_lock = click.option(
    "--break-lock", is_flag=True, help="Take the run over from a process of another machine that has ended."
)
working = group(
    "working",
    Working,
    click.option("--retry", type=click.Choice(["none", "transient", "all"]), default="transient",
                 show_default=True, help="Which failures to try again."),
    break_lock,
    click.option("--shard", callback=values.shard, metavar="I/N",
                 help="Only every N-th prompt, from the I-th on; N processes or machines make one run."),
    click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True,
                 help="Who does the work: this machine, or a Ray cluster."),
    click.option("--address", metavar="HOST:PORT",
                 help="The Ray cluster (default: RAY_ADDRESS, or a new one)."),
    click.option("--executor-option", "executor_options", multiple=True, callback=values.key_values,
                 metavar="KEY=VALUE", help="What each process on the cluster takes: cpus, gpus, memory."),
)  # fmt: skip


@dataclass(frozen=True)
class Generating:
    """Which videos to make, with what, and where they go."""

    generators: tuple[str, ...]
    interleave: int | None
    options: dict[str, str]
    expand: str | None
    language: str | None
    prompts: str | None
    seeds: list[int] | None
    prompt_ids: tuple[str, ...]
    limit: int | None
    frames: int | None
    fps: float | None
    seconds: float | None
    size: tuple[int, int] | None
    out: Path
    name: str | None
    max_cost: float | None
    layout: str | None
    dry_run: bool
    restart: bool

    def configs(self, working: Working) -> list[RunConfig]:
        """One run for every generator. Raises `UsageError`."""
        if self.restart and working.shard:
            raise UsageError(
                "--restart with --shard: each shard would begin the run again; use another --name"
            )
        if len(self.generators) > 1 and self.name:
            raise UsageError("--name is for one generator; several are named after themselves")
        if self.interleave and len(self.generators) < 2:
            raise UsageError("--interleave is for several generators: give --generator more than once")
        found = [self._config(name, working) for name in self.generators]
        folders = [config.folder for config in found]
        for folder in folders:
            if folders.count(folder) > 1:
                raise UsageError(
                    f"two generators would both be run in {folder}; run them one by one with --name"
                )
        return found

    def _config(self, generator_name: str, working: Working) -> RunConfig:
        from evals import prompts
        from evals.executors import GeneratorRecipe
        from evals.generate import RunConfig
        from evals.runs.naming import checked_name, default_name

        options = dict(self.options)
        for name, value in (("max_cost", self.max_cost), ("layout", self.layout)):
            if value is not None:
                options[name] = str(value)
        if self.language is not None and self.expand:
            raise UsageError("--language and --expand: give one of them, as both replace the prompt")
        recipe = GeneratorRecipe(generator_name, options, self.language)
        generator = recipe.made()
        if self.expand:
            from evals.generators.expand import Expanded, expander

            generator = Expanded(generator, expander(self.expand))
        names = [n.strip() for n in (self.prompts or "").split(",") if n.strip()]
        return RunConfig(
            generator=generator,
            folder=self.out / checked_name(self.name or default_name(generator.label)),
            prompts=prompts.merge(prompts.named(n) for n in names) if names else None,
            seeds=self.seeds,
            settings=self._settings(),
            prompt_ids=self.prompt_ids,
            limit=self.limit,
            retry=working.retry,
            shard=working.shard,
            recipe=None if self.expand else recipe,
        )

    def _settings(self) -> Settings:
        from pydantic import ValidationError

        from evals.records import Settings, explain

        frames = self.frames
        if self.seconds is not None:
            if frames is not None or self.fps is None:
                raise UsageError("--seconds needs --fps, and no --frames")
            frames = max(1, round(self.seconds * self.fps))
        width, height = self.size or (None, None)
        try:
            return Settings(width=width, height=height, frames=frames, fps=self.fps)
        except ValidationError as error:
            raise UsageError(f"the size, frames or fps asked for: {explain(error)}") from None


generating = group(
    "generating",
    Generating,
    click.option("--generator", "generators", required=True, multiple=True,
                 help="KIND:ARGUMENT, such as folder:clips/modelA; several make several runs."),
    click.option("--interleave", type=click.IntRange(1), metavar="N",
                 help="With several generators: N prompts of one after N of the next."),
    click.option("-o", "options", multiple=True, callback=values.key_values, metavar="KEY=VALUE",
                 help="Generator option."),
    click.option("--expand", metavar="openai-chat:MODEL[@URL]",
                 help="Have a language model rewrite the prompts; metrics use the originals."),
    click.option("--language", metavar="CODE",
                 help="Send prompts in another language, such as de; metrics use the English text."),
    click.option("--prompts", help="Prompt sets, subsets (core, physics:core) or files, with commas."),
    click.option("--seeds", callback=values.seeds, help="How many seeds (3: 0, 1, 2), or a list (7,8)."),
    click.option("--prompt-id", "prompt_ids", multiple=True, help="Only this prompt; repeatable."),
    click.option("--limit", type=click.IntRange(1), help="Only the first N prompts."),
    click.option("--frames", type=click.IntRange(1), help="Frames asked for."),
    click.option("--fps", type=POSITIVE, callback=values.finite, help="Frame rate asked for."),
    click.option("--seconds", type=POSITIVE, callback=values.finite, help="Length asked for; with --fps."),
    click.option("--size", callback=values.size, help="Size asked for, WIDTHxHEIGHT."),
    click.option("--out", type=PATH, default=Path("runs"), help="Where runs are kept (default: runs)."),
    click.option("--name", help="The run's name (default: after the generator)."),
    click.option("--max-cost", type=click.FloatRange(0), callback=values.finite,
                 help="Of all videos of a run or shard, in the API's currency (-o price= if it has none)."),
    click.option("--layout", help="How a folder of clips is laid out, where it is not detected."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and what it would take."),
    click.option("--restart", is_flag=True, help="Begin the run again; the old one is kept beside it."),
)  # fmt: skip


def metric_list(text: str | None) -> tuple[str, ...] | None:
    """Metric ids with commas between them; a comma inside brackets belongs to the id."""
    if text is None:
        return None
    ids = tuple(dict.fromkeys(m.strip() for m in re.split(r",(?![^\[]*\])", text) if m.strip()))
    if not ids:
        raise UsageError(f"{text!r}: names no metric; see `t2v-evals list metrics`")
    return ids


@dataclass(frozen=True)
class Choosing:
    """Which metrics, on which weights."""

    suite: str | None
    metrics: str | None
    weights: dict[str, Path]
    precision: Precision
    judges: tuple[str, ...]
    judging: dict[str, str]

    def chosen(self) -> Metrics:
        """The metrics, ready to work. Raises `UsageError`, `UnknownName` or `WeightsError`."""
        from evals.scoring import prepare

        return prepare(self.metric_ids(), self.weights, self.precision, judging=self.judging)

    def metric_ids(self) -> list[str]:
        """Their ids: those of the suite, or given, with what each judge is asked."""
        from evals.metrics.judged import JUDGED

        asked = [f"{name}[{judge}]" for judge in self.judges for name in JUDGED]
        return list(dict.fromkeys([*self._given(), *asked]))

    def _given(self) -> list[str]:
        from evals.metrics import suites

        given, suite = self.metrics, self.suite
        if given is not None and suite is not None:
            # The command line has the last word over a configuration file.
            source = click.get_current_context().get_parameter_source
            typed = [n for n in ("metrics", "suite") if source(n) == click.core.ParameterSource.COMMANDLINE]
            if len(typed) != 1:
                raise UsageError("--metrics and --suite exclude each other; a suite file can list both")
            given, suite = (given, None) if typed == ["metrics"] else (None, suite)
        if given is None:
            return list(suites.load(suite or "quick").metrics)
        return list(metric_list(given) or ())


weights = click.option("--weights", multiple=True, callback=values.paths, metavar="ENCODER=PATH",
                       help="Local weights of an encoder.")  # fmt: skip
precision = click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True,
    help="Of the encoders' networks; numbers of the two don't mix.",
)  # fmt: skip
choosing = group(
    "choosing",
    Choosing,
    click.option("--suite", default=None, help="Suite name or file (default: quick)."),
    click.option("--metrics", help="Metric ids with commas between them, instead of a suite."),
    weights,
    precision,
    click.option("--judge", "judges", multiple=True, metavar="KIND:MODEL",
                 help="Also ask a video language model: openai-chat:MODEL@URL, transformers:NAME."),
    click.option("--judge-option", "judging", multiple=True, callback=values.key_values, metavar="KEY=VALUE",
                 help="Option of the judge, such as votes=3 or revision=…."),
)  # fmt: skip


@dataclass(frozen=True)
class Normalizing:
    """How videos are brought to one shape before they are scored."""

    normalize: str | None

    def normalization(self) -> Normalization:
        from evals.records import Normalization

        return Normalization.parse(self.normalize or "native")


normalizing = group(
    "normalizing",
    Normalizing,
    click.option("--normalize", metavar="SHAPE",
                 help="Score all videos alike: fps=8,seconds=2,short_side=256."),
)  # fmt: skip
rescore = click.option("--rescore", is_flag=True, help="Compute scores again from the stored features.")
allow_outside = click.option(
    "--allow-outside", is_flag=True,
    help="Open files outside of a run that somebody else recorded.",
)  # fmt: skip
force = click.option("--force", is_flag=True, help="Overwrite a page in --out that is not a report's.")
open_page = click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
Clips = Literal["first", "random"]
