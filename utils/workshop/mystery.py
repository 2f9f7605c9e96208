"""A lesson with a bug in it: `make mystery NB=10_cnn` plants one of the lesson's proven breakages and runs it.

The reader finds the cell, mends it, and has it checked: right is a cell with which the lesson, otherwise as committed,
makes every one of its claims again. Which breakage it is follows from the lesson's name and the seed; the file holds
nothing else of it.
"""

import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from utils.workshop import kernel, lessons

TASK = """# A mystery

One line of this lesson, [{name}](../../notebooks/{name}.ipynb), was changed, and what it found has changed with it.
Nothing else is wrong. Which findings fell, and what do they have in common? Find the cell, say what is wrong with it,
mend it, and save. Then run the last cell of this notebook, or `make mystery NB={name} SEED={seed} CHECK=1`.

With `HINT=1`, `2` or `3` in the place of `CHECK=1` you are told the section, the finding that fell first, and the line.
"""
CHECK = """import sys

# save first; then this says whether it is mended
!{{sys.executable}} -m utils.workshop mystery {name} --seed {seed} --check"""


def breakages(name: str) -> list[dict[str, Any]]:
    """Return the breakages of a lesson that lie in cells which compute, and do not judge or draw."""
    (path,) = lessons.find([name])
    cells = {cell.id: cell for cell in lessons.code_cells(lessons.read(path))}
    return [
        entry
        for entry in lessons.trials(path).get("breakage", [])
        if "check." not in cells[entry["cell"]].source and not lessons.tags(cells[entry["cell"]]) & lessons.LAYER_TAGS
    ]


def planted(name: str, seed: int) -> dict[str, Any]:
    """Return the breakage of a lesson that a seed chooses.

    Errors: SystemExit for a lesson that has none.
    """
    found = breakages(name)
    if not found:
        raise SystemExit(f"{name} has no breakages, so there is no mystery of it.")
    return random.Random(f"{name} {seed}").choice(found)


def place(name: str, seed: int) -> Path:
    """Return where a mystery lies."""
    return lessons.BUILD / "mystery" / f"{name}-{seed}.ipynb"


def with_cell(name: str, identifier: str, edit: Callable[[str], str]) -> NotebookNode:
    """Return the committed lesson with one cell edited."""
    (path,) = lessons.find([name])
    book = lessons.read(path)
    (cell,) = [cell for cell in book.cells if cell.id == identifier]
    cell.source = edit(cell.source)
    return book


def begin(name: str, seed: int) -> int:
    """Plant the breakage, run the lesson and store it; a mystery that is there already is left as it is."""
    (path,) = lessons.find([name])
    entry, target = planted(name, seed), place(name, seed)
    if target.exists():
        print(f"{target.relative_to(lessons.ROOT)} is there already; SEED= begins another one.")
        return 0
    book = with_cell(name, entry["cell"], lambda source: source.replace(entry["old"], entry["new"]))
    run = kernel.execute(path, strict=False, source=book, bar=True)
    done = run.notebook
    done.cells = [nbformat.v4.new_markdown_cell(TASK.format(name=name, seed=seed), id="mystery"), *done.cells]
    done.cells.append(nbformat.v4.new_code_cell(CHECK.format(name=name, seed=seed), id="mystery-check"))
    for cell in done.cells:
        for kind in ("papermill", "tags", "course"):
            cell.metadata.pop(kind, None)
    done.metadata = {name: done.metadata[name] for name in ("kernelspec", "language_info") if name in done.metadata}
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(done, target)
    fell = len({claim["name"] for claim in run.claims if not claim["holds"]})
    stopped = f", and it stops in cell {run.error.cell}" if run.error else ""
    print(f"{target.relative_to(lessons.ROOT)}: {fell} of its claims fell{stopped}. Open it in JupyterLab.")
    return 0


def hint(name: str, seed: int, number: int) -> int:
    """Say where the planted line is, the more exactly the higher the number."""
    entry, book = planted(name, seed), stored(name, seed)
    ids = [cell.id for cell in book.cells]
    if number == 1:
        above = book.cells[: ids.index(entry["cell"])] if entry["cell"] in ids else []
        titles = [
            line for cell in above if cell.cell_type == "markdown" for line in re.findall("^#+ (.+)", cell.source, re.M)
        ]
        print(f"It stands in the section {titles[-1]!r}." if titles else "It stands at the very beginning.")
    elif number == 2:
        fallen = [claim["name"] for claim in lessons.claims_of(book) if not claim["holds"]]
        print(f"What fell first: {(fallen or [entry['fails']])[0]}")
    else:
        source = with_cell(name, entry["cell"], str).cells
        (before,) = [cell.source for cell in source if cell.id == entry["cell"]]
        line = before[: before.index(entry["old"])].count("\n") + 1
        print(f"It is line {line} of the cell that begins with: {before.splitlines()[0]}")
    return 0


def stored(name: str, seed: int) -> NotebookNode:
    """Read a mystery as the reader saved it.

    Errors: SystemExit if there is none, or it is no notebook any more.
    """
    target = place(name, seed)
    if not target.exists():
        raise SystemExit(f"There is no mystery of {name} with the seed {seed} yet; `make mystery NB={name}` makes one.")
    try:
        return lessons.read(target)
    except Exception as error:
        raise SystemExit(f"{target.relative_to(lessons.ROOT)} cannot be read ({type(error).__name__}).") from None


def names(claims: Iterable[dict[str, Any]]) -> list[str]:
    """Return what was claimed, in order."""
    return [claim["name"] for claim in claims]


def check(name: str, seed: int) -> int:
    """Say whether the mystery is solved: with the reader's cell the lesson makes all its claims, and each holds."""
    (path,) = lessons.find([name])
    entry, own = planted(name, seed), {cell.id: cell.source for cell in stored(name, seed).cells}
    committed = lessons.read(path)
    broken = {cell.id: cell.source for cell in committed.cells}
    broken[entry["cell"]] = broken[entry["cell"]].replace(entry["old"], entry["new"])
    edited = [cell.id for cell in lessons.code_cells(committed) if own.get(cell.id, "") != broken[cell.id]]
    if entry["cell"] not in edited:
        print("Not yet: " + ("the bug is in none of the cells that you changed." if edited else "no cell was changed."))
        return 1
    book = with_cell(name, entry["cell"], lambda source: own.get(entry["cell"], ""))
    run = kernel.execute(path, strict=False, source=book, bar=True)
    fallen = [claim["name"] for claim in run.claims if not claim["holds"]]
    if run.error:
        print(f"Not yet: with your cell the lesson stops. {run.error.cell}: {run.error.ename}: {run.error.evalue}")
    elif fallen:
        print(f"Not yet: with your cell this still falls: {fallen[0]}")
    elif names(run.claims) != names(lessons.claims_of(committed)):
        print("Not yet: with your cell the lesson does not claim all that it claimed. Mend the bug, not what found it.")
    else:
        others = [identifier for identifier in edited if identifier != entry["cell"]]
        print(f"Right: every claim holds again. It was: {entry['name']}.")
        if others:
            print(f"(You had changed {len(others)} more cells; the lesson needs none of these changes.)")
        return 0
    return 1


def mystery(name: str, seed: int = 1, number: int | None = None, checked: bool = False) -> int:
    """Begin a mystery, give a hint of that number, or check it; return the exit status."""
    return hint(name, seed, number) if number else check(name, seed) if checked else begin(name, seed)
