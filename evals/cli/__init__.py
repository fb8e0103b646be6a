"""The command line: one file per command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import warnings
from types import FrameType
from typing import TextIO

import click

from evals.cli import (
    compare,
    copy,
    demo,
    distance,
    doctor,
    gate,
    generate,
    init,
    judge,
    list_,
    merge,
    physics_iq,
    prompts,
    rate,
    reference,
    run,
    score,
    show,
    validate,
    weights,
)
from evals.cli.groups import Group
from evals.cli.output import say
from evals.errors import EvalsError, EvalsWarning

INTERRUPTED = 130


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="t2v-evals", prog_name="t2v-evals")
def cli() -> None:
    """Evaluate text-to-video models: scores with intervals, sample counts and verdicts."""


for _file in (demo, run, generate, score, compare, gate, judge, rate, merge, copy, show, list_, prompts,
              reference, distance, physics_iq, weights, validate, init, doctor):  # fmt: skip
    cli.add_command(_file.command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point; turns errors into a sentence and an exit code."""
    warnings.showwarning = _show_warning
    _received.clear()
    _end_on_signals()
    try:
        code = cli.main(args=arguments, prog_name="t2v-evals", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except EvalsError as error:
        code = _failed(f"error: {error}", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _failed("", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except (OSError, UnicodeError) as error:
        code = _failed(f"error: {error}", 2)
    except Exception as error:  # noqa: BLE001
        # Python's own exit code, 1, means "regression".
        if "-v" in (arguments or sys.argv) or "--verbose" in (arguments or sys.argv):
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        code = _failed(f"error: unexpected: {message:.500} (-v shows where; please report it)", 2)
    sys.exit(code if isinstance(code, int) else 0)


_received: list[int] = []
"""Signals to end that came during this command."""


def _failed(message: str, code: int) -> int:
    """Say why a command ended, and give its exit code. Where a signal came, that is why: compiled code may
    turn the exception that it raises into another."""
    if not _received and code != INTERRUPTED:
        say(message)
        return code
    say("stopped; finished work is kept, and the same command goes on from here")
    return 128 + _received[0] if _received else INTERRUPTED


def _end_on_signals() -> None:
    """End as by Ctrl-C when a service manager, a scheduler or a closed terminal says so; `nohup` holds."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


_python_warning = warnings.showwarning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, EvalsWarning):
        say(f"warning: {message}")
    else:
        _python_warning(message, category, filename, lineno, file, line)
