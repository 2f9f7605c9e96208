"""What is handed out: each lesson as an assignment of nbgrader's, in a course directory of its layout (build/class)."""

import ast
import contextlib
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.engine import URL
from traitlets.config import PyFileConfigLoader

from utils.teach.grading import names_of
from utils.teach.slides import LINK
from utils.workshop import lessons

CLASS = lessons.ROOT / "build" / "class"
POINTS = 10  # of each exercise
WEIGHTS: dict[str, dict[str, float]] = {}  # where one is to count differently: {"10_cnn": {"gradient-check": 20}}

CONFIG = '''\
"""Settings of nbgrader for this course, written by `make class`; nbgrader's own commands read them here too."""
from nbgrader.preprocessors import *
from utils.teach.grading import OnlyExercises, Restore, RunChecks

c = get_config()
c.CourseDirectory.ignore = ["*"]  # besides the notebook, nothing that was handed in is copied or run
c.ClearSolutions.code_stub = {"python": ""}  # the lesson's own stub stays above the solution that goes
c.IncludeHeaderFooter.header = "source/header.ipynb"
c.LockCells.lock_readonly_cells = False  # a student may turn a knob; grading puts it back
c.Autograde.sanitize_preprocessors = [
    Restore, ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata
]
c.Autograde.autograde_preprocessors = [RunChecks, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
c.GenerateFeedback.preprocessors = [OnlyExercises, GetGrades, "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor"]
'''
HEADER = """\
> **Handed out for a class.** Write each answer into its exercise cell, and what it needs besides into cells that you \
add. You may change every other cell and turn every knob to try things; for grading they are put back. The solutions \
are not in this copy. Hand it in under the name it has."""


def instructors(path: Path) -> NotebookNode:
    """Make the instructor's version of a lesson: each code cell marked for nbgrader, each solution in its stub's cell.

    Exercise cells are answers, check cells are tests with points, and every other code cell is read-only, so that
    grading puts it back. The solution stands behind the stub between nbgrader's markers; the release loses it.
    """
    book = nbformat.read(path, as_version=4)
    book.metadata.pop("course", None)
    kept: list[NotebookNode] = []
    for cell in book.cells:
        tags = set(cell.metadata.get("tags", []))
        cell.metadata.pop("course", None)  # the speaker's notes give answers away
        if "solution" in tags:
            stub = next(other for other in reversed(kept) if "exercise" in other.metadata.get("tags", []))
            answer = re.sub(r"^check_\w+\(solution_\w+\)$", "", cell.source, flags=re.M).strip()
            answer = re.sub(r"\bsolution_(\w+)", r"\1", answer)
            stub.source += f"\n### BEGIN SOLUTION\n{answer}\n### END SOLUTION"
            continue
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            kind = {"solution": "exercise" in tags, "grade": "check" in tags, "locked": "exercise" not in tags}
            cell.metadata["nbgrader"] = {"schema_version": 3, "task": False, "grade_id": cell.id, **kind}
            if kind["grade"]:
                cell.metadata["nbgrader"]["points"] = float(WEIGHTS.get(path.stem, {}).get(cell.id, POINTS))
        elif cell.cell_type == "markdown":
            cell.source = LINK.sub(r"\1", cell.source)  # a release lies where the other lessons are not
        kept.append(cell)
    book.cells = kept
    return book


def unfit(path: Path) -> str:
    """Say why a lesson cannot be handed out as it stands: it was changed and not run, or a stub holds an answer."""
    book = lessons.read(path)
    if lessons.changed(book):
        return (
            "was changed since its clean run, by an answer or a knob perhaps. "
            f"`git checkout notebooks/{path.name}` brings back the lesson as it was; "
            f"if the change is meant, `make run NB={path.stem}` stores it"
        )
    for exercise, _, _ in lessons.exercises(book):
        (function,) = [node for node in ast.parse(exercise.source).body if isinstance(node, ast.FunctionDef)]
        *before, last = [ast.unparse(node) for node in function.body]
        if last not in ("return None", "return") or len(before) > 1 or not ast.get_docstring(function):
            return f"holds an answer in cell {exercise.id}, whose stub has a docstring and returns None"
    return ""


class Folder(CourseDirectory):
    """A course directory whose paths begin in it: nbgrader searches by patterns, and takes [ ] in its path for one."""

    def format_path(self, nbgrader_step: str, student_id: str, assignment_id: str, escape: bool = False) -> str:
        """Write a path, or a regular expression of one, from the course directory on."""
        path, root = super().format_path(nbgrader_step, student_id, assignment_id, escape), os.path.join(self.root, "")
        return path.removeprefix(re.escape(root) if escape else root)


def course(root: Path, **settings: Any) -> NbGraderAPI:
    """Open the course directory with its own nbgrader_config.py, and with the settings given for RunChecks."""
    if not shutil.which("alembic"):  # which nbgrader calls; it stands beside this Python
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    if "db_url" not in config.CourseDirectory:  # nbgrader's own would be cut at a ? in the path
        file = str(root.absolute() / "gradebook.db")
        config.CourseDirectory.db_url = URL.create("sqlite", database=file).render_as_string()
    config.RunChecks.update(settings)
    config.NbGraderAPI.log_level = logging.INFO
    return NbGraderAPI(Folder(config=config), config=config)


def gradebook(api: NbGraderAPI) -> Gradebook:
    """Open the course's gradebook."""
    return Gradebook(api.coursedir.db_url)


def graded_already(api: NbGraderAPI, stem: str) -> int:
    """Count the submissions that the gradebook holds of a lesson."""
    with gradebook(api) as book:
        try:
            return len(book.find_assignment(stem).submissions)
        except MissingEntry:
            return 0


def begin(root: Path) -> NbGraderAPI:
    """Write a course directory without assignments, and open it; what one holds already stays."""
    for folder in ("source", "release", "submitted"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    header = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(HEADER, id="handed-out")])
    nbformat.write(header, root / "source" / "header.ipynb")
    return course(root)


def build(names: list[str], root: Path = CLASS) -> int:
    """Write the course directory, and in it an assignment of each lesson named; return the exit status."""
    chosen, faults = lessons.find(names), 0
    api = begin(root)
    for path in chosen:
        if why := unfit(path):
            print(f"{path.stem}: not handed out. It {why}.")
            faults += 1
            continue
        book, source = instructors(path), root / "source" / path.stem / path.name
        count = graded_already(api, path.stem)
        if count and names_of(book) != names_of(nbformat.read(source, as_version=4)):
            print(
                f"{path.stem}: left as it was. {count} submissions were graded with the earlier version, and the "
                f"lesson has other cells now. To begin anew, move {root} away."
            )
            faults += 1
            continue
        source.parent.mkdir(exist_ok=True)
        nbformat.write(book, source)
        answer = quietly(root, api.generate_assignment, path.stem)
        if not answer["success"]:
            print(f"{path.stem}: nbgrader could not make the assignment; {root / 'nbgrader.log'} says why.")
            faults += 1
            continue
        points = [cell.metadata.nbgrader.points for cell in book.cells if "points" in cell.metadata.get("nbgrader", {})]
        print(f"{path.stem}: {len(points)} exercise{'s' * (len(points) != 1)}, {sum(points):g} points")
    print(
        f"Hand out what is in {root / 'release'}. Put what comes back into {root / 'submitted'}, "
        "as STUDENT/10_cnn/10_cnn.ipynb; then `make grade`."
    )
    return int(bool(faults))


def quietly(root: Path, step: Any, *arguments: Any) -> dict[str, Any]:
    """Take a step of nbgrader's; what it logs goes into a file, what it returns comes back."""
    try:
        with contextlib.chdir(root):  # where the paths of a `Folder` begin
            answer = step(*arguments)
    finally:
        os.environ.pop("NBGRADER_EXECUTION", None)  # nbgrader leaves it behind after an error
    if answer.get("error", "").rstrip().endswith("KeyboardInterrupt"):  # which nbgrader takes for a failure
        raise KeyboardInterrupt
    with (root / "nbgrader.log").open("a", encoding="utf-8") as log:
        log.write(f"--- {step.__name__} {' '.join(arguments)}\n{answer.get('log', '')}{answer.get('error', '')}")
    return answer
