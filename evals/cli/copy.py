"""`copy`: a finished run to an object store, or back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.cli.options import break_lock, take_over
from evals.cli.output import say, tell, tell_json
from evals.cli.results import print_runs

if TYPE_CHECKING:
    from evals.remote.objects import Place


@click.command(name="copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@break_lock
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(source: str, target: str, break_lock: bool, as_json: bool) -> int:
    """Copy a run between a folder and an object store: one of FROM and TO is a URL (s3://bucket/runs/a).

    What is there already is not copied again. `run.json` comes last, so a run that can be opened is whole.
    """
    from evals.errors import UsageError
    from evals.remote import objects

    if objects.is_url(source) == objects.is_url(target):
        raise UsageError("copy: one of FROM and TO is a URL such as s3://bucket/runs/a, the other a folder")
    if break_lock:
        take_over(Path(source), Path(target))
    if objects.is_url(target):
        count = sent(Path(source), target)
        if as_json:
            tell_json({"run": source, "place": target, "files": count})
        else:
            tell(f"{source}: {count} files copied to {target}")
        return 0
    count = fetched(source, Path(target))
    say(f"{source}: {count} files copied to {target}")
    return print_runs([Path(target)], None, as_json)


def sent(run: Path, url: str) -> int:
    """Copy a run to a store; gives how many files were sent."""
    from evals.errors import RunMismatch
    from evals.records import digest
    from evals.remote.objects import Place, upload
    from evals.runs.folder import RunFolder
    from evals.runs.lock import held

    info = RunFolder(run).info
    place = Place.at(url)
    there = place.files()
    if "run.json" in there and _id(place) != info.id:
        raise RunMismatch(f"{url}: holds another run; choose another place")
    note = run / f".sent-{digest(place.url)[:12]}.json"
    if there and "run.json" not in there and not note.exists():
        raise RunMismatch(f"{url}: holds other files; choose an empty or new place")
    with held(run):
        return upload(run, place, "run.json", note)


def fetched(url: str, run: Path) -> int:
    """Copy a run from a store into a new folder, or one that holds the same run."""
    from evals.errors import RunMismatch, UsageError
    from evals.records import digest
    from evals.remote.objects import Place, download
    from evals.runs.folder import RunFolder
    from evals.runs.lock import held

    place = Place.at(url)
    if "run.json" not in place.files():
        raise UsageError(f"{url}: holds no run.json: not a run, or one that was not copied to its end")
    note = run / f".fetched-{digest(place.url)[:12]}.json"
    if run.exists() and any(run.glob("[!.]*")) and not note.exists():
        raise RunMismatch(f"{run}: holds other files; choose an empty or new folder")
    if (run / "run.json").exists() and _id(place) != RunFolder(run).info.id:
        raise RunMismatch(f"{url}: holds another run than {run}; choose another folder")
    run.mkdir(parents=True, exist_ok=True)
    with held(run):
        return download(place, run, "run.json", note)


def _id(place: Place) -> str | None:
    """The id of the run that a store's folder holds."""
    try:
        return str(json.loads(place.read("run.json"))["id"])
    except (ValueError, KeyError, TypeError):
        return None
