"""A mystery for a class: a lesson with a bug in it as an assignment of its own, `make class NB=10_cnn MYSTERY=3`.

Handed out is what `utils.workshop.mystery` makes, without the solutions of the exercises; every code cell is marked
alike. Graded is the one cell that holds the bug, by the rule of `make mystery CHECK=1`: the lesson as it was when the
mystery was made runs with the student's cell in it, and must make all its findings again. The points go into nbgrader's
gradebook, but nbgrader grades nothing here. The key, in `mysteries/`, is that lesson with the place of the bug.
"""

import re
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.apps.api import NbGraderAPI
from traitlets import Integer

from utils.teach import handout
from utils.teach.grading import RunChecks, lines_of, name_of
from utils.teach.slides import LINK
from utils.workshop import kernel, lessons, mystery

OUTCOMES = ("solved", "tried", "untouched")
CELL = "mystery"  # what the gradebook calls it; WEIGHTS in utils/teach/handout.py may give it other points
TASK = """# A mystery

> **Handed out for a class.** One line of this lesson was changed, and what it found has changed with it. Nothing else
> is wrong. Which findings fell, and what do they have in common? Find the cell, say in a cell below it what is wrong,
> and mend it in its place: of all cells that one counts, and it is right when the whole lesson, run with it, makes
> every finding again. To see that, run all cells: no amber line is left. The exercises are not part of it. Hand it in
> under the name it has."""
MARK = {"schema_version": 3, "task": False, "grade": False, "solution": True, "locked": False}


def lesson_of(name: str) -> str:
    """Return the lesson of a mystery's name, as in 10_cnn-mystery-3; any other name as it is."""
    return re.sub(r"-mystery-\d+$", "", name)


def outcome(book: NotebookNode) -> str:
    """Return how a graded mystery came out; nothing for any other notebook."""
    return book.metadata.get("course", {}).get("mystery", "")


def build(names: list[str], seed: int, root: Path = handout.CLASS) -> int:
    """Write a mystery of each lesson named into the course directory; return the exit status.

    One that was handed out already is left as it is.
    """
    api, faults = handout.begin(root), 0
    for path in lessons.find(names):
        stem = f"{path.stem}-mystery-{seed}"
        release, key = root / "release" / stem / f"{stem}.ipynb", root / "mysteries" / f"{stem}.ipynb"
        if release.exists() and key.exists():
            print(f"{stem}: there already, and left as it is; another number makes another one.")
        elif why := handout.unfit(path):
            print(f"{stem}: not handed out. The lesson {why}.")
            faults += 1
        else:
            entry, answer = mystery.planted(path.stem, seed), mystery.lesson(path.stem)
            run = mystery.run_broken(path, entry)
            seconds = run.cell(entry["cell"]).metadata.papermill.duration or 0.0
            answer.metadata["course"] = {"cell": entry["cell"], "name": entry["name"], "seconds": seconds}
            key.parent.mkdir(exist_ok=True)
            nbformat.write(answer, key)
            mystery.store(to_hand_out(run.notebook), release)
            register(api, stem)
            print(f"{stem}: {mystery.what_fell(run)}; {points(stem):g} points. For you only: {entry['name']}.")
    print(
        f"Hand out what is in {root / 'release'}. Put what comes back into {root / 'submitted'}, "
        "as STUDENT/10_cnn-mystery-3/10_cnn-mystery-3.ipynb; then `make grade`."
    )
    return int(bool(faults))


def to_hand_out(book: NotebookNode) -> NotebookNode:
    """Make of a lesson that ran with a bug what students get: solutions go, and all code cells are marked alike."""
    gone = {"solution", "papermill-error-cell-tag"}
    book.cells = [cell for cell in book.cells if not gone & lessons.tags(cell)]
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.metadata["nbgrader"] = {**MARK, "grade_id": cell.id}  # some editors change the ids
        elif cell.cell_type == "markdown":
            cell.source = LINK.sub(r"\1", cell.source)
    book.cells.insert(0, nbformat.v4.new_markdown_cell(TASK, id="mystery"))
    return book


def points(stem: str) -> float:
    """Return what a mystery gives to those who mend it."""
    return float(handout.WEIGHTS.get(stem, {}).get(CELL, handout.POINTS))


def register(api: NbGraderAPI, stem: str) -> None:
    """Enter a mystery into the gradebook, as an assignment of one cell."""
    with handout.gradebook(api) as book:
        book.update_or_create_assignment(stem)
        book.update_or_create_notebook(stem, stem)
        book.update_or_create_grade_cell(CELL, stem, stem, max_score=points(stem), cell_type="code")
        book.update_or_create_solution_cell(CELL, stem, stem)


def handed_in(book: NotebookNode, release: NotebookNode) -> dict[str, str]:
    """Return the code cells by the names they were handed out with; of copies, the one that kept its id."""
    cells = sorted(lessons.code_cells(book), key=lambda cell: cell.get("id") == name_of(cell))
    own, broken = {name_of(cell): cell for cell in cells}, {cell.id: cell for cell in lessons.code_cells(release)}
    return {
        name: broken[name].source if lines_of(cell) == lines_of(broken[name]) else cell.source
        for name, cell in own.items()
        if name in broken
    }


def grade(root: Path, api: NbGraderAPI, stem: str, student: str) -> str:
    """Grade what a student handed in of a mystery, and tell in a line what came of it.

    Errors: LessonFaultError if the lesson does not run here.
    """
    place = Path(student, stem, f"{stem}.ipynb")
    key, release = lessons.read(root / "mysteries" / place.name), lessons.read(root / "release" / stem / place.name)
    identifier = key.metadata.course.cell
    own = handed_in(lessons.read(root / "submitted" / place), release)
    broken = {cell.id: cell.source for cell in lessons.code_cells(release)}
    graded = root / "autograded" / place
    graded.parent.mkdir(parents=True, exist_ok=True)
    (answer,) = [cell for cell in key.cells if cell.id == identifier]

    def run(book: NotebookNode) -> kernel.Run:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(book, Path(folder, f"{lesson_of(stem)}.ipynb"))  # 00_start_here reads its folder's lessons
            return RunLesson(config=api.config).run_lesson(book, identifier, key.metadata.course.seconds, folder)

    if identifier not in own:
        why = "the cell with the bug is not there any more; mend it in its place."
    elif lines_of(NotebookNode(source=own[identifier])) == lines_of(answer):
        why = ""  # the lesson's own cell again
    else:
        why = mystery.not_mended(key, identifier, own, broken, run)
    changed = mystery.edited(own, broken)
    came_out = "tried" if why and changed else "untouched" if why else "solved"
    verdict = f"◐ Not yet: {why}" if why else f"● Right: every finding holds again. It was: {key.metadata.course.name}."
    register(api, stem)
    with handout.gradebook(api) as book:
        book.update_or_create_student(student)
        book.update_or_create_submission(stem, student)
        book.find_grade(CELL, stem, stem, student).auto_score = 0.0 if why else points(stem)
        book.db.commit()
    nbformat.write(page(stem, own.get(identifier, "") if identifier in changed else "", verdict, came_out), graded)
    others = [name for name in changed if name != identifier]
    told = f"graded; not mended: {why.removesuffix('.')}" if why else "graded; mended"
    return told + f"; {len(others)} other cells changed: not used" * bool(others and not why)


def page(stem: str, source: str, verdict: str, came_out: str) -> NotebookNode:
    """Write what the student's page shows: the cell, if the student changed it, and what is said of it."""
    cell = nbformat.v4.new_code_cell(source, id=CELL, outputs=[nbformat.v4.new_output("stream", text=f"{verdict}\n")])
    cell.metadata["nbgrader"] = {**MARK, "grade": True, "grade_id": CELL, "points": points(stem)}
    title = nbformat.v4.new_markdown_cell(f"# A mystery of {lesson_of(stem)}", id="title")
    return nbformat.v4.new_notebook(cells=[title, cell], metadata={"course": {"mystery": came_out}})


class RunLesson(RunChecks):
    """Runs a whole lesson until a cell fails, in the environment and within the limits of all grading.

    The student's cell has `timeout` and ten times what it took when the mystery was made.
    """

    most = Integer(10_000_000, help="characters that a cell may show, its pictures too").tag(config=True)
    extra = 0.0  # seconds that the student's cell has besides

    def run_lesson(self, book: NotebookNode, identifier: str, seconds: float, folder: str) -> kernel.Run:
        """Run a lesson with a student's cell in it, in a folder; what the notebook had stored is dropped.

        Errors: LessonFaultError if it fails before the student's cell is run.
        """
        for cell in lessons.code_cells(book):
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("nbgrader", None)
            if cell.id == identifier:
                cell.metadata["nbgrader"] = dict(MARK)
        self.extra, self.timeout_func, self.ends = 10 * seconds, self.seconds_for, time.monotonic() + self.limit
        every = {place for place, cell in enumerate(book.cells) if cell.cell_type == "code"}
        self.needed, self.well, self.running, stop = set(every), set(), "", None
        try:
            self.run(book, {"metadata": {"path": folder}}, None)
        except (DeadKernelError, CellTimeoutError) as error:
            stop = kernel.Stop(self.running, type(error).__name__, str(error).splitlines()[0])
        self.blame_the_lesson(book.cells, died=bool(stop) and stop.ename == "DeadKernelError")
        for place in sorted(every - self.well):
            cell = book.cells[place]
            raised = [output for output in cell.outputs if output.output_type == "error"]
            if raised and not stop:
                late = raised[-1].ename == "CellTimeoutError"
                reason = f"more than {self.seconds_for(cell)} seconds" if late else raised[-1].evalue
                stop = kernel.Stop(cell.id, raised[-1].ename, " ".join(reason.split())[:200])
        if every - self.well and not stop:
            stop = kernel.Stop(identifier, "NotRun", "the cell is empty")
        return kernel.Run(book, stop, list(lessons.claims_of(book)))

    def seconds_for(self, cell: NotebookNode) -> int:
        """Give the student's cell its own time besides."""
        return super().seconds_for(cell) + (round(self.extra) if cell.metadata.get("nbgrader") else 0)

    def on_cell_executed(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        """Run no further cell after one that failed."""
        super().on_cell_executed(cell=cell, cell_index=cell_index, execute_reply=execute_reply)
        if cell_index not in self.well:
            self.needed = {place for place in self.needed if place <= cell_index}
