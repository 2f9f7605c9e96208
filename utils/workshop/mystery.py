"""A lesson with a bug in it: `make mystery NB=10_cnn` plants one of the lesson's proven breakages and runs it.

The reader finds the cell, mends it, and has it checked: right is a cell with which the lesson, otherwise as committed,
makes every one of its claims again. Which breakage it is follows from the lesson's name and the seed; the file holds
nothing else of it.
"""

import copy
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


def lesson(name: str) -> NotebookNode:
    """Return a committed lesson without its prosecutor, which would judge the function that has the bug.

    The prosecutor's cells, its task too, share what stands before the hyphen in the id of its exercise. What reads the
    reader's own lessons is left out too, with its text: a mystery may lie in a folder that holds none.
    """
    (path,) = lessons.find([name])
    book = lessons.read(path)
    apart = [ours.id.split("-")[0] + "-" for ours, check, _ in lessons.exercises(book) if "prosecute(" in check.source]
    apart += [cell.id for cell in lessons.code_cells(book) if "progress.told(" in cell.source]
    book.cells = [cell for cell in book.cells if not cell.id.startswith(tuple(apart))]
    return book


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
    """Return the lesson with one cell edited."""
    book = lesson(name)
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
    run = run_broken(path, entry)
    done = run.notebook
    done.cells = [nbformat.v4.new_markdown_cell(TASK.format(name=name, seed=seed), id="mystery"), *done.cells]
    done.cells.append(nbformat.v4.new_code_cell(CHECK.format(name=name, seed=seed), id="mystery-check"))
    store(done, target)
    print(f"{target.relative_to(lessons.ROOT)}: {what_fell(run)}. Open it in JupyterLab.")
    return 0


def run_broken(path: Path, entry: dict[str, Any]) -> kernel.Run:
    """Run a lesson with a breakage planted."""
    book = with_cell(path.stem, entry["cell"], lambda source: source.replace(entry["old"], entry["new"]))
    return kernel.execute(path, strict=False, source=book, bar=True)


def store(book: NotebookNode, target: Path) -> None:
    """Write a mystery without what would tell about its cells."""
    for cell in book.cells:
        for kind in ("papermill", "execution", "tags", "course"):
            cell.metadata.pop(kind, None)
    book.metadata = {name: book.metadata[name] for name in ("kernelspec", "language_info") if name in book.metadata}
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, target)


def what_fell(run: kernel.Run) -> str:
    """Say how many claims of a run do not hold, and where it stopped."""
    fell = len({claim["name"] for claim in run.claims if not claim["holds"]})
    return f"{fell} of its claims fell" + (f", and it stops in cell {run.error.cell}" if run.error else "")


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
    """Say whether the mystery is solved."""
    (path,) = lessons.find([name])
    entry, own = planted(name, seed), {cell.id: cell.source for cell in stored(name, seed).cells}
    committed = lesson(name)
    broken = {cell.id: cell.source for cell in lessons.code_cells(committed)}
    broken[entry["cell"]] = broken[entry["cell"]].replace(entry["old"], entry["new"])
    why = not_mended(
        committed, entry["cell"], own, broken, lambda book: kernel.execute(path, strict=False, source=book, bar=True)
    )
    if why:
        print(f"Not yet: {why}")
        return 1
    others = [identifier for identifier in edited(own, broken) if identifier != entry["cell"]]
    print(f"Right: every claim holds again. It was: {entry['name']}.")
    if others:
        print(f"(You had changed {len(others)} more cells; the lesson needs none of these changes.)")
    return 0


def edited(own: dict[str, str], broken: dict[str, str]) -> list[str]:
    """Return the cells that are not as they were handed out, or not there any more."""
    return [identifier for identifier in broken if own.get(identifier, "") != broken[identifier]]


def not_mended(
    committed: NotebookNode,
    identifier: str,
    own: dict[str, str],
    broken: dict[str, str],
    run: Callable[[NotebookNode], kernel.Run],
) -> str:
    """Say what is missing; nothing if with the reader's cell the lesson makes all its claims, and each holds.

    `identifier` is the cell with the bug; `own` and `broken` are the sources of the code cells as saved and as handed
    out, and `run` runs the lesson with the reader's cell in it.
    """
    changed = edited(own, broken)
    if identifier not in changed:
        return "the bug is in none of the cells that were changed." if changed else "no cell was changed."
    book = copy.deepcopy(committed)
    next(cell for cell in book.cells if cell.id == identifier).source = own.get(identifier, "")
    done = run(book)
    fallen = [claim["name"] for claim in done.claims if not claim["holds"]]
    if done.error:
        return f"with this cell the lesson stops. {done.error.cell}: {done.error.ename}: {done.error.evalue}"
    if fallen:
        return f"with this cell it still falls: {fallen[0]}"
    if names(done.claims) != names(lessons.claims_of(committed)):
        return "with this cell the lesson does not claim all that it claimed. Mend the bug, not what found it."
    return ""


def mystery(name: str, seed: int = 1, number: int | None = None, checked: bool = False) -> int:
    """Begin a mystery, give a hint of that number, or check it; return the exit status."""
    return hint(name, seed, number) if number else check(name, seed) if checked else begin(name, seed)
