"""How the values of options are read: numbers, pairs, seeds, sizes, a configuration file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.errors import ConfigError, UsageError, nearest

if TYPE_CHECKING:
    from evals.runs.segments import Shard

MAX_SEEDS = 10_000


def shard(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Shard | None:
    from evals.runs.segments import Shard

    return Shard.parse(value) if value is not None else None


def finite(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse infinity and NaN, which pass a range's lower bound."""
    if value is not None and not math.isfinite(value):
        raise UsageError(f"{parameter.opts[-1]} {value}: must be a finite number")
    return value


def key_values(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        key, equals, setting = value.partition("=")
        if not equals or not key or not setting:
            raise UsageError(f"{parameter.opts[-1]} {value}: write KEY=VALUE")
        if key in found:
            raise UsageError(f"{parameter.opts[-1]} {key}: is given twice")
        found[key] = setting
    return found


def paths(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    return {key: Path(value) for key, value in key_values(ctx, parameter, values).items()}


def seeds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        if "," not in value:
            count = int(value)
            if not 1 <= count <= MAX_SEEDS:
                raise ValueError
            return list(range(count))
        given = [int(x) for x in value.split(",") if x.strip()]
        if not given or len(given) > MAX_SEEDS:
            raise ValueError
        return list(dict.fromkeys(given))
    except ValueError:
        raise UsageError(
            f"--seeds {value:.60}: write a count up to {MAX_SEEDS:,} (3: seeds 0, 1, 2) or a list (7,8 or 7,)"
        ) from None


def size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (width.isascii() and height.isascii() and width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {value}: write WIDTHxHEIGHT, such as 832x480")
    return int(width), int(height)


# --- the configuration file ---


def config_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keys of a configuration file become the options' defaults."""
    if value is None:
        return
    from evals.prompts.document import Document

    document = Document(value, ConfigError)
    data = document.data or {}
    if not isinstance(data, dict):
        document.fail("a configuration is a mapping of option names to values", ())
    names = _option_names(ctx)
    found: dict[str, Any] = {}
    for key, setting in data.items():
        name = str(key).replace("-", "_")
        if name not in names:
            known = [n.replace("_", "-") for n in names]
            document.fail(f"unknown key {key!r}{nearest(str(key), known)}", (str(key),))
        option = names[name]
        if ctx.command.name == "compare" and name == "out":
            continue  # where runs are kept is not where a report goes
        found[str(option.name)] = _from_yaml(document, str(key), option, setting)
    ctx.default_map = {**(ctx.default_map or {}), **found}


def _option_names(ctx: click.Context) -> dict[str, click.Option]:
    """The options of all commands by the name that a configuration file has for them."""
    group = ctx.find_root().command
    commands = list(group.commands.values()) if isinstance(group, click.Group) else [ctx.command]
    names = {
        option.lstrip("-").replace("-", "_"): parameter
        for command in commands
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--") or option == "-o"
    }
    del names["config"]
    return names


def _from_yaml(document: Any, key: str, option: click.Option, setting: Any) -> Any:
    """A YAML value in the form in which the option would be written."""

    def plain(value: Any) -> str:
        if value is None or isinstance(value, dict | list):
            document.fail(f"{key!r}: {value!r:.60} is not a value for this option", (key,))
        return str(value)

    if isinstance(setting, dict):
        if option.multiple:
            return [f"{k}={plain(v)}" for k, v in setting.items()]
        if option.name != "normalize":
            document.fail(f"{key!r} takes one value, not a mapping", (key,))
        return ",".join(f"{k}={plain(v)}" for k, v in setting.items())
    if isinstance(setting, list):
        values = [plain(x) for x in setting]
        # The last comma makes a list of one seed a list.
        return values if option.multiple else ",".join(values) + ("," if option.name == "seeds" else "")
    if option.is_flag and isinstance(setting, bool):
        return setting
    return [plain(setting)] if option.multiple else plain(setting)
