"""The part At full size: it rests by default, and a set that is unknown is noticed at once.

It runs with the small knobs of `test_lessons.py`, on stand-ins: digits enlarged to 28 x 28 in place of MNIST,
pages of the manual in place of Shakespeare. Whether its claims hold is measured with the real sets, which the tests do
not have.
"""

import pytest

from utils.workshop import kernel, lessons

STAND_IN = """
from utils import data as _data


def _stand_in(name="digits", *given, **options):
    parts = _real("digits", *given, **options)
    if name == "digits":
        return parts
    enlarged = [torch.nn.functional.interpolate(part, 28) if part.ndim == 4 else part for part in parts]
    return _data.Split(*enlarged)


_real, _data.load = _data.load, _stand_in


def _plays(name="manual"):  # pages read backwards, and a character that the manual does not have: Shakespeare has one
    return _data.english() if name == "manual" else _data.english()[:40_000][::-1].replace("e", "\u20ac")


_data.text = _plays
"""
WAKES = {"DATASET": "mnist", "TEXT": "shakespeare"}  # the knob of that part, and what wakes it
LESSONS = [(path, knob) for path in lessons.find() for knob in WAKES if knob in kernel.knobs(path)]
ACCEPTED = {"DATASET": "'digits', 'mnist', 'fashion_mnist'", "TEXT": "'manual', 'shakespeare'"}


@pytest.mark.parametrize(("path", "knob"), LESSONS, ids=lambda value: getattr(value, "stem", value))
def test_an_unknown_set_is_named_at_once(path, knob):
    run = kernel.execute(path, {knob: "cats"}, strict=False)
    assert f"{knob} was 'cats'; accepted are {ACCEPTED[knob]}." in str(run.error)
    done = [cell for cell in lessons.code_cells(run.notebook) if cell.execution_count]
    assert len(done) <= 5, "after minutes"


def test_by_default_it_rests():
    for path, _ in LESSONS:
        cell = next(cell for cell in lessons.code_cells(lessons.read(path)) if cell.id == "full-size-run")
        assert lessons.text_of(cell).startswith("Nothing was ")
