"""Executes a notebook the way the lanes and commands need it: with knobs, with replaced cells, with probes after."""

import contextlib
import hashlib
import itertools
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.connect import LocalPortCache
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
CELL_TIMEOUT = 300  # seconds; a whole lesson takes at most 60 alone
PINNED = "nbval-check-output"
EXERCISE_TAGS = {"exercise", "check", "solution"}
LAYER_TAGS = {"figure", "evidence", "answer"}
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


def notebooks() -> list[Path]:
    """Find every notebook of the course, in its order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def room(path: Path) -> Path:
    """Return the folder of what the tests keep of a lesson: trials.toml, margins.csv, proof.json."""
    return ROOT / "tests" / "lessons" / path.stem


def read(path: Path) -> NotebookNode:
    """Read a notebook as format 4."""
    return nbformat.read(path, as_version=4)


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook: NotebookNode) -> str:
    """Fingerprint the code of a notebook, so that stored outputs of older code are noticed."""
    sources = [[cell.id, cell.source] for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def knobs(path: Path) -> dict[str, str]:
    """Return the knobs of a notebook: the names in its cell tagged `parameters`, with their defaults as written."""
    return {name: entry["default"] for name, entry in papermill.inspect_notebook(str(path)).items()}


def claims_of(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    """Yield every claim that an executed notebook made: name, value, bound, margin, holds, and the id of its cell."""
    for cell in code_cells(notebook):
        for output in cell.get("outputs", []):
            made = output.get("metadata", {})
            for record in [*made.get("claims", []), *([made["claim"]] if "claim" in made else [])]:
                yield {**record, "cell": cell.id}


def text_of(cell: NotebookNode) -> str:
    """Return what a cell printed, without its warnings."""
    return "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")


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


def _papermill(given: Path, done: Path, knobs_given: dict[str, Any], cell_timeout: float, tries: int = 3) -> None:
    """Execute a file; a kernel that never came up, because its port was taken meanwhile, is started again."""
    for left in reversed(range(tries)):
        try:
            papermill.execute_notebook(
                given,
                done,
                parameters=knobs_given,
                cwd=NOTEBOOKS,
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=cell_timeout,
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
) -> Run:
    """Execute a notebook through papermill in a kernel of its own; the file itself is not touched.

    `knobs_given` are injected; a name the notebook does not know is a ValueError that lists the names.
    `source` replaces the notebook's cells (a breakage); `probes` maps cell ids to code that runs after the last cell.
    """
    known = knobs(path)
    unknown = sorted(set(knobs_given or {}) - set(known))
    if unknown:
        raise ValueError(f"{path.stem} has no knob {', '.join(unknown)}; its knobs are {', '.join(known)}.")
    notebook = source if source is not None else read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    for identifier, code in (probes or {}).items():
        notebook.cells.append(nbformat.v4.new_code_cell(code, id=identifier))
    before = {name: os.environ.get(name) for name in (*KERNEL_ENVIRONMENT, "COURSE_STRICT")}
    os.environ.update(KERNEL_ENVIRONMENT, COURSE_STRICT="1" if strict else "0")
    try:
        with tempfile.TemporaryDirectory() as folder:
            given, done = Path(folder, "given.ipynb"), Path(folder, "done.ipynb")
            nbformat.write(notebook, given)
            error = None
            try:
                _papermill(given, done, knobs_given or {}, cell_timeout)
            except PapermillExecutionError as stopped:
                error = Stop("?", stopped.ename, stopped.evalue)
            except (CellTimeoutError, DeadKernelError) as stopped:
                error = Stop("?", type(stopped).__name__, str(stopped).splitlines()[0])
            executed = read(done)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    if error:
        raised = [c.id for c in code_cells(executed) if any(o.output_type == "error" for o in c.outputs)]
        started = [c.id for c in code_cells(executed) if c.metadata.get("papermill", {}).get("status") == "running"]
        error.cell = next(iter(raised + started), "?")
    silent = [cell.id for cell in code_cells(executed) if cell.execution_count is None]
    if silent and not error:  # papermill is green when a cell leaves through sys.exit(0)
        error = Stop(silent[0], "KernelEnded", f"this cell and {len(silent) - 1} after it were never run")
    return Run(executed, error, list(claims_of(executed)))
