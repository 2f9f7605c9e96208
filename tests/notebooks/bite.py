"""Runs a lesson in this process and tries its breakages from where they begin; `python -m tests.notebooks.bite NAME`.

Before each cell that a breakage edits the process forks, and the child goes on with the edited cell up to the first
that fails. Without fork (Windows), or where a forked torch is not to be trusted (macOS), each breakage runs from the
top, in a namespace of its own.
"""

import contextlib
import gc
import io
import json
import os
import sys
import types
from pathlib import Path

from utils import check
from utils.workshop import lessons

FORKS = sys.platform == "linux"


def run(cells, space):
    """Run cells, each an (id, source); return what stopped them (cell, error, claim), or None."""
    for identifier, source in cells:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, identifier, "exec"), space)
        except BaseException as error:
            claim = check.claims[-1]["name"] if isinstance(error, check.ClaimError) else None
            return {"cell": identifier, "ename": type(error).__name__, "evalue": str(error), "claim": claim}
    return None


def edited(cells, entry):
    """Return the cells with the one that a breakage names changed as it says; a ValueError where it cannot be."""
    places = [place for place, (identifier, _) in enumerate(cells) if identifier == entry["cell"]]
    if len(places) != 1 or cells[places[0]][1].count(entry["old"]) != 1:
        raise ValueError(f"{entry['old']!r} stands not exactly once in a cell {entry['cell']}")
    (place,) = places
    identifier, source = cells[place]
    return [*cells[:place], (identifier, source.replace(entry["old"], entry["new"])), *cells[place + 1 :]]


def in_child(cells, space):
    """Run cells in a forked child; return what stopped it there."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                json.dump(run(cells, space), out)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"cell": "?", "ename": "ChildDied", "evalue": "no answer", "claim": None}


def bite(cells, breakages, forks=FORKS):
    """Try each breakage; return what stopped it, in their order, and last what stopped the lesson as it stands."""

    def fresh():
        gc.collect()  # what the run before left
        check.claims.clear()
        return types.ModuleType("__main__").__dict__

    stops, variants, whole = [None] * len(breakages), {}, None
    for number, entry in enumerate(breakages):
        try:
            variants[number] = edited(cells, entry)
        except ValueError as error:  # the others are tried none the less
            stops[number] = {"cell": entry["cell"], "ename": "ValueError", "evalue": str(error), "claim": None}
    if not forks:
        for number, variant in variants.items():
            stops[number] = run(variant, fresh())
        return [*stops, run(cells, fresh())]
    space = fresh()
    for place, cell in enumerate(cells):
        for number in [number for number, variant in variants.items() if variant[place] != cell]:
            stops[number] = in_child(variants.pop(number)[place:], space)
        whole = run([cell], space)
        if whole or not variants:
            break
    for number in variants:  # the lesson stopped before
        stops[number] = whole
    return [*stops, whole]


def told_cells(path):
    """Return the code of a lesson without its exercises, as (id, source)."""
    cells = lessons.code_cells(lessons.read(path))
    return [(cell.id, cell.source) for cell in cells if not lessons.tags(cell) & lessons.EXERCISE_TAGS]


def main(name):
    """Print, as JSON, what stopped each breakage of a lesson, and last what stopped the lesson as it stands."""
    path = lessons.NOTEBOOKS / f"{name}.ipynb"
    out, sys.stdout = sys.stdout, io.StringIO()
    os.chdir(lessons.NOTEBOOKS)
    print(json.dumps(bite(told_cells(path), lessons.trials(path)["breakage"])), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]).stem)
