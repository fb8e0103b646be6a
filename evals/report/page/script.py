"""The page's script, styles and what they may do.

The modules of `js/` are plain files that import each other. A page on a disk can load no modules, so they are
joined into one script: each becomes a function that gives what the module exports."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

ORDER = (
    "dom", "data", "marks", "order", "clock", "transport", "players", "filters", "grid", "curves", "stage",
    "tables", "about", "main",
)  # fmt: skip
"""A module stands after those it imports."""
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def _text(name: str) -> str:
    return (files("evals.report.page") / name).read_text(encoding="utf-8")


@cache
def viewer() -> str:
    """All modules as one script."""
    return "\n".join(_as_function(name) for name in ORDER)


def _as_function(name: str) -> str:
    text = _IMPORT.sub(r"const \1 = \2Module;", _text(f"js/{name}.js"))
    exported = ", ".join(found[2] for found in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\1", text)
    return f"const {name}Module = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


@cache
def charts() -> str:
    """The vendored chart library."""
    return _text("vendor/uPlot.iife.min.js")


@cache
def styles() -> str:
    """The page's style sheet and the chart library's."""
    return _text("page.css") + _text("vendor/uPlot.min.css")


def policy(scripts: list[str], sheets: list[str], single: bool) -> str:
    """What the page may do: these scripts and styles; data, pictures and videos from beside it, or from
    inside it where it is a single file; nothing from a network."""
    beside = "" if single else " 'self'"
    inside = "data:" if single else "'self'"
    rules = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}{beside}",
        f"style-src {' '.join(map(_hash, sheets))}",
        f"img-src {inside}",
        f"media-src {inside}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
