"""Scenes and captions to train the embedded encoders on: a small grammar over the simulated worlds.

Half of it are the standard prompts that can be drawn, in their own words and retold from their
annotations; the rest are scenes put together at random, so that kinds, colours, actions and places are
learnt apart from each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from evals import prompts
from evals.encoders.embedded_input import split
from evals.errors import CannotDraw
from evals.records import Prompt, Subject
from evals.worlds import check
from evals.worlds.film import Film
from evals.worlds.kinds import KINDS, cast

Rng = np.random.Generator
STANDARD = {"parks": 44, "animals": 44, "physics": 48}
DRAWN_SINCE = {"spring-weight"}

PLURAL = {
    "child": "children", "man": "men", "woman": "women", "person": "people", "sheep": "sheep", "fish": "fish",
    "goose": "geese", "box": "boxes", "bench": "benches", "pony": "ponies", "leaf": "leaves",
    "jellyfish": "jellyfish", "puppy": "puppies", "kitten": "kittens", "butterfly": "butterflies",
    "domino": "dominoes", "bunny": "bunnies",
}  # fmt: skip
SYNONYMS = {
    "dog": ("dog", "dog", "puppy"), "cat": ("cat", "cat", "kitten"), "rabbit": ("rabbit", "bunny"),
    "football": ("football", "soccer ball"), "person": ("person", "person", "friend"),
    "child": ("child", "kid"),
    "stone": ("stone", "pebble"), "can": ("can", "tin can"), "tyre": ("tyre", "tire"),
    "block": ("block", "wooden block"),
    "toy-boat": ("toy boat", "sailing boat"), "boat": ("boat", "sailing boat"), "petal": ("petal",),
    "horse": ("horse", "horse", "pony"), "box": ("box", "cardboard box"), "fish": ("fish", "goldfish"),
    "puck": ("puck", "hockey puck"), "bear": ("bear", "brown bear"), "cart": ("cart", "wagon"),
}  # fmt: skip
NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight")
PLACES = {
    "park": ("in a park", "in the park"), "lawn": ("on a lawn", "on a wide lawn"),
    "meadow": ("in a meadow", "on a meadow"),
    "garden": ("in a garden",), "field": ("in a field", "on a field"), "hill": ("on a hill",),
    "forest": ("in a forest",),
    "farm": ("on a farm",), "playground": ("on a playground",),
    "savanna": ("on the savanna", "in the savanna"),
    "desert": ("in the desert", "in a desert"), "beach": ("on a beach", "along the beach"),
    "square": ("on a square",),
    "ice": ("on the ice", "on ice"), "snow": ("in the snow", "on snow"), "mountain": ("on a mountain",),
    "pond": ("on a pond", "in a pond"), "lake": ("on a lake", "across the lake"),
    "sea": ("in the sea", "by the sea"),
    "river": ("in a river",), "sky": ("in the sky", "across the sky"),
    "reef": ("over a reef", "at a coral reef"),
    "tank": ("in a tank", "in an aquarium"), "room": ("in a room", "on a wooden floor"),
    "hall": ("in a hall",),
    "gym": ("in a gym",), "laboratory": ("in a laboratory", "in a lab"), "kitchen": ("in a kitchen",),
    "table": ("on a table", "across a table"), "corridor": ("in a corridor",), "path": ("on a path",),
    "desk": ("on a desk",), "court": ("on a court",),
}  # fmt: skip
VERBS = {
    "walk": ("walks", "walking"), "run": ("runs", "running"), "jump": ("jumps", "jumping"),
    "stand": ("stands", "standing"),
    "chase": ("chases", "chasing"), "throw": ("throws", "throwing"), "catch": ("catches", "catching"),
    "kick": ("kicks", "kicking"), "wave": ("waves", "waving"), "stretch": ("stretches", "stretching"),
    "swing": ("swings", "swinging"), "lie": ("lies", "lying"), "sleep": ("sleeps", "sleeping"),
    "eat": ("eats", "eating"),
    "fly": ("flies", "flying"), "swim": ("swims", "swimming"), "drift": ("drifts", "drifting"),
    "fall": ("falls", "falling"),
    "bounce": ("bounces", "bouncing"), "roll": ("rolls", "rolling"), "slide": ("slides", "sliding"),
    "float": ("floats", "floating"), "splash": ("splashes", "splashing"), "sit": ("sits", "sitting"),
}  # fmt: skip
PLAIN = {"walk": "walk", "run": "run", "jump": "jump", "stand": "stand"}
WET = ("pond", "lake", "sea", "river")
LAND = tuple(p for p in PLACES if p not in (*WET, "sky", "reef", "tank"))
COLOURS = ("red", "orange", "yellow", "green", "blue", "pink", "brown", "black", "white", "grey", "purple")
INDOORS = ("room", "hall", "gym", "laboratory", "kitchen", "table", "corridor", "desk")


def standard() -> list[Prompt]:
    """Those of the first prompts of the standard sets, which the encoder was trained on, that can be drawn at
    more than one shape of picture."""
    found = []
    for name, count in STANDARD.items():
        for prompt in prompts.load(prompts.find(name)).prompts[:count]:
            if prompt.id in DRAWN_SINCE:
                continue
            try:
                check(prompt)
                for width in (256, 192):
                    _ = Film(prompt, 0, width, 192).scene
            except CannotDraw:
                continue
            found.append(prompt)
    return found


def scene(rng: Rng) -> Prompt:
    """A random scene with one to three kinds of things in it. Its id names its contents."""
    while True:
        subjects, place = _subjects(rng)
        camera = "static" if rng.uniform() < 0.8 else str(rng.choice(["pan", "tracking", "handheld"]))
        key = hashlib.sha256(repr((subjects, place, camera)).encode()).hexdigest()[:12]
        prompt = Prompt.model_validate({
            "id": f"scene-{key}", "text": "-", "subjects": subjects, "place": place, "camera": camera,
        })  # fmt: skip
        try:
            check(prompt)
            _ = Film(prompt, 0, 64, 64).scene
        except CannotDraw:
            continue
        return prompt


def held_out(prompt: Prompt) -> bool:
    """Whether a scene's main combination (kind, colour, action, place) is kept from training: 1 in 8."""
    one = prompt.subjects[0]
    key = f"{one.kind}|{one.colour}|{one.action}|{prompt.place}"
    return hashlib.sha256(key.encode()).digest()[0] < 32


def _subjects(rng: Rng) -> tuple[list[Subject], str]:
    kinds = [k for k, v in KINDS.items() if v.family not in ("wall", "front", "ramp", "weight", "spring")]
    first = _subject(rng, str(rng.choice(kinds)))
    family = KINDS[first.kind].family
    if (
        family in ("floater",)
        or (first.action == "swim" and family == "bird")
        or (family == "swimmer" and first.action == "jump")
    ):
        place = str(rng.choice(WET))
    elif family in ("swimmer", "drifter"):
        place = str(rng.choice(["sea", "reef", "tank"]))
    elif first.action == "fly" and family in ("bird", "flyer") and rng.uniform() < 0.4:
        place = "sky"
    else:
        place = str(rng.choice(LAND))
    subjects = [first]
    if first.action in ("throw", "catch", "kick", "chase"):
        ball = str(rng.choice(["ball", "basketball", "football", "ball"]))
        subjects[0] = first.model_copy(
            update={"target": ball, "count": 2 if first.action == "catch" else first.count}
        )
        subjects.append(_subject(rng, ball, "roll" if first.action in ("kick", "chase") else "fly"))
    elif rng.uniform() < 0.35 and place not in ("sky", "reef", "tank", *WET):
        other = str(rng.choice([k for k in kinds if k != first.kind]))
        subjects.append(_subject(rng, other))
    return subjects, place


def _subject(rng: Rng, kind: str, action: str | None = None) -> Subject:
    what = KINDS[kind]
    able = sorted(cast(kind, None).actions & set(VERBS))
    action = action or str(rng.choice(able))
    count = 1 if rng.uniform() < 0.62 else int(rng.integers(2, 6))
    colour = (
        str(rng.choice(COLOURS))
        if rng.uniform() < (0.75 if what.family in ("ball", "box", "cart") else 0.5)
        else None
    )
    size = str(rng.choice(["small", "large"])) if rng.uniform() < 0.15 else None
    return Subject.model_validate(
        {"kind": kind, "count": count, "colour": colour, "size": size, "action": action}
    )


def tell(prompt: Prompt, rng: Rng) -> str:
    """A sentence that says what is in a scene, in one of many ways."""
    parts = [_phrase(s, prompt.subjects, rng, i) for i, s in enumerate(prompt.subjects)]
    joined = str(rng.choice([" and ", " while ", ", "])).join(parts) if rng.uniform() < 0.9 else parts[0]
    where = str(rng.choice(PLACES.get(prompt.place or "", ("",))))
    text = f"{where} {joined}" if rng.uniform() < 0.15 else f"{joined} {where}"
    if rng.uniform() < 0.1:
        text = str(rng.choice(["a video of ", "a scene with "])) + text
    return " ".join(text.split())


def _phrase(subject: Subject, everyone: Sequence[Subject], rng: Rng, place: int) -> str:
    noun = str(rng.choice(SYNONYMS.get(subject.kind, (subject.kind.replace("-", " "),))))
    many = subject.count > 1
    if many:
        head, _, last = noun.rpartition(" ")
        last = PLURAL.get(last, last + ("es" if last.endswith(("s", "sh", "ch", "x")) else "s"))
        noun = f"{head} {last}".strip()
    words = [subject.size or "", subject.colour or "", noun]
    count = (
        (NUMBERS[subject.count] if subject.count < 9 else "many")
        if many
        else str(rng.choice(["a", "the", "one"]))
    )
    if many and rng.uniform() < 0.2:
        count = str(rng.choice(["some", "several"]))
    thing = " ".join(w for w in (count, *words) if w)
    if thing.startswith("a ") and thing[2] in "aeio":
        thing = "an" + thing[1:]
    action = subject.action
    if action is None or (place and rng.uniform() < 0.3):
        return thing
    does, doing = VERBS[action]
    form = str(
        rng.choice(
            [doing, f"{'are' if many else 'is'} {doing}", action if many else does, action if many else does]
        )
    )
    goal = ""
    if subject.target:
        goal = f"after a {subject.target}" if action == "run" else f"a {subject.target}"
    return f"{thing} {form} {goal}".strip()


def vocabulary() -> list[str]:
    """Every word of the standard prompts that can be drawn and of the grammar, sorted."""
    words: set[str] = {"a", "an", "the", "one", "and", "while", "of", "video", "scene", "with", "is",
        "are", "many",
                       "some", "several", "after", "small", "large", "big", "medium"}  # fmt: skip
    words.update(w for w in NUMBERS if w)
    words.update(COLOURS)
    for text in [p.text for p in standard()]:
        words.update(split(text))
    for kind in KINDS:
        for noun in (kind.replace("-", " "), *SYNONYMS.get(kind, ())):
            last = noun.split()[-1]
            words.update(
                [
                    *split(noun),
                    PLURAL.get(last, last + ("es" if last.endswith(("s", "sh", "ch", "x")) else "s")),
                ]
            )
    for places in PLACES.values():
        for text in places:
            words.update(split(text))
    for action, forms in VERBS.items():
        words.update([action, *forms])
    return sorted(words)
