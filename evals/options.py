"""Options of the command line, and what they mean: arguments to plans, metrics, views and resources."""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evals.errors import ConfigError, UsageError, nearest


def _commands(ctx: click.Context) -> list[click.Command]:
    group = ctx.find_root().command
    return list(group.commands.values()) if isinstance(group, click.Group) else [ctx.command]


def config_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Keys of a configuration file become the options' defaults."""
    if value is None:
        return
    from evals.prompts import Document

    document = Document(value, ConfigError)
    data = document.data or {}
    if not isinstance(data, dict):
        document.fail("a configuration is a mapping of option names to values", ())
    names = {
        option.lstrip("-").replace("-", "_"): p
        for c in _commands(ctx)
        for p in c.params
        if isinstance(p, click.Option)
        for option in p.opts
        if option.startswith("--") or option == "-o"
    }
    del names["config"]
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


def finite(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse infinity and NaN, which pass a range's lower bound."""
    if value is not None and not math.isfinite(value):
        raise UsageError(f"{parameter.opts[-1]} {value}: must be a finite number")
    return value


MAX_SEEDS = 10_000


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


def several(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_positive = click.FloatRange(0.1)
path_type = click.Path(path_type=Path)
common = several(
    click.option("--config", type=path_type, callback=config_file, is_eager=True, expose_value=False,
                 help="YAML file with any of these options; see `init`."),
    click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes (default: one per core)."),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 … for encoders."),
    click.option("--time-limit", type=_positive, callback=finite, help="Seconds allowed per video."),
    click.option("--stall-limit", type=_positive, callback=finite, help="Seconds a decoder may be silent."),
    click.option("--memory-limit", type=click.FloatRange(0.5, 4096), callback=finite,
                 help="GiB a decoder process may use."),
    click.option("--plugin", "plugins", type=path_type, multiple=True, help="File with own components."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
)  # fmt: skip
generating = several(
    click.option("--generator", "generators", required=True, multiple=True,
                 help="KIND:ARGUMENT, such as folder:clips/modelA; several make several runs."),
    click.option("--interleave", type=click.IntRange(1), metavar="N",
                 help="Of several generators, N prompts of one after N of the other."),
    click.option("-o", "options", multiple=True, callback=key_values, metavar="KEY=VALUE",
                 help="Generator option."),
    click.option("--expand", metavar="openai-chat:MODEL[@URL]",
                 help="Have a language model rewrite the prompts; metrics go by the originals."),
    click.option("--prompts", help="Prompt sets, names or files, with commas between them."),
    click.option("--seeds", callback=seeds, help="How many seeds (3: 0, 1, 2), or a list (7,8)."),
    click.option("--prompt-id", "prompt_ids", multiple=True, help="Only this prompt; repeatable."),
    click.option("--limit", type=click.IntRange(1), help="Only the first N prompts."),
    click.option("--frames", type=click.IntRange(1), help="Frames asked for."),
    click.option("--fps", type=_positive, callback=finite, help="Frame rate asked for."),
    click.option("--seconds", type=_positive, callback=finite, help="Length asked for; with --fps."),
    click.option("--size", callback=size, help="Size asked for, WIDTHxHEIGHT."),
    click.option("--out", type=path_type, default=Path("runs"), help="Where runs are kept (default: runs)."),
    click.option("--name", help="The run's name (default: after the generator)."),
    click.option("--max-cost", type=click.FloatRange(0), callback=finite,
                 help="Of all videos of a run, in the API's currency (-o price= where it reports none)."),
    click.option("--layout", help="How a folder of clips is laid out, where it is not detected."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
)  # fmt: skip
retrying = several(
    click.option("--retry", type=click.Choice(["none", "transient", "all"]), default="transient",
                 show_default=True, help="Which failures to try again."),
    click.option("--break-lock", is_flag=True,
                 help="Take the run over from a process of another machine that has ended."),
)  # fmt: skip
weights = click.option(
    "--weights",
    multiple=True,
    callback=key_values,
    metavar="ENCODER=PATH",
    help="Local weights of an encoder.",
)
normalize = click.option(
    "--normalize", metavar="VIEW", help="Score all videos alike: fps=8,seconds=2,short_side=256."
)
choosing = several(
    click.option("--suite", default=None, help="Suite name or file (default: quick)."),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16"]),
        default="fp32",
        show_default=True,
        help="Of the encoders' networks; numbers of the two don't mix.",
    ),
    click.option("--metrics", help="Metric ids with commas between them, instead of a suite."),
    weights,
)
scoring = several(
    choosing,
    normalize,
    click.option("--rescore", is_flag=True, help="Compute scores again from the stored rows."),
)


def resources_of(options: dict[str, Any]) -> Any:
    """Take the common options out of a command's arguments."""
    from evals.registry import load_plugin
    from evals.run import Resources
    from evals.video import Limits

    level = logging.INFO if options.pop("verbose") else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    plugins = options.pop("plugins")
    for plugin in plugins:
        load_plugin(plugin)
    bounds = {"seconds": options.pop("time_limit"), "stall": options.pop("stall_limit")}
    memory = options.pop("memory_limit")
    given = {k: v for k, v in bounds.items() if v is not None}
    if memory is not None:
        given["memory"] = int(memory * 2**30)
    return Resources(options.pop("workers"), options.pop("device"), Limits(**given), plugins)


def plans_of(o: dict[str, Any]) -> list[Any]:
    """The generating options as plans, one for every generator."""
    given = o["generators"]
    if len(given) > 1 and o["name"]:
        raise UsageError("--name is for one generator; several are named after themselves")
    if o["interleave"] and len(given) < 2:
        raise UsageError("--interleave is for several generators: give --generator more than once")
    plans = [_plan_of(o, name) for name in given]
    folders = [plan.folder for plan in plans]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(f"two generators would both be run in {folder}; run them one by one with --name")
    return plans


def _plan_of(o: dict[str, Any], generator_name: str) -> Any:
    from evals import generators, prompts
    from evals.run import Plan, checked_name, default_name

    frames = o["frames"]
    if o["seconds"] is not None:
        if frames is not None or o["fps"] is None:
            raise UsageError("--seconds needs --fps, and no --frames")
        frames = max(1, round(o["seconds"] * o["fps"]))
    width, height = o["size"] or (None, None)
    options = dict(o["options"])
    for name in ("max_cost", "layout"):
        if o[name] is not None:
            options[name] = str(o[name])
    generator = generators.create(generator_name, options)
    if o["expand"]:
        from evals.generators.expand import Expanded, expander

        generator = Expanded(generator, expander(o["expand"]))
    names = [n.strip() for n in (o["prompts"] or "").split(",") if n.strip()]
    return Plan(
        generator=generator,
        folder=o["out"] / checked_name(o["name"] or default_name(generator.label)),
        prompts=prompts.merge(prompts.load(prompts.find(n)) for n in names) if names else None,
        seeds=o["seeds"],
        settings=_settings(width, height, frames, o["fps"]),
        prompt_ids=o["prompt_ids"],
        limit=o["limit"],
        retry=o["retry"],
    )


def _settings(width: int | None, height: int | None, frames: int | None, fps: float | None) -> Any:
    from pydantic import ValidationError

    from evals.records import Settings, explain

    try:
        return Settings(width=width, height=height, frames=frames, fps=fps)
    except ValidationError as error:
        raise UsageError(f"the size, frames or fps asked for: {explain(error)}") from None


def _split(ids: str) -> list[str]:
    """Metric ids between commas; a comma inside brackets belongs to the id."""
    return re.split(r",(?![^\[]*\])", ids)


def metrics_of(o: dict[str, Any]) -> Any:
    """The scoring options as metrics, ready to work."""
    from evals import score, suites

    given, suite = o["metrics"], o["suite"]
    if given is not None and suite is not None:
        # The command line has the last word over a configuration file.
        source = click.get_current_context().get_parameter_source
        typed = [
            name for name in ("metrics", "suite") if source(name) == click.core.ParameterSource.COMMANDLINE
        ]
        if len(typed) != 1:
            raise UsageError("--metrics and --suite exclude each other; a suite file can list both")
        given, suite = (given, None) if typed == ["metrics"] else (None, suite)
    if given is not None:
        ids = list(dict.fromkeys(m.strip() for m in _split(given) if m.strip()))
        if not ids:
            raise UsageError(f"--metrics {given!r}: names no metric; see `t2v-evals list metrics`")
    else:
        ids = list(suites.load(suite or "quick").metrics)
    return score.prepare(ids, {k: Path(v) for k, v in o["weights"].items()}, o["precision"])


def view_of(o: dict[str, Any]) -> Any:
    from evals.records import View

    return View.parse(o["normalize"] or "native")
