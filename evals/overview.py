"""Looking at things: a run's state, what is registered, what this machine can do."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals import prompts, suites
from evals.encoders import ENCODERS
from evals.errors import EvalsError, RunError
from evals.generators import GENERATORS
from evals.metrics import METRICS
from evals.provenance import hardware, versions
from evals.registry import Registry
from evals.rundir import RunDir


def describe(path: Path, view: str | None = None) -> dict[str, Any]:
    """A run's state: samples by outcome, scores by metric and status, and why things failed.

    `view` picks one normalisation (default: all that were scored).
    """
    run = RunDir(path)
    samples = run.samples()
    planned = run.info.sample_ids()
    outcomes = Counter(samples[at].outcome if at in samples else "missing" for at in planned)
    reasons: Counter[str] = Counter()
    for at in planned:
        if at in samples and samples[at].outcome != "ok":
            reasons[f"{samples[at].outcome}: {samples[at].reason}"] += 1
    scored: dict[str, dict[str, dict[str, int]]] = {}
    failed_scores = 0
    ok = [at for at in planned if at in samples and samples[at].outcome == "ok"]
    for name in [view] if view else list(run.info.metrics):
        scores = run.scores(name, samples)
        for metric, info in run.info.metrics.get(name, {}).items():
            if info.kind != "video":
                continue
            found = [scores.get(at, {}).get(metric) for at in ok]
            counts = Counter("missing" if s is None else s.status for s in found)
            scored.setdefault(name, {})[metric] = dict(counts)
            failed_scores += counts["failed"]
            for s in found:
                if s is not None and s.status != "ok":
                    reasons[f"{metric} {s.status}: {s.reason}"] += 1
    return {
        "run": str(path),
        "generator": run.info.label,
        "status": run.info.status,
        "prompts": len(run.info.prompts),
        "samples": {"planned": len(planned), **outcomes},
        "scores": scored,
        "sets": sorted({n for m in run.info.metrics.values() for n, i in m.items() if i.kind == "set"}),
        "reasons": dict(reasons.most_common()),
        "failed": outcomes["failed"] + outcomes["timed_out"] + failed_scores,
    }


def one_line(facts: dict[str, Any]) -> str:
    """A run's state in a line or two, for the end of a command."""
    samples = facts["samples"]
    rest = ", ".join(f"{n} {k}" for k, n in samples.items() if k not in ("planned", "ok") and n)
    text = f"{facts['run']}: {samples.get('ok', 0)} of {samples['planned']} samples ok" + (
        f", {rest}" if rest else ""
    )
    for view, metrics in facts["scores"].items():
        text += f"; {len(metrics)} metrics ({view})"
        skipped = sum(counts.get("skipped", 0) for counts in metrics.values())
        if skipped:
            every = sum(sum(counts.values()) for counts in metrics.values())
            why = next(r.split(": ", 1)[1] for r in facts["reasons"] if " skipped: " in r)
            text += f"\n{skipped} of {every} scores skipped ({view}), mostly because: {why}"
    if facts["failed"]:
        text += f"\n{facts['failed']} samples or scores failed; see: t2v-evals show {facts['run']}"
    return text


def as_text(facts: dict[str, Any]) -> str:
    """A run's state for people."""
    samples = ", ".join(f"{n} {k}" for k, n in facts["samples"].items())
    lines = [
        f"run        {facts['run']}",
        f"generator  {facts['generator']}",
        f"status     {facts['status']}",
        f"prompts    {facts['prompts']}",
        f"samples    {samples}",
    ]
    for view, metrics in facts["scores"].items():
        lines.append(f"scores     {view}")
        for name, counts in metrics.items():
            lines.append(f"  {name:44s} " + ", ".join(f"{n} {k}" for k, n in sorted(counts.items())))
    if facts["sets"]:
        lines.append(f"sets       {', '.join(facts['sets'])} (computed by compare --reference)")
    if facts["reasons"]:
        lines.append("what is not ok, and why")
        lines += [f"  {count:5d} × {reason}" for reason, count in facts["reasons"].items()]
    return "\n".join(lines)


def _first_line(component: Any) -> str:
    text = " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."


def catalogue(what: str) -> Iterator[tuple[str, str]]:
    """Names with what they are."""
    if what == "prompts":
        for name in prompts.builtin_names():
            found = prompts.load(prompts.find(name))
            yield name, f"{len(found.prompts)} prompts: {found.description}"
    elif what == "suites":
        for name in suites.names():
            suite = suites.load(name)
            yield name, f"{len(suite.metrics)} metrics, needs {suite.needs}: {suite.description}"
    else:
        registry: Registry = {"generators": GENERATORS, "encoders": ENCODERS, "metrics": METRICS}[what]
        for name in registry:
            component = registry.get(name)
            takes = getattr(component, "takes", None) if what == "metrics" else None
            if name == "*/*":
                name = "ARCH/TAG"
            yield f"{name}[{takes}]" if takes else name, _first_line(component)


CONFIG = """\
# Options of `t2v-evals run --config {path}`; the command line has the last word.
# Any option of run, generate, score and compare can stand here under its long name (`out` is where
# runs are kept; compare does not read it). Paths are taken from the folder the command is run in.

generator: folder:clips/modelA   # a folder with videos.jsonl: {{"path": "0.mp4", "prompt": "…"}}
# prompts: parks,animals,physics # standard sets or files; a folder can do without
# seeds: 3                       # seeds 0, 1, 2
# name: modelA-step-4000         # default: after the generator
out: runs

suite: quick                     # see `t2v-evals list suites`
# metrics: [temporal_flicker, "warping_error[dis]"]   # instead of a suite
# normalize: fps=8,seconds=2,short_side=256           # score all videos alike
# weights:
#   ViT-B-32-quickgelu/openai: weights/clip.safetensors

# plugin: [my_metric.py]
# workers: 4
# device: auto
# retry: transient               # none | transient | all
"""


def write_config(path: Path) -> None:
    """Write the commented configuration. Raises `RunError` where a file is there or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(CONFIG.format(path=path.name))
    except FileExistsError:
        raise RunError(f"{path}: exists already; it is left as it is") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def check_machine() -> Iterator[str]:
    """What this machine is, and for every suite whether it can run."""
    facts = hardware()
    yield f"system      {facts['system']}, {facts['machine']}, {facts['cores']} usable cores"
    yield "versions    " + ", ".join(f"{k} {v}" for k, v in versions().items())
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            for i in range(torch.cuda.device_count()):
                free, total = torch.cuda.mem_get_info(i)
                name = torch.cuda.get_device_name(i)
                yield f"device      cuda:{i} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        else:
            yield "device      cpu (torch sees no CUDA device); encoders run, slowly"
    yield f"here        {Path.cwd()} is {'writable' if os.access(Path.cwd(), os.W_OK) else 'NOT writable'}"
    from evals.score import prepare

    offline = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"  # look, don't fetch
    try:
        for name in suites.names():
            try:
                prepare(suites.load(name).metrics, {})
                yield f"suite       {name}: can run"
            except EvalsError as error:
                yield f"suite       {name}: cannot run here: {error}"
    finally:
        if offline is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = offline
