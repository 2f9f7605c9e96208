"""The teeth lane: break the idea of each lesson on purpose; a named claim must notice."""

import pytest

from tests.notebooks.bite import bitten
from utils.workshop import lessons


def breakages():
    """Find every breakage of every lesson."""
    for path in lessons.find():
        for number, entry in enumerate(lessons.trials(path).get("breakage", [])):
            yield pytest.param(path, number, id=f"{path.stem}-{entry['name']}")


@pytest.mark.parametrize(("path", "number"), list(breakages()))
def test_breakage_is_noticed(path, number):
    entry = lessons.trials(path)["breakage"][number]
    found = bitten(path)
    assert not found["whole"], f"{path.stem} as it stands: {found['whole']}"
    stop = found["stops"][number]
    assert stop, f"{path.stem}: {entry['name']}: every claim still holds"
    stopped = f"cell {stop['cell']}: {stop['ename']}: {stop['evalue']}"
    assert stop["claim"], f"{entry['name']} should fail a claim, not stop with {stopped}"
    assert entry["fails"] in stop["claim"], f"{entry['name']} should fail {entry['fails']!r}, and failed {stopped}"
