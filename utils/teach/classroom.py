"""A class with nbgrader: `python -m utils.teach.classroom build | grade [NB ...]`.

`build` makes of each lesson an assignment, in a course directory of nbgrader's own layout (build/class).
`grade` grades what was handed in there. It runs students' code: first read "A class" in TEACHING.md.
"""

import argparse
import ast
import contextlib
import csv
import dis
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from sqlalchemy.exc import SAWarning
from traitlets import Integer
from traitlets.config import PyFileConfigLoader

from utils.workshop import lessons

CLASS = lessons.ROOT / "build" / "class"
POINTS = 10  # of each exercise
WEIGHTS: dict[str, dict[str, float]] = {}  # where one is to count differently: {"10_cnn": {"gradient-check": 20}}

CONFIG = '''\
"""Settings of nbgrader for this course, written by `make class`; nbgrader's own commands read them here too."""
from nbgrader.preprocessors import *
from utils.teach.classroom import OnlyExercises, Restore, RunChecks

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


# What is handed out ---------------------------------------------------------------------------------------------


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
        kept.append(cell)
    book.cells = kept
    return book


def course(root: Path, **settings: Any) -> NbGraderAPI:
    """Open the course directory with its own nbgrader_config.py, and with the settings given for RunChecks."""
    if not shutil.which("alembic"):  # which nbgrader calls; it stands beside this Python
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.RunChecks.update(settings)
    config.NbGraderAPI.log_level = logging.INFO
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def gradebook(api: NbGraderAPI) -> Gradebook:
    """Open the course's gradebook."""
    return Gradebook(api.coursedir.db_url)


def names_of(book: NotebookNode) -> set[str]:
    return {cell.metadata["nbgrader"]["grade_id"] for cell in book.cells if "nbgrader" in cell.metadata}


def graded_already(api: NbGraderAPI, stem: str) -> int:
    """Count the submissions that the gradebook holds of a lesson."""
    with gradebook(api) as book:
        try:
            return len(book.find_assignment(stem).submissions)
        except MissingEntry:
            return 0


def build(names: list[str], root: Path = CLASS) -> int:
    """Write the course directory, and in it an assignment of each lesson named; return the exit status."""
    chosen, faults = lessons.find(names), 0
    for folder in ("source", "release", "submitted"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    header = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(HEADER, id="handed-out")])
    nbformat.write(header, root / "source" / "header.ipynb")
    api = course(root)
    for path in chosen:
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
        answer = step(*arguments)
    finally:
        os.environ.pop("NBGRADER_EXECUTION", None)  # nbgrader leaves it behind after an error
    with (root / "nbgrader.log").open("a", encoding="utf-8") as log:
        log.write(f"--- {step.__name__} {' '.join(arguments)}\n{answer.get('log', '')}{answer.get('error', '')}")
    return answer


# How it is graded -----------------------------------------------------------------------------------------------


def name_of(cell: NotebookNode) -> str:
    """Return what a cell was called when it was handed out; some editors keep the metadata and change the ids."""
    marks = cell.metadata.get("nbgrader")
    return str((marks if isinstance(marks, dict) else {}).get("grade_id") or cell.get("id", ""))


class Restore(NbGraderPreprocessor):
    """Takes from what was handed in the answers and the cells that the student added; all else is as handed out.

    What was not as handed out is noted in the notebook's metadata, for the report.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Build the notebook to be graded from the release and from what was handed in."""
        directory, stem = self.parent.parent.coursedir, resources["nbgrader"]["assignment"]
        folder = directory.format_path(directory.release_directory, ".", stem)
        book = nbformat.read(Path(folder, f"{stem}.ipynb"), as_version=4)
        ours = names_of(book)
        known = {name_of(cell) for cell in book.cells}
        handed: dict[str, int] = {}
        for place, cell in enumerate(nb.cells):  # of several of one name the original, which kept its id; else the last
            name = name_of(cell)
            if name in known and (name not in handed or nb.cells[handed[name]].get("id") != name):
                handed[name] = place
        added: dict[str, list[NotebookNode]] = {}
        notes: dict[str, list[str]] = {"reset": [], "missing": [], "twice": []}
        before = ""  # the cell of ours that stands before
        for place, cell in enumerate(nb.cells):
            if handed.get(name_of(cell)) == place:
                before = name_of(cell)
            elif cell.cell_type != "raw":
                notes["twice"] += [name_of(cell)] if name_of(cell) in ours else []
                cell.metadata, cell.id = NotebookNode(tags=["added"]), f"added-{place}"
                added.setdefault(before, []).append(cell)
        cells = added.get("", [])
        for cell in book.cells:
            name = name_of(cell)
            if name in ours and name not in handed:
                notes["missing"].append(name)
            elif name in ours and cell.metadata.nbgrader.solution:
                cell.source = nb.cells[handed[name]].source
            elif name in ours and cell.source.strip() != nb.cells[handed[name]].source.strip():
                notes["reset"].append(name)
            cells += [cell, *added.get(name, [])]
        notes["rebound"] = rebound(book.cells, cells)
        book.cells, book.metadata["course"] = cells, NotebookNode(notes)
        return book, resources


def rebound(handed_out: list[NotebookNode], cells: list[NotebookNode]) -> list[str]:
    """List what answers and added cells bind that a check reads, beside what the stubs bind and modules."""

    def bound(some: list[NotebookNode]) -> set[str]:
        return set().union(*(names_in(cell.source)[0] for cell in some if cell.cell_type == "code"))

    checked = set().union(*(names_in(cell.source)[2] for cell in handed_out if is_check(cell)))
    ours = [cell for cell in handed_out if cell.cell_type == "code" and not is_answer(cell)]
    theirs = [cell for cell in cells if is_answer(cell) or "added" in cell.metadata.get("tags", [])]
    stubs = [cell for cell in handed_out if is_answer(cell)]
    modules = set().union(*(imported(cell.source) for cell in ours))
    return sorted(bound(theirs) & checked & bound(ours) - bound(stubs) - modules)


class RunChecks(Execute):
    """Runs the answers, the checks and what they need; a check that does not end in "right" ends in an error: 0 points.

    If a check is not right and the answer may need more than was found, the whole notebook is run.
    What was right before a kernel died or time ran out stays right.
    """

    timeout = Integer(30, help="seconds for a cell that a student wrote, and for a check").tag(config=True)
    lesson_timeout = Integer(300, help="seconds for a cell of the lesson").tag(config=True)
    limit = Integer(900, help="seconds for a submission").tag(config=True)
    most = Integer(100_000, help="characters that a cell may print; the rest is dropped").tag(config=True)
    kept_environment = re.compile(
        r"PATH|HOME|USER|USERNAME|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|TEMP|TMP|PYTHONPATH|LD_LIBRARY_PATH|\w+_NUM_THREADS"
        r"|NBGRADER_EXECUTION|MPLCONFIGDIR|VIRTUAL_ENV|CONDA_PREFIX|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT"
        r"|USERPROFILE|APPDATA|LOCALAPPDATA",
        re.I,
    )

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> tuple[NotebookNode, Any]:
        """Run it and settle each check."""
        checks = [place for place, cell in enumerate(nb.cells) if is_check(cell)]
        self.ends, self.timeout_func = time.monotonic() + self.limit, self.seconds_for
        every = {place for place, cell in enumerate(nb.cells) if cell.cell_type == "code"}
        for self.needed in (needed(nb.cells), every):
            self.well, self.running = set(), ""
            try:
                self.run(nb, resources, km)
            except (DeadKernelError, CellTimeoutError) as error:
                why = "the kernel died" if isinstance(error, DeadKernelError) else "time ran out"
                nb.metadata["course"]["stopped"] = f"{why} in cell {self.running}"
                break
            if self.well.issuperset(checks) or not needs_more(nb.cells):
                break
        for place in checks:
            settle(nb.cells[place], ran=place in self.well)
        return nb, resources

    def on_cell_executed(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        """Note which cells ran to their end."""
        super().on_cell_executed(cell=cell, cell_index=cell_index, execute_reply=execute_reply)
        if execute_reply["content"]["status"] == "ok":
            self.well.add(cell_index)

    def run(self, nb: NotebookNode, resources: Any, km: Any, tries: int = 3) -> None:
        """Run it in a fresh kernel; one that never came up, because its port was taken meanwhile, is started again."""
        for left in reversed(range(tries)):
            try:
                super().preprocess(nb, resources, km)
                return
            except RuntimeError as error:
                if isinstance(error, DeadKernelError) or not left or "Kernel died before replying" not in str(error):
                    raise

    def start_new_kernel(self, **options: Any) -> None:
        """Start a kernel that inherits no more of the environment than it needs, and whose log nobody reads."""
        inherited = {name: text for name, text in os.environ.items() if self.kept_environment.fullmatch(name)}
        options["env"] = {**inherited, "TQDM_DISABLE": "1"}
        with open(os.devnull, "w") as nowhere:
            super().start_new_kernel(stdout=nowhere, stderr=nowhere, **options)

    def seconds_for(self, cell: NotebookNode) -> int:
        """Give the lesson's own cells their time, and the student's less."""
        own = is_check(cell) or is_answer(cell) or cell.id.startswith("added-")
        return self.timeout if own else self.lesson_timeout

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> tuple[NotebookNode, Any]:
        """Run a cell if it is needed and the submission has time left."""
        if index not in self.needed:
            return cell, resources
        self.running, self.printed = name_of(cell), 0
        if time.monotonic() > self.ends:
            raise CellTimeoutError(f"The submission took more than {self.limit} seconds.")
        return super().preprocess_cell(cell, resources, index)

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Drop what an endless loop shows beyond reason, but not a verdict."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "update_display_data"):
            shown = str(msg["content"].get("text") or msg["content"].get("data"))
            self.printed += len(shown)
            verdict = "\n● " in shown and len(shown) < 1000
            if self.printed > self.most * (2 if verdict else 1):
                return None
        return super().process_message(msg, cell, cell_index)


class OnlyExercises(NbGraderPreprocessor):
    """Leaves of a graded notebook what a student wants to see again: each task, the answer, its check, cells added."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Drop the other cells; the task is the text before the answer."""
        cells = nb.cells
        ours = [is_answer(cell) or is_check(cell) or "added" in cell.metadata.get("tags", []) for cell in cells]
        task = [
            cell.cell_type == "markdown" and any(is_answer(c) for c in cells[n + 1 : n + 2])
            for n, cell in enumerate(cells)
        ]
        nb.cells = [cell for n, cell in enumerate(cells) if ours[n] or task[n]]
        return nb, resources


def needed(cells: list[NotebookNode]) -> set[int]:
    """Find the places of the code cells to run: exercises, checks, and what these need, directly or through others.

    A name that a cell reads at once is needed from the cell before that bound it last, and from those that stored into
    it since; a name that only its functions read may be bound anywhere. So a check that compares two functions does not
    wait for a network to be trained, unless the answer uses that network.
    """
    code = {place: names_in(cell.source) for place, cell in enumerate(cells) if cell.cell_type == "code"}
    found: set[int] = set()
    wanted = [place for place in code if is_check(cells[place]) or is_answer(cells[place])]
    while wanted:
        place = wanted.pop()
        if place in found:
            continue
        found.add(place)
        _, at_once, at_all, _ = code[place]
        for name in at_all:
            bound = [other for other in code if name in code[other][0]]
            stored = [other for other in code if name in code[other][3]]
            if name in at_once:
                bound = [other for other in bound if other < place][-1:]
                stored = [other for other in stored if sum(bound) <= other < place]
            wanted += bound + stored
    return found


def needs_more(cells: list[NotebookNode]) -> bool:
    """Tell whether `needed` may have missed something: cells were added, or an answer reads what the lesson made."""
    ours = [cell for cell in cells if cell.cell_type == "code" and not is_answer(cell)]
    made = {"globals", "locals", "vars", "eval", "exec"}
    for cell in ours:
        if "added" in cell.metadata.get("tags", []):
            return True
        made |= names_in(cell.source)[0] - imported(cell.source)
    return any(names_in(cell.source)[2] & made for cell in cells if is_answer(cell))


def imported(source: str) -> set[str]:
    """Return the names that a cell's import statements bind."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return set()
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for node in found for alias in node.names}


def names_in(source: str) -> tuple[set[str], set[str], set[str], set[str]]:
    """Return the global names that a cell binds, reads at once, reads at all (functions included), and stores into."""
    try:
        text = TransformerManager().transform_cell(source)
        tree, code = ast.parse(text), compile(text, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        text = "get_ipython"
    if "get_ipython" in text:  # magics hide names in text, so any word may be one
        words = set(re.findall(r"\w+", source))
        return words, words, words, words
    parts: list[types.CodeType] = [code]
    for part in parts:  # it grows meanwhile
        parts += [inner for inner in part.co_consts if isinstance(inner, types.CodeType)]
    used = {part: {"LOAD": set(), "STORE": set()} for part in parts}
    for part in parts:
        for step in dis.get_instructions(part):
            if step.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
                used[part]["LOAD"].add(step.argval)
            elif step.opname == "STORE_GLOBAL" or (step.opname == "STORE_NAME" and part is code):
                used[part]["STORE"].add(step.argval)
    stored = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            while isinstance(node, ast.Attribute | ast.Subscript):
                node = node.value
            stored |= {node.id} if isinstance(node, ast.Name) else set()
    reads = set().union(*(names["LOAD"] for names in used.values()))
    return set().union(*(names["STORE"] for names in used.values())), used[code]["LOAD"], reads, stored


def is_answer(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_check(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def settle(cell: NotebookNode, ran: bool) -> None:
    """Leave a check cell as nbgrader scores it: an error unless it ran to its end and said "right".

    nbgrader takes silence for right and any warning for wrong.
    """
    said = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    failed = [output for output in cell.outputs if output.output_type == "error"]
    for output in failed:
        if output.ename == "NotRightError":  # the line that it repeats stands above it
            output.traceback = ["No points."]
    if ran and re.search(r"^● ", said, re.M) and not failed:
        cell.outputs = [output for output in cell.outputs if output.output_type == "stream"]
        for output in cell.outputs:
            output.name = "stdout"
    elif not failed:
        why = "The check did not say that the answer is right." if cell.execution_count else "The check was never run."
        cell.outputs.append(nbformat.v4.new_output("error", ename="NotRightError", evalue=why, traceback=[why]))


# The command ----------------------------------------------------------------------------------------------------


def handed_in(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each submission as (student, lesson, fault), with a sentence where there is nothing to grade."""
    known = {path.stem for path in lessons.find()}
    for folder in sorted((root / "submitted").iterdir()):
        if folder.name in (".DS_Store", ".ipynb_checkpoints"):
            continue
        if not folder.is_dir():
            yield folder.name, "?", "a file where a student's folder is wanted, as in STUDENT/10_cnn/10_cnn.ipynb"
            continue
        if re.search(r'^[.\s]|\s$|[,"*?\[\]\n]', folder.name):
            yield (
                folder.name,
                "?",
                "the folder's name may not begin with a dot or hold , \" * ? [ ] or outer spaces",
            )
            continue
        inside = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
        if not inside:
            yield folder.name, "?", "the folder is empty"
        for entry in inside:
            if not entry.is_dir():
                wanted = entry.stem if entry.suffix == ".ipynb" else "LESSON"
                yield folder.name, "?", f"{entry.name} is not in a lesson's folder; wanted is {wanted}/{wanted}.ipynb"
            elif entry.name not in known:
                yield folder.name, entry.name, f"there is no lesson {entry.name}"
            else:
                file = entry / f"{entry.name}.ipynb"
                others = ", ".join(sorted(other.name for other in entry.iterdir())) or "nothing"
                fault = "" if file.is_file() else f"no {file.name} in the folder, but {others}"
                if not (root / "release" / entry.name / file.name).is_file():
                    fault = f"the lesson was not handed out; `make class NB={entry.name}` makes its assignment"
                yield folder.name, entry.name, fault


def not_a_notebook(file: Path) -> str:
    """Say why a file is no notebook; nothing if it is one."""
    try:
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            return "not a notebook: the file is empty"
        nbformat.reads(text, as_version=4)
        return ""
    except UnicodeDecodeError:
        return "not a notebook: it is not text"
    except Exception as error:
        said = str(error).strip().splitlines() or [""]
        return f"not a notebook: {type(error).__name__}: {said[0][:120]}"


def what_happened(book: NotebookNode, release: NotebookNode) -> str:
    """Tell in a line what grading met: what was put back, what raised, what took too long."""
    notes = book.metadata["course"]
    kinds = {name_of(cell): cell.metadata for cell in release.cells}
    told = [notes["stopped"]] if "stopped" in notes else []
    for cell in book.cells:
        raised = {output.ename: output.evalue for output in cell.get("outputs", []) if output.output_type == "error"}
        if "CellTimeoutError" in raised:  # beside it stands what the interrupt raised
            told.append(f"timeout in cell {name_of(cell)}")
        elif "NotRightError" in raised:
            said = re.findall(r"Case \d+ raised \w+|not attempted", raised["NotRightError"])
            told += [f"{name_of(cell)}: {text}" for text in said]
        elif raised:
            told.append(f"cell {name_of(cell)} raised {', '.join(raised)}")
    told += [f"cell {name} stands twice, the original counts" for name in notes["twice"]]
    if notes["rebound"]:
        told.append(f"redefines {', '.join(notes['rebound'])}, which a check uses: look at it")
    for place, line in (("reset", "changed: put back"), ("missing", "deleted: put back")):
        for name in notes[place]:
            tags = kinds[name].get("tags", [])
            if "exercise" in tags:
                told.append(f"exercise cell {name} is missing: no points")
            elif "parameters" in tags:
                told.append(f"knobs {line}")
            elif "check" in tags:
                told.append(f"check cell {name} {line}")
        others = [
            name for name in notes[place] if not {"exercise", "parameters", "check"} & set(kinds[name].get("tags", []))
        ]
        if others:
            told.append(f"{len(others)} other cells {line} ({', '.join(others[:3])}{', ...' * (len(others) > 3)})")
    return "; ".join(["graded", *told])


def scores(api: NbGraderAPI, stem: str, student: str) -> dict[str, tuple[float, float]]:
    """Read from the gradebook what each check gave and what it could give."""
    with gradebook(api) as book:
        try:
            grades = book.find_submission_notebook(stem, stem, student).grades
        except MissingEntry:
            return {}
        return {grade.name: (grade.score, grade.max_score) for grade in grades}


def no_points(api: NbGraderAPI, stem: str, student: str) -> None:
    """Enter 0 where nothing could be graded; otherwise nbgrader keeps the points of what was handed in before."""
    with gradebook(api) as book, contextlib.suppress(MissingEntry):  # where the lesson was never graded
        for submission in book.update_or_create_submission(stem, student).notebooks:
            for grade in submission.grades:
                grade.auto_score, grade.needs_manual_grade = 0, False
        book.db.commit()


def grade_one(root: Path, api: NbGraderAPI, stem: str, student: str) -> str:
    """Grade one submission, and tell in a line what happened."""
    file = root / "submitted" / student / stem / f"{stem}.ipynb"
    fault = not_a_notebook(file)
    if not fault:
        if quietly(root, api.autograde, stem, student)["success"]:
            quietly(root, api.generate_feedback, stem, student)
            done, release = (root / "autograded" / student / stem / file.name, root / "release" / stem / file.name)
            told = what_happened(nbformat.read(done, as_version=4), nbformat.read(release, as_version=4))
            besides = sorted(other.name for other in file.parent.iterdir() if other != file)
            return told + (f"; left aside: {', '.join(besides)}" if besides else "")
        fault = f"could not be graded; {root / 'nbgrader.log'} says why"
    with gradebook(api) as book:
        book.update_or_create_student(student)
    no_points(api, stem, student)
    return fault


def fingerprint(root: Path, stem: str, student: str) -> str:
    """Digest what was handed in and what was handed out."""
    files = [root / folder / stem / f"{stem}.ipynb" for folder in (f"submitted/{student}", "release")]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def grade(names: list[str], root: Path = CLASS, again: bool = False, **settings: int) -> int:
    """Grade what was handed in of the lessons named, and write grades.csv and report.md; return the exit status.

    What was graded before and has not changed since is not run again, unless `again`.
    """
    chosen = [path.stem for path in lessons.find(names)]
    if not (root / "nbgrader_config.py").exists():
        raise SystemExit(f"There is no class in {root}; `make class` builds it.")
    (root / "submitted").mkdir(exist_ok=True)
    found = list(handed_in(root))
    if not found:
        raise SystemExit(
            f"Nothing was handed in: {root / 'submitted'} holds nothing. Wanted is STUDENT/10_cnn/10_cnn.ipynb."
        )
    api, memory = course(root, **settings), root / "graded.json"
    told = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
    lines, records, faults = [], [], 0
    for number, (student, stem, fault) in enumerate(found, 1):
        key, seconds, points = f"{student}/{stem}", 0.0, {}
        if not fault:
            of = fingerprint(root, stem, student)
            if stem in chosen and (again or told.get(key, {}).get("of") != of):
                start = time.monotonic()
                what = grade_one(root, api, stem, student)
                told[key] = {"of": of, "what": what, "seconds": round(time.monotonic() - start, 1)}
                memory.write_text(json.dumps(told, indent=1), encoding="utf-8")
            before = told.get(key, {"of": of, "what": "not graded yet", "seconds": 0.0})
            fault = before["what"] + "; handed in anew since" * (before["of"] != of)
            seconds, points = before["seconds"], scores(api, stem, student)
        faults += not fault.startswith("graded")
        got, most = (sum(pair[k] for pair in points.values()) for k in (0, 1))
        total = f"{got:g} of {most:g}" if points else "no points"
        records.append([student, stem, f"{got:g}" if points else "", f"{most:g}" if points else "", fault])
        each = ", ".join(f"{name.removesuffix('-check')} {got:g}" for name, (got, _) in points.items())
        line = (student, stem, total, each, f"{seconds:.1f}", fault)
        lines.append("| " + " | ".join(text.replace("|", "/") for text in line) + " |")
        print(f"{number}/{len(found)} {student}, {stem}: {total}, {seconds:.0f} s, {fault}", flush=True)
    head = "| student | lesson | points | each | seconds | what happened |\n|---|---|---|---|---|---|"
    (root / "report.md").write_text("\n".join(["# What was handed in", "", head, *lines, ""]), encoding="utf-8")
    with (root / "grades.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["student", "lesson", "points", "of", "what happened"], *records])
    print(f"{len(found)} submissions, {faults} of them not graded. {root / 'grades.csv'} and report.md hold it all;")
    print(f"{root / 'feedback'} has a page for each student.")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m utils.teach.classroom", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["build", "grade"])
    parser.add_argument("names", nargs="*", metavar="NB", help="lessons, as in 10_cnn; all of them if none is named")
    parser.add_argument("--again", action="store_true", help="grade also what has not changed since it was graded")
    parser.add_argument("--timeout", type=int, default=30, help="seconds for a cell that a student wrote (30)")
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=SAWarning)  # of nbgrader's own gradebook
    if given.command == "build":
        return build(given.names)
    return grade(given.names, again=given.again, timeout=given.timeout)


if __name__ == "__main__":
    sys.exit(main())
