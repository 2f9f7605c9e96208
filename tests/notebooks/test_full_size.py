"""Lane 12, the part At full size: it rests by default, and a set that is unknown is noticed at once.

It runs in `test_elsewhere.py`, on a stand-in: digits enlarged to 28 x 28 in place of MNIST. Whether its claims hold is
measured with the real sets, which the tests do not have.
"""

import pytest

from tests import runner

STAND_IN = """
from utils import data as _data


def _stand_in(name="digits", *given, **options):
    parts = _real("digits", *given, **options)
    if name == "digits":
        return parts
    enlarged = [torch.nn.functional.interpolate(part, 28) if part.ndim == 4 else part for part in parts]
    return _data.Split(*enlarged)


_real, _data.load = _data.load, _stand_in
"""
LESSONS = [path for path in runner.notebooks() if "DATASET" in runner.knobs(path)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_an_unknown_set_is_named_at_once(path):
    run = runner.execute(path, {"DATASET": "cats"}, strict=False)
    assert "DATASET was 'cats'; accepted are 'digits', 'mnist', 'fashion_mnist'." in str(run.error)
    done = [cell for cell in runner.code_cells(run.notebook) if cell.execution_count]
    assert len(done) <= 5, "after minutes"


def test_by_default_it_rests():
    for path in LESSONS:
        cell = next(cell for cell in runner.code_cells(runner.read(path)) if cell.id == "full-size-run")
        assert runner.text_of(cell).startswith("Nothing was ")
