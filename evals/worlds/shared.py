"""What the actors of one scene share while they are given their places."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evals.records import Prompt
from evals.worlds.actors import Actor
from evals.worlds.kinds import KINDS
from evals.worlds.moves import Game
from evals.worlds.physics import Physics
from evals.worlds.places import HORIZON, WATERLINE, Place


@dataclass
class Stage:
    """What the actors of one scene share: chance, place, physics, a game of catch. `half` is half the
    width that is seen, in metres; `follows` that the camera goes along."""

    rng: np.random.Generator
    place: Place
    half: float
    follows: bool
    physics: Physics
    g: float
    law: str | None
    collide: bool
    game: Game | None = None
    game_kind: str = ""
    starts: tuple[int, ...] = ()
    taken: list[float] = field(default_factory=list)
    ramp: Actor | None = None
    kinds: tuple[str, ...] = ()
    riders: bool = False
    pace: float = 0.0
    sent: int = 0
    pendulums: int = 1
    hung: int = 0
    springs: tuple[str, ...] = ()

    def prepare(self, prompt: Prompt) -> None:
        """What must be known before the first actor gets its place."""
        self.kinds = tuple(s.kind for s in prompt.subjects)
        self.physics.floor(WATERLINE if self.place.style == "water" else self.place.base)
        self.riders = any(KINDS[s.kind].family == "person" and s.action == "swing" for s in prompt.subjects)
        self.pendulums = max(1, sum(s.count for s in prompt.subjects if s.action == "swing"))
        self.springs = tuple(
            s.size or "medium" for s in prompt.subjects if s.kind == "spring" for _ in range(s.count)
        )
        players = [s for s in prompt.subjects if s.action in ("catch", "throw") and s.count > 1]
        if not players:
            return
        balls = [s for s in prompt.subjects if KINDS[s.kind].family == "ball"]
        if not balls:
            return
        one = players[0]
        thrown = next((s for s in balls if s.kind == one.target), balls[0])
        chased = any(s.action == "chase" for s in prompt.subjects) and thrown.count > 1
        size = KINDS[one.kind].size
        spread = np.linspace(-0.72, 0.72, one.count) * self.half
        hands = [(float(x + self.rng.uniform(-0.1, 0.1)), self.ground(size)[1] + 0.95 * size) for x in spread]
        self.game = Game(hands, self.g, height=float(self.rng.uniform(0.5, 0.8)), pause=0.22)
        self.game_kind = thrown.kind
        self.starts = tuple(range(min(thrown.count - chased, one.count)))

    def ground(self, size: float) -> tuple[float, float]:
        """How large something is drawn on the ground, as a share, and where it stands."""
        if self.place.style == "water":
            return 0.62, HORIZON - 0.06
        return 1.0, self.place.base

    def free(self, half_width: float) -> float:
        """A place across the picture where little stands yet."""
        reach = max(0.2, self.half * 0.86 - half_width)
        tries = self.rng.uniform(-reach, reach, 12)
        gaps = [min([abs(x - y) for y in self.taken], default=9.0) for x in tries]
        best = float(tries[int(np.argmax(gaps))])
        self.taken.append(best)
        return best

    def side(self) -> int:
        """1 or −1, by turns: things that meet come from both sides."""
        self.sent += 1
        return 1 if self.sent % 2 else -1
