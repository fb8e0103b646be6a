"""LaTeX: the table of means for a paper, in booktabs' style. `\\input{means.tex}` takes it."""

from __future__ import annotations

from pathlib import Path

from evals.compare import Comparison
from evals.compare.results import Mean
from evals.records import ALL, ASPECTS, MetricInfo
from evals.report.numbers import number
from evals.report.terminal import short_names
from evals.report.words import verdict_of
from evals.runs.journal import write_atomically

ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "none": ""}
MARKUP = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """A text that is no markup."""
    return "".join(MARKUP.get(c, c) if c.isprintable() else " " for c in text)


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """`means.tex`: a row per metric, a column per model; bold is better than some other and worse than
    none."""
    path = folder / "means.tex"
    write_atomically(path, render(comparison).encode())
    return [path]


def render(comparison: Comparison) -> str:
    """The table as text."""
    labels = comparison.labels
    infos = sorted(comparison.of_kind("video"), key=lambda i: (ASPECTS.index(i.aspect), i.role != "primary"))
    found = {(m.metric, m.run): m for m in comparison.means if m.category == ALL and m.mean is not None}
    infos = [info for info in infos if any((info.id, label) in found for label in labels)]
    names = short_names([info.id for info in infos])
    lines = [
        "% Needs \\usepackage{booktabs}. Bold: better than some other model and worse than none (Holm, 5 %).",
        "% In brackets: half the width of the 95 % interval.",
        rf"\begin{{tabular}}{{l{'r' * len(labels)}}}",
        r"\toprule",
        " & ".join(["metric", *map(escaped, labels)]) + r" \\",
    ]
    shown = ""
    for info in infos:
        if info.aspect != shown:
            shown = info.aspect
            lines += [r"\midrule", rf"\multicolumn{{{len(labels) + 1}}}{{l}}{{\emph{{{shown}}}}} \\"]
        cells = [_cell(comparison, info, label, found.get((info.id, label))) for label in labels]
        lines.append(
            " & ".join([f"{escaped(names[info.id])} {ARROWS[info.direction]}".strip(), *cells]) + r" \\"
        )
    lines += _distances(comparison)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _distances(comparison: Comparison) -> list[str]:
    """Rows of the distribution metrics, with the sets' sizes."""
    found = [d for d in comparison.distributions if d.value is not None]
    if not found:
        return []
    labels = comparison.labels
    sizes = ", ".join(sorted({f"{d.n} videos against {d.n_reference}" for d in found}))
    title = rf"\multicolumn{{{len(labels) + 1}}}{{l}}{{\emph{{realism}} ({sizes})}} \\"
    lines = [r"\midrule", title]
    names = short_names(list(dict.fromkeys(d.metric for d in found)))
    for metric, name in names.items():
        values = {d.run: d.value for d in found if d.metric == metric}
        cells = [number(values.get(label), 3).replace("–", "--") for label in labels]
        arrow = ARROWS[comparison.metrics[metric].direction]
        lines.append(" & ".join([f"{escaped(name)} {arrow}".strip(), *cells]) + r" \\")
    return lines


def _cell(comparison: Comparison, info: MetricInfo, label: str, mean: Mean | None) -> str:
    if mean is None:
        return "--"
    text = number(mean.mean, 3)
    verdicts = [verdict_of(p, label) for p in comparison.pairs if p.metric == info.id and label in (p.a, p.b)]
    if "better" in verdicts and "worse" not in verdicts:
        text = rf"\textbf{{{text}}}"
    if mean.ci_low is not None and mean.ci_high is not None:
        text += rf" {{\scriptsize($\pm${number((mean.ci_high - mean.ci_low) / 2, 2)})}}"
    return text
