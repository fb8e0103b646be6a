"""`rate RUN RUN …`: serve the page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import PATH, Common, allow_outside, common
from evals.cli.output import say, tell, tell_json
from evals.cli.rate.opening import aspect as aspect_option
from evals.cli.rate.opening import limit as limit_option
from evals.cli.rate.opening import opened
from evals.cli.rate.opening import out as out_option
from evals.errors import UsageError

if TYPE_CHECKING:
    from evals.ratings.study import Aspect


@click.command(name="serve")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@out_option
@aspect_option
@limit_option
@click.option(
    "--raters",
    default="1",
    show_default=True,
    metavar="N or NAMES",
    help="How many raters, or their names with commas: each gets a link.",
)
@click.option("--pairs", type=click.IntRange(1), help="Pairs for each rater (default: all).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port (default: the study's last one, or a free one).",
)
@allow_outside
@common
def command(
    runs: tuple[Path, ...], out: Path | None, aspect: Aspect, limit: int | None, raters: str,
    pairs: int | None, port: int, allow_outside: bool, common: Common,
) -> int:  # fmt: skip
    """Serve a page on which people vote between the videos of RUNS, two at a time, without knowing whose they
    are. The page is on this machine alone; each rater has a link. Stop it with Ctrl-C; the same command goes
    on with the votes that are there."""
    from evals.cli.progress import Bar
    from evals.judges.wording import PEOPLE
    from evals.ratings.clips import prepare_clips
    from evals.ratings.desk import Desk
    from evals.ratings.server import HOST, application, listen, serve

    common.start()
    names = _names(raters)
    with opened(runs, out, aspect, limit, allow_outside) as (study, by_label):
        study.add_raters(names)
        with common.resources() as resources, Bar(common.quiet) as bar:
            prepare_clips(study, by_label, resources, bar)
        with Desk(study, pairs) as desk:
            question = PEOPLE[study.study.aspect]
            application(desk, question)  # says what is missing before links are given out
            where = listen(port or study.study.port, strict=bool(port))
            study.set_port(where.getsockname()[1])
            base = f"http://{HOST}:{study.study.port}"
            links = {name: f"{base}/r/{study.study.raters[name]}/" for name in names}
            if common.as_json:
                tell_json({"study": str(study.path), "links": links})
            else:
                tell(f"study: {study.path}, {len(study.pairs)} pairs; votes are kept there")
                for name, link in links.items():
                    tell(f"{name}: {link} ({desk.done(name)} of {desk.target} done)")
            say("Ctrl-C stops the page")
            with suppress(KeyboardInterrupt):  # the way to stop it
                serve(desk, question, where)
    tell(f"results: t2v-evals rate show {study.path}")
    return 0


def _names(text: str) -> list[str]:
    """Raters' names. Raises `UsageError`."""
    if text.strip().isdigit():
        count = int(text)
        if not 1 <= count <= 1000:
            raise UsageError(f"--raters {text}: 1 to 1000")
        return [f"rater-{i}" for i in range(1, count + 1)]
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or any(len(name) > 100 for name in names):
        raise UsageError("--raters: give a number, or names with commas between them")
    return names
