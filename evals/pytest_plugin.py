"""A pytest plugin: `t2v_gate(candidate)` generates, scores and checks, and fails the test unless it passes.

::

    @pytest.mark.t2v_gate(baseline="gate/wan.json")
    def test_still_as_good(t2v_gate):
        t2v_gate("openai-videos:wan@http://127.0.0.1:8000/v1")

Nothing heavy is imported before a test asks for the fixture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evals.api import Candidate, Check
    from evals.gate.records import GateResult

MARKER = "t2v_gate(baseline, **options): the baseline file and options of evals.gate_check"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--t2v-out`: where results are kept."""
    group = parser.getgroup("t2v-evals")
    group.addoption(
        "--t2v-out", metavar="DIR", help="Keep runs, gate.json, gate.md, junit.xml and worst.png there."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


class Gate:
    """What the fixture `t2v_gate` gives. Called, it checks a candidate and fails the test unless it passes;
    `check` only gives the result. Both take the marker's options, which they override."""

    def __init__(self, given: dict[str, Any], root: Path, place: Path, name: str) -> None:
        self._given, self._root, self._place, self._name = given, root, place, name
        self._number = 0

    def __call__(self, candidate: Candidate, **options: Any) -> GateResult:
        """Check a candidate; the test fails with the table unless the verdict is `pass`."""
        from evals.report import gate_table

        found = self._check(candidate, options)
        if found.result.verdict != "pass":
            pytest.fail(gate_table.render(found.result), pytrace=False)
        return found.result

    def check(self, candidate: Candidate, **options: Any) -> GateResult:
        """The result of a candidate."""
        return self._check(candidate, options).result

    def _check(self, candidate: Candidate, options: dict[str, Any]) -> Check:
        from evals.api import gate_check
        from evals.errors import EvalsError
        from evals.report.gate_files import write_all

        merged = {**self._given, **options}
        baseline = merged.pop("baseline", None)
        if baseline is None:
            pytest.fail("t2v_gate: name the baseline: @pytest.mark.t2v_gate(baseline=FILE)", pytrace=False)
        self._number += 1
        out = self._place / (self._name if self._number == 1 else f"{self._name}-{self._number}")
        try:
            found = gate_check(self._root / baseline, candidate, out=out / "run", **merged)
        except EvalsError as error:
            pytest.fail(f"t2v_gate: {error}", pytrace=False)
        write_all(found.result, found.opened.clips, found.run, out)
        return found


@pytest.fixture
def t2v_gate(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., GateResult]:
    """A gate with the options of the test's marker; see `Gate`."""
    marker = request.node.get_closest_marker("t2v_gate")
    given: dict[str, Any] = {}
    if marker is not None:
        given = dict(marker.kwargs)
        if marker.args:
            given["baseline"] = marker.args[0]
    kept = request.config.getoption("--t2v-out")
    node = request.node.nodeid
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in node)[-80:]
    name = f"{name}-{hashlib.sha256(node.encode()).hexdigest()[:6]}"
    place = request.config.rootpath / kept if kept else tmp_path
    return Gate(given, request.config.rootpath, place, name)
