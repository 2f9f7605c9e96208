"""The lessons lane: a second seed, other knobs, every widget driven, every exercise answered rightly and wrongly.

With small knobs a lesson runs on the pretend device of `elsewhere.py`, with odd ones it runs each cell twice. Widgets
and exercises are tried in the process that tries the breakages, once the lesson has run there as it stands.
"""

import copy
import json
import re

import pytest

from tests.notebooks import test_elsewhere
from tests.notebooks.attempts import ODD_ANSWERS
from tests.notebooks.bite import bitten
from utils.workshop import kernel, lessons

SECOND_SEED = 1


def printed_live(path):
    """Return what the cells printed that were tried after the last one of a lesson; fail if the lesson stopped."""
    found = bitten(path)
    assert not found["whole"], f"{path.stem} as it stands: {found['whole']}"
    return found["printed"]


def test_second_seed(notebook):
    """Every claim holds; the ledger passes over this where the lesson's ten seeds are of the code that stands there."""
    probe = {"probe-knobs": "import json as _json; print(_json.dumps({'SEED': SEED}))"}
    run = kernel.execute(notebook, {"SEED": SECOND_SEED}, strict=True, probes=probe)
    if run.error:
        pytest.fail(kernel.failure(notebook, run.error), pytrace=False)
    assert json.loads(lessons.text_of(run.cell("probe-knobs"))) == {"SEED": SECOND_SEED}, "the knob took no effect"
    assert run.claims and all(claim["holds"] for claim in run.claims)


def test_widgets(notebook, record_property):
    explorers = json.loads(printed_live(notebook)["probe-widgets"])
    used = sum("widgets.explore(" in cell.source for cell in lessons.code_cells(lessons.read(notebook)))
    assert len(explorers) >= used
    for explorer in explorers:
        assert not explorer["errors"], f"{notebook.stem}, explorer {explorer['alt']!r}: {explorer['errors']}"
        assert not explorer["idle"], f"{notebook.stem}, explorer {explorer['alt']!r}: {explorer['idle']} change nothing"
        times = sorted(explorer["seconds"])
        redraw = f"median {times[len(times) // 2] * 1e3:.0f} ms, most {times[-1] * 1e3:.0f} ms"
        record_property("figure", f"{notebook.stem}: redraw {redraw} ({explorer['alt'][:60]})")


def test_exercises(notebook):
    printed, trials = printed_live(notebook), lessons.trials(notebook)
    for exercise, check, solution in lessons.exercises(lessons.read(notebook)):

        def tried(kind, identifier=exercise.id):
            return printed[f"try-{identifier}-{kind}"]

        assert re.fullmatch(r"○ .+: not attempted yet\n", printed[check.id]), check.id
        assert re.match(r"● solution: right \(\d+ cases?\)\n", printed[solution.id]), solution.id
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
    knobs = lessons.trials(lesson)["knobs"][setting]
    names = ", ".join(f"{name!r}: {name}" for name in knobs)
    probes = {"probe-knobs": f"import json as _json; print(_json.dumps({{{names}}}))"}
    if setting == "small":
        run = test_elsewhere.executed(lesson, probes=probes)
    else:
        run = kernel.execute(lesson, knobs, strict=False, source=each_twice(lessons.read(lesson)), probes=probes)
    if run.error:
        pytest.fail(kernel.failure(lesson, run.error), pytrace=False)
    assert json.loads(lessons.text_of(run.cell("probe-knobs"))) == knobs, "the knobs took no effect"
    if setting == "small":
        test_elsewhere.follows_the_device(lesson, run)


def test_a_mistyped_knob_is_an_error(lesson):
    with pytest.raises(ValueError, match="no knob SEEED; its knobs are .*SEED"):
        kernel.execute(lesson, {"SEEED": 1})
