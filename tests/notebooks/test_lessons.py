"""The lessons lane: papermill with other knobs, every widget driven, every exercise answered rightly and wrongly.

With small knobs a lesson runs on the pretend device of `elsewhere.py`, with odd ones it runs each cell twice. The
run with a second seed stays alive after its last cell: its widgets and exercises are tried in that kernel.
"""

import copy
import functools
import json
import re
from pathlib import Path

import pytest

from tests.notebooks import test_elsewhere
from utils.workshop import kernel, lessons

SECOND_SEED = 1
# what any answer may turn out to be; each gets a hint in a line, never a traceback
ODD_ANSWERS = {
    "raises": "raise RuntimeError('planted')",
    "exits": "raise SystemExit",
    "is-text": "return 'planted'",
    "is-an-object": "return object()",
    "has-an-odd-shape": "import numpy; return numpy.zeros((7, 1, 3))",
    "is-nan": "return float('nan')",
    "is-an-empty-list": "return []",
}
# an answer that makes two of the check's mistakes by turns, and one that makes a mistake only from the second case on
PAIRS = """
{check}
_asked = []
_real = check.exercise
check.exercise = lambda name, answer, cases, mistakes=None, tolerance=1e-4, **rest: _asked.append(
    (cases, list((mistakes or {{}}).values()), answer, tolerance)
)
try:
    {call}
finally:
    check.exercise = _real
_cases, _mistakes, _right, _tolerance = _asked[-1]
for _first in [*_mistakes, _right]:
    for _second in _mistakes:
        _turn = []
        def _mixed(*given, _first=_first, _second=_second, _turn=_turn):
            _turn.append(0)
            return (_first if len(_turn) % 2 else _second)(*given)
        _line, _ = check._verdict("mixed", _mixed, _cases, {{}}, _tolerance, ())
        if len(_cases) > 1 and not _line.startswith("◐"):
            print("accepted:", _first.__qualname__, _second.__qualname__, _line)
        _line, _ = check._verdict("mistake", _second, _cases, {{}}, _tolerance, ())
        if not _line.startswith("◐"):
            print("accepted alone:", _second.__qualname__, _line)
"""


def attempts(book, trials) -> dict[str, str]:
    """Write each attempt at an exercise as a cell: an answer, then the exercise's own check."""
    cells = {}
    for exercise, check, solution in lessons.exercises(book):
        name = lessons.student_function(exercise)
        again = re.search(rf"^check_\w+\({name}\)$", check.source, re.M)
        assert again, f"{check.id}: the check ends in check_...({name})"
        right = f"{name} = solution_{name}\n{name}.__name__ = {name!r}"
        cells[f"try-{exercise.id}-right"] = f"{solution.source}\n{right}\n{check.source}"
        for kind, body in ODD_ANSWERS.items():
            cells[f"try-{exercise.id}-{kind}"] = f"def {name}(*args, **kwargs):\n    {body}\n{check.source}"
        cells[f"try-{exercise.id}-is-no-function"] = f"{name} = 3\n{check.source}"
        for number, entry in enumerate(e for e in trials.get("wrong", []) if e["exercise"] == exercise.id):
            further = f"\n{again[0]}" * 2  # each run of the check shows one hint more
            cells[f"try-{exercise.id}-wrong-{number}"] = f"{entry['answer']}\n{check.source}{further}"
        call = again[0].replace(f"({name})", f"(solution_{name})")
        cells[f"try-{exercise.id}-pairs"] = PAIRS.format(check=check.source.replace(again[0], ""), call=call)
    return cells


def live_run(path: Path) -> kernel.Run:
    """Return the one run that the tests of a notebook share; fail if it stopped."""
    run = run_with_second_seed(path)
    if run.error:
        pytest.fail(kernel.failure(path, run.error), pytrace=False)
    return run


@functools.cache
def run_with_second_seed(path: Path) -> kernel.Run:
    """Run a notebook with a second seed; then, in the same kernel, its exercises and its explorers."""
    probes = attempts(lessons.read(path), lessons.trials(path))
    probes["probe-knobs"] = "import json as _json; print(_json.dumps({'SEED': SEED}))"
    probes["probe-widgets"] = kernel.DRIVE.read_text(encoding="utf-8")
    return kernel.execute(path, {"SEED": SECOND_SEED}, strict=True, probes=probes)


def test_second_seed(notebook):
    run = live_run(notebook)
    assert json.loads(lessons.text_of(run.cell("probe-knobs"))) == {"SEED": SECOND_SEED}, "the knob took no effect"
    failed = [claim for claim in run.claims if not claim["holds"]]
    assert not failed


def test_widgets(notebook, record_property):
    explorers = json.loads(lessons.text_of(live_run(notebook).cell("probe-widgets")))
    used = sum("widgets.explore(" in cell.source for cell in lessons.code_cells(lessons.read(notebook)))
    assert len(explorers) >= used
    for explorer in explorers:
        assert not explorer["errors"], f"{notebook.stem}, explorer {explorer['alt']!r}: {explorer['errors']}"
        assert not explorer["idle"], f"{notebook.stem}, explorer {explorer['alt']!r}: {explorer['idle']} change nothing"
        times = sorted(explorer["seconds"])
        redraw = f"median {times[len(times) // 2] * 1e3:.0f} ms, most {times[-1] * 1e3:.0f} ms"
        record_property("figure", f"{notebook.stem}: redraw {redraw} ({explorer['alt'][:60]})")


def test_exercises(notebook):
    run, trials = live_run(notebook), lessons.trials(notebook)
    for exercise, check, solution in lessons.exercises(run.notebook):

        def tried(kind, identifier=exercise.id):
            return lessons.text_of(run.cell(f"try-{identifier}-{kind}"))

        assert re.fullmatch(r"○ .+: not attempted yet\n", lessons.text_of(check)), check.id
        assert re.fullmatch(r"● solution: right \(\d+ cases?\)\n", lessons.text_of(solution)), solution.id
        assert re.search(r"^● (?!solution)", tried("right"), re.M), f"{exercise.id}: the solution is not accepted"
        assert not tried("pairs"), f"{exercise.id}: a mix of mistakes is accepted: {tried('pairs')}"
        for kind in (*ODD_ANSWERS, "is-no-function"):
            assert tried(kind).startswith("◐"), f"{exercise.id}: an answer that {kind} got {tried(kind)!r}"
        for number, entry in enumerate(e for e in trials["wrong"] if e["exercise"] == exercise.id):
            line = tried(f"wrong-{number}")
            assert line.startswith("◐"), f"{exercise.id}: wrong answer {number} got {line!r}"
            assert re.search(entry["hint"], line), f"{exercise.id}: wrong answer {number} got the hint {line!r}"


def each_twice(book):
    """Put every code cell there twice but the knobs, as a reader runs a cell again."""
    for place, cell in reversed([*enumerate(book.cells)]):
        if cell.cell_type == "code" and "parameters" not in lessons.tags(cell):
            again = copy.deepcopy(cell)
            again.id += "-again"
            book.cells.insert(place + 1, again)
    return book


@pytest.mark.parametrize("setting", ["small", "odd"])  # small: on the pretend device; odd: each cell twice
def test_other_knobs(lesson, setting):
    given = lessons.trials(lesson)["knobs"][setting]
    names = ", ".join(f"{name!r}: {name}" for name in given)
    probes = {"probe-knobs": f"import json as _json; print(_json.dumps({{{names}}}))"}
    if setting == "small":
        run = test_elsewhere.executed(lesson, probes=probes)
    else:
        run = kernel.execute(lesson, given, strict=False, source=each_twice(lessons.read(lesson)), probes=probes)
    if run.error:
        pytest.fail(kernel.failure(lesson, run.error), pytrace=False)
    assert json.loads(lessons.text_of(run.cell("probe-knobs"))) == given, "the knobs took no effect"
    if setting == "small":
        test_elsewhere.follows_the_device(lesson, run)


def test_a_mistyped_knob_is_an_error(lesson):
    with pytest.raises(ValueError, match="no knob SEEED; its knobs are .*SEED"):
        kernel.execute(lesson, {"SEEED": 1})
