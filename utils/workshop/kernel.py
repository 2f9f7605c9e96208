"""Executes a lesson in a kernel, as lanes and commands need it: with knobs, with other cells, with probes after."""

import contextlib
import itertools
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.connect import LocalPortCache
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from utils.workshop import lessons

DRIVE = Path(__file__).with_name("drive.py")  # runs after the last cell: moves every control of every explorer
SPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
CELL_TIMEOUT = 300  # seconds; a whole lesson takes at most 60 alone
KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # two torch processes with two threads each on two cores are five times slower
    "TQDM_DISABLE": "1",
    "PYTHONHASHSEED": "0",
}


_drawn = itertools.count()


def _find_available_port(self: LocalPortCache, ip: str) -> int:
    """Draw a port for a kernel, below those that outgoing connections are given; processes begin far apart.

    By default the system names a free port, which another kernel or connection may take before this kernel binds
    it: one start in sixty failed here when four kernels started at a time.
    """
    while True:
        port = 10_000 + (1009 * os.getpid() + next(_drawn)) % 22_000
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind((ip, port))
            return port


LocalPortCache.find_available_port = _find_available_port  # nbval, papermill and nbclient all ask it


def knobs(path: Path) -> dict[str, str]:
    """Return the knobs of a notebook: the names in its cell tagged `parameters`, with their defaults as written."""
    try:
        found = papermill.inspect_notebook(str(path))
    except ValueError:  # some tool took the kernel's name out of it
        with tempfile.TemporaryDirectory() as folder:
            copy, book = Path(folder, path.name), lessons.read(path)
            book.metadata["kernelspec"] = SPEC
            nbformat.write(book, copy)
            found = papermill.inspect_notebook(str(copy))
    return {name: entry["default"] for name, entry in found.items()}


@dataclass
class Stop:
    """What stopped a run: the cell, and the error's name and text."""

    cell: str
    ename: str
    evalue: str


@dataclass
class Run:
    """What came of one execution: the executed notebook, and what stopped it, if something did."""

    notebook: NotebookNode
    error: Stop | None = None
    claims: list[dict[str, Any]] = field(default_factory=list)

    def cell(self, identifier: str) -> NotebookNode:
        """Return the executed cell of that id."""
        return next(cell for cell in self.notebook.cells if cell.get("id") == identifier)


def failure(path: Path, error: Stop) -> str:
    """Say in one line which notebook, which cell and what."""
    return f"{path.stem}, cell {error.cell}: {error.ename}: {error.evalue}"


def _papermill(file: Path, result: Path, tries: int = 3, **options: Any) -> None:
    """Execute a file; a kernel that never came up, because its port was taken meanwhile, is started again."""
    for left in reversed(range(tries)):
        try:
            papermill.execute_notebook(
                file, result, cwd=lessons.NOTEBOOKS, kernel_name="python3", language="python", **options
            )
            return
        except RuntimeError as error:
            if not left or "Kernel died before replying" not in str(error):
                raise


def execute(
    path: Path,
    knobs_given: dict[str, Any] | None = None,
    strict: bool = True,
    source: NotebookNode | None = None,
    probes: dict[str, str] | None = None,
    cell_timeout: float = CELL_TIMEOUT,
    bar: bool = False,
) -> Run:
    """Execute a notebook through papermill in a kernel of its own; the file itself is not touched.

    `knobs_given` are injected; a name the notebook does not know is a ValueError that lists the names.
    `source` replaces the notebook's cells (a breakage); `probes` maps cell ids to code that runs after the last cell.
    `bar` shows on a terminal how far it is.
    """
    known = knobs(path)
    unknown = sorted(set(knobs_given or {}) - set(known))
    if unknown:
        raise ValueError(f"{path.stem} has no knob {', '.join(unknown)}; its knobs are {', '.join(known)}.")
    notebook = source if source is not None else lessons.read(path)
    for cell in lessons.code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    for identifier, code in (probes or {}).items():
        notebook.cells.append(nbformat.v4.new_code_cell(code, id=identifier))
    shown = {"desc": path.stem, "disable": None} if bar else False
    before = {name: os.environ.get(name) for name in (*KERNEL_ENVIRONMENT, "COURSE_STRICT")}
    os.environ.update(KERNEL_ENVIRONMENT, COURSE_STRICT="1" if strict else "0")
    try:
        with tempfile.TemporaryDirectory() as folder:
            file, result = Path(folder, "lesson.ipynb"), Path(folder, "executed.ipynb")
            nbformat.write(notebook, file)
            error = None
            try:
                _papermill(
                    file, result, parameters=knobs_given or {}, progress_bar=shown, execution_timeout=cell_timeout
                )
            except PapermillExecutionError as stopped:
                error = Stop("?", stopped.ename, stopped.evalue)
            except (CellTimeoutError, DeadKernelError) as stopped:
                error = Stop("?", type(stopped).__name__, str(stopped).splitlines()[0])
            executed = lessons.read(result)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    cells = lessons.code_cells(executed)
    raised = [cell.id for cell in cells if any(output.output_type == "error" for output in cell.outputs)]
    begun = [cell.id for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    silent = [cell.id for cell in cells if cell.execution_count is None]
    if error:
        error.cell = (raised or begun[-1:] or ["?"])[0]
    elif silent:  # papermill is green when a cell leaves through sys.exit(0)
        error = Stop((raised + silent)[0], "SystemExit", f"{len(silent)} cells after it were never run")
    return Run(executed, error, list(lessons.claims_of(executed)))
