"""What a command prints. Names and reasons come from others: no control character and no key reaches a
terminal."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import sys
from typing import Any

import click

from evals.runs.secrets import redacted

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """A text as a terminal may have it: line feeds and tabs stay, other control characters are spelt out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(redacted(text)).replace("\r\n", "\n"))


def tell(text: str) -> None:
    """A result, on stdout."""
    _write(shown(text))


def tell_table(text: str) -> None:
    """A table that was made for this terminal, with its colours; its maker has cleaned the names in it."""
    _write(str(redacted(text)))


def table_width() -> int:
    """How wide a table may be: the terminal, up to 110 columns, and 80 where there is none."""
    return max(60, min(110, shutil.get_terminal_size().columns)) if sys.stdout.isatty() else 80


def tell_json(value: Any, indent: int | None = None) -> None:
    """A result as one JSON document, on stdout."""
    text = json.dumps(redacted(value), ensure_ascii=False, indent=indent)
    _write(_CONTROL.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text))


def _write(text: str) -> None:
    """To stdout, as long as somebody reads it: `| head` is no fault and changes no exit code."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def say(text: str, end: bool = True) -> None:
    """A remark, on stderr as far as there is one."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            click.echo(shown(text), err=True, nl=end)


class Formatter(logging.Formatter):
    """Log lines as a terminal may have them."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))
