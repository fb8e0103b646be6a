"""Words that the rules know."""

from __future__ import annotations

import re

SIZES = {
    "small": "small", "little": "small", "tiny": "small", "large": "large", "big": "large", "huge": "large",
    "giant": "large", "enormous": "large", "medium-sized": "medium",
}  # fmt: skip
INDEFINITE = {
    "pair": 2, "couple": 2, "both": 2, "several": 3, "group": 3, "few": 3, "some": 3, "row": 3,
    "stack": 3, "pile": 3, "bunch": 3, "many": 5, "flock": 5, "herd": 5, "pack": 5, "school": 5,
    "swarm": 5, "crowd": 5,
}  # fmt: skip
"""Words before a noun that stand for some number of it."""
NO_SUBJECT = frozenset({
    "camera", "shot", "video", "scene", "view", "clip", "footage", "film", "frame", "picture", "image",
    "angle", "background", "foreground", "close", "closeup", "front", "back", "side", "left", "right",
    "top", "bottom", "middle", "center", "centre", "edge", "end", "way", "time", "lapse", "motion",
    "moment", "second", "minute", "hour", "day", "night", "morning", "evening", "noon", "sunset",
    "sunrise", "dusk", "dawn", "air", "distance", "direction", "line", "row", "pair", "couple", "group",
    "number", "kind", "piece", "part", "place", "world", "style", "detail", "resolution", "quality", "k",
    "light", "colour", "color", "pace", "speed", "height", "length", "size", "turn", "other", "one",
    "rest", "half", "life", "slow", "flight", "catch",
    "timelapse", "stack", "pile", "bunch", "flock", "herd", "pack",
    "swarm", "crowd", "nose", "cut",
})  # fmt: skip
"""Nouns that name nothing that stands in a scene."""
PLACE_AFTER = frozenset({
    "in", "on", "at", "across", "along", "through", "over", "by", "near", "beside", "past", "around",
    "inside", "into", "onto", "down", "up", "under", "above", "outside", "within",
})  # fmt: skip
PLACES = frozenset({
    "airport", "alley", "attic", "bakery", "balcony", "barn", "basement", "bathroom", "bay", "beach",
    "bedroom", "bridge", "cafe", "canyon", "cave", "church", "city", "classroom", "cliff", "coast",
    "corridor", "court", "courtyard", "desert", "desk", "factory", "farm", "farmyard", "field", "floor",
    "forest", "garage", "garden", "glacier", "grass", "gym", "hall", "harbour", "harbor", "hill",
    "hillside", "house", "ice", "island", "jungle", "kitchen", "laboratory", "lab", "lake", "lane",
    "lawn", "library", "market", "marsh", "meadow", "mountain", "museum", "ocean", "office", "orchard",
    "paddock", "park", "path", "pavement", "pier", "platform", "playground", "pond", "pool", "porch",
    "prairie", "quarry", "railway", "reef", "restaurant", "river", "road", "roof", "room", "sand",
    "savanna", "savannah", "school", "sea", "shop", "shore", "sidewalk", "sky", "slope", "snow", "space",
    "square", "stable", "stadium", "stage", "station", "steppe", "store", "stream", "street", "studio",
    "summit", "swamp", "table", "temple", "terrace", "track", "trail", "tundra", "tunnel", "valley",
    "village", "vineyard", "wall", "warehouse", "water", "waterfall", "window", "wood", "woods",
    "workshop", "yard", "zoo",
})  # fmt: skip
CAMERA = {
    re.compile(pattern, re.IGNORECASE): move
    for pattern, move in {
        r"\b(dolly|dollies|push(es)? in|pull(s|ing)? (back|away)|camera (moves|glides) (forward|back))":
            "dolly",
        r"\bzoom": "zoom",
        r"\bpan(s|ning)?\b": "pan",
        r"\btilt(s|ing)? (up|down)|camera tilt": "tilt",
        r"\bcrane|\bcamera (rises|descends|lifts)": "crane",
        r"\b(orbit|camera circles|circles around|arc shot)": "orbit",
        r"\b(aerial|drone|bird.?s.eye|top.down|fly.?over|from above)": "aerial",
        r"\b(pov|point of view|first.person)": "pov",
        r"\b(hand.?held|shaky cam)": "handheld",
        r"\b(tracking|trucking|dolly alongside|camera follows)": "tracking",
        r"\bcamera rolls?\b": "roll",
        r"\b(static|fixed|locked.off|tripod|camera (stays|remains|is) still|no camera movement)": "static",
    }.items()
}  # fmt: skip
STAGE_DIRECTIONS = re.compile(
    r"\b(the |a )?camera \w+( (left|right|up|down|in|out|forward|back|away|slowly|along))*"
    r"|\b(\w+ )?(shot|footage|video|view|close-?up|clip) of\b|\bthen a cut to\b|\bcuts? to\b",
    re.IGNORECASE,
)
"""What a text says of the camera instead of the scene."""
CUTS = {re.compile(r"\b(cut(s)? to|next scene|scene changes|montage)\b", re.IGNORECASE): True}
MOTION = {
    "none": frozenset({"stand", "lie", "rest", "remain", "stay"}),
    "low": frozenset({
        "sit", "eat", "sleep", "float", "drift", "read", "melt", "wave", "look", "watch", "smile",
        "drink", "write", "draw", "paint", "talk", "nod", "blink", "breathe", "glow", "graze",
        "hover", "grow", "sway",
    }),
    "medium": frozenset({
        "walk", "roll", "swim", "ride", "drive", "pour", "swing", "climb", "push", "pull", "carry",
        "slide", "sail", "row", "cook", "cut", "stir", "turn", "open", "close", "rise", "cross",
        "glide", "lift", "stroll", "play", "work", "wash", "flow",
    }),
    "high": frozenset({
        "run", "jump", "fly", "throw", "chase", "race", "fall", "bounce", "gallop", "sprint",
        "splash", "explode", "dance", "spin", "crash", "leap", "kick", "dive", "hop", "dash", "fight",
        "skate", "ski", "surf", "collide", "burst", "tumble", "shatter", "break", "drop", "catch",
        "hit",
    }),
}  # fmt: skip
"""Verbs by how much of a picture they move."""
