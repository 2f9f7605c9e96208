"""What a class got wrong, on a class whose truth is known: what was handed in, and what the checks had said."""

import csv
import re

import nbformat
import pytest
from nbformat.v4 import new_output

from utils.teach import beliefs, classroom, handout
from utils.workshop import kernel, lessons

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
(QUICK, *_) = lessons.find()


def handed_in(root, student, source=None, seen=None):
    """Put a student's notebook there: the release, with an answer, and with what the check printed at home."""
    book = lessons.read(root / "release" / QUICK.stem / QUICK.name)
    ((_, check),) = beliefs.checks(book)
    if source:
        (stub,) = [cell for cell in book.cells if "exercise" in lessons.tags(cell)]
        stub.source = source
    if seen:
        check.outputs = [new_output("stream", text=seen)]
    folder = root / "submitted" / student / QUICK.stem
    folder.mkdir(parents=True)
    nbformat.write(book, folder / QUICK.name)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Build a class of the quick lesson, hand in what is known, and grade it; return its folder and its mistakes."""
    root = tmp_path_factory.mktemp("class")
    assert handout.build([QUICK.stem], root) == 0
    book = lessons.read(QUICK)
    ((stub, check, solution),) = lessons.exercises(book)
    name = lessons.student_function(stub)
    right = solution.source.split("\ncheck_")[0].replace(f"solution_{name}", name)
    wrong = [entry["answer"] for entry in lessons.trials(QUICK)["wrong"]]
    first, second, *_ = beliefs.named_mistakes(check.source)

    def verdict(*hints):
        lines = [f"  Hint {number} of 3: {hint}" for number, hint in enumerate(hints, 1)]
        return "\n".join([f"◐ {name}: not yet. Case 1: 3, and 4 was expected.", *lines, ""])

    handed_in(root, "anna", right)
    handed_in(root, "ben")
    handed_in(root, "chloe", wrong[0], verdict("A property."))
    handed_in(root, "dora", wrong[0], verdict("A property.", first))
    handed_in(root, "eva", wrong[1], verdict("A property.", f"{first} Case 2 raised ValueError.", "A step."))
    handed_in(root, "finn", wrong[1], verdict("A property.", second))
    handed_in(root, "gita", right, verdict("A property.", second))
    handed_in(root, "hugo", f"def {name}(*args):\n    raise RuntimeError('x')")
    (root / "submitted" / "ida" / QUICK.stem).mkdir(parents=True)
    (root / "submitted" / "ida" / QUICK.stem / QUICK.name).write_text('{"cells": [')
    assert classroom.grade([QUICK.stem], root, timeout=8) == 0
    return root, name, first, second


def test_counts_are_those_of_the_class(graded, capsys):
    root, name, first, second = graded
    assert beliefs.main([], root) == 0
    with (root / "beliefs.csv").open(encoding="utf-8", newline="") as table:
        found = {(row["kind"], row["what"]): int(row["students"]) for row in csv.DictReader(table)}
    outcomes = [found["outcome", what] for what in beliefs.OUTCOMES]
    assert outcomes == [2, 4, 1, 1]
    assert {what: number for (kind, what), number in found.items() if kind == "mistake" and number} == {
        first: 2,
        second: 2,
    }
    assert [found["hints open", str(hints)] for hints in (1, 2, 3)] == [1, 3, 1]
    out = capsys.readouterr().out
    assert "beliefs.html" in out and f"Most often, by 2, in {name}" in out


def test_no_student_is_named(graded):
    root, *_ = graded
    beliefs.main([], root)
    text = (root / "beliefs.html").read_text(encoding="utf-8") + (root / "beliefs.csv").read_text(encoding="utf-8")
    assert "What the class got wrong" in text
    students = [folder.name for folder in (root / "submitted").iterdir()]
    assert len(students) == 9 and not [student for student in students if student in text.lower()]


def test_every_check_of_the_course_names_its_mistakes_to_it():
    """What is read from the code is what the running check knows."""
    for path in lessons.find():
        for _, cell in beliefs.checks(lessons.read(path)):
            assert len(beliefs.named_mistakes(cell.source)) >= 2, f"{path.stem}, {cell.id}"


def test_the_mistakes_that_are_read_are_those_that_the_check_prints():
    """A wrong answer of the lesson, tried until its second hint: the mistake is found in what was printed."""
    book = lessons.read(QUICK)
    ((stub, check, _),) = lessons.exercises(book)
    name = lessons.student_function(stub)
    known = beliefs.named_mistakes(check.source)
    entries = lessons.trials(QUICK)["wrong"]
    again = f"\ncheck_{name}({name})"
    probes = {f"try-{n}": f"{entry['answer']}\n{check.source}{again}" for n, entry in enumerate(entries)}
    run = kernel.execute(QUICK, strict=False, probes=probes)
    seen = []
    for n, entry in enumerate(entries):
        recognised, hints = beliefs.told(run.cell(f"try-{n}"), known)
        assert recognised == [mistake for mistake in known if re.search(entry["hint"], mistake)], entry["answer"]
        assert hints >= 1
        seen += recognised
    assert seen, "none of the wrong answers is a mistake that the check names"


def test_before_grading_there_is_a_sentence(tmp_path, capsys):
    assert beliefs.main([], tmp_path) == 0
    assert "Nothing was graded yet, so there is nothing to count." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line, how",
    [
        ("◐ f: not yet. Case 2 raised ValueError.", "raises an error"),
        ("◐ f: not yet. Case 1 raised ValueError: planted. Case 1 is the right version.", "raises an error"),
        ("◐ f: not yet. Your test convicts the right version. Got away: A, C.", "wrong"),
        ("● f: right (8 cases)", "right"),
        ("○ f: not attempted yet", "not attempted"),
    ],
)
def test_how_an_exercise_came_out_is_read_from_its_line(line, how):
    cell = nbformat.v4.new_code_cell(outputs=[new_output("stream", text=line + "\n")])
    assert beliefs.outcome(cell) == how
