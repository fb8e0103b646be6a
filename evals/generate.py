"""Plan, generate, resume: brings a run's samples up to date."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from evals.decoding.resources import Progress, Resources
from evals.errors import EvalsWarning, Reason, SampleError, UsageError, nearest
from evals.executors import Executor, GeneratorRecipe, LocalExecutor, Order
from evals.generators.base import Generation, Generator, Probe
from evals.records import (
    PromptSet,
    Request,
    Sample,
    Settings,
    digest,
    file_sha256,
    is_regular,
)
from evals.runs import folder as run_folders
from evals.runs import origin, provenance
from evals.runs.current import SampleId, Samples
from evals.runs.files import Measured
from evals.runs.folder import RunFolder
from evals.runs.journal import Journal, settle
from evals.runs.keys import generation_key, text_digest
from evals.runs.overview import additions
from evals.runs.secrets import recordable
from evals.runs.segments import Shard

Retry = Literal["none", "transient", "all"]


@dataclass(frozen=True)
class RunConfig:
    """Everything a run needs, decided before any work starts; with a `shard` that part of its prompts. By
    the `recipe` other machines make the generator."""

    generator: Generator
    folder: Path
    prompts: PromptSet | None = None
    seeds: Sequence[int] | None = None
    settings: Settings = field(default_factory=Settings)
    prompt_ids: Sequence[str] = ()
    limit: int | None = None
    retry: Retry = "transient"
    shard: Shard | None = None
    recipe: GeneratorRecipe | None = None

    def requests(self) -> list[Request]:
        """The videos wanted. Raises `UsageError` for settings that the generator cannot follow, or for prompt
        ids that there are not."""
        asked = {k for k, v in self.settings.model_dump().items() if v is not None}
        if useless := asked - self.generator.accepts:
            raise UsageError(
                f"{self.generator.label} cannot follow --{', --'.join(sorted(useless))}: its clips exist"
                " already; to score clips alike use --normalize"
            )
        planned = self.generator.plan(self.prompts, self.seeds, self.settings)
        return _narrowed(planned, self.prompt_ids, self.limit)


def _narrowed(planned: list[Request], prompt_ids: Sequence[str], limit: int | None) -> list[Request]:
    """Keep the given prompts, and of those the first `limit` prompts with all their seeds."""
    known = list(dict.fromkeys(r.prompt.id for r in planned))
    for wanted in prompt_ids:
        if wanted not in known:
            raise UsageError(f"--prompt-id {wanted}: no such prompt{nearest(wanted, known)}")
    chosen = set([i for i in known if not prompt_ids or i in prompt_ids][:limit])
    return [r for r in planned if r.prompt.id in chosen]


@dataclass(frozen=True)
class Task:
    """A request with its generation key and what was recorded for it before; `lost` where the video that was
    recorded is not there any more, or is another one. `attempts` counts those at this prompt and seed."""

    request: Request
    key: str
    before: Sample | None = None
    lost: bool = False

    attempts: int = 0

    @property
    def id(self) -> SampleId:
        return self.request.prompt.id, self.request.seed

    def is_due(self, retry: Retry) -> bool:
        """Whether it is to be done: it never was, or it failed and may be tried again."""
        if self.before is None or self.lost:
            return True
        return self.before.status != "ok" and wants_retry(self.before.transient, retry)


def wants_retry(transient: bool, retry: Retry) -> bool:
    """Whether something that failed is to be tried again."""
    return retry == "all" or (retry == "transient" and transient)


def tasks_of(
    run: RunFolder | None,
    generator: Generator,
    requests: Sequence[Request],
    progress: Progress | None = None,
    samples: Mapping[SampleId, Sample] | None = None,
) -> Iterator[Task]:
    """Tasks for all requests, each with the sample it has, if that is still the same thing."""
    if samples is None:
        samples = run.samples() if run else {}
    progress = progress or Progress()
    progress.begin("plan", len(requests))
    for request in requests:
        progress.advance(False)
        key = generation_key(generator.spec, request, generator.identity(request))
        before = samples.get((request.prompt.id, request.seed))
        attempts = before.attempts if before else 0
        if before is None or before.key != key:
            yield Task(request, key, attempts=attempts)
        else:
            yield Task(request, key, before, run is not None and _is_lost(run, before), attempts)


def _is_lost(run: RunFolder, sample: Sample) -> bool:
    """Whether a video that lies in the run is gone, cut or another one. It is hashed again only where it was
    written to after it was recorded."""
    if sample.status != "ok" or sample.video is None or Path(sample.video).is_absolute():
        return False
    path = run.path / sample.video
    try:
        found = path.stat()
        if not is_regular(path) or found.st_size != sample.bytes:
            return True
        recorded = datetime.fromisoformat(sample.created).timestamp()
        return max(found.st_mtime, found.st_ctime) > recorded + 1 and file_sha256(path) != sample.sha256
    except (OSError, ValueError):
        return True


def generate_run(
    config: RunConfig,
    resources: Resources | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> RunFolder:
    """Bring a run's samples up to date. Without `resources` those of this machine are used."""
    return generate_in_turn([config], resources, None, progress, executor)[0]


def generate_in_turn(
    configs: Sequence[RunConfig],
    resources: Resources | None = None,
    each: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> list[RunFolder]:
    """Several runs, `each` prompts of one after as many of the next (None: one run after the other): hosted
    models drift, and videos made at the same time compare. Every generator is opened once."""
    if resources is None:
        with Resources() as own:
            return generate_in_turn(configs, own, each, progress, executor)
    progress, executor = progress or Progress(), executor or LocalExecutor(resources)
    requests = [config.requests() for config in configs]  # every complaint comes before a folder is made
    for config, wanted in zip(configs, requests, strict=True):
        if table := config.generator.preflight(wanted, config.prompts):
            progress.preflight(table)
    if each is None:
        for config, wanted in zip(configs, requests, strict=True):
            with _Generation(config, wanted, resources, progress, executor) as one:
                progress.begin("generate", len(one.due))
                one.make(one.due)
        return [RunFolder(config.folder, shard=config.shard) for config in configs]
    with ExitStack() as stack:
        opened = [
            stack.enter_context(_Generation(config, wanted, resources, progress, executor))
            for config, wanted in zip(configs, requests, strict=True)
        ]
        progress.begin("generate", sum(len(one.due) for one in opened))
        for start in range(0, max((len(one.due_by_prompt) for one in opened), default=0), each):
            for one in opened:
                one.make(one.turn(start, each))
    return [RunFolder(config.folder, shard=config.shard) for config in configs]


class _Generation:
    """A run that is being generated: its lock is held, its generator open. Use as a context manager."""

    def __init__(
        self, config: RunConfig, requests: list[Request], resources: Resources, progress: Progress,
        executor: Executor,
    ) -> None:  # fmt: skip
        self.config, self.resources, self.progress, self.executor = config, resources, progress, executor
        self.generator = config.generator
        self.run = run_folders.create(
            config.folder, self.generator.label, self.generator.spec, config.settings, config.shard
        )
        self.requests, self.made = requests, 0
        self._stack = ExitStack()

    def __enter__(self) -> _Generation:
        with ExitStack() as stack:
            stack.enter_context(self.run.writing())
            self.started = provenance.now()
            mine = self.run.mine([r.prompt.id for r in self.requests])
            requests = [r for r in self.requests if r.prompt.id in mine]
            samples = self.run.samples()
            self.due: list[Task] = []
            due_by_prompt: dict[str, list[Task]] = {}
            for task in tasks_of(self.run, self.generator, requests, self.progress, samples):
                same_prompt = due_by_prompt.setdefault(task.request.prompt.id, [])
                if task.is_due(self.config.retry):
                    self.due.append(task)
                    same_prompt.append(task)
            self.due_by_prompt = list(due_by_prompt.values())
            _warn_of_leftovers(self.run, self.config, samples)
            if added := additions(self.run, [r.prompt.id for r in self.requests]):
                self.progress.preflight(added)
            self.run.add([(r.prompt, r.seed) for r in self.requests])
            if self.config.shard and self.due:
                self.run.update(status="started")
            stack.callback(self.generator.close)
            if self.due:
                self.generator.begin(self.run.segments, self.resources.pool.probe)
            self.journal = stack.enter_context(Journal(self.run.segments.own("samples")))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            changes: dict[str, object] = {}
            if self.made:
                changes["generated"] = provenance.record(self.started)
            if error[0] is None and self.run.status == "started":
                changes["status"] = "generated"
            if changes:
                self.run.update(**changes)
            if error[0] is None:
                self.run.keep_index()

    def turn(self, start: int, count: int) -> list[Task]:
        """What is due of `count` prompts, from a place on."""
        return [task for tasks in self.due_by_prompt[start : start + count] for task in tasks]

    def make(self, tasks: Sequence[Task]) -> None:
        """Do tasks and journal their samples, as many at once as the generator and the machine allow."""
        orders = [_order(self.run, task) for task in tasks]
        for number, generation, seconds in self.executor.make(self.generator, self.config.recipe, orders):
            task = tasks[number]
            sample = _sample(self.run, task, generation, seconds, self.resources.pool.probe)
            self.journal.append(sample.to_json())
            self.made += 1
            self.progress.advance(sample.status != "ok")


def _warn_of_leftovers(run: RunFolder, config: RunConfig, samples: Samples) -> None:
    """Samples of clips that a folder no longer holds stay in the run: say so."""
    if not config.generator.existing:
        return
    asked = {p.id for p in config.prompts.prompts} if config.prompts else None
    there = config.generator.holdings(config.prompts)
    left = [at for at in samples.ok() if (asked is None or at[0] in asked) and at not in there]
    if left:
        warnings.warn(
            f"{run.path}: holds {len(left)} samples that {config.generator.label} does not have now (such as"
            f" {left[0][0]}, seed {left[0][1]}); they stay in it. For a run without them use another --name",
            EvalsWarning,
            stacklevel=2,
        )


def _place(run: RunFolder, task: Task) -> Path:
    prompt = task.request.prompt
    return run.videos / prompt.id / f"{task.request.seed}-{digest(prompt.text)[:8]}.mp4"


def _order(run: RunFolder, task: Task) -> Order:
    """A task for a generator; a file that was put in the place of a recorded video is set aside."""
    lost = task.before.video if task.lost and task.before is not None else None
    return Order(task.request, _place(run, task), run.path / lost if lost else None)


def _sample(run: RunFolder, task: Task, made: Generation, seconds: float, probe: Probe) -> Sample:
    """The record of what was made: hashed, measured."""
    measured: Measured | None = None
    place, signature = None, ""
    status, reason, message, transient = made.status, made.reason, made.message, made.transient
    if made.path is not None:
        whole, root = made.path.resolve(), run.path.resolve()
        place = str(whole.relative_to(root) if whole.is_relative_to(root) else whole)
        if place == str(whole):
            signature = origin.signed(whole)
        try:
            measured = probe(made.path)
            if not signature:
                settle(whole, root)  # the journal's line must not reach the disk before the video
        except SampleError as error:
            status, reason, message = "failed", error.reason, f"{made.path.name}: {error}"
            transient = error.transient
    elif status == "ok":
        status, message = "failed", "the generator reports ok and names no video; set Generation.path"
    if status != "ok" and reason is None:  # a plugin's generator may leave it out
        reason = Reason.REFUSED if status == "refused" else Reason.GENERATOR_ERROR
    generated_here = made.path is not None and made.path.with_suffix("") == _place(run, task).with_suffix("")
    return Sample(
        key=task.key,
        text_digest=text_digest(task.request.prompt),
        prompt_id=task.request.prompt.id,
        seed=task.request.seed,
        status=status,
        reason=reason,
        message=recordable(message),
        transient=transient,
        video=place,
        origin=signature,
        sha256=measured.sha256 if measured else None,
        bytes=measured.size if measured else None,
        requested=task.request.settings,
        actual=measured.facts if measured else None,
        wall_seconds=round(seconds, 3) if generated_here else None,  # a clip that existed took no time
        cost=made.cost,
        job_id=made.job_id,
        details=recordable(dict(made.details)),
        attempts=task.attempts + 1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
