"""Stores a clean run of a lesson, or nothing; and writes its stored pictures to files, to look at them."""

import base64
import os
import shutil
import sys
from pathlib import Path

import nbformat
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from utils.workshop import kernel, lessons

WIDGET = "application/vnd.jupyter.widget-view+json"


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Keep of a fresh run what a reader needs and what does not change from run to run."""
    CoalesceStreamsPreprocessor().preprocess(notebook, {})  # how a text is cut into messages differs from run to run
    for cell in lessons.code_cells(notebook):
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):  # without a kernel the view is empty; the still picture shows
                output.data.pop(WIDGET, None)
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    course = {"code": lessons.digest(notebook)}
    notebook.metadata = {"course": course, "kernelspec": kernel.SPEC, "language_info": {"name": "python"}}
    return notebook


def noise(notebook: NotebookNode) -> str | None:
    """Name the first cell that wrote to stderr, which a stored notebook may not hold."""
    for cell in lessons.code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                return f"cell {cell.id} wrote to stderr: {output.text.strip()[:200]}"
    return None


def run_one(path: Path) -> str | None:
    """Execute one notebook in place, and return what went wrong, if something did; then the file is as it was."""
    before = path.read_bytes()
    notebook = nbformat.reads(before.decode(), as_version=4)
    done = kernel.execute(path, strict=True, bar=True)
    if done.error:
        return kernel.failure(path, done.error)
    if printed := noise(done.notebook):
        return f"{path.stem}, {printed}"
    if path.read_bytes() != before:
        return f"{path.stem}: it ran, but the file was changed meanwhile; what stands there now was not replaced"
    for cell, ran in zip(notebook.cells, done.notebook.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    try:
        lessons.replace(path, nbformat.writes(normalise(notebook)) + "\n")
    except OSError as error:
        return f"{path.stem}: it ran, but could not be written ({error.strerror}); the notebook is as it was"
    return None


def run(names: list[str]) -> int:
    """Execute the named notebooks, or those whose code is not that of their stored outputs."""
    paths = lessons.find(names)
    if not names:
        stored = {path: lessons.read(path) for path in paths}
        paths = [p for p, book in stored.items() if book.metadata.get("course", {}).get("code") != lessons.digest(book)]
        if not paths:
            print("Every notebook's stored outputs are those of its code; name one with NB=... to run it all the same.")
    os.environ["COURSE_KEEP"] = str(lessons.ROOT / "data" / "generated")  # where generators leave their samples
    try:
        faults = [fault for path in paths if (fault := run_one(path))]
    finally:
        del os.environ["COURSE_KEEP"]  # what this process runs later leaves none
    for fault in faults:
        print(f"not stored: {fault}", file=sys.stderr)
    return bool(faults)


def figures(names: list[str]) -> int:
    """Write every stored picture to build/figures, to look at them."""
    for path in lessons.find(names):
        folder = lessons.BUILD / "figures" / path.stem
        shutil.rmtree(folder, ignore_errors=True)  # pictures of cells that are no more
        folder.mkdir(parents=True)
        for cell in lessons.code_cells(lessons.read(path)):
            for number, output in enumerate(cell.outputs):
                if "image/png" in output.get("data", {}):
                    (folder / f"{cell.id}-{number}.png").write_bytes(base64.b64decode(output.data["image/png"]))
        print(folder.relative_to(lessons.ROOT))
    return 0
