"""Has a generator make videos: one by one, several together, or at the same time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evals.errors import EvalsError, Reason, SampleError
from evals.generators.base import Generation, Generator, failed
from evals.records import Request


@dataclass(frozen=True)
class Order:
    """A video to be made at `out`; a file that somebody put `aside`'s place is kept under another name."""

    request: Request
    out: Path
    aside: Path | None = None


Made = tuple[int, Generation, float]
"""The number of an order, what became of it, and the seconds it took."""


def made_by(generator: Generator, orders: Sequence[Order], at_once: int) -> Iterator[Made]:
    """What became of each order, as it is done; `at_once` of them at a time."""
    if generator.batch > 1:
        for start in range(0, len(orders), generator.batch):
            for number, made, seconds in _together(generator, orders[start : start + generator.batch]):
                yield start + number, made, seconds
        return
    if at_once == 1 and not generator.waits:  # what waits for others is stopped from this thread
        for number, order in enumerate(orders):
            yield (number, *_one(generator, order))
        return
    with ThreadPoolExecutor(at_once) as threads:
        running: dict[Future[tuple[Generation, float]], int] = {}
        waiting = iter(range(len(orders)))
        try:
            while True:
                for number in itertools.islice(waiting, 2 * at_once - len(running)):
                    running[threads.submit(_one, generator, orders[number])] = number
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield (running.pop(future), *future.result())
        finally:
            if running:
                generator.stop()  # threads that wait for an API must come back
            threads.shutdown(cancel_futures=True)


def _prepare(generator: Generator, order: Order) -> Path:
    """Make room; gives where the generator puts its video."""
    if not generator.existing:
        order.out.parent.mkdir(parents=True, exist_ok=True)
    if order.aside is not None:
        with suppress(OSError):
            order.aside.replace(order.aside.with_name(f".{order.aside.name}.changed"))
    return order.out


def _together(generator: Generator, orders: Sequence[Order]) -> Iterator[Made]:
    """Several in one go; where that fails, each by itself."""
    started = time.monotonic()
    outs = [_prepare(generator, order) for order in orders]
    try:
        made = generator.generate_batch([order.request for order in orders], outs)
    except EvalsError as error:
        if not isinstance(error, SampleError):
            raise
        made = []
    except Exception:  # noqa: BLE001 - the one at fault will fail again by itself, with its reason
        made = []
    if len(made) != len(orders):
        for number, order in enumerate(orders):
            yield (number, *_one(generator, order))
        return
    seconds = (time.monotonic() - started) / len(orders)
    for number, one in enumerate(made):
        yield number, one, seconds


def _one(generator: Generator, order: Order) -> tuple[Generation, float]:
    out = _prepare(generator, order)
    started = time.monotonic()
    try:
        made = generator.generate(order.request, out)
    except SampleError as error:
        made = failed(error.reason, str(error), error.transient)
    except EvalsError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a generator's fault costs this sample alone
        made = failed(Reason.GENERATOR_ERROR, f"{type(error).__name__}: {error}", transient=True)
    return made, time.monotonic() - started
