"""A gate's result as files: JUnit XML for CI, Markdown for a pull request's comment, a contact sheet."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evals import video
from evals.errors import SampleError
from evals.executors import Source
from evals.gate.records import PASSING, Case, GateResult
from evals.records import Normalization
from evals.report.gate_table import cells, headline, said, tail_said
from evals.report.markdown import escaped
from evals.report.numbers import number
from evals.runs.current import SampleId
from evals.runs.folder import RunFolder
from evals.runs.journal import write_atomically
from evals.runs.secrets import redacted
from evals.video import Frames

WORDS = {"pass": "passes", "regression": "regression", "inconclusive": "inconclusive",
         "not comparable": "not comparable"}  # fmt: skip
CELL, HEAD, TIMES = 220, 66, 3
"""Pixels of a cell's width and of the head over the cells, and moments of a clip that the sheet shows."""

Sides = tuple[Path | None, Path | None]


def write_all(result: GateResult, clips: Mapping[SampleId, Source], run: RunFolder, folder: Path) -> None:
    """gate.json, junit.xml, gate.md and, where there is something to show, worst.png in a folder. `clips` are
    the baseline's, `run` is the candidate."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(redacted(result.to_json()), ensure_ascii=False, indent=1)
    write_atomically(folder / "gate.json", text.encode())
    places = {"junit": "junit.xml", "markdown": "gate.md", "sheet": "worst.png"}
    write_some(result, clips, run, **{kind: folder / name for kind, name in places.items()})


def write_some(
    result: GateResult,
    clips: Mapping[SampleId, Source],
    run: RunFolder,
    junit: Path | None = None,
    markdown: Path | None = None,
    sheet: Path | None = None,
) -> list[Path]:
    """The files that have a place; gives those that were written. Markdown shows the sheet by its name."""
    for path in (junit, markdown, sheet):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    shown = sheet is not None and write_sheet(_sides(result, clips, run), sheet)
    if junit is not None:
        write_atomically(junit, as_junit(result).encode())
    if markdown is not None:
        name = sheet.name if sheet is not None and shown else None
        write_atomically(markdown, as_markdown(result, name).encode())
    return [path for path in (junit, markdown, sheet if shown else None) if path is not None]


def _sides(result: GateResult, clips: Mapping[SampleId, Source], run: RunFolder) -> list[tuple[Case, Sides]]:
    """The worst samples with the baseline's clip and the candidate's."""
    samples = run.samples()
    found = []
    for case in result.cases:
        at = (case.prompt_id, case.seed)
        mine, theirs = samples.get(at), clips.get(at)
        there = run.video_path(mine) if mine is not None and mine.status == "ok" else None
        found.append((case, (theirs.path if theirs else None, there)))
    return found


def as_junit(result: GateResult) -> str:
    """The result as JUnit XML, as Jenkins, GitLab and GitHub's reporters read it: one test case a metric,
    `failure` where it is worse, `error` where it could not decide; properties hold the numbers."""
    suite = ET.Element("testsuite", name=f"t2v-evals gate: {_text(result.baseline)}")
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}

    def case(name: str, kind: str, facts: Mapping[str, object], fault: str, message: str) -> None:
        counts["tests"] += 1
        one = ET.SubElement(suite, "testcase", classname=f"gate.{kind}", name=_text(name), time="0")
        properties = ET.SubElement(one, "properties")
        for key, value in facts.items():
            if value is not None:
                ET.SubElement(properties, "property", name=key, value=_text(value))
        if fault:
            counts["failures" if fault == "failure" else "errors"] += 1
            ET.SubElement(one, fault, message=_text(message), type=kind).text = _text(message)

    lines = said(result)
    fault = {"pass": "", "regression": "failure"}.get(result.verdict, "error")
    case("verdict", "verdict", {"verdict": result.verdict, "level": result.level}, fault,
         " ".join([headline(result), *lines]))  # fmt: skip
    for row in result.rows:
        facts = row.model_dump(mode="json", exclude={"message"})
        fault = "failure" if row.outcome == "worse" else "" if row.outcome in PASSING else "error"
        fault = fault if "quality" in result.required else ""
        case(row.metric, "quality", facts, fault, f"{row.outcome}: {row.message}".rstrip(": "))
    fault = {"many": "failure", "few": "error", "not tested": "error"}.get(result.tail.outcome, "")
    tail_message = " ".join(tail_said(result.tail)) or result.tail.outcome
    facts = {"count": result.tail.count, "p": result.tail.p, "prompts": ", ".join(result.tail.prompts)}
    case("single prompts", "tail", facts, fault if "quality" in result.required else "", tail_message)
    for pair in result.pairs:
        fault = {"drifted": "failure", "inconclusive": "error"}.get(pair.outcome, "")
        facts = pair.model_dump(mode="json", exclude={"message"})
        needed = "fidelity" in result.required
        case(pair.metric, "fidelity", facts, fault if needed else "", pair.message or pair.outcome)
    for name, count in counts.items():
        suite.set(name, str(count))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _text(value: object) -> str:
    """A text as XML may have it: without control characters and halves of characters."""
    kept = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(redacted(str(value))))
    return kept.encode(errors="replace").decode()


def as_markdown(result: GateResult, sheet: str | None = None) -> str:
    """For a comment: the verdict first; regressions, then what is open, then what passed; the worst samples.
    `sheet` is the contact sheet's place or address."""
    lines = [f"### t2v-evals gate: {WORDS[result.verdict]}", ""]
    lines += [f"`{_code(result.candidate)}` against `{_code(result.baseline)}`", ""]
    lines += [f"- {escaped(_text(line))}" for line in said(result)]
    order = {"worse": 0, "not scored": 1, "not comparable": 1, "inconclusive": 1}
    rows = sorted(result.rows, key=lambda row: order.get(row.outcome, 2))
    if rows:
        lines += ["", "| metric | baseline | candidate | difference | bound | margin | outcome |",
                  "|---|--:|--:|--:|--:|--:|---|"]  # fmt: skip
    for row in rows:
        values = (row.baseline, row.candidate, row.difference, row.bound, row.margin)
        shown = " | ".join(number(value, 3) if value is not None else "" for value in values)
        word = f"**{row.outcome}**" if row.outcome == "worse" else row.outcome
        lines.append(f"| `{_code(row.metric)}` | {shown} | {word} |")
    if result.pairs:
        lines += ["", "| fidelity | median | worst | threshold | beyond | identical | outcome |",
                  "|---|--:|--:|--:|--:|--:|---|"]  # fmt: skip
        lines += [
            f"| `{_code(row.metric)}` | {' | '.join(cells(row))} | {row.outcome} |" for row in result.pairs
        ]
    if result.cases:
        lines += ["", "Worst samples:", ""]
        lines += [f"{i}. {escaped(_text(case_said(one)))}" for i, one in enumerate(result.cases, 1)]
    if sheet and result.cases:
        lines += ["", f"![baseline, candidate, difference]({sheet})"]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return _text(text).replace("`", "'").replace("|", "¦").replace("\n", " ")


def case_said(case: Case) -> str:
    """A sample in a sentence."""
    return f"{case.prompt_id}, seed {case.seed}, “{case.text[:80]}”: {value_said(case)}"


def value_said(case: Case) -> str:
    """What is worst about a sample."""
    text = case.metric
    if case.baseline is not None:
        text += f" {number(case.baseline, 3)} → {number(case.candidate, 3)}"
    elif case.candidate is not None:
        text += f" {number(case.candidate, 4)}"
    if case.drifts_from is not None:
        text += f", drifts from frame {case.drifts_from}"
    return f"{text} ({case.message})" if case.message else text


def write_sheet(cases: Sequence[tuple[Case, Sides]], path: Path) -> bool:
    """A PNG with three moments of each sample: the baseline's, the candidate's and four times their
    difference, side by side; false where there is nothing to show."""
    blocks = [block for case, sides in cases if (block := _block(case, sides)) is not None]
    if not blocks:
        return False
    width = max(block.width for block in blocks)
    sheet = Image.new("RGB", (width, sum(block.height for block in blocks)), "white")
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(partial, "PNG")
    partial.replace(path)
    return True


def _block(case: Case, sides: Sides) -> Image.Image | None:
    """One sample under two lines of text: a row for every moment, a column for every side."""
    clips = [_read(path) for path in sides]
    known = [clip for clip in clips if clip is not None and len(clip)]
    if not known:
        return None
    places = _moments(min(len(clip) for clip in known), case.frame)
    columns: list[tuple[str, list[Frames | None]]] = []
    for name, clip in zip(("baseline", "candidate"), clips, strict=True):
        columns.append((name, [None if clip is None else clip[i] for i in places]))
    first, second = clips
    if first is not None and second is not None and first.shape[1:] == second.shape[1:]:
        gaps = [np.abs(first[i].astype(np.int16) - second[i].astype(np.int16)) for i in places]
        columns.append(("4 x difference", [np.asarray(np.clip(4 * gap, 0, 255), np.uint8) for gap in gaps]))
    height = round(CELL * known[0].shape[1] / known[0].shape[2])
    font = ImageFont.load_default(size=13)
    block = Image.new("RGB", (3 * (CELL + 6) + 6, HEAD + len(places) * (height + 6) + 14), "white")
    draw = ImageDraw.Draw(block)
    line = (block.width - 12) // 7  # letters that fit
    draw.text(
        (6, 6), _text(f"{case.prompt_id}, seed {case.seed}: {case.text}")[:line], fill="black", font=font
    )
    draw.text((6, 24), _text(value_said(case))[:line], fill="black", font=font)
    for c, (name, pictures) in enumerate(columns):
        left = 6 + c * (CELL + 6)
        draw.text((left, 46), name, fill="black", font=font)
        for r, picture in enumerate(pictures):
            top = HEAD + r * (height + 6)
            if picture is None:
                draw.text((left + 8, top + 8), "no clip kept", fill="grey", font=font)
                continue
            block.paste(Image.fromarray(picture).resize((CELL, height)), (left, top))
            if c == 0:
                draw.text((left + 4, top + 2), f"frame {places[r]}", fill="white", font=font,
                          stroke_width=2, stroke_fill="black")  # fmt: skip
    return block


def _moments(frames: int, worst: int | None) -> list[int]:
    """A few frames through the clip, the worst one among them."""
    places = {round(i) for i in np.linspace(0, frames - 1, TIMES)}
    if worst is not None and worst < frames:
        places = {worst, *sorted(places, key=lambda i: -abs(i - worst))[: TIMES - 1]}
    return sorted(places)


def _read(path: Path | None) -> Frames | None:
    """A clip's frames at a size for the sheet; None for one that cannot be read."""
    if path is None:
        return None
    try:
        side = min(CELL, *video.probe(path).facts.model_dump(include={"width", "height"}).values())
        return video.read(path, Normalization(short_side=max(16, side)))[0]
    except (SampleError, OSError):
        return None
