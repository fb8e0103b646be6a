"""The table of kinds: everything that can be cast, by the word a prompt's annotations use."""

from __future__ import annotations

from evals.worlds.actors import Kind
from evals.worlds.figures.birds import BIRDS
from evals.worlds.figures.people import PEOPLE
from evals.worlds.figures.quadrupeds import QUADRUPEDS
from evals.worlds.figures.springs import SPRINGS
from evals.worlds.figures.things import HANGING_LAMP, THINGS

KINDS: dict[str, Kind] = {**PEOPLE, **QUADRUPEDS, **BIRDS, **THINGS, **SPRINGS}


def cast(kind: str, action: str | None) -> Kind:
    """The kind for a word. A lamp that swings hangs from the ceiling. Raises `KeyError`."""
    if kind == "lamp" and action == "swing":
        return HANGING_LAMP
    return KINDS[kind]


def stand_ins(kind: str, action: str | None) -> list[str]:
    """Other kinds that can do the same, from the nearest in build to the farthest."""
    mine = KINDS[kind]
    able = [
        name
        for name, other in KINDS.items()
        if name != kind and (action is None or action in other.actions) and _moves(other) == _moves(mine)
        and (other.paint, other.colour, other.size) != (mine.paint, mine.colour, mine.size)
    ]  # fmt: skip

    def distance(name: str) -> tuple[float, str]:
        other = KINDS[name]
        away = abs(other.size - mine.size) / mine.size
        away += sum(abs(a - b) for a, b in zip(other.colour, mine.colour, strict=True)) / 400
        return away + 4.0 * (other.family != mine.family) + 2.0 * (other.paint != mine.paint), name

    return sorted(able, key=distance)


def _moves(kind: Kind) -> str:
    """How a kind gets about: only kinds of one sort can stand in for each other."""
    walkers = {"person", "quadruped", "bird", "hopper"}
    air = {"flyer", "riser", "flutter", "kite"}
    return "walks" if kind.family in walkers else "air" if kind.family in air else kind.family
