"""Writes what the tests try on a lesson's exercises, each as a cell: right, wrong and odd answers, and mixes."""

import re

from utils.workshop import lessons

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
