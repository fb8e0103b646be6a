"""Plan, generate, resume: brings a run's samples up to date."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from evals.decoding.pool import Job, Pool
from evals.errors import DecoderDied, EvalsError, SampleError, UsageError, nearest
from evals.generators import Generation, Generator
from evals.journal import Journal
from evals.records import Prompt, Request, Sample, Settings, VideoFacts, digest, file_sha256, recordable
from evals.rundir import RunDir, SampleId, text_digest

Retry = Literal["none", "transient", "all"]


@dataclass(frozen=True)
class Task:
    """A request with its generation key and what was recorded for it before."""

    request: Request
    key: str
    before: Sample | None = None

    @property
    def id(self) -> SampleId:
        return self.request.prompt.id, self.request.seed


def narrow(
    planned: list[tuple[Prompt, int]], prompt_ids: Sequence[str] = (), limit: int | None = None
) -> list[tuple[Prompt, int]]:
    """Keep the given prompts, and of those the first `limit` prompts with all their seeds."""
    known = list(dict.fromkeys(p.id for p, _ in planned))
    for wanted in prompt_ids:
        if wanted not in known:
            raise UsageError(f"--prompt-id {wanted}: no such prompt{nearest(wanted, known)}")
    chosen = [i for i in known if not prompt_ids or i in prompt_ids][:limit]
    return [(p, s) for p, s in planned if p.id in set(chosen)]


def assign(
    run: RunDir | None, generator: Generator, wanted: list[tuple[Prompt, int]], settings: Settings
) -> list[Task]:
    """Tasks for all wanted samples, each with the sample it has, if that is still the same thing."""
    samples = run.samples() if run else {}
    tasks = []
    for prompt, seed in wanted:
        sent = {"text": prompt.text, "negative": None, "seed": seed, "settings": settings.to_json()}
        key = digest([generator.spec.to_json(), sent, generator.identity(prompt, seed)])
        before = samples.get((prompt.id, seed))
        same = before if before is not None and before.key == key else None
        tasks.append(Task(Request(prompt=prompt, seed=seed, settings=settings), key, same))
    return tasks


def due(task: Task, retry: Retry) -> bool:
    """Whether a task is to be done: it never was, or it failed and may be tried again."""
    before = task.before
    if before is None:
        return True
    if before.outcome == "ok":
        return False
    return retry == "all" or (retry == "transient" and before.transient)


def grow(run: RunDir, wanted: list[tuple[Prompt, int]]) -> None:
    """Take prompts and seeds into `run.json`; what is there stays, a corrected prompt replaces the old."""
    prompts = {p.id: p for p in run.info.prompts}
    seeds = {k: list(v) for k, v in run.info.plan.items()}
    for prompt, seed in wanted:
        prompts[prompt.id] = prompt
        mine = seeds.setdefault(prompt.id, [])
        if seed not in mine:
            mine.append(seed)
    run.update(
        prompts=tuple(prompts.values()),
        plan={k: tuple(sorted(v)) for k, v in seeds.items()},
    )


def generate(
    run: RunDir,
    generator: Generator,
    tasks: Sequence[Task],
    pool: Pool,
    retry: Retry = "transient",
    report: Callable[[Sample], None] | None = None,
    workers: int = 1,
) -> list[Sample]:
    """Do the tasks that are due and journal their samples; gives the current sample of every task.

    At most `workers` videos are made at once, fewer where the generator says so.
    """
    wanted = [task for task in tasks if due(task, retry)]
    done = {task.id: task.before for task in tasks if task.before is not None}
    at_once = getattr(generator, "concurrency", 1)
    if not getattr(generator, "waits", False):
        at_once = min(workers, at_once)
    try:
        if wanted and (begin := getattr(generator, "begin", None)):
            begin(run.path)
        with Journal(run.path / "samples.jsonl") as journal:
            for task, made, wall in _made(run, generator, wanted, max(1, at_once)):
                sample = _sample(run, task, made, wall, pool)
                journal.append({"schema": sample.schema_, **sample.to_json()})
                done[task.id] = sample
                if report:
                    report(sample)
    finally:
        if close := getattr(generator, "close", None):
            close()
    return [done[task.id] for task in tasks]


def _made(
    run: RunDir, generator: Generator, tasks: Sequence[Task], at_once: int
) -> Iterator[tuple[Task, Generation, float]]:
    """What became of each task, as it is done, with the seconds it took."""
    if (size := getattr(generator, "batch", 1)) > 1:
        for start in range(0, len(tasks), size):
            yield from _make_together(run, generator, tasks[start : start + size])
        return
    if at_once == 1:
        for task in tasks:
            yield (task, *_make(run, generator, task))
        return
    with ThreadPoolExecutor(at_once) as threads:
        running: dict[Future[tuple[Generation, float]], Task] = {}
        waiting = iter(tasks)
        try:
            while True:
                for task in itertools.islice(waiting, 2 * at_once - len(running)):
                    running[threads.submit(_make, run, generator, task)] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield (running.pop(future), *future.result())
        finally:
            if running and (stop := getattr(generator, "stop", None)):
                stop()  # what waits for others must not keep us waiting
            threads.shutdown(cancel_futures=True)


def _place(run: RunDir, task: Task) -> Path:
    prompt = task.request.prompt
    return run.videos / prompt.id / f"{task.request.seed}-{digest(prompt.text)[:8]}.mp4"


def _make_together(
    run: RunDir, generator: Any, tasks: Sequence[Task]
) -> Iterator[tuple[Task, Generation, float]]:
    """Several in one go; where that fails, each by itself."""
    started = time.monotonic()
    try:
        made = generator.generate_batch([t.request for t in tasks], [_place(run, t) for t in tasks])
    except EvalsError as error:
        if not isinstance(error, SampleError):
            raise
        made = []
    except Exception:  # noqa: BLE001 - the one that is at fault will say so by itself
        made = []
    if len(made) != len(tasks):
        for task in tasks:
            yield (task, *_make(run, generator, task))
        return
    each = (time.monotonic() - started) / len(tasks)
    for task, one in zip(tasks, made, strict=True):
        yield task, one, each


def _make(run: RunDir, generator: Generator, task: Task) -> tuple[Generation, float]:
    out = _place(run, task)
    started = time.monotonic()
    try:
        made = generator.generate(task.request, out)
    except SampleError as error:
        made = Generation("failed", reason=str(error), transient=error.transient)
    except EvalsError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a generator's fault costs this sample alone
        made = Generation("failed", reason=f"{type(error).__name__}: {error}", transient=True)
    return made, time.monotonic() - started


def _sample(run: RunDir, task: Task, made: Generation, wall: float, pool: Pool) -> Sample:
    """The record of what was made: hashed, measured."""
    prompt, seed = task.request.prompt, task.request.seed
    facts: VideoFacts | None = None
    sha256, size, place = None, None, None
    outcome, reason, transient = made.outcome, made.reason, made.transient
    if made.path is not None:
        whole, root = made.path.resolve(), run.path.resolve()
        place = str(whole.relative_to(root) if whole.is_relative_to(root) else whole)
        try:
            sha256, size = made.sha256 or file_sha256(made.path), made.path.stat().st_size
            facts = VideoFacts.model_validate(pool.ask(Job(made.path, "probe")).head["facts"])
        except OSError as error:
            outcome, reason = "failed", f"{made.path.name}: cannot be read: {error.strerror}"
        except SampleError as error:
            outcome, reason = "failed", f"{made.path.name}: {error}"
            transient = isinstance(error, DecoderDied) and error.transient
    return Sample(
        key=task.key,
        text=text_digest(prompt),
        prompt_id=prompt.id,
        seed=seed,
        outcome=outcome,
        reason=recordable(reason),
        transient=transient,
        video=place,
        sha256=sha256,
        bytes=size,
        requested=task.request.settings,
        actual=facts,
        wall_seconds=round(wall, 3)
        if made.path is not None and made.path.with_suffix("") == _place(run, task).with_suffix("")
        else None,  # a clip that was there took no time
        cost=made.cost,
        job_id=made.job_id,
        details=recordable(dict(made.details)),
        attempts=task.before.attempts + 1 if task.before else 1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
