"""A lesson as files and cells: where it is, what it says of itself, its exercises, its claims, its fingerprint."""

import ast
import contextlib
import hashlib
import json
import os
import re
import tempfile
import tomllib
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
PINNED = "nbval-check-output"
EXERCISE_TAGS = {"exercise", "check", "solution"}
LAYER_TAGS = {"figure", "evidence", "answer"}
CLAIM = re.compile(r"\bcheck\.(finding|claim|agree)\(")
NAME = re.compile(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*")  # a copy that JupyterLab made, 10_cnn-Copy1, is no lesson


def within(folder: Path) -> list[Path]:
    """Find the lessons in a folder, in the order of the course."""
    return [path for path in sorted(folder.glob("*.ipynb")) if NAME.fullmatch(path.stem)]


def find(names: Iterable[str] = ()) -> list[Path]:
    """Find lessons by name, with or without `.ipynb`; without names all of them, in the order of the course.

    Errors: SystemExit with a sentence that lists the lessons there are.
    """
    there = {path.stem: path for path in within(NOTEBOOKS)}
    stems = [Path(name).stem for name in names]
    unknown = [stem for stem in stems if stem not in there]
    if unknown:
        raise SystemExit(f"There is no lesson {', '.join(unknown)}; there are {', '.join(there)}.")
    return [there[stem] for stem in stems] or list(there.values())


def room(path: Path) -> Path:
    """Return the folder of what the tests keep of a lesson: trials.toml, margins.csv, proof.json."""
    return ROOT / "tests" / "lessons" / path.stem


def trials(path: Path) -> dict[str, Any]:
    """Read what the tests try on a lesson: other knobs, wrong answers, breakages."""
    file = room(path) / "trials.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def read(path: Path) -> NotebookNode:
    """Read a notebook as format 4."""
    return nbformat.read(path, as_version=4)


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def exercises(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode, NotebookNode]]:
    """Yield the three cells of each exercise: what the student writes, its check, its solution."""
    cells = [cell for cell in code_cells(notebook) if tags(cell) & EXERCISE_TAGS]
    yield from zip(cells[0::3], cells[1::3], cells[2::3], strict=True)


def definitions(name: str, cells: Iterable[str] = (), constants: Iterable[str] = (), **values: Any) -> types.ModuleType:
    """Run what a lesson's cells define, and nothing else: imports, functions, classes, and the constants named.

    `cells` are ids, by default of all cells but those of exercises; `given` are names that a definition needs to run.
    """
    module = types.ModuleType(name)
    vars(module).update(values)
    cells, constants = set(cells), set(constants)
    for cell in code_cells(read(NOTEBOOKS / f"{name}.ipynb")):
        if cell.id in cells or (not cells and not tags(cell) & EXERCISE_TAGS):
            nodes = [node for node in ast.parse(cell.source).body if defines(node, constants)]
            exec(compile(ast.Module(nodes, []), cell.id, "exec"), vars(module))
    return module


def defines(node: ast.stmt, constants: set[str]) -> bool:
    """Tell whether a statement is an import, a function, a class, or an assignment to one of the constants."""
    named = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) or (
        isinstance(node, ast.Assign | ast.AugAssign) and bool(named & constants)
    )


def student_function(exercise: NotebookNode) -> str:
    """Return the name of the function that an exercise asks for."""
    return re.search(r"^def (\w+)", exercise.source, re.M).group(1)


def checked(cell: NotebookNode) -> str | None:
    """Return the name of the exercise that a cell checks, or None if it is no check."""
    name = re.search(r"^def check_(\w+)", cell.source, re.M)
    return name[1] if name and re.search(r"\bcheck\.(exercise|prosecute)\(", cell.source) else None


def digest(notebook: NotebookNode) -> str:
    """Fingerprint the code of a notebook, so that stored outputs of older code are noticed."""
    sources = [[cell.id, cell.source] for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def claims_digest(notebook: NotebookNode) -> str:
    """Fingerprint the code up to the last cell that makes a claim; what runs after it changes no claim."""
    claiming = {claim["cell"] for claim in claims_of(notebook)}
    code = code_cells(notebook)
    last = [n for n, cell in enumerate(code) if cell.id in claiming or CLAIM.search(cell.source)]
    return digest(NotebookNode(cells=code[: last[-1] + 1] if last else code))


def changed(notebook: NotebookNode) -> bool:
    """Tell whether a notebook's code is another than that of its last clean run, which left a fingerprint."""
    course = notebook.metadata.get("course")
    return bool(course) and course.get("code") != digest(notebook)


def unfit(path: Path, notebook: NotebookNode) -> str:
    """Say why what a notebook has stored cannot be shown or handed out; nothing if it can."""
    code, why = code_cells(notebook), ""
    lost = [
        cell.id
        for cell in code
        if "widgets.explore(" in cell.source
        and not any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]
    if not any(cell.execution_count for cell in code):
        why = "holds no outputs"
    elif changed(notebook):
        why = "was changed since its outputs were stored"
    elif lost:
        why = f"has no picture of its explorer in cell {lost[0]}, which JupyterLab does not save"
    return f"{path.stem} {why}; `make run NB={path.stem}` stores a clean run." if why else ""


def claims_of(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    """Yield every claim that an executed notebook made: name, value, bound, margin, holds, and the id of its cell."""
    for cell in code_cells(notebook):
        for output in cell.get("outputs", []):
            metadata = output.get("metadata", {})
            for record in [*metadata.get("claims", []), *([metadata["claim"]] if "claim" in metadata else [])]:
                yield {**record, "cell": cell.id}


def text_of(cell: NotebookNode) -> str:
    """Return what a cell printed, without its warnings."""
    return "".join(output.text for output in cell.get("outputs", []) if output.get("name") == "stdout")


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as new:
        try:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
            os.chmod(new.name, path.stat().st_mode)
            os.replace(new.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new.name)
            raise
