"""A class from end to end: what is handed out, what a class hands in, and whether the grades are the truth.

A test a lesson, so that they run side by side. The truth of a submission is how it was made: a committed solution, a
wrong answer of the lesson's TOML file, a stub, or a planted accident; never what the graders said.
"""

import csv
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbclient.exceptions import DeadKernelError
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import determine_grade

from tests.notebooks.attempts import attempts
from utils.teach import classroom, grading, handout
from utils.workshop import kernel, lessons

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
SHORT = 8  # seconds for a cell of a student's; an endless loop takes as many
POINTS = 10.0

Book = nbformat.NotebookNode


def find(book: Book, identifier: str) -> Book:
    return next(cell for cell in book.cells if cell.get("id") == identifier)


def strings(value: object) -> Iterator[str]:
    """Yield every text in a notebook, wherever it stands."""
    if isinstance(value, dict):
        yield from (text for pair in value.items() for text in strings(list(pair)))
    elif isinstance(value, list):
        yield from (text for entry in value for text in strings(entry))
    elif isinstance(value, str):
        yield value


# What a class hands in ------------------------------------------------------------------------------------------


@dataclass
class Submission:
    """One thing handed in: what is done to the release (or the bytes in its place), the truth, and what is reported."""

    right: set[str]  # the exercises that earn their points
    edits: list[Callable[[Book], None]] = field(default_factory=list)
    happened: str = "graded$"
    raw: bytes | None = None


def answer(identifier: str, source: str) -> Callable[[Book], None]:
    def edit(book: Book) -> None:
        find(book, identifier).source = source

    return edit


def delete(identifier: str) -> Callable[[Book], None]:
    def edit(book: Book) -> None:
        book.cells.remove(find(book, identifier))

    return edit


def turn_knobs(book: Book) -> None:
    """Turn every knob into something no lesson runs with."""
    (cell,) = (cell for cell in book.cells if "parameters" in lessons.tags(cell))
    cell.source = re.sub(r"^([A-Z]\w*) = .*$", r"\1 = 'turned'", cell.source, flags=re.M)


def solutions(lesson: Path) -> dict[str, str]:
    """Return each exercise's committed solution, under the student's name."""
    found = {}
    for exercise, _, solution in lessons.exercises(lessons.read(lesson)):
        name = lessons.student_function(exercise)
        found[exercise.id] = f"{solution.source.rsplit('check_', 1)[0]}\n{name} = solution_{name}"
    return found


def wrong_answers(lesson: Path) -> dict[str, list[str]]:
    """Return the wrong answers of each exercise."""
    found = {}
    for entry in lessons.trials(lesson)["wrong"]:
        found.setdefault(entry["exercise"], []).append(entry["answer"])
    return found


def body(lesson: Path, exercise: str, code: str) -> Callable[[Book], None]:
    """Answer an exercise with a function of the right name and this body."""
    name = lessons.student_function(find(lessons.read(lesson), exercise))
    return answer(exercise, f"def {name}(*args, **kwargs):\n    {code}")


def a_class(lesson: Path) -> dict[str, Submission]:
    """Make up what the students of a lesson hand in: all right, and answers of several kinds mixed.

    The accidents are the graders', not the lesson's: 00_start_here, which is quick, gets all of them, and 01_arrays,
    whose exercises are several, the common ones.
    """
    right, wrong = solutions(lesson), wrong_answers(lesson)
    ids, number = list(right), lessons.find().index(lesson)
    checks = {exercise.id: check.id for exercise, check, _ in lessons.exercises(lessons.read(lesson))}
    first, every = ids[0], [answer(name, source) for name, source in right.items()]
    but_first = {name for name in ids if name != first}
    rest = every[1:]
    kinds = [
        lambda name: answer(name, wrong[name][number % len(wrong[name])]),
        lambda name: answer(name, right[name]),
        lambda name: body(lesson, name, "raise RuntimeError('planted')"),
        lambda name: body(lesson, name, "return None"),
    ]
    mixed = {name: (place + number) % 4 for place, name in enumerate(ids)}
    tells = {2: "Case 1 raised RuntimeError", 3: "not attempted"}
    told = "".join(f"; {checks[name]}: {tells[kind]}" for name, kind in mixed.items() if kind in tells)
    found = {
        "all-right": Submission(set(ids), every),
        "mixed": Submission(
            {name for name, kind in mixed.items() if kind == 1},
            [kinds[kind](name) for name, kind in mixed.items()],
            f"graded{told}$",
        ),
    }
    accidents = {
        "corrupt": Submission(set(), happened="not a notebook: NotJSONError", raw=b'{"cells": ['),
        "endless": Submission(
            but_first, [*rest, body(lesson, first, "while True: pass")], f"graded; timeout in cell {checks[first]}$"
        ),
        "check-deleted": Submission(
            set(ids), [*every, delete(checks[first])], f"graded; check cell {checks[first]} deleted: put back$"
        ),
        "check-edited": Submission(
            but_first,
            [
                *rest,
                answer(first, wrong[first][0]),
                answer(checks[first], "print('● right (3 cases)')"),
            ],
            f"graded; check cell {checks[first]} changed: put back$",
        ),
        "killed": Submission(
            {name for name in ids[:-1]},
            [*every[:-1], body(lesson, ids[-1], "import os; os._exit(1)")],
            f"graded; the kernel died in cell {checks[ids[-1]]}$",
        ),
        "knobs": Submission(set(ids), [*every, turn_knobs], "graded; knobs changed: put back$"),
        "blank": Submission(
            set(), happened="graded" + "".join(f"; {checks[name]}: not attempted" for name in ids) + "$"
        ),
        "one-wrong": Submission(but_first, [*rest, answer(first, wrong[first][-1])]),
        "raising": Submission(
            but_first,
            [*rest, answer(first, "1 / 0")],
            f"graded; cell {first} raised ZeroDivisionError; cell .* NameError",
        ),
        "not-text": Submission(set(), happened="not a notebook: it is not text", raw=b"\xff\xfe\x00"),
        "bytes-ahead": Submission(
            set(), happened="not a notebook: it begins with a byte order mark", raw=b"\xef\xbb\xbf{}"
        ),
        "no-bytes": Submission(set(), happened="not a notebook: the file is empty", raw=b""),
    }
    if number == 0:
        return found | accidents | odd_ones(lesson, every, first, checks[first])
    return found | accidents if number == 1 else found


def odd_ones(lesson: Path, every: list, first: str, check: str) -> dict[str, Submission]:
    """Make up what happens more rarely; only the quick lesson gets these."""
    name = lessons.student_function(find(lessons.read(lesson), first))
    noisy = "import sys, warnings\nwarnings.warn('careful')\nprint('careful', file=sys.stderr)"

    def loudly(book: Book) -> None:
        lines = f"def {name}(*args):\n    warnings.warn('careful'); print('!', file=sys.stderr); return quiet(*args)"
        find(book, first).source += f"\n{noisy}\nquiet = {name}\n{lines}"

    def with_helper(book: Book) -> None:
        cell = find(book, first)
        helper = nbformat.v4.new_code_cell(cell.source.replace(name, "helper"))
        book.cells.insert(book.cells.index(cell), helper)
        cell.source = f"{name} = helper"

    def look_around(book: Book) -> None:
        find(book, first).source += "\nimport os\nassert not [name for name in os.environ if 'COURSE' in name.upper()]"
        find(book, first).source += f"\n{name} = {name} if os.listdir() == [{lesson.name!r}] else None"

    def other_ids(book: Book) -> None:
        for cell in book.cells:
            cell.id = nbformat.v4.new_code_cell().id

    def spoil_the_lesson(book: Book) -> None:
        for cell in lessons.code_cells(book):
            if not lessons.tags(cell) & {"exercise", "check", "parameters"}:
                cell.source = "raise SystemExit"

    def kept_apart(book: Book) -> None:
        """Store the answer by a method call, which no reading of the code foresees."""
        cell = find(book, first)
        texts = [cell.source.replace(name, "helper"), "kept = []", "kept.append(helper)"]
        at = book.cells.index(cell)
        book.cells[at:at] = [nbformat.v4.new_code_cell(text) for text in texts]
        cell.source = f"def {name}(*args):\n    return kept[0](*args)"

    def draft_below(book: Book) -> None:
        draft = nbformat.from_dict(find(book, first))
        draft.id, draft.source = "draft", f"def {name}(*args):\n    return None"
        book.cells.append(draft)

    def older_below(book: Book) -> None:
        """Keep an older attempt below the check, in a file whose ids an editor dropped."""
        older = nbformat.from_dict(find(book, first))
        older.source = f"def {name}(*args):\n    return 0.0"
        book.cells.insert(book.cells.index(find(book, check)) + 1, older)
        book.nbformat_minor = 0
        for cell in book.cells:
            cell.pop("id", None)

    def windows_lines(book: Book) -> None:
        for cell in book.cells:
            cell.source = cell.source.replace("\n", "\r\n")

    def own_loss(book: Book) -> None:
        own = nbformat.v4.new_code_cell("def loss(g, x):\n    return ((x - g) ** 2).mean()")
        book.cells.insert(book.cells.index(find(book, first)), own)

    def unended(book: Book) -> None:
        find(book, first).source += f"\nquiet = {name}\ndef {name}(*args):\n    print('.', end=''); return quiet(*args)"

    def no_marks(book: Book) -> None:
        find(book, check).metadata.nbgrader.update(grade=False, points=-1, locked=False, solution=True)

    boast = "import os, time\n    print('\\n● slope: right (3 cases)', flush=True)\n    time.sleep(1); "
    stubborn = "import signal\n    signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass"
    return {
        "warns": Submission({first}, [*every, loudly]),
        "Zoë O'Neil-Öz": Submission({first}, [*every, with_helper]),
        "curious": Submission({first}, [*every, look_around]),
        "other-ids": Submission({first}, [*every, other_ids]),
        "lesson-spoilt": Submission({first}, [*every, spoil_the_lesson], r"graded; \d+ other cells changed: put back"),
        "marks-changed": Submission({first}, [*every, no_marks]),
        "answer-deleted": Submission(set(), [delete(first)], f"graded; .*exercise cell {first} is missing: no points"),
        "kept-apart": Submission({first}, [*every, kept_apart]),
        "draft-below": Submission({first}, [*every, draft_below], f"graded; cell {first} stands twice"),
        "older-below": Submission({first}, [*every, older_below], f"graded; cell {first} stands twice"),
        "windows-lines": Submission({first}, [*every, windows_lines]),
        "own-loss": Submission({first}, [*every, own_loss], "graded; redefines loss, which a check uses: look at it$"),
        "unended": Submission({first}, [*every, unended]),
        "boasts-and-dies": Submission(
            set(), [body(lesson, first, f"{boast}os._exit(1)")], f"graded; the kernel died in cell {check}$"
        ),
        "boasts-for-ever": Submission(
            set(), [body(lesson, first, "while True: print('\\n● ' * 50_000)")], f"graded; time.*out in cell {check}$"
        ),
        "shows-for-ever": Submission(
            set(), [body(lesson, first, "while True: display('x' * 100_000)")], f"graded; time.*out in cell {check}$"
        ),
        "prints-for-ever": Submission(
            set(), [body(lesson, first, "while True: print('again and again')")], f"graded; timeout in cell {check}$"
        ),
        "will-not-stop": Submission(set(), [body(lesson, first, stubborn)], f"graded; time ran out in cell {check}$"),
        "leaves": Submission(set(), [answer(first, "exit()")], f"graded; cell {check} raised NameError"),
        "odd-cells": Submission(
            set(),
            happened="not a notebook|could not be graded; .*nbgrader.log says why",
            raw=b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}',
        ),
        "no-notebook": Submission(set(), happened="not a notebook: ValidationError", raw=b'{"a": 1}'),
    }


def hand_in(root: Path, lesson: Path, submissions: dict[str, Submission]) -> None:
    """Put the submissions where students' work is wanted."""
    release = root / "release" / lesson.stem / lesson.name
    for student, submission in submissions.items():
        file = root / "submitted" / student / lesson.stem / lesson.name
        file.parent.mkdir(parents=True)
        book = lessons.read(release)
        for edit in submission.edits:
            edit(book)
        file.write_bytes(nbformat.writes(book).encode() if submission.raw is None else submission.raw)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


# What came of it ------------------------------------------------------------------------------------------------


def points(root: Path, lesson: Path, students: list[str]) -> dict[str, dict[str, float]]:
    """Read each student's points from the gradebook: exercise by exercise."""
    checks = {check.id: exercise.id for exercise, check, _ in lessons.exercises(lessons.read(lesson))}
    api = handout.course(root)
    return {
        student: {checks[name]: score.points for name, score in classroom.scores(api, lesson.stem, student).items()}
        for student in students
    }


def untrue(got: dict[str, dict[str, float]], submissions: dict[str, Submission], ids: list[str]) -> list[str]:
    """List the grades that are not the truth."""
    return [
        f"{student}, {name}: {got.get(student, {}).get(name)} points"
        for student, submission in submissions.items()
        for name in ids
        if got.get(student, {}).get(name) != (POINTS if name in submission.right else 0.0)
    ]


def rows(root: Path) -> dict[str, list[str]]:
    """Read the report: the columns of each student."""
    lines = (root / "report.md").read_text(encoding="utf-8").splitlines()
    table = [[text.strip() for text in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")]
    return {columns[0]: columns for columns in table[1:]}


@pytest.mark.timeout(3000)  # dozens of submissions one after the other, also on a slow machine
def test_round_trip(notebook, tmp_path, capsys, monkeypatch, record_property):
    """Whatever a class hands in, the grades are the truth, the report says what happened, and nothing is altered."""
    monkeypatch.setenv("COURSE_TOKEN", "the instructor's")
    root, submissions = tmp_path / "class", a_class(notebook)
    ids = list(solutions(notebook))
    assert handout.build([notebook.stem], root) == 0
    hand_in(root, notebook, submissions)
    before = digests(root / "submitted")
    assert classroom.grade([notebook.stem], root, timeout=SHORT) == 0
    assert digests(root / "submitted") == before, "what was handed in was altered"
    assert untrue(points(root, notebook, list(submissions)), submissions, ids) == []

    report = rows(root)
    assert set(report) == set(submissions)
    for student, submission in submissions.items():
        assert re.match(submission.happened, report[student][5]), f"{student}: {report[student][5]!r}"
        assert report[student][2] == f"{POINTS * len(submission.right):g} of {POINTS * len(ids):g}"
    with (root / "grades.csv").open(encoding="utf-8", newline="") as table:
        totals = {row["student"]: float(row["points"]) for row in csv.DictReader(table)}
    assert totals == {student: POINTS * len(submission.right) for student, submission in submissions.items()}
    assert len(capsys.readouterr().out.splitlines()) < len(submissions) + 10, "a line a submission, and few others"

    run = [float(report[student][4]) for student in submissions if report[student][5].startswith("graded")]
    quick = float(report["all-right"][4])
    record_property(
        "figure",
        f"class, {notebook.stem}: {len(submissions)} submissions graded, {len(submissions) * len(ids)} grades as they "
        f"should be; all right {quick:.0f} s, mean {sum(run) / len(run):.0f} s, longest {max(run):.0f} s",
    )


def test_short_run_says_what_the_lesson_says(notebook):
    """Of a lesson only what the exercises need is run; there every answer gets the line it gets in the whole lesson.

    The instructor's version is run, so each check first finds the key right.
    """
    book, trials = lessons.read(notebook), lessons.trials(notebook)
    probes, key = attempts(book, trials), handout.instructors(notebook)
    wanted = grading.needed(key.cells)
    assert len(wanted) < len(lessons.code_cells(key)), "nothing is left out"
    key.cells = [cell for place, cell in enumerate(key.cells) if place in wanted]
    run = kernel.execute(notebook, source=key, probes=probes)
    assert run.error is None, run.error
    ids = [exercise.id for exercise, _, _ in lessons.exercises(book)]
    for _, check, _ in lessons.exercises(book):
        assert lessons.text_of(run.cell(check.id)).startswith("●"), f"{check.id}: the key is not right"
    lines = {name: lessons.text_of(run.cell(name)) for name in probes}
    for name, line in lines.items():
        if name.endswith("-right"):
            assert re.search(r"^● (?!solution)", line, re.M), f"{name}: {line!r}"
        elif name.endswith("-pairs"):
            assert not line, f"{name}: a mix of mistakes is accepted: {line!r}"
        else:
            assert line.startswith("◐"), f"{name}: {line!r}"
    for identifier in ids:
        for number, entry in enumerate(entry for entry in trials["wrong"] if entry["exercise"] == identifier):
            assert re.search(entry["hint"], lines[f"try-{identifier}-wrong-{number}"])


# What is handed out ---------------------------------------------------------------------------------------------


def leaks(release: Book, lesson: Path) -> list[str]:
    """List what a handed-out notebook gives away: a solution's own lines, markers, notes, outputs."""
    book = lessons.read(lesson)
    own = "\n".join(cell.source for cell in book.cells if "solution" not in lessons.tags(cell))
    secret = {
        line.strip().replace("solution_", "")
        for _, _, solution in lessons.exercises(book)
        for line in solution.source.splitlines()
    }
    passing = ("def ", "check_", "return None")
    secret = {line for line in secret if len(line) > 8 and line not in own and not line.startswith(passing)}
    assert secret, "a lesson whose solutions have no line of their own proves nothing"
    text = "\n".join(strings(release))
    found = [line for line in sorted(secret) if line in text]
    found += [mark for mark in ("solution_", "BEGIN SOLUTION", "END SOLUTION", "Misconception") if mark in text]
    found += [f"outputs of {cell.id}" for cell in lessons.code_cells(release) if cell.outputs or cell.execution_count]
    return found


def test_release(notebook, tmp_path, capsys):
    """The release holds the lesson without its solutions, with marks that nbgrader accepts and points in one place."""
    root = tmp_path / "class"
    assert handout.build([notebook.stem], root) == 0
    release, committed = lessons.read(root / "release" / notebook.stem / notebook.name), lessons.read(notebook)
    assert leaks(release, notebook) == []
    assert leaks(lessons.read(root / "source" / notebook.stem / notebook.name), notebook), "the key would be noticed"
    nbformat.validate(release)
    MetadataValidator().validate_nb(release)

    kept = [cell for cell in committed.cells if "solution" not in lessons.tags(cell)]
    assert [cell.id for cell in release.cells] == ["handed-out", *(cell.id for cell in kept)]
    for ours, theirs in zip(kept, release.cells[1:], strict=True):
        linkless = re.sub(r"\[([^]]+)\]\(\d\d_\w+\.ipynb\)", r"\1", ours.source)
        assert theirs.source.rstrip() == linkless.rstrip(), ours.id
        assert lessons.tags(theirs) == lessons.tags(ours)
        marks = theirs.metadata.get("nbgrader", {})
        assert bool(marks) == (ours.cell_type == "code")
        tags = lessons.tags(ours)
        if marks:
            assert marks["grade_id"] == ours.id
            assert marks["solution"] == ("exercise" in tags) and marks["grade"] == ("check" in tags)
            assert marks["locked"] == ("exercise" not in tags) and marks.get("points") == (
                10 if marks["grade"] else None
            )
            assert theirs.metadata.get("editable", True) == ("check" not in tags), "checks are locked, knobs are not"
            assert theirs.metadata.get("deletable", True) == (not tags & {"check", "exercise"})
    asked = [exercise.id for exercise, _, _ in lessons.exercises(committed)]
    assert f"{notebook.stem}: {len(asked)} exercise" in capsys.readouterr().out


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Hand out a lesson after an edit, as `make class` would; return what is said, and whether it was released."""
    lesson = lessons.find()[0]
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "notebooks")
    (tmp_path / "notebooks").mkdir()

    def changed(capsys, edit, run_again=False):
        book = lessons.read(lesson)
        edit(book)
        if run_again:
            book.metadata.course.code = lessons.digest(book)
        nbformat.write(book, tmp_path / "notebooks" / lesson.name)
        assert handout.build([], tmp_path / "class") == 1
        assert not (tmp_path / "class" / "release" / lesson.stem).exists()
        return capsys.readouterr().out.splitlines()[0]

    return changed


def test_a_lesson_that_was_answered_in_class_is_not_handed_out(changed, capsys):
    (exercise, _, solution), *_ = lessons.exercises(lessons.read(lessons.ROOT / "notebooks" / "00_start_here.ipynb"))
    assert "changed since its clean run, by an answer or a knob" in changed(capsys, turn_knobs)

    def solve(book):
        find(book, exercise.id).source = solution.source.replace("solution_", "").rsplit("check_", 1)[0]

    def mention(book):
        cell = find(book, exercise.id)
        cell.source = cell.source.replace("    return None", "    x = 3\n    return None")

    assert "changed since its clean run" in changed(capsys, solve)
    for edit in (solve, mention):  # and it was run again since
        assert f"holds an answer in cell {exercise.id}" in changed(capsys, edit, run_again=True)


def test_a_release_opens_and_runs_anywhere(tmp_path):
    """In a folder of the student's own, from top to bottom; each exercise is then not attempted yet."""
    lesson = lessons.find()[0]
    root = tmp_path / "class"
    handout.build([lesson.stem], root)
    run = kernel.execute(lesson, source=lessons.read(root / "release" / lesson.stem / lesson.name))
    assert run.error is None
    for _, check, _ in lessons.exercises(lessons.read(lesson)):
        assert lessons.text_of(run.cell(check.id)).startswith("○")


def test_points_stand_in_one_place(tmp_path, monkeypatch):
    lesson = lessons.find()[1]
    *others, last = [check.id for _, check, _ in lessons.exercises(lessons.read(lesson))]
    monkeypatch.setattr(handout, "POINTS", 4)
    monkeypatch.setattr(handout, "WEIGHTS", {lesson.stem: {last: 7.5}})
    marks = [cell.metadata.get("nbgrader", {}) for cell in handout.instructors(lesson).cells]
    assert [mark["points"] for mark in marks if mark.get("grade")] == [4.0] * len(others) + [7.5]


def test_speakers_notes_stay_with_the_instructor(tmp_path, monkeypatch):
    """They give answers away; a lesson may carry them in any cell."""
    (tmp_path / "notebooks").mkdir()
    book = lessons.read(lessons.find()[0])
    for cell in book.cells:
        cell.metadata["course"] = {"notes": "Misconception: the sign is positive.\nAsk: why?"}
    nbformat.write(book, tmp_path / "notebooks" / lessons.find()[0].name)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "notebooks")
    assert handout.build([], tmp_path / "class") == 0
    for file in (tmp_path / "class" / "release").rglob("*.ipynb"):
        assert "Misconception" not in file.read_text(encoding="utf-8")


# The failing side, and bad input --------------------------------------------------------------------------------


@pytest.fixture
def quick_class(tmp_path):
    """Build a class of the quick lesson; return its folder, the lesson and its one exercise."""
    lesson = lessons.find()[0]
    root = tmp_path / "class"
    handout.build([lesson.stem], root)
    (exercise,) = solutions(lesson)
    return root, lesson, exercise


def test_a_wrong_answer_graded_as_right_is_noticed(quick_class, monkeypatch):
    """Without both safeguards nbgrader gives a wrong answer its points, and the comparison with the truth says so."""
    root, lesson, exercise = quick_class
    wrong = {"wrong": Submission(set(), [answer(exercise, wrong_answers(lesson)[exercise][0])])}
    hand_in(root, lesson, wrong)
    monkeypatch.setattr(grading, "settle", lambda cell, ran: None)
    monkeypatch.setattr(grading.RunChecks, "kept_environment", re.compile("PATH|HOME|PYTHONPATH"))
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert untrue(points(root, lesson, ["wrong"]), wrong, [exercise]) == [f"wrong, {exercise}: 10.0 points"]


def test_only_the_notebook_is_taken_and_feedback_shows_the_exercises(quick_class):
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    (root / "submitted" / "anna" / lesson.stem / "torch.py").write_text("raise SystemExit")
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][5] == "graded; left aside: torch.py"
    assert [file.name for file in (root / "autograded" / "anna" / lesson.stem).iterdir()] == [lesson.name]
    page = (root / "feedback" / "anna" / lesson.stem / f"{lesson.stem}.html").read_text(encoding="utf-8")
    assert "right (" in page and "10.0 / 10.0" in page
    assert "use_style" not in page, "the set-up is no part of the feedback"


def test_a_graders_own_utils_changes_no_grade(quick_class, tmp_path, monkeypatch):
    root, lesson, exercise = quick_class
    (tmp_path / "utils.py").write_text("mine = 1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10"


def test_a_lesson_that_does_not_run_here_is_nobodys_fault(quick_class, tmp_path, monkeypatch, capsys):
    """Grading stops at the first, and gives no points to anyone."""
    root, lesson, exercise = quick_class
    (tmp_path / "utils.py").write_text("mine = 1")
    right = Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])
    hand_in(root, lesson, {"anna": right, "bert": right})
    with monkeypatch.context() as patch:
        patch.setattr(lessons, "ROOT", tmp_path)
        assert classroom.grade([], root, timeout=SHORT) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Stopped at anna/00_start_here: cell setup of the lesson raised ImportError: ")
    assert not (root / "grades.csv").exists()
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert [row[2] for row in rows(root).values()] == ["10 of 10", "10 of 10"], "mended, both are graded"


def test_a_class_made_by_an_older_version_is_graded_on(quick_class):
    root, lesson, exercise = quick_class
    settings = root / "nbgrader_config.py"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("utils.teach.grading", "utils.teach.classroom"), encoding="utf-8")
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10"


def test_two_do_not_grade_at_once(quick_class):
    root, lesson, exercise = quick_class
    with FileLock(root / "grading.lock"), pytest.raises(SystemExit, match="Somebody is grading in .* already"):
        classroom.grade([], root)
    with pytest.raises(SystemExit, match="Nothing was handed in"):
        classroom.grade([], root)


def test_a_lost_picture_does_not_cost_the_page(quick_class):
    root, lesson, exercise = quick_class

    def with_picture(book: Book) -> None:
        text = "See ![my sketch](attachment:sketch.png) and ![](https://example.org/x.png)."
        book.cells.insert(3, nbformat.v4.new_markdown_cell(text))

    right = answer(exercise, solutions(lesson)[exercise])
    hand_in(root, lesson, {"anna": Submission({exercise}, [right, with_picture])})
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][5] == "graded"
    page = (root / "feedback" / "anna" / lesson.stem / f"{lesson.stem}.html").read_text(encoding="utf-8")
    assert "See (sketch.png was not handed in) and" in page


def test_a_name_that_is_not_utf8_stops_nobody(quick_class, monkeypatch, capsys):
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"zoe": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    try:
        (root / "submitted" / "J\udcf6rg" / lesson.stem).mkdir(parents=True)
    except OSError:
        pytest.skip("this system has no such names")
    (root / "submitted" / "__MACOSX" / "zoe").mkdir(parents=True)
    assert classroom.grade([], root, timeout=SHORT) == 0
    told = rows(root)
    assert set(told) == {r"J\udcf6rg", "zoe"} and told["zoe"][2] == "10 of 10"
    assert told[r"J\udcf6rg"][5].startswith("the folder's name is not UTF-8")
    assert (root / "grades.csv").read_text(encoding="utf-8").count("\n") == 3


def test_a_submission_has_only_so_much_time(quick_class):
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"slow": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    assert classroom.grade([], root, limit=0) == 0
    assert rows(root)["slow"][2] == "0 of 10" and "time ran out in cell" in rows(root)["slow"][5]


def test_in_a_course_with_other_settings_a_wrong_answer_is_still_wrong(quick_class):
    """An instructor may put the assignment into an nbgrader course that knows nothing of ours."""
    root, lesson, exercise = quick_class
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    submissions = {
        "wrong": Submission(set(), [answer(exercise, wrong_answers(lesson)[exercise][0])]),
        "right": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])]),
    }
    hand_in(root, lesson, submissions)
    api = handout.course(root)
    for student in submissions:
        assert handout.quietly(root, api.autograde, lesson.stem, student)["success"]
    assert untrue(points(root, lesson, list(submissions)), submissions, [exercise]) == []


def test_what_was_graded_is_not_run_again_until_it_changes(quick_class, monkeypatch, capsys):
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    classroom.grade([], root, timeout=SHORT)
    first = (root / "report.md").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(classroom, "grade_one", lambda *arguments: pytest.fail("it was run again"))
        classroom.grade([], root)
    assert (root / "report.md").read_text() == first and rows(root)["anna"][2] == "10 of 10"
    (root / "submitted" / "anna" / lesson.stem / lesson.name).write_text("no notebook")
    classroom.grade(["10_cnn"], root)
    assert rows(root)["anna"][2:6:3] == ["10 of 10", "graded; handed in anew since"]
    classroom.grade([], root)
    assert rows(root)["anna"][2] == "0 of 10", "the points of what was handed in before"
    assert rows(root)["anna"][5].startswith("not a notebook: NotJSONError")


def test_what_is_not_where_it_belongs_gets_a_sentence(quick_class):
    root, lesson, _ = quick_class
    submitted = root / "submitted"
    for folder in ("empty", "misnamed/00_start_here", "unknown/99_dreams", "flat", "not-built/10_cnn", "Doe, Jane"):
        (submitted / folder).mkdir(parents=True)
    for file in ("misnamed/00_start_here/my\nown.ipynb", "flat/00_start_here.ipynb", "stray.ipynb"):
        (submitted / file).write_text("{}")
    (submitted / "not-built/10_cnn/10_cnn.ipynb").write_text("{}")
    assert classroom.grade([], root) == 0
    told = {student: columns[5] for student, columns in rows(root).items()}
    assert told == {
        "Doe, Jane": "the folder's name may not begin with a dot or hold , \" * ? [ ] or outer spaces",
        "empty": "the folder is empty",
        "flat": "00_start_here.ipynb is not in a lesson's folder; wanted is 00_start_here/00_start_here.ipynb",
        "misnamed": "no 00_start_here.ipynb in the folder, but my own.ipynb",
        "not-built": "the lesson was not handed out; `make class NB=10_cnn` makes its assignment",
        "stray.ipynb": "a file where a student's folder is wanted, as in STUDENT/10_cnn/10_cnn.ipynb",
        "unknown": "there is no lesson 99_dreams",
    }


def test_commands_say_what_is_wanted(tmp_path):
    with pytest.raises(SystemExit, match="There is no lesson 99_dreams; there are 00_start_here, .*10_cnn"):
        handout.build(["99_dreams"], tmp_path)
    with pytest.raises(SystemExit, match="There is no class in .*; `make class` builds it"):
        classroom.grade([], tmp_path)
    handout.build(["00_start_here"], tmp_path)
    with pytest.raises(SystemExit, match="Nothing was handed in: .* holds nothing. Wanted is STUDENT/10_cnn"):
        classroom.grade([], tmp_path)


def test_a_lesson_with_other_cells_does_not_replace_what_was_graded(quick_class, monkeypatch, capsys):
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    classroom.grade([], root, timeout=SHORT)
    before = digests(root / "source") | digests(root / "release")
    assert handout.build([lesson.stem], root) == 0, "the same cells may be written again"
    key = handout.instructors(lesson)
    key.cells.pop()
    key.cells.append(nbformat.v4.new_code_cell("1", metadata={"nbgrader": {"grade_id": "new"}}))
    monkeypatch.setattr(handout, "instructors", lambda path: key)
    assert handout.build([lesson.stem], root) == 1
    assert "00_start_here: left as it was. 1 submissions were graded" in capsys.readouterr().out
    assert digests(root / "source") | digests(root / "release") == before
    assert rows(root)["anna"][2] == "10 of 10"


# What grows stale, or ends halfway ------------------------------------------------------------------------------


def by_hand(root: Path, lesson: Path, **fields: object) -> None:
    """Give points as nbgrader's formgrader stores them."""
    with handout.gradebook(handout.course(root)) as book:
        (grade,) = book.find_submission_notebook(lesson.stem, lesson.stem, "anna").grades
        for field_name, value in fields.items():
            setattr(grade, field_name, value)
        book.db.commit()


def test_points_by_hand_of_an_earlier_hand_in_are_told(quick_class):
    root, lesson, exercise = quick_class
    file = root / "submitted" / "anna" / lesson.stem / lesson.name
    page = root / "feedback" / "anna" / lesson.stem / f"{lesson.stem}.html"
    right, look = solutions(lesson)[exercise], "graded; points by hand from before it was last graded: look at them"

    def graded(source: str = "", raw: bytes | None = None) -> list[str]:
        if source or raw:
            file.unlink(missing_ok=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            book = lessons.read(root / "release" / lesson.stem / lesson.name)
            find(book, exercise).source = source
            file.write_bytes(raw or nbformat.writes(book).encode())
        assert classroom.grade([], root, timeout=SHORT) == 0
        return rows(root)["anna"][2:6:3]

    assert graded(wrong_answers(lesson)[exercise][0]) == ["0 of 10", "graded"]
    by_hand(root, lesson, manual_score=7, needs_manual_grade=False)
    assert graded() == ["7 of 10", "graded"] and "7.0 / 10.0" in page.read_text(encoding="utf-8")
    assert graded(right) == ["7 of 10", look] == graded()
    by_hand(root, lesson, needs_manual_grade=False)  # which formgrader sets when points are saved
    assert graded() == ["7 of 10", "graded"]
    by_hand(root, lesson, manual_score=None, extra_credit=3)
    assert graded(f"{right}\n") == ["13 of 10", look]
    assert page.exists()
    points, happened = graded(raw=b"no notebook")
    assert points == "0 of 10" and happened.endswith("; 3 points by hand are dropped")
    assert not page.exists(), "the page of what was handed in before"


def test_what_stops_the_grading_costs_no_points(quick_class, monkeypatch, capsys):
    """What could not be graded is tried again, and so is what the gradebook or the memory has lost."""
    root, lesson, exercise = quick_class
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})

    def fail(*arguments: object) -> None:
        raise OSError("No space left\non device")

    with monkeypatch.context() as patch:
        patch.setattr(handout, "quietly", fail)
        assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2:6:3] == ["no points", "could not be graded: OSError: No space left on device"]
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10"

    by_hand(root, lesson, auto_score=0)  # as in an older copy of the gradebook
    (memory := root / "graded.json").write_text(memory.read_text(encoding="utf-8"), encoding="utf-8")
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10"
    memory.write_text('{"anna', encoding="utf-8")
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10"


def test_stopped_by_hand_nobody_gets_points_for_it(quick_class, monkeypatch, capsys):
    """nbgrader takes Ctrl + C for a failure, and would go on to the next."""
    root, lesson, exercise = quick_class
    right = Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])
    hand_in(root, lesson, {"anna": right, "bert": right})

    def stop(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grading.RunChecks, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        classroom.grade([], root, timeout=SHORT)
    assert not (root / "graded.json").exists() and not (root / "grades.csv").exists()
    monkeypatch.setattr(classroom, "grade", stop)
    assert classroom.main(["grade"]) == 130
    assert "What was graded is kept" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        classroom.main(["grade", "--timeout", "0"])
    assert "--timeout was given 0; wanted is a number of seconds, 1 or more" in capsys.readouterr().err


def test_a_folder_or_file_that_cannot_be_read_stops_nobody(quick_class, monkeypatch):
    root, lesson, exercise = quick_class
    right = Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])
    hand_in(root, lesson, {"closed": right, "locked": right, "zoe": right})
    closed, locked = (root / "submitted" / name / lesson.stem for name in ("closed", "locked"))
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:  # rights do not stop the account that tests often run in
        if folder in (closed.parent, locked):
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert {student: row[2:6:3] for student, row in rows(root).items()} == {
        "closed": ["no points", "the folder cannot be read: Permission denied"],
        "locked": ["no points", "00_start_here.ipynb cannot be read: Permission denied"],
        "zoe": ["10 of 10", "graded"],
    }


def test_a_class_in_a_folder_whose_name_is_a_pattern(tmp_path):
    """[ ] * ? are patterns to nbgrader, ? and % something else to its database."""
    lesson = lessons.find()[0]
    root = tmp_path / ("a [b] *?%41 #'{x}" if os.name == "posix" else "a [b] %41 #'{x}") / "class"
    assert handout.build([lesson.stem], root) == 0
    (exercise,) = solutions(lesson)
    hand_in(root, lesson, {"anna": Submission({exercise}, [answer(exercise, solutions(lesson)[exercise])])})
    assert classroom.grade([], root, timeout=SHORT) == 0
    assert rows(root)["anna"][2] == "10 of 10" and (root / "gradebook.db").exists()


class TwoRuns(grading.RunChecks):
    """Plays the two runs of a notebook: in each the checks given are right, and the kernel dies where it is told to."""

    def play(self, cells: list[Book], *runs: tuple[set[int], int | None]) -> Book:
        self.runs, book = iter(runs), nbformat.v4.new_notebook(cells=cells, metadata={"course": {}})
        return self.preprocess(book, {})[0]

    def run(self, nb: Book, resources: object, km: object) -> None:
        self.well, died = next(self.runs)
        for place, cell in enumerate(nb.cells):
            cell.outputs = [nbformat.v4.new_output("stream", text="● right\n")] * (place in self.well)
        if died is not None:
            self.running = grading.name_of(nb.cells[died])
            raise DeadKernelError("Kernel died")


def an_assignment() -> list[Book]:
    """Make a lesson's cell and two exercises, the second of which uses what the lesson made."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("net = 1", "f = 1", "f", "g = net", "g")]
    for place, cell in enumerate(cells):
        kind = {"solution": place in (1, 3), "grade": place in (2, 4), "points": 5, "grade_id": f"cell-{place}"}
        cell.metadata["nbgrader"] = kind
    return cells


def test_what_was_right_stays_right_when_the_whole_notebook_ends_halfway():
    done = TwoRuns().play(an_assignment(), ({0, 1, 2, 3}, None), ({0}, 1))
    assert [determine_grade(done.cells[place])[0] for place in (2, 4)] == [5, 0]
    assert done.metadata["course"]["stopped"] == "the kernel died in cell cell-1"


def test_a_kernel_that_dies_in_the_lesson_is_nobodys_fault():
    with pytest.raises(grading.LessonFaultError, match="the kernel died in cell cell-0 of the lesson"):
        TwoRuns().play(an_assignment(), (set(), 0))


# What is put together -------------------------------------------------------------------------------------------


RELEASE = [("lesson", "x = 1"), ("answer", "f = None"), ("check", "said.append(f and f() == 1)"), ("later", "y = 2")]
LESSON, ANSWER, CHECK, LATER = RELEASE
RIGHT, WRONG = ("answer", "f = lambda: x"), ("answer", "f = lambda: 7")


def named(*pairs: tuple[str, str]) -> list[Book]:
    """Make cells as they are handed out: (name, code); a name that is none of these is a student's cell."""
    cells = [nbformat.v4.new_code_cell(source) for _, source in pairs]
    for cell, (name, _) in zip(cells, pairs, strict=True):
        if name in dict(RELEASE):
            cell.metadata["nbgrader"] = {"grade_id": name, "solution": name == "answer", "grade": name == "check"}
    return cells


@pytest.mark.parametrize("keeps_its_id", ["first", "last", "none"])
@pytest.mark.parametrize(
    "handed_in",
    [
        [LESSON, RIGHT, CHECK, WRONG, LATER],  # an older attempt below the check
        [WRONG, LESSON, RIGHT, CHECK, LATER],  # or as a draft on top
        [LESSON, ANSWER, RIGHT, CHECK, LATER],  # the answer in the copy
        [LESSON, WRONG, RIGHT, CHECK, WRONG, LATER],
        [LESSON, ("answer", "one = 1"), ("answer", "f = lambda: one"), CHECK, LATER],  # split in two
        [LESSON, RIGHT, ("answer", ""), CHECK, LATER],
        [LESSON, WRONG, CHECK, LATER, ("added", "g = lambda: y // 2"), ("answer", "f = g"), CHECK],  # tried again
        [LESSON, LATER, ("added", "g = lambda: y // 2"), ("answer", "f = g"), CHECK],  # moved down
        [LESSON, CHECK, LATER, RIGHT],  # its check was run again after it
    ],
)
def test_of_copies_the_one_counts_that_the_students_check_saw(handed_in, keeps_its_id):
    cells = named(*handed_in)
    for name in dict(RELEASE):
        same = [cell for cell in cells if grading.name_of(cell) == name]
        if same and keeps_its_id != "none":
            same[0 if keeps_its_id == "first" else -1].id = name
    checks = [cell for cell in cells if grading.is_check(cell)]
    checks[-1].outputs = [nbformat.v4.new_output("stream", text="● right\n")]
    done, notes = grading.put_together(named(*RELEASE), cells)
    space = {"said": []}
    for cell in done:
        exec(cell.source, space)
        if grading.is_check(cell):
            assert space["said"][-1] is True
    names = [name for name, _ in handed_in]
    assert notes["twice"] == [name for name in dict(RELEASE) for _ in range(names.count(name) - 1)]
    assert notes["reset"] == notes["missing"] == notes["rebound"] == []


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_a_copy_that_is_no_code_is_not_run(kind):
    cells = named(LESSON, RIGHT, WRONG, CHECK, LATER)
    cells[2].cell_type = kind
    done, notes = grading.put_together(named(*RELEASE), cells)
    assert RIGHT[1] in [cell.source for cell in done if grading.is_answer(cell)] and not notes["twice"]


@pytest.mark.parametrize("ending", ["\r\n", "\r", "  \n", "\t\n"])
def test_how_an_editor_ends_lines_is_no_change(ending):
    release = named(("lesson", "x = 1\ny = 2"), *RELEASE[1:])
    cells = nbformat.from_dict(release)
    cells[0].source = cells[0].source.replace("\n", ending) + ending
    assert grading.put_together(release, cells)[1]["reset"] == []
    cells[0].source = "x = 1\n y = 2"
    assert grading.put_together(release, cells)[1]["reset"] == ["lesson"]


# What is run ----------------------------------------------------------------------------------------------------


def cells_of(*sources: str) -> list[Book]:
    """Make code cells; one that begins with `#!` is an exercise's answer."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for cell in cells:
        cell.metadata["nbgrader"] = {"solution": cell.source.startswith("#!"), "grade": False}
    return cells


@pytest.mark.parametrize(
    "sources, places",
    [
        (["import a", "import b", "#! f\ndef f(): return a.x"], {0, 2}),
        (["x = 1", "x = 2", "#!\ny = x"], {1, 2}),  # the last one before
        (["x = 1", "#!\ny = x", "x = 2"], {0, 1}),
        (["x = 1", "x = 2", "#!\ndef f(): return x", "x = 3"], {1, 2}),  # nobody calls it later
        (["x = 1", "#!\ndef f(): return x", "y = 2", "x = 3", "#!\nf()"], {0, 1, 3, 4}),  # read when it is called
        (["x = 1", "def f(): return x", "#!\ny = f()", "x = 2", "#!\nf()"], {0, 1, 2, 3, 4}),  # called twice
        (["n = 1", "def f(): return n", "g = [f]", "n = 2", "#!\ng[0]()"], {0, 1, 2, 3, 4}),  # through another name
        (["x = []", "x[0] = 3", "y = 4", "#!\nz = x"], {0, 1, 3}),
        (["class N: pass", "N.f = lambda self: 3", "#!\nN().f()"], {0, 1, 2}),
        (["g = 2", "def h(): return g", "def f(): return h()", "k = 1", "#!\nf()"], {0, 1, 2, 4}),
        (["for i in range(3): j = i", "#!\nprint(j)"], {0, 1}),
        (["x = 1", "#!\ndef f(x): return x"], {1}),  # its own x
        (["x = 1", "%%time\nx = 2", "y = 1", "#!\nprint(x)"], {0, 1, 3}),
        (["net = 1", "#!\nprint(eval('net')"], {0, 1}),  # unbalanced: every word may be a name
        (["y = 2", "#!\nf'{y}'"], {0, 1}),
        (["x = 1", "x = 2\ny = x", "#!\nprint(y)"], {1, 2}),  # it binds x itself, before it reads it
        (["x = 1", "y = x\nx = 2", "#!\nprint(y)"], {0, 1, 2}),
        (["x = 1", "if y := 0:\n    x = 2\nz = x", "#!\nprint(z)"], {0, 1, 2}),  # perhaps it does not
        (["x = 1", "for i in []:\n    x = 2\nz = x", "#!\nprint(z)"], {0, 1, 2}),
        (["x = 1", "for i in [3]:\n    x = i\n    z = x\n    break", "#!\nprint(z)"], {1, 2}),
        (["x = 1", "for i in [3]:\n    z = x\n    x = i", "#!\nprint(z)"], {0, 1, 2}),
        (["x = 1", "try:\n    x = 2\nfinally:\n    pass\nz = x", "#!\nprint(z)"], {0, 1, 2}),
        (["x = 1", "with open('f') as x:\n    y = x\nz = y, x", "#!\nprint(z)"], {1, 2}),
        (["x = 1", "x += 1", "#!\nprint(x)"], {0, 1, 2}),
        (["x = 1", "def f(): return x\nx = 2\ny = f()", "#!\nprint(y)"], {0, 1, 2}),  # it may be read when it is called
    ],
)
def test_only_what_is_needed_is_run(sources, places):
    assert grading.needed(cells_of(*sources)) == places


@pytest.mark.parametrize(
    "outputs, count, right",
    [
        ([("stdout", "● task: right (2 cases)\n")], 3, True),
        ([("stderr", "careful\n"), ("stdout", "noise\n● task: right (2 cases)\n")], 3, True),
        ([("stdout", "◐ task: not yet.\n")], 3, False),
        ([("stdout", "◐ task: not yet. ● task: right\n")], 3, False),
        ([], 3, False),
        ([], None, False),
        ([("stdout", "● task: right (2 cases)\n"), "error"], 3, False),
    ],
)
def test_a_check_that_does_not_say_right_gives_no_points(outputs, count, right):
    cell = nbformat.v4.new_code_cell("check()", execution_count=count)
    cell.metadata["nbgrader"] = {"grade": True, "solution": False, "points": 5, "grade_id": "x"}
    for output in outputs:
        error = {"ename": "E", "evalue": "e", "traceback": []}
        kind = ("error", error) if output == "error" else ("stream", {"name": output[0], "text": output[1]})
        cell.outputs.append(nbformat.v4.new_output(kind[0], **kind[1]))
    grading.settle(cell, ran=count is not None)
    assert determine_grade(cell) == (5 if right else 0, 5)


def test_what_is_handed_out_links_to_no_other_lesson():
    """It lies in a folder of its own, where a link to another lesson would be dead."""
    for lesson in lessons.find():
        text = "\n".join(cell.source for cell in handout.instructors(lesson).cells if cell.cell_type == "markdown")
        assert not re.search(r"\]\([^)#:]*\.ipynb", text), lesson.stem
        for name in re.findall(r"\[(\d\d_\w+)\]\(\1\.ipynb\)", lesson.read_text(encoding="utf-8")):
            assert name in text, f"{lesson.stem}: the name stays"
