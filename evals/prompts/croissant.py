"""Prompt sets as a data set of tables with Croissant 1.1 metadata (Akhtar et al. 2024; MLCommons)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.errors import RunError, UsageError
from evals.prompts import merge
from evals.prompts.language import needed
from evals.records import Prompt, PromptSet, file_sha256

NAME = "t2v-evals-prompts"
DESCRIPTION = (
    "Prompts for text-to-video models with what they ask to be seen: subjects, counts, colours, motion,"
    " camera, laws of nature, and yes/no questions with their expected answers."
)
CITATION = "t2v-evals: prompt sets for the evaluation of text-to-video models"
FORMAT = "application/jsonlines"
TEXT, LIST, NUMBER, TRUTH = "text", "list", "number", "truth"
TABLES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "prompts": ("One prompt in every line.", {
        "id": (TEXT, "Unique over all sets; the file name of its videos."),
        "set": (TEXT, "The prompt set."),
        "text": (TEXT, "What a generator gets, in English."),
        "translations": (TEXT, "The same in other languages: JSON, by language code."),
        "category": (TEXT, "What it is about, within its set."),
        "tags": (LIST, "Words to select by."),
        "difficulty": (TEXT, "easy, medium or hard."),
        "action": (TEXT, "What mainly happens."),
        "place": (TEXT, "Where."),
        "motion": (TEXT, "How much moves: none, low, medium or high."),
        "camera": (TEXT, "How the camera moves."),
        "law": (TEXT, "The law of nature to be seen."),
        "counterfactual": (TRUTH, "Whether the ordinary outcome would be wrong."),
        "must_see": (LIST, "What a lawful video shows."),
        "violated_by": (LIST, "What would break the law."),
        "paraphrase_of": (TEXT, "The prompt that it says in other words."),
        "contrast_of": (TEXT, "The prompt from which it differs in one word."),
        "subsets": (LIST, "The subsets that it is in: core, mini."),
    }),
    "subjects": ("One kind of thing of a prompt in every line.", {
        "prompt": (TEXT, "The prompt's id."),
        "kind": (TEXT, "What it is."),
        "count": (NUMBER, "How many."),
        "colour": (TEXT, "Its colour."),
        "size": (TEXT, "small, medium or large."),
        "metres": (TEXT, "Its real size in metres, where it has one."),
        "height": (TEXT, "From where it falls: low, middle or high."),
        "action": (TEXT, "What it does."),
        "target": (TEXT, "To what."),
    }),
    "questions": ("One yes/no question about a prompt's video in every line.", {
        "prompt": (TEXT, "The prompt's id."),
        "id": (TEXT, "Unique within the prompt."),
        "kind": (TEXT, "subject, attribute, action, relation, count, order or physics."),
        "text": (TEXT, "The question."),
        "answer": (TEXT, "The expected answer: yes or no."),
        "depends_on": (LIST, "Questions that must be answered as expected before."),
    }),
}  # fmt: skip


def export(sets: Sequence[PromptSet], folder: Path) -> Path:
    """Write the tables and `croissant.json` to a folder, and read them back through `mlcroissant`; gives the
    metadata's path. Raises `UsageError` without `mlcroissant`, `RunError` where the folder has them."""
    try:
        import mlcroissant  # noqa: F401
    except ImportError:
        raise needed("mlcroissant") from None
    page = folder / "croissant.json"
    if there := [p.name for p in (page, *(folder / f"{name}.jsonl" for name in TABLES)) if p.exists()]:
        raise RunError(f"{folder}: holds {there[0]} already; give another folder")
    for found in sets:
        if not found.licence:
            raise UsageError(f"{found.name}: Croissant needs a licence; write one as 'licence:' in the file")
    merge(sets)  # an id is unique over all of them
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in _tables(sets).items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    text = json.dumps(_metadata(sets, folder), ensure_ascii=False, indent=2)
    page.write_text(text + "\n", encoding="utf-8")
    return page


def check(page: Path) -> dict[str, int]:
    """How many records `mlcroissant` reads by an export's metadata, by table. It warns, and this raises, for
    whatever is not Croissant."""
    import mlcroissant as mlc

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries that it uses
        found = mlc.Dataset(jsonld=str(page))
        if found.metadata.issues.errors or found.metadata.issues.warnings:
            raise RunError(f"{page}: {found.metadata.issues.report()}")
        return {name: sum(1 for _ in found.records(name)) for name in TABLES}


def _tables(sets: Sequence[PromptSet]) -> dict[str, Iterable[Mapping[str, Any]]]:
    once = {prompt.id: (found, prompt) for found in reversed(sets) for prompt in reversed(found.prompts)}
    owned = list(once.values())[::-1]
    subjects = [{"prompt": p.id, **s.model_dump(mode="json")} for _, p in owned for s in p.subjects]
    questions = [{"prompt": p.id, **q.model_dump(mode="json")} for _, p in owned for q in p.questions]
    for row in subjects:
        row["metres"] = row["metres"] and f"{row['metres']:g}"
    return {
        "prompts": [_row(found, prompt) for found, prompt in owned],
        "subjects": subjects,
        "questions": questions,
    }


def _row(found: PromptSet, prompt: Prompt) -> dict[str, Any]:
    fields = prompt.model_dump(mode="json")
    fields["set"] = found.name
    fields["counterfactual"] = bool(prompt.counterfactual)
    fields["translations"] = json.dumps(prompt.translations, ensure_ascii=False)
    fields["subsets"] = [name for name, ids in found.subsets.items() if prompt.id in ids]
    return {name: fields[name] for name in TABLES["prompts"][1]}


def _metadata(sets: Sequence[PromptSet], folder: Path) -> Any:
    import mlcroissant as mlc
    from mlcroissant._src.core.context import CroissantVersion

    kinds = {TEXT: mlc.DataType.TEXT, LIST: mlc.DataType.TEXT, NUMBER: mlc.DataType.INTEGER,
             TRUTH: mlc.DataType.BOOL}  # fmt: skip
    files, tables = [], []
    for name, (about, columns) in TABLES.items():
        path = folder / f"{name}.jsonl"
        files.append(mlc.FileObject(
            id=path.name, name=path.name, description=about, content_url=path.name,
            encoding_formats=[FORMAT], sha256=file_sha256(path),
        ))  # fmt: skip
        fields = [
            mlc.Field(
                id=f"{name}/{column}", name=column, description=said, data_types=kinds[kind],
                is_array=True if kind == LIST else None, array_shape="-1" if kind == LIST else None,
                source=mlc.Source(file_object=path.name, extract=mlc.Extract(column=column)),
            )
            for column, (kind, said) in columns.items()
        ]  # fmt: skip
        key = [f"{name}/id"] if name == "prompts" else None
        tables.append(mlc.RecordSet(id=name, name=name, description=about, fields=fields, key=key))
    context = mlc.Context(conforms_to=CroissantVersion.V_1_1)
    made = mlc.Metadata(
        ctx=context,
        name=NAME,
        description=f"{DESCRIPTION} Sets: "
        + ", ".join(f"{found.name} {found.version} ({found.digest})" for found in sets) + ".",
        license=sorted({found.licence for found in sets if found.licence}) or None,
        version=f"{max(found.version for found in sets)}.0.0",
        creators=[mlc.Organization(name="t2v-evals")],
        cite_as=CITATION,
        date_published=datetime.now(UTC).replace(microsecond=0, tzinfo=None),
        keywords=["text-to-video", "evaluation", "prompts"],
        in_language=["en", *sorted({x for found in sets for p in found.prompts for x in p.translations})],
        distribution=files,
        record_sets=tables,
    )  # fmt: skip
    return made.to_json()
