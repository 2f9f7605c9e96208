"""Lane 7, teeth: break the idea of each lesson on purpose; a named claim must notice."""

import copy

import pytest

from tests import runner
from tests.notebooks.test_lessons import said_of


def breakages():
    """Find every breakage of every lesson."""
    for path in runner.notebooks():
        for entry in said_of(path).get("breakage", []):
            yield pytest.param(path, entry, id=f"{path.stem}-{entry['name']}")


def broken(path, entry):
    """Return the notebook without its exercises, and with one cell changed."""
    book = copy.deepcopy(runner.read(path))
    book.cells = [cell for cell in book.cells if not runner.tags(cell) & runner.EXERCISE_TAGS]
    (cell,) = [cell for cell in book.cells if cell.id == entry["cell"]]
    assert cell.source.count(entry["old"]) == 1, f"{entry['old']!r} stands not exactly once in {entry['cell']}"
    cell.source = cell.source.replace(entry["old"], entry["new"])
    return book


@pytest.mark.parametrize(("path", "entry"), list(breakages()))
def test_breakage_is_noticed(path, entry):
    stated = [claim["name"] for claim in runner.claims_of(runner.read(path))]
    assert [name for name in stated if entry["fails"] in name], f"no claim is called {entry['fails']!r}"
    run = runner.execute(path, strict=True, source=broken(path, entry))
    assert run.error, f"{path.stem}: {entry['name']}: every claim still holds"
    said = runner.failure(path, run.error)
    assert run.error.ename == "ClaimError", f"{entry['name']} should fail a claim, not stop with {said}"
    failed = run.claims[-1]["name"]
    assert entry["fails"] in failed, f"{entry['name']} should fail {entry['fails']!r}, and failed {failed!r}: {said}"
