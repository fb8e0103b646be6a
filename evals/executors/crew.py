"""Stations of a Ray cluster at work: as many as fit, given work in bounded chunks, replaced when they die.

What a station had not given back when it died is done again elsewhere. What it was doing when it died on a
machine that lives goes alone the next time, and is given up when it has ended three stations so.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.errors import EvalsError, UsageError

log = logging.getLogger(__name__)

AHEAD = 2  # chunks that a station has at a time: one that it does, one that waits
CHUNK_ITEMS = 64
CHUNK_BYTES = 256 << 20
GIVE_UP = 3  # stations that an item may end
LOOK_SECONDS = 0.5
PLACE_SECONDS = 60.0  # without a station that is ready, before that is said


class Lost:
    """What comes back for an item that ended its station each time."""


@dataclass(eq=False)
class _Chunk:
    items: list[int]
    left: set[int]


@dataclass(eq=False)
class _Station:
    actor: Any
    ready: Any  # the reference to its answer whether it can work; None once it has said so
    node: str = ""
    chunks: dict[Any, _Chunk] = field(default_factory=dict)  # by what gives their results, oldest first


class Crew:
    """Stations that `start` makes. `needs` is what each takes of a machine (`CPU`, `GPU`, `memory` in bytes),
    `digest` what they must be equal in, `most` their number at most."""

    def __init__(
        self, ray: Any, needs: Mapping[str, float], start: Callable[[], Any], digest: str, most: int | None
    ) -> None:
        self._ray, self._needs, self._start, self._digest, self._most = ray, needs, start, digest, most
        self._stations: list[_Station] = []
        self._suspects: Counter[int] = Counter()  # stations that an item has ended
        self._looked = -PLACE_SECONDS
        self._stillborn = 0

    def work(
        self, sizes: Sequence[int], send: Callable[[Any, list[int]], Any], least: int = 1
    ) -> Iterator[tuple[int, Any] | None]:
        """What became of each item, by its number, in any order: what a station gave, or `Lost`; None when
        nothing came for a while. `sizes` are the items' bytes; `send` has a station do some of them and gives
        references to (place among them, result, whether it is the item's last). `least` items go together
        where there are enough."""
        left = deque(range(len(sizes)))
        placed = time.monotonic()
        try:
            while left or any(station.chunks for station in self._stations):
                self._grow(len(left))
                self._assign(left, sizes, send, least)
                waiting = [s.ready for s in self._stations if s.ready is not None]
                waiting += [results for s in self._stations for results in s.chunks]
                if any(s.ready is None for s in self._stations):
                    placed = time.monotonic()
                elif time.monotonic() - placed > PLACE_SECONDS:
                    placed = time.monotonic()
                    self._complain()
                if not waiting:
                    time.sleep(LOOK_SECONDS)
                    yield None
                    continue
                ready, _ = self._ray.wait(waiting, num_returns=1, timeout=LOOK_SECONDS)
                if not ready:
                    yield None
                for one in ready:
                    yield from self._take(one, left)
        finally:
            for station in self._stations:
                self._ray.kill(station.actor)
            self._stations = []

    def _grow(self, left: int) -> None:
        """Start stations where machines have room for them, but no more than there is work for."""
        if time.monotonic() - self._looked < 4 * LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        room = sum(self._fit(node["Resources"]) for node in self._ray.nodes() if node["Alive"])
        wanted = min(room, self._most or room, len(self._stations) + left)
        for _ in range(wanted - len(self._stations)):
            actor = self._start()
            self._stations.append(_Station(actor, actor.ready.remote(self._digest)))

    def _complain(self) -> None:
        """No station has been ready for a while: either none fits, or what there is belongs to others."""
        asked = _words(self._needs)
        if not self._stations:
            raise UsageError(
                f"no machine of the cluster is large enough for a station ({asked}); ask for less with"
                " --executor-option, or add machines"
            )
        log.warning("the cluster has no room for a station (%s) at the moment; waiting", asked)

    def _fit(self, resources: Mapping[str, float]) -> int:
        asked = [(kind, need) for kind, need in self._needs.items() if need]
        return min(int(resources.get(kind, 0.0) / need + 1e-6) for kind, need in asked)

    def _assign(
        self, left: deque[int], sizes: Sequence[int], send: Callable[[Any, list[int]], Any], least: int
    ) -> None:
        for _ in range(AHEAD):  # in turn, so that each has one before any has two
            for station in self._stations:
                if left and station.ready is None and len(station.chunks) < AHEAD:
                    items = self._next(left, sizes, least)
                    station.chunks[send(station.actor, items)] = _Chunk(items, set(items))

    def _next(self, left: deque[int], sizes: Sequence[int], least: int) -> list[int]:
        """The next chunk: smaller towards the end, so that stations end together; a suspect goes alone."""
        stations = len(self._stations)
        most = min(
            CHUNK_ITEMS, max(len(left) // (2 * AHEAD * stations), min(least, -(-len(left) // stations)))
        )
        items = [left.popleft()]
        size = sizes[items[0]]
        while left and len(items) < most and items[0] not in self._suspects and left[0] not in self._suspects:
            size += sizes[left[0]]
            if size > CHUNK_BYTES:
                break
            items.append(left.popleft())
        return items

    def _take(self, one: Any, left: deque[int]) -> Iterator[tuple[int, Any]]:
        """Take what a station has to give: that it is ready, a result, its chunk's end, or its death."""
        from ray.exceptions import RayError, RayTaskError

        station = next(s for s in self._stations if one is s.ready or one in s.chunks)
        try:
            if one is station.ready:
                refusal, station.node = self._ray.get(one)
                if refusal:
                    raise UsageError(refusal)
                station.ready = None
                return
            chunk = station.chunks[one]
            place, result, last = self._ray.get(next(one))
        except StopIteration:
            left.extendleft(sorted(station.chunks.pop(one).left, reverse=True))
        except RayTaskError as error:
            if isinstance(error.cause, EvalsError):
                raise error.cause from None
            raise
        except RayError as error:  # its process or machine is gone, or a result with it
            yield from self._bury(station, left, str(error).strip().splitlines()[-1])
        else:
            self._stillborn = 0
            if last:
                chunk.left.discard(chunk.items[place])
                self._suspects.pop(chunk.items[place], None)
            yield chunk.items[place], result

    def _bury(self, station: _Station, left: deque[int], why: str) -> Iterator[tuple[int, Any]]:
        """Give a dead station's work to others."""
        log.info("a station on %s ended, its work is done elsewhere: %s", station.node or "a machine", why)
        self._ray.kill(station.actor)
        self._stations.remove(station)
        self._looked = -PLACE_SECONDS
        if station.ready is not None:
            self._stillborn += 1
            if self._stillborn >= GIVE_UP * 2:
                raise UsageError(f"stations end before they begin: {why:.500}")
        living = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        chunks = list(station.chunks.values())
        if chunks and station.node in living:
            self._suspects.update(chunks[0].left)
        for chunk in reversed(chunks):
            lost = {i for i in chunk.left if self._suspects[i] >= GIVE_UP and chunk.items == [i]}
            left.extendleft(sorted(chunk.left - lost, reverse=True))
            yield from ((item, Lost()) for item in lost)


def _words(needs: Mapping[str, float]) -> str:
    found = {**needs, "GiB of memory": needs.get("memory", 0) / 2**30}
    return ", ".join(f"{value:g} {kind}" for kind, value in found.items() if value and kind != "memory")
