"""A mystery in a class: what is handed out gives nothing away, and points go to those who mended it, and only to them.

The truth of a submission is how it was made: with the committed cell, with another that means the same, or without.
"""

import csv
import hashlib
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_output

from tests.teach.test_classroom import strings
from utils.teach import beliefs, classroom, handout, hunt
from utils.workshop import lessons, mystery

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
(QUICK, *_) = lessons.find()
SEED, SHORT = 3, 8
STEM = f"{QUICK.stem}-mystery-{SEED}"
ENTRY = mystery.planted(QUICK.stem, SEED)
(RIGHT,) = (cell.source for cell in lessons.read(QUICK).cells if cell.id == ENTRY["cell"])
BROKEN = RIGHT.replace(ENTRY["old"], ENTRY["new"])
(FINDING,) = {
    claim["cell"] for claim in lessons.claims_of(lessons.read(QUICK)) if claim["name"].startswith(ENTRY["fails"])
}


def write(source, **more):
    """Put a source into the cell with the bug, and others into others."""

    def edit(book):
        for cell in book.cells:
            cell.source = {ENTRY["cell"]: source, **more}.get(cell.id, cell.source)

    return edit


def delete(identifier, source=BROKEN):
    def edit(book):
        write(source)(book)
        book.cells = [cell for cell in book.cells if cell.id != identifier]

    return edit


def copy_the_outputs(book):
    """Take over from the committed lesson all that it shows."""
    outputs = {cell.id: cell.outputs for cell in lessons.code_cells(lessons.read(QUICK))}
    for cell in lessons.code_cells(book):
        cell.outputs = outputs.get(cell.id, [])


def say_right(book):
    write(BROKEN + '\nprint("● Right: every finding holds again.")')(book)
    copy_the_outputs(book)
    book.cells[-1] = nbformat.v4.new_code_cell("", outputs=[new_output("stream", text="● Right\n")])


def other_ids(book):
    """Save it as an editor does that knows no ids."""
    write(RIGHT)(book)
    for number, cell in enumerate(book.cells):
        cell.id = f"other-{number}"


NOT = "graded; not mended: "
HANDED_IN = {  # what is done to the release, whether it is right, what is reported
    "committed": (write(RIGHT), True, "graded; mended$"),
    "means-the-same": (write(RIGHT + "\nmended = True"), True, "graded; mended$"),
    "other-ids": (other_ids, True, "graded; mended$"),
    "mended-and-more": (
        write(RIGHT, **{FINDING: "pass"}),
        True,
        "graded; mended; 1 other cells changed: not used$",
    ),
    "as-it-was": (lambda book: None, False, f"{NOT}no cell was changed$"),
    "another-cell": (
        write(BROKEN, **{FINDING: "pass"}),
        False,
        f"{NOT}the bug is in none of the cells that were changed$",
    ),
    "finding-deleted": (delete(FINDING), False, f"{NOT}the bug is in none of the cells that were changed$"),
    "bug-deleted": (delete(ENTRY["cell"]), False, f"{NOT}the cell with the bug is not there any more"),
    "outputs-copied": (copy_the_outputs, False, f"{NOT}no cell was changed$"),
    "says-right": (say_right, False, f"{NOT}with this cell it still falls: {ENTRY['fails']}"),
    "silent": (
        write("from utils import check\ncheck.finding = lambda *a, **k: None\n" + RIGHT),
        False,
        f"{NOT}with this cell the lesson does not claim all that it claimed",
    ),
    "raises": (write("1 / 0"), False, f"{NOT}with this cell the lesson stops. {ENTRY['cell']}: ZeroDivisionError"),
    "endless": (
        write("while True: pass"),
        False,
        rf"{NOT}with this cell the lesson stops. {ENTRY['cell']}: CellTimeoutError: more than \d+ seconds$",
    ),
    "dies": (write("import os\nos._exit(1)"), False, f"{NOT}with this cell the lesson stops. .*DeadKernelError"),
    "corrupt": (None, False, "not a notebook: NotJSONError"),
}


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    """Hand out a mystery, hand in what is known, and grade it; return the folder, and digests of what was handed in."""
    root = tmp_path_factory.mktemp("class")
    assert hunt.build([QUICK.stem], SEED, root) == 0
    for student, (edit, _, _) in HANDED_IN.items():
        file = root / "submitted" / student / STEM / f"{STEM}.ipynb"
        file.parent.mkdir(parents=True)
        book = lessons.read(root / "release" / STEM / f"{STEM}.ipynb")
        if edit:
            edit(book)
        file.write_text(nbformat.writes(book) if edit else '{"cells": [')
    before = digests(root)
    assert classroom.grade([], root, timeout=SHORT) == 0
    return root, before


def digests(root):
    return {file: hashlib.sha256(file.read_bytes()).digest() for file in sorted((root / "submitted").rglob("*.ipynb"))}


def grades(root):
    with (root / "grades.csv").open(encoding="utf-8", newline="") as table:
        return {row["student"]: row for row in csv.DictReader(table)}


@pytest.mark.parametrize("student", HANDED_IN)
def test_points_go_to_what_is_mended(school, student):
    root, _ = school
    _, right, pattern = HANDED_IN[student]
    row = grades(root)[student]
    assert (row["lesson"], row["points"], row["of"]) == (STEM, "10" if right else "0", "10")
    assert re.match(pattern, row["what happened"]), row["what happened"]
    assert f"| {student} | {STEM} | {10 * right} of 10 | mystery {10 * right} |" in (root / "report.md").read_text(
        "utf-8"
    )


def test_nothing_handed_in_is_altered(school):
    root, before = school
    assert len(before) == len(HANDED_IN) and digests(root) == before


def test_what_is_handed_out_gives_nothing_away(school):
    root, _ = school
    assert [file.name for file in sorted((root / "release" / STEM).iterdir())] == [f"{STEM}.ipynb"]
    book = lessons.read(root / "release" / STEM / f"{STEM}.ipynb")
    assert [cell.source for cell in book.cells if cell.id == ENTRY["cell"]] == [BROKEN]
    assert {claim["holds"] for claim in lessons.claims_of(book)} == {True, False}, "it shows what fell"
    texts = list(strings(book))
    for secret in (ENTRY["old"], ENTRY["name"], "solution_", "def slope(g, x):\n    return 2"):
        assert not any(secret in text for text in texts), secret
    marks = [dict(cell.metadata["nbgrader"]) for cell in lessons.code_cells(book)]
    assert [mark.pop("grade_id") for mark in marks] == [cell.id for cell in lessons.code_cells(book)]
    assert all(mark == marks[0] for mark in marks)
    assert all(set(cell.metadata) <= {"nbgrader", "jupyter", "slideshow"} for cell in book.cells)
    assert set(book.metadata) == {"kernelspec", "language_info"}


def test_a_page_tells_the_place_of_the_bug_only_to_those_who_found_it(school):
    root, _ = school
    for student, (edit, _, _) in HANDED_IN.items():
        file = root / "feedback" / student / STEM / f"{STEM}.html"
        assert file.exists() == bool(edit)
        if edit:
            shown = re.sub(r"<[^>]+>", "", file.read_text(encoding="utf-8"))
            found = student not in ("as-it-was", "another-cell", "finding-deleted", "bug-deleted", "outputs-copied")
            assert ("It was: " + ENTRY["name"] in shown) == HANDED_IN[student][1]
            assert ("losses" in shown or "while" in shown or "1 / 0" in shown or "os._exit" in shown) == found, student


def test_the_class_is_counted(school):
    root, _ = school
    assert beliefs.main([], root) == 0
    with (root / "beliefs.csv").open(encoding="utf-8", newline="") as table:
        rows = [(row["lesson"], row["kind"], row["what"], int(row["students"])) for row in csv.DictReader(table)]
    assert rows == [(STEM, "outcome", "solved", 4), (STEM, "outcome", "tried", 8), (STEM, "outcome", "untouched", 2)]
    page = (root / "beliefs.html").read_text(encoding="utf-8")
    assert f"<h2>{STEM}: mystery</h2>" in page and "<td>solved</td><td>4</td>" in page


def test_what_was_graded_is_not_run_again_and_points_by_hand_stay(school, capsys, monkeypatch):
    root, _ = school
    monkeypatch.setattr(hunt, "grade", lambda *arguments: pytest.fail("graded again"))
    with handout.gradebook(handout.course(root)) as book:
        book.find_grade(hunt.CELL, STEM, STEM, "as-it-was").manual_score = 4.0
        book.db.commit()
    assert classroom.grade([QUICK.stem], root) == 0
    assert "as-it-was, " + STEM + ": 4 of 10" in capsys.readouterr().out
    page = (root / "feedback" / "as-it-was" / STEM / f"{STEM}.html").read_text(encoding="utf-8")
    assert "4.0 / 10.0" in page
    assert classroom.grade([STEM], root) == 0


def test_a_mystery_that_was_handed_out_is_left_as_it_is(school, capsys):
    root, _ = school
    file = root / "release" / STEM / f"{STEM}.ipynb"
    before = file.read_bytes()
    assert hunt.build([QUICK.stem], SEED, root) == 0
    assert f"{STEM}: there already" in capsys.readouterr().out and file.read_bytes() == before


def test_a_lesson_that_does_not_run_costs_nobody_points(school, capsys):
    """The key's first cell is broken, as where a library is missing: grading stops with a sentence."""
    root, _ = school
    key = root / "mysteries" / f"{STEM}.ipynb"
    kept, report = key.read_bytes(), (root / "report.md").read_bytes()
    book = json.loads(kept)
    next(cell for cell in book["cells"] if cell["cell_type"] == "code")["source"] = "import no_such_library"
    key.write_text(json.dumps(book))
    try:
        assert classroom.grade([STEM], root, again=True, timeout=SHORT) == 1
    finally:
        key.write_bytes(kept)
    assert "of the lesson raised ModuleNotFoundError" in capsys.readouterr().out
    assert (root / "report.md").read_bytes() == report


def test_a_mystery_that_was_not_handed_out_is_said(tmp_path, capsys):
    handout.begin(tmp_path)
    for name in (f"{QUICK.stem}-mystery-7", "99_dreams-mystery-1"):
        (tmp_path / "submitted" / "anna" / name).mkdir(parents=True)
    assert classroom.grade([], tmp_path) == 0
    printed = capsys.readouterr().out
    assert f"not handed out; `make class NB={QUICK.stem} MYSTERY=7` makes its assignment" in printed
    assert "there is no lesson 99_dreams-mystery-1" in printed


@pytest.mark.parametrize(
    "arguments", [["--mystery", "3"], [QUICK.stem, "--mystery", "-1"], [QUICK.stem, "--mystery", "x"]]
)
def test_what_a_mystery_needs_is_said(arguments, capsys):
    with pytest.raises(SystemExit):
        classroom.main(["build", *arguments])
    printed = capsys.readouterr().err
    assert (
        "as in: build 10_cnn --mystery 3 (make class NB=10_cnn MYSTERY=3)" in printed or "invalid int value" in printed
    )


def test_a_lesson_that_was_changed_is_not_handed_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(handout, "unfit", lambda path: "was changed since its clean run")
    assert hunt.build([QUICK.stem], SEED, tmp_path) == 1
    assert "not handed out. The lesson was changed since its clean run." in capsys.readouterr().out
    assert not list((tmp_path / "release").iterdir())
