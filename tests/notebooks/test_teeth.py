"""Lane 7, teeth: break the idea of each lesson on purpose; a named claim must notice."""

import functools
import json
from pathlib import Path

import pytest

from tests import runner
from tests.notebooks.test_lessons import said_of

BITE = Path(__file__).with_name("bite.py").read_text(encoding="utf-8")


def breakages():
    """Find every breakage of every lesson."""
    for path in runner.notebooks():
        for number, entry in enumerate(said_of(path).get("breakage", [])):
            yield pytest.param(path, number, id=f"{path.stem}-{entry['name']}")


def broken(path, entry):
    """Return the code of a notebook without its exercises, as (id, source), with one cell changed."""
    cells = [
        [c.id, c.source] for c in runner.code_cells(runner.read(path)) if not runner.tags(c) & runner.EXERCISE_TAGS
    ]
    (cell,) = [cell for cell in cells if cell[0] == entry["cell"]]
    assert cell[1].count(entry["old"]) == 1, f"{entry['old']!r} stands not exactly once in {entry['cell']}"
    cell[1] = cell[1].replace(entry["old"], entry["new"])
    return cells


@functools.cache
def bitten(path):
    """Try every breakage of a lesson, each from the top, one after another in one kernel."""
    probes = {"probe-bite": BITE}
    for number, entry in enumerate(said_of(path)["breakage"]):
        probes[f"bite-{number}"] = f"import json\nprint(json.dumps(bite({broken(path, entry)!r})))"
    book = runner.read(path)
    book.cells = []
    return runner.execute(path, strict=True, source=book, probes=probes)


@pytest.mark.parametrize(("path", "number"), list(breakages()))
def test_breakage_is_noticed(path, number):
    entry = said_of(path)["breakage"][number]
    stated = [claim["name"] for claim in runner.claims_of(runner.read(path))]
    assert [name for name in stated if entry["fails"] in name], f"no claim is called {entry['fails']!r}"
    run = bitten(path)
    assert not run.error, f"the kernel was lost: {run.error}"
    stop = json.loads(runner.text_of(run.cell(f"bite-{number}")))
    assert stop, f"{path.stem}: {entry['name']}: every claim still holds"
    said = f"cell {stop['cell']}: {stop['ename']}: {stop['evalue']}"
    assert stop["claim"], f"{entry['name']} should fail a claim, not stop with {said}"
    assert entry["fails"] in stop["claim"], f"{entry['name']} should fail {entry['fails']!r}, and failed {said}"
