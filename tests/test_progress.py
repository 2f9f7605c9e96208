"""How far a reader is, on notebooks whose exercises stand as they were planted."""

import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from utils.workshop import __main__ as workshop
from utils.workshop import kernel, lessons, progress

NOTHING, HINT, RIGHT = "○ {}: not attempted yet\n", "◐ {}: case 2 gave 3\n", "● {}: right (3 cases)\n"


def check_cell(name, verdict):
    source = f"def check_{name}(f):\n    check.exercise('{name}', f, [((1,), 2)])\n\n\ncheck_{name}({name})"
    outputs = [new_output("stream", text=verdict.format(name))] if verdict else []
    return new_code_cell(source, outputs=outputs)


def book_of(*cells):
    return new_notebook(cells=[new_markdown_cell("# A lesson"), *cells])


@pytest.fixture
def folder(tmp_path):
    """Lay three lessons, one that is cut off, and what is no lesson into a folder."""
    books = {
        "10_cnn": book_of(check_cell("stride", RIGHT), check_cell("pad", HINT), check_cell("pool", NOTHING)),
        "20_rnn_lstm": book_of(check_cell("gate", ""), new_code_cell("print('● not an exercise')")),
        "30_vae": book_of(),
        "10_cnn-Copy1": book_of(check_cell("stride", RIGHT)),
    }
    for name, book in books.items():
        nbformat.write(book, tmp_path / f"{name}.ipynb")
    (tmp_path / "40_cut.ipynb").write_text('{"cells": [')
    return tmp_path


def test_each_lesson_is_told_as_it_is_saved(folder):
    lines = progress.told(folder).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "10_cnn ●◐○ right: stride; tried: pad; open: pool",
        "20_rnn_lstm ○ open: gate",
        "30_vae",
        "40_cut cannot be read: NotJSONError",
        "",
        "1 of 4 exercises is right, 1 tried.",
    ]


def test_of_copies_the_best_counts_and_a_deleted_check_is_left_out(folder):
    cells = [check_cell("stride", HINT), check_cell("stride", RIGHT), check_cell("stride", NOTHING)]
    nbformat.write(book_of(*cells), folder / "10_cnn.ipynb")
    assert progress.exercises(lessons.read(folder / "10_cnn.ipynb")) == {"stride": "right"}


def test_a_prosecution_is_an_exercise_too():
    cell = check_cell("convicts", RIGHT)
    cell.source = cell.source.replace(
        "check.exercise('convicts', f, [((1,), 2)])", "check.prosecute('convicts', f, g, [h])"
    )
    assert "check.prosecute(" in cell.source and progress.exercises(book_of(cell)) == {"convicts": "right"}


def test_what_a_solution_prints_is_not_the_readers(folder):
    solution = new_code_cell("def solution_pool(x):\n    return x\n\n\ncheck_pool(solution_pool)")
    solution.outputs = [new_output("stream", text="● solution: right (3 cases)\n")]
    assert progress.exercises(book_of(check_cell("pool", NOTHING), solution)) == {"pool": "open"}


def test_as_committed_every_exercise_is_open_and_none_is_missed():
    stand, faults = progress.read(lessons.NOTEBOOKS)
    assert not faults
    for path in lessons.find():
        assert len(stand[path.stem]) == sum(1 for _ in lessons.exercises(lessons.read(path)))
        assert set(stand[path.stem].values()) <= {"open"}


def test_an_answer_that_is_run_and_saved_is_told(tmp_path):
    """A whole lesson as a reader leaves it: one exercise answered with the solution, saved, and read in its folder."""
    (path, *_) = lessons.find()
    book = lessons.read(path)
    ((stub, check, solution),) = lessons.exercises(book)
    name = lessons.student_function(stub)
    stub.source = solution.source.split("\ncheck_")[0].replace(f"solution_{name}", name)
    run = kernel.execute(path, strict=False, source=book)
    assert run.error is None
    nbformat.write(run.notebook, tmp_path / path.name)
    assert "1 of 1 exercises is right, 0 tried." in progress.told(tmp_path)


def test_mysteries_are_solved_or_begun(tmp_path):
    for name, verdict in (
        ("10_cnn-1", "Right: every claim holds again."),
        ("10_cnn-2", "Not yet: no cell was changed."),
    ):
        last = new_code_cell("!check", outputs=[new_output("stream", text=f"{verdict}\n")])
        nbformat.write(book_of(new_code_cell("print('Right: ')"), last), tmp_path / f"{name}.ipynb")
    (tmp_path / "20_rnn_lstm-1.ipynb").write_text("{")
    assert progress.mysteries(tmp_path) == {"10_cnn-1": True, "10_cnn-2": False, "20_rnn_lstm-1": False}
    assert progress.summary({}, progress.mysteries(tmp_path)).endswith("1 of 3 mysteries is solved.")


def test_the_command_prints_and_writes_a_page(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lessons, "BUILD", tmp_path / "build")
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    before = {path: path.read_bytes() for path in folder.glob("*.ipynb")}
    assert workshop.main(["progress", str(folder)]) == 0
    assert "1 of 4 exercises is right" in capsys.readouterr().out
    text = (tmp_path / "build" / "progress" / "index.html").read_text(encoding="utf-8")
    assert "<td>stride</td><td>pad</td><td>pool</td>" in text and "cannot be read" in text
    assert (folder / "10_cnn.ipynb").as_uri() in text
    assert {path: path.read_bytes() for path in folder.glob("*.ipynb")} == before, "it only reads"


def test_a_folder_without_lessons_gets_a_sentence(tmp_path, capsys):
    shutil.copy(lessons.find()[0], tmp_path / "my notes.ipynb")
    for place in (tmp_path, tmp_path / "nowhere"):
        assert workshop.main(["progress", str(place)]) == 1
        assert "holds no lesson; a lesson is a notebook with a name such as 10_cnn.ipynb." in capsys.readouterr().out
