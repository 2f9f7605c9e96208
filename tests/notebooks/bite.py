"""Runs a lesson in this process and tries its breakages from where they begin; `python -m tests.notebooks.bite NAME`.

Before each cell that a breakage edits the process forks, and the child goes on with the edited cell up to the first
that fails. Without fork (Windows), or where a forked torch is not to be trusted (macOS), each breakage runs from the
top, in a namespace of its own. Once the lesson has run to its end, its exercises and explorers are tried there too.
"""

import contextlib
import functools
import gc
import io
import json
import linecache
import os
import re
import subprocess
import sys
import types
from pathlib import Path

from tests.notebooks.attempts import attempts
from utils import check
from utils.workshop import kernel, lessons

FORKS = sys.platform == "linux"


def run(cells, space, out=None):
    """Run cells, each an (id, source); return what stopped them (cell, error, claim), or None."""
    for identifier, source in cells:
        linecache.cache[identifier] = len(source), None, source.splitlines(True), identifier  # as a kernel keeps it
        try:
            with contextlib.redirect_stdout(out or io.StringIO()):
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


def bite(cells, breakages, space, forks=FORKS):
    """Try each breakage, and run the lesson as it stands in `space`; return what stopped each, and last the lesson."""
    stops, variants, whole = [None] * len(breakages), {}, None
    for number, entry in enumerate(breakages):
        try:
            variants[number] = edited(cells, entry)
        except ValueError as error:  # the others are tried none the less
            stops[number] = {"cell": entry["cell"], "ename": "ValueError", "evalue": str(error), "claim": None}
    if not forks:
        for number in [*variants]:
            stops[number] = run(variants.pop(number), fresh())
        check.claims.clear()
    for place, cell in enumerate(cells):
        for number in [number for number, variant in variants.items() if variant[place] != cell]:
            stops[number] = in_child(variants.pop(number)[place:], space)
        whole = run([cell], space)
        if whole:
            break
    for number in variants:  # the lesson stopped before
        stops[number] = whole
    return [*stops, whole]


def fresh():
    """Return a namespace to run a lesson in."""
    gc.collect()  # what the run before left
    check.claims.clear()
    return types.ModuleType("__main__").__dict__


def printed(cells, space):
    """Run cells one after the other; return what each printed, and what stopped it."""
    texts = {}
    for identifier, source in cells:
        out = io.StringIO()
        stop = run([(identifier, source)], space, out)
        text = re.sub(r"^<figure: .*\n", "", out.getvalue(), flags=re.M)  # shown, and not printed, where a kernel runs
        texts[identifier] = text + (f"{stop['ename']}: {stop['evalue']}" if stop else "")
    return texts


def told_cells(path):
    """Return the code of a lesson without its exercises, as (id, source)."""
    cells = lessons.code_cells(lessons.read(path))
    return [(cell.id, cell.source) for cell in cells if not lessons.tags(cell) & lessons.EXERCISE_TAGS]


def tried_after(path):
    """Return the cells to run after the last one of a lesson, as (id, source): its exercises, attempts, explorers."""
    book = lessons.read(path)
    own = [(cell.id, cell.source) for exercise in lessons.exercises(book) for cell in exercise]
    explorers = ("probe-widgets", kernel.DRIVE.read_text(encoding="utf-8"))
    return [*own, *attempts(book, lessons.trials(path)).items(), explorers]


@functools.cache
def bitten(path):
    """Run a lesson in a process of its own: `stops` of its breakages, of the `whole` lesson, and what was `printed`."""
    command = [sys.executable, "-m", "tests.notebooks.bite", path.stem]
    environment = {**os.environ, **kernel.KERNEL_ENVIRONMENT, "COURSE_STRICT": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=lessons.ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    return {"stops": [], "whole": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1], "printed": {}}


def main(name):
    """Print, as JSON, what came of the breakages of a lesson, of the lesson, and of what was tried after it."""
    path, space = lessons.NOTEBOOKS / f"{name}.ipynb", fresh()
    out, sys.stdout = sys.stdout, io.StringIO()
    os.chdir(lessons.NOTEBOOKS)
    breakages = [] if os.environ.get("COURSE_QUICK") else lessons.trials(path).get("breakage", [])
    *stops, whole = bite(told_cells(path), breakages, space)
    texts = {} if whole else printed(tried_after(path), space)
    print(json.dumps({"stops": stops, "whole": whole, "printed": texts}), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]).stem)
