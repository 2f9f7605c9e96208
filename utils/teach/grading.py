"""How a submission is graded: what was handed in is put into what was handed out, and what its checks need is run.

These are steps of nbgrader's, named in the settings that `utils.teach.handout` writes.
"""

import ast
import copy
import dis
import os
import re
import time
import types
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Integer

from utils.workshop import lessons


def name_of(cell: NotebookNode) -> str:
    """Return what a cell was called when it was handed out; some editors keep the metadata and change the ids."""
    marks = cell.metadata.get("nbgrader")
    return str((marks if isinstance(marks, dict) else {}).get("grade_id") or cell.get("id", ""))


def names_of(book: NotebookNode) -> set[str]:
    """Return what the cells of an assignment are called."""
    return {cell.metadata["nbgrader"]["grade_id"] for cell in book.cells if "nbgrader" in cell.metadata}


class Restore(NbGraderPreprocessor):
    """Takes from what was handed in the answers and the cells that the student added; all else is as handed out.

    What was not as handed out is noted in the notebook's metadata, for the report.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Build the notebook to be graded from the release and from what was handed in."""
        directory, stem = self.parent.parent.coursedir, resources["nbgrader"]["assignment"]
        folder = directory.format_path(directory.release_directory, ".", stem)
        book = nbformat.read(Path(folder, f"{stem}.ipynb"), as_version=4)
        book.cells, notes = put_together(book.cells, nb.cells)
        book.metadata["course"] = NotebookNode(notes)
        return book, resources


def put_together(
    book: list[NotebookNode], handed_in: list[NotebookNode]
) -> tuple[list[NotebookNode], dict[str, list[str]]]:
    """Return the cells to be graded, answers and added cells among ours, and notes of what was not as handed out."""
    handed, order = standing(book, handed_in), {name_of(cell): place for place, cell in enumerate(book)}
    ours = {name_of(cell) for cell in book if "nbgrader" in cell.metadata}
    added: dict[str, list[NotebookNode]] = {}
    notes: dict[str, list[str]] = {"reset": [], "missing": [], "twice": []}
    moved: set[str] = set()  # answers and checks that stand below later cells, as what they need may
    before = ""  # the cell of ours that stands before
    for place, cell in enumerate(handed_in):
        name = name_of(cell)
        if handed.get(name) == place:
            our, below = book[order[name]], order[name] < order.get(before, -1)
            if below and is_answer(our):  # unless its check stands above it
                below = place < handed.get(name_of(book[order[name] + 1]), -1)
            if below and (is_answer(our) or is_check(our)):
                moved.add(name)
                added.setdefault(before, []).append(our)
            else:
                before = name
        elif cell.cell_type != "raw":
            notes["twice"] += [name] if name in ours and cell.cell_type == "code" else []
            cell.metadata, cell.id = NotebookNode(tags=["added"]), f"added-{place}"
            added.setdefault(before, []).append(cell)
    cells = added.get("", [])
    for cell in book:
        name = name_of(cell)
        if name in ours and name not in handed:
            notes["missing"].append(name)
        elif name in ours and cell.metadata.nbgrader.solution:
            cell.source = handed_in[handed[name]].source
        elif name in ours and lines_of(cell) != lines_of(handed_in[handed[name]]):
            notes["reset"].append(name)
        cells += [*([] if name in moved else [cell]), *added.get(name, [])]
    notes["rebound"] = rebound(book, cells)
    return cells, notes


def standing(book: list[NotebookNode], handed_in: list[NotebookNode]) -> dict[str, int]:
    """Return where each cell of ours stands in what was handed in; of copies, the one that the student's check saw.

    That is of a check the last that says "right", else the last; of an answer the last code before its check; of any
    other cell the one that kept its id, else the first. The rest is run as well, all in the student's order.
    """
    places: dict[str, list[int]] = {}
    for place, cell in enumerate(handed_in):
        places.setdefault(name_of(cell), []).append(place)
    found: dict[str, int] = {}
    check = len(handed_in)  # where the check stands of the answer that comes next
    for cell in reversed(book):
        name = name_of(cell)
        some = {place: handed_in[place] for place in places.get(name, [])}
        code = {place: theirs.cell_type == "code" for place, theirs in some.items()}
        if is_check(cell):
            rank = {place: (code[place], says_right(theirs), place) for place, theirs in some.items()}
        elif is_answer(cell):
            rank = {place: (code[place], place < check, place) for place in some}
        else:
            rank = {place: (theirs.get("id") == name, -place) for place, theirs in some.items()}
        if rank:
            found[name] = max(rank, key=rank.__getitem__)
        check = found.get(name, len(handed_in)) if is_check(cell) else check
    return found


def lines_of(cell: NotebookNode) -> list[str]:
    """Return a cell's lines; editors end them in their own ways, and some cut off blanks."""
    return [line.rstrip() for line in cell.source.strip().splitlines()]


def rebound(handed_out: list[NotebookNode], cells: list[NotebookNode]) -> list[str]:
    """List what answers and added cells bind that a check reads, beside what stubs and checks bind, and modules."""

    def bound(some: list[NotebookNode]) -> set[str]:
        return set().union(*(names_in(cell.source)[0] for cell in some if cell.cell_type == "code"))

    checked = set().union(*(names_in(cell.source)[2] for cell in handed_out if is_check(cell)))
    ours = [cell for cell in handed_out if cell.cell_type == "code" and not is_answer(cell)]
    theirs = [cell for cell in cells if is_answer(cell) or "added" in cell.metadata.get("tags", [])]
    own = [cell for cell in handed_out if is_answer(cell) or is_check(cell)]  # what a check binds, it binds anew
    modules = set().union(*(imported(cell.source) for cell in ours))
    return sorted(bound(theirs) & checked & bound(ours) - bound(own) - modules)


class LessonFaultError(RuntimeError):
    """The lesson itself does not run here, so that nobody's answers can be graded."""


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
        r"PATH|HOME|USER|USERNAME|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|\w+_NUM_THREADS"
        r"|NBGRADER_EXECUTION|MPLCONFIGDIR|VIRTUAL_ENV|CONDA_PREFIX|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT"
        r"|USERPROFILE|APPDATA|LOCALAPPDATA",
        re.I,
    )

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> tuple[NotebookNode, Any]:
        """Run it and settle each check."""
        checks = [place for place, cell in enumerate(nb.cells) if is_check(cell)]
        self.ends, self.timeout_func = time.monotonic() + self.limit, self.seconds_for
        every = {place for place, cell in enumerate(nb.cells) if cell.cell_type == "code"}
        right: dict[int, list[NotebookNode]] = {}  # what the checks printed that ran well, in either run
        for self.needed in (needed(nb.cells), every):
            self.well, self.running, stopped = set(), "", ""
            try:
                self.run(nb, resources, km)
            except (DeadKernelError, CellTimeoutError) as error:
                stopped = "the kernel died" if isinstance(error, DeadKernelError) else "time ran out"
                nb.metadata["course"]["stopped"] = f"{stopped} in cell {self.running}"
            self.blame_the_lesson(nb.cells, died=stopped == "the kernel died")
            right |= {place: nb.cells[place].outputs for place in self.well.intersection(checks)}
            if stopped or len(right) == len(checks) or not needs_more(nb.cells):
                break
        for place in checks:
            nb.cells[place].outputs = right.get(place, nb.cells[place].outputs)
            settle(nb.cells[place], ran=place in right)
        return nb, resources

    def blame_the_lesson(self, cells: list[NotebookNode], died: bool) -> None:
        """Raise a LessonFaultError if a cell of the lesson raised or died before any code of the student's had run."""
        for place in sorted(self.needed):
            if is_answer(cells[place]) or "added" in cells[place].metadata.get("tags", []):
                return
            name = name_of(cells[place])
            for output in cells[place].outputs:
                if output.output_type == "error":
                    first_line = f"{output.ename}: {output.evalue}".splitlines()[0]
                    raise LessonFaultError(f"cell {name} of the lesson raised {first_line}")
            if died and name == self.running:
                raise LessonFaultError(f"the kernel died in cell {name} of the lesson")

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
        first = {"PYTHONPATH": str(lessons.ROOT)}  # another package called utils would be found before the course's
        options["env"] = {**inherited, **first, "TQDM_DISABLE": "1"}
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
        picture = re.compile(r"!\[[^\]]*\]\(attachment:([^)\s]+)[^)]*\)")
        for cell in nb.cells:  # a picture that was not handed in would leave the student without a page
            if cell.cell_type == "markdown":
                for found in picture.finditer(cell.source):
                    if found[1] not in cell.get("attachments", {}):
                        cell.source = cell.source.replace(found[0], f"({found[1]} was not handed in)")
        return nb, resources


def needed(cells: list[NotebookNode]) -> set[int]:
    """Find the places of the code cells to run: exercises, checks, and what these need, directly or through others.

    A name that a cell reads at once is needed from the cell before that bound it last, and from those that stored into
    it since; one that only its functions read is needed as it stands where they are called, so as it stands before
    each cell that asks for this one. So a check that compares two functions does not wait for a network to be trained,
    unless the answer uses that network.
    """
    code = {place: names_in(cell.source) for place, cell in enumerate(cells) if cell.cell_type == "code"}
    found: set[tuple[int, int]] = set()  # a cell, and a place at which its functions may be called
    wanted = [(place, place) for place in code if is_check(cells[place]) or is_answer(cells[place])]
    while wanted:
        place, called = wanted.pop()
        if (place, called) in found:
            continue
        found.add((place, called))
        _, at_once, _, _, inside = code[place]
        for name in at_once | inside:
            until = place if name in at_once else called
            bound = [other for other in code if name in code[other][0] and other < until][-1:]
            stored = [other for other in code if name in code[other][3] and sum(bound) <= other < until]
            wanted += [(other, when) for other in bound + stored for when in {place, called}]
    return {place for place, _ in found}


def needs_more(cells: list[NotebookNode]) -> bool:
    """Tell whether `needed` may have missed something: cells were added, or an answer reads what the lesson made."""
    ours = [cell for cell in cells if cell.cell_type == "code" and not is_answer(cell)]
    bound = {"globals", "locals", "vars", "eval", "exec"}
    for cell in ours:
        if "added" in cell.metadata.get("tags", []):
            return True
        bound |= names_in(cell.source)[0] - imported(cell.source)
    return any(names_in(cell.source)[2] & bound for cell in cells if is_answer(cell))


def imported(source: str) -> set[str]:
    """Return the names that a cell's import statements bind."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return set()
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for node in found for alias in node.names}


def names_in(source: str) -> tuple[set[str], set[str], set[str], set[str], set[str]]:
    """Return the global names that a cell binds, reads before it binds them, reads at all, stores into.

    The last are those that its functions read.
    """
    try:
        text = TransformerManager().transform_cell(source)
        tree, code = ast.parse(text), compile(text, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two are Python's for brackets without end
        text = "get_ipython"
    if "get_ipython" in text:  # magics hide names in text, so any word may be one
        words = set(re.findall(r"\w+", source))
        return words, words, words, words, words
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
    bound = set().union(*(names["STORE"] for names in used.values()))
    inside = set().union(*(names["LOAD"] for part, names in used.items() if part is not code))
    return bound, read_first(tree.body, set()), used[code]["LOAD"] | inside, stored, inside


def read_first(statements: list[ast.stmt], bound: set[str]) -> set[str]:
    """Return the global names that statements read, outside of functions, before they bind them; `bound` grows.

    What a loop or a branch binds is bound inside it, and not after it, where it may not have run.
    """
    found = set()
    for statement in statements:
        blocks = isinstance(statement, ast.For | ast.While | ast.If | ast.With)
        head = copy.copy(statement)
        if blocks:
            head.body, head.orelse = [ast.copy_location(ast.Pass(), statement)], []
        loop = ast.copy_location(
            ast.While(ast.Constant(True), [head], []), statement
        )  # outside of one, break is an error
        code = compile(ast.Module([ast.fix_missing_locations(loop)], []), "cell", "exec")
        steps = [*dis.get_instructions(code)]
        found |= {step.argval for step in steps if step.opname == "LOAD_NAME"} - bound
        binds = {step.argval for step in steps if step.opname == "STORE_NAME"}
        if blocks:
            inner = bound if isinstance(statement, ast.With) else set(bound)
            inner |= binds
            found |= read_first(statement.body, inner) | read_first(getattr(statement, "orelse", []), set(bound))
        elif not hasattr(statement, "handlers"):  # of what stands in a try, nobody knows how far it came
            bound |= binds
    return found


def is_answer(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_check(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def says_right(cell: NotebookNode) -> bool:
    """Tell whether a check printed that the answer is right."""
    printed = "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")
    return bool(re.search(r"^● ", printed, re.M))


def settle(cell: NotebookNode, ran: bool) -> None:
    """Leave a check cell as nbgrader scores it: an error unless it ran to its end and said "right".

    nbgrader takes silence for right and any warning for wrong.
    """
    failed = [output for output in cell.outputs if output.output_type == "error"]
    for output in failed:
        if output.ename == "NotRightError":  # the line that it repeats stands above it
            output.traceback = ["No points."]
    if ran and says_right(cell) and not failed:
        cell.outputs = [output for output in cell.outputs if output.output_type == "stream"]
        for output in cell.outputs:
            output.name = "stdout"
    elif not failed:
        why = "The check did not say that the answer is right." if cell.execution_count else "The check was never run."
        cell.outputs.append(nbformat.v4.new_output("error", ename="NotRightError", evalue=why, traceback=[why]))
