"""Mysteries on a small planted lesson: what is right, what is not, and that the file gives nothing away."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.workshop import kernel, lessons, mystery

CELLS = [
    new_markdown_cell("# Means", id="title"),
    new_code_cell("from utils import check", id="set-up"),
    new_code_cell("SEED = 0", id="knobs", metadata={"tags": ["parameters"]}),
    new_markdown_cell("## How to add\n\nA mean divides.", id="question"),
    new_code_cell("x = [1, 2, 6]\n\n\ndef mean(x):\n    return sum(x) / len(x)", id="mean"),
    new_code_cell("y = [value - mean(x) for value in x]", id="centre"),
    new_code_cell('check.finding("The mean is {value}.", mean(x), equals=3)', id="mean-finding"),
    new_code_cell('check.claim("centred numbers add up to", sum(y), equals=0)', id="centre-finding"),
]
TRIALS = """
[[breakage]]
name = "the mean does not divide by N"
cell = "mean"
old = "/ len(x)"
new = "/ 2"
fails = "The mean is"

[[breakage]]
name = "what judges is broken"
cell = "mean-finding"
old = "equals=3"
new = "equals=4"
fails = "The mean is"
"""
NAME, SEED = "10_means", 3


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Build a course of one lesson, run it as committed, and plant a bug; return its folders."""
    folder = tmp_path_factory.mktemp("course")
    rooms = {"ROOT": folder, "NOTEBOOKS": folder / "notebooks", "BUILD": folder / "build"}
    for part in ("notebooks", f"tests/lessons/{NAME}"):
        (folder / part).mkdir(parents=True)
    (folder / "tests" / "lessons" / NAME / "trials.toml").write_text(TRIALS)
    path = folder / "notebooks" / f"{NAME}.ipynb"
    nbformat.write(new_notebook(cells=CELLS), path)
    with pytest.MonkeyPatch.context() as patch:
        for name, place in rooms.items():
            patch.setattr(lessons, name, place)
        nbformat.write(kernel.execute(path).notebook, path)
        assert mystery.mystery(NAME, SEED) == 0
    return rooms


@pytest.fixture
def planted(course, monkeypatch):
    """Work in that course; return the mystery's file."""
    for name, place in course.items():
        monkeypatch.setattr(lessons, name, place)
    return mystery.place(NAME, SEED)


@pytest.fixture
def solve(planted, capsys):
    """Edit cells of the mystery, check it, and return the status and what was said; then it is as it was."""
    before = planted.read_bytes()

    def solve(delete=(), **sources):
        book = lessons.read(planted)
        book.cells = [cell for cell in book.cells if cell.id not in delete]
        for cell in book.cells:
            cell.source = sources.get(cell.id.replace("-", "_"), cell.source)
        nbformat.write(book, planted)
        status = mystery.mystery(NAME, SEED, checked=True)
        return status, capsys.readouterr().out

    yield solve
    planted.write_bytes(before)


RIGHT = CELLS[4].source


def test_it_holds_the_bug_and_its_pictures_and_gives_nothing_away(planted):
    book = lessons.read(planted)
    cells = {cell.id: cell for cell in book.cells}
    assert "/ 2" in cells["mean"].source and "SEED=3 CHECK=1" in cells["mystery"].source
    assert [claim["holds"] for claim in lessons.claims_of(book)] == [False, False]
    text = json.dumps(book)
    assert "len(x)" not in text and "divide by N" not in text
    assert set(book.metadata) <= {"kernelspec", "language_info"}
    assert not any({"tags", "papermill"} & set(cell.metadata) for cell in book.cells)


def test_the_committed_cell_is_right(solve):
    assert solve(mean=RIGHT) == (0, "Right: every claim holds again. It was: the mean does not divide by N.\n")


def test_another_cell_that_means_the_same_is_right(solve):
    assert solve(mean="x = [1, 2, 6]\nimport statistics\nmean = statistics.fmean")[0] == 0


def test_changes_elsewhere_are_not_needed(solve):
    status, printed = solve(mean=RIGHT, centre="y = [value - 3 for value in x]")
    assert status == 0 and "You had changed 1 more cells" in printed


@pytest.mark.parametrize(
    "sources, sentence",
    [
        ({}, "no cell was changed"),
        ({"centre": "y = [0]"}, "the bug is in none of the cells that were changed"),
        ({"mean_finding": "pass", "centre_finding": "pass"}, "the bug is in none of the cells"),
        ({"mean": "x = [1, 2, 6]\ndef mean(x):\n    return 3 if len(x) else 3.5"}, None),
        ({"mean": "x = [1, 2, 3]\ndef mean(x):\n    return 3"}, "with this cell it still falls: centred numbers"),
        ({"mean": "x = [1, 2, 6]\ndef mean(x):\n    return sum(x) / 4"}, "with this cell it still falls: The mean"),
        ({"mean": "x = ["}, "with this cell the lesson stops. mean: SyntaxError"),
        (
            {"mean": RIGHT + "\ncheck.claim = lambda *a, **k: None"},
            "does not claim all that it claimed. Mend the bug, not what found it.",
        ),
    ],
)
def test_what_is_not_right_is_said(solve, sources, sentence):
    status, printed = solve(**sources)
    assert (status, "Right" in printed) == ((0, True) if sentence is None else (1, False))
    assert (sentence or "Right") in printed


def test_a_deleted_finding_does_not_help(solve):
    status, printed = solve(delete=["mean-finding", "centre-finding"])
    assert status == 1 and "Not yet" in printed
    status, printed = solve(delete=["mean"])
    assert status == 1 and "the lesson stops" in printed


def test_hints_come_closer(planted, capsys):
    hints = [mystery.mystery(NAME, SEED, number) or capsys.readouterr().out for number in (1, 2, 3)]
    assert hints == [
        "It stands in the section 'How to add'.\n",
        "What fell first: The mean is ….\n",
        "It is line 5 of the cell that begins with: x = [1, 2, 6]\n",
    ]


def test_what_is_there_is_left_as_it_is(solve, planted, capsys):
    solve(mean="half done")
    saved = planted.read_bytes()
    assert mystery.mystery(NAME, SEED) == 0
    assert "is there already" in capsys.readouterr().out and planted.read_bytes() == saved


@pytest.mark.parametrize("text", ["", "{"])
def test_a_file_that_is_no_notebook_is_said(solve, planted, text):
    planted.write_text(text)
    with pytest.raises(SystemExit, match="cannot be read"):
        mystery.mystery(NAME, SEED, checked=True)


def test_what_there_is_not_is_said(planted):
    with pytest.raises(SystemExit, match="There is no mystery of 10_means with the seed 99 yet"):
        mystery.mystery(NAME, 99, checked=True)
    with pytest.raises(SystemExit, match="There is no lesson 11_medians; there are 10_means"):
        mystery.mystery("11_medians")


@pytest.mark.parametrize("path", lessons.find(), ids=lambda path: path.stem)
def test_no_mystery_has_a_prosecutor(path):
    """It would judge the function that may hold the bug; else only what reads the reader's folder is left out."""
    whole, left = lessons.read(path).cells, mystery.lesson(path.stem).cells
    out = [cell for cell in whole if cell.id not in {cell.id for cell in left}]
    assert [cell.id for cell in left] == [cell.id for cell in whole if cell not in out]
    assert "convicts" not in "".join(cell.source for cell in left)
    kinds = [(cell.cell_type, *sorted(lessons.tags(cell))) for cell in out]
    triple = [("code", tag) for tag in ("exercise", "check", "solution")]
    tried = any("check.prosecute(" in cell.source for cell in whole)
    reads = any("progress.told(" in cell.source for cell in whole)
    wanted = [("markdown",), *triple, ("markdown",)] if tried else [("markdown",), ("code",)] if reads else []
    assert kinds == wanted and not (tried and reads)


@pytest.mark.parametrize("path", lessons.find(), ids=lambda path: path.stem)
def test_each_lesson_has_mysteries_and_none_is_in_what_judges(path):
    cells = {cell.id: cell for cell in lessons.code_cells(lessons.read(path))}
    found = mystery.breakages(path.stem)
    assert len(found) >= 3
    assert not any("check." in cells[entry["cell"]].source for entry in found)
