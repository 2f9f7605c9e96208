"""`make update` on a clone of a small course: what a student wrote is in the new lessons, and every byte in a copy."""

import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from utils.workshop import lessons, update


def git(folder, *arguments):
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def lesson():
    stub = "def mean(x):\n    return None"
    return [
        new_markdown_cell("# A lesson", id="title"),
        new_code_cell("SEED = 0", id="knobs", metadata={"tags": ["parameters"]}),
        new_code_cell(stub, id="mean-exercise", metadata={"tags": ["exercise"]}),
        new_code_cell("check_mean(mean)", id="mean-check", metadata={"tags": ["check"]}),
        new_markdown_cell("The end.", id="end"),
    ]


class Course:
    """A course at its origin, and a student's clone of it."""

    def __init__(self, folder):
        self.origin, self.clone = folder / "origin", folder / "Anna's clone ü"
        self.origin.mkdir()
        git(self.origin, "init", "-q", "-b", "main")
        (self.origin / "utils").mkdir()
        (self.origin / "utils" / "check.py").write_text("x = 1\n")
        (self.origin / ".gitignore").write_text("notebooks/mine-*/\n")
        self.publish({"10_cnn": lesson(), "20_rnn": lesson()})
        git(folder, "clone", "-q", str(self.origin), str(self.clone))

    def publish(self, books, **files):
        """Make these the lessons of the newest version; a file that is None is removed."""
        (self.origin / "notebooks").mkdir(exist_ok=True)
        for path in (self.origin / "notebooks").glob("*.ipynb"):
            path.unlink()
        for name, cells in books.items():
            nbformat.write(new_notebook(cells=cells), self.origin / "notebooks" / f"{name}.ipynb")
        for name, text in files.items():
            (self.origin / name).write_text(text)
        git(self.origin, "add", "-A")
        git(self.origin, "commit", "-q", "--allow-empty", "-m", "a version")

    def path(self, name):
        return self.clone / "notebooks" / f"{name}.ipynb"

    def write(self, name, edit):
        """Let the student edit a lesson; return the bytes that are saved."""
        book = nbformat.read(self.path(name), as_version=4)
        edit(book.cells)
        nbformat.write(book, self.path(name))
        return self.path(name).read_bytes()

    def cells(self, name):
        return {cell.id: cell for cell in nbformat.read(self.path(name), as_version=4).cells}

    def copies(self):
        kept = [path for path in (self.clone / "notebooks").glob("mine-*/**/*") if path.is_file()]
        return {path.relative_to(self.clone / "notebooks").as_posix().split("/", 1)[1]: path for path in kept}


@pytest.fixture
def course(tmp_path, monkeypatch):
    built = Course(tmp_path)
    monkeypatch.setattr(lessons, "ROOT", built.clone)
    monkeypatch.setattr(lessons, "NOTEBOOKS", built.clone / "notebooks")
    return built


ANSWER = "def mean(x):\n    return sum(x) / len(x)"


def answer(cells):
    cells[2].source = ANSWER
    cells[3].outputs = [new_output("stream", text="● mean: right (3 cases)\n")]
    cells[3].execution_count = 4


def newer(title="# A better lesson"):
    cells = lesson()
    cells[0].source = title
    cells.insert(1, new_markdown_cell("A new paragraph.", id="new"))
    return cells


def test_answers_knobs_and_notes_are_in_the_new_lesson_and_the_old_file_in_a_copy(course, capsys):
    def edit(cells):
        answer(cells)
        cells[1].source = "SEED = 7"
        cells.insert(3, new_code_cell("mean([1, 2])", id="tried"))
        cells.append(new_markdown_cell("What I think of it.", id="note"))

    saved = course.write("10_cnn", edit)
    course.publish({"10_cnn": newer(), "20_rnn": newer()})
    assert update.update() == 0
    assert list(course.cells("10_cnn")) == "title new knobs mean-exercise tried mean-check end note".split()
    cells = course.cells("10_cnn")
    assert (cells["title"].source, cells["knobs"].source) == ("# A better lesson", "SEED = 7")
    assert cells["mean-exercise"].source == ANSWER and cells["mean-exercise"].metadata.tags == ["exercise"]
    assert lessons.text_of(cells["mean-check"]) == "● mean: right (3 cases)\n"
    assert {name: path.read_bytes() for name, path in course.copies().items()} == {"10_cnn.ipynb": saved}
    assert course.cells("20_rnn")["title"].source == "# A better lesson"
    printed = capsys.readouterr().out
    assert (
        "Copies of what you had changed: notebooks/mine-" in printed and "in 1 of the new version's lessons" in printed
    )
    assert "- " not in printed, "nothing was left over"


def test_what_both_sides_changed_is_named_and_in_the_copy(course, capsys):
    saved = course.write("10_cnn", answer)
    cells = newer()
    cells[3].source = "def mean(x, weights):\n    return None"
    course.publish({"10_cnn": cells, "20_rnn": lesson()})
    update.update()
    assert course.cells("10_cnn")["mean-exercise"].source == cells[3].source
    assert "- notebooks/10_cnn.ipynb, cell mean-exercise: only the copy has yours" in capsys.readouterr().out
    assert course.copies()["10_cnn.ipynb"].read_bytes() == saved


def test_deleted_and_moved_cells_come_back_in_the_lesson_s_order(course):
    def edit(cells):
        answer(cells)
        del cells[0]
        cells.append(cells.pop(1))

    course.write("10_cnn", edit)
    course.publish({"10_cnn": newer(), "20_rnn": lesson()})
    update.update()
    assert list(course.cells("10_cnn")) == "title new knobs mean-exercise mean-check end".split()
    assert course.cells("10_cnn")["mean-exercise"].source == ANSWER


def test_an_answer_follows_its_exercise_into_another_lesson(course, capsys):
    def edit(cells):
        answer(cells)
        cells.append(new_markdown_cell("A note.", id="note"))

    saved = course.write("10_cnn", edit)
    whole = lesson()
    course.publish({"11_first": whole[:2], "12_second": whole[2:], "20_rnn": lesson()[:2]})
    update.update()
    assert not course.path("10_cnn").exists()
    assert course.cells("12_second")["mean-exercise"].source == ANSWER
    printed = capsys.readouterr().out
    assert "notebooks/10_cnn.ipynb, cell mean-exercise: is in notebooks/12_second.ipynb now" in printed
    assert "notebooks/10_cnn.ipynb, cell note: only the copy has yours" in printed
    assert course.copies()["10_cnn.ipynb"].read_bytes() == saved


def test_other_files_and_files_in_the_way_are_copied(course, capsys):
    (course.clone / "utils" / "check.py").write_text("x = 2\n")
    (course.clone / "new.md").write_text("mine")
    (course.clone / "mine.txt").write_text("of nobody's concern")
    course.write("20_rnn", answer)
    git(course.clone, "add", "utils/check.py")
    course.publish({"10_cnn": lesson(), "20_rnn": newer()}, **{"new.md": "theirs"})
    update.update()
    assert {name: path.read_text() for name, path in course.copies().items() if name != "20_rnn.ipynb"} == {
        "utils/check.py": "x = 2\n",
        "new.md": "mine",
    }
    assert (course.clone / "utils" / "check.py").read_text() == "x = 1\n"
    assert (course.clone / "new.md").read_text() == "theirs"
    assert (course.clone / "mine.txt").read_text() == "of nobody's concern"
    printed = capsys.readouterr().out
    assert "- utils/check.py: the new version stands there" in printed and "- new.md: the new version stands" in printed


@pytest.mark.parametrize("text", ["", "{", "<<<<<<< HEAD\n{}\n"])
def test_a_file_that_is_no_notebook_any_more_is_copied_and_replaced(course, capsys, text):
    course.path("10_cnn").write_text(text)
    course.publish({"10_cnn": newer(), "20_rnn": lesson()})
    update.update()
    assert course.cells("10_cnn")["title"].source == "# A better lesson"
    assert course.copies()["10_cnn.ipynb"].read_text() == text
    assert "- notebooks/10_cnn.ipynb: the new version stands there" in capsys.readouterr().out


def test_a_second_update_keeps_what_the_first_one_kept(course):
    course.write("10_cnn", answer)
    for title in ("# Two", "# Three"):
        course.publish({"10_cnn": newer(title), "20_rnn": lesson()})
        update.update()
        assert course.cells("10_cnn")["title"].source == title
        assert course.cells("10_cnn")["mean-exercise"].source == ANSWER


def test_without_anything_new_nothing_happens(course, capsys):
    saved = course.write("10_cnn", answer)
    assert update.update() == 0
    assert "newest version already" in capsys.readouterr().out
    assert course.path("10_cnn").read_bytes() == saved and not course.copies()


def refused(course, kind):
    if kind == "no clone":
        (course.clone / ".git").rename(course.clone / "git")
    elif kind == "no origin":
        course.origin.rename(course.origin.with_name("gone"))
    elif kind == "no upstream":
        git(course.clone, "checkout", "-q", "-b", "own")
    else:
        git(course.clone, "commit", "-q", "-am", "mine")


@pytest.mark.parametrize(
    "kind, sentence",
    [
        ("no clone", "is no clone made with git"),
        ("no origin", "Nothing was updated: git fetch failed"),
        ("no upstream", "follows none of its origin's"),
        ("own commits", "There are commits of your own here; `git merge` joins them"),
    ],
)
def test_what_cannot_be_updated_is_left_alone_and_said(course, kind, sentence):
    saved = course.write("10_cnn", answer)
    course.publish({"10_cnn": newer(), "20_rnn": lesson()})
    refused(course, kind)
    with pytest.raises(SystemExit, match=sentence):
        update.update()
    assert course.path("10_cnn").read_bytes() == saved and not course.copies()


def test_it_needs_only_what_the_reader_has():
    code = "import sys; import utils.workshop.update; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=lessons.ROOT).stdout
    assert not {"distributed", "papermill", "torch", "pytest"} & set(loaded.split())
