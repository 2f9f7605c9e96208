"""Takes the newest lessons and keeps what a student wrote into them: `make update`.

Every file that was changed here is first copied, byte for byte, into `notebooks/mine-DATE/`. Then the course moves to
what its origin holds, and a changed notebook is written again: its answers, its turned knobs and the cells that were
added go into the new lesson. What finds no place there is named; the copy has it.
"""

import datetime
import shutil
import subprocess
import sys

import nbformat
from nbformat import NotebookNode

from utils.workshop import lessons


def git(*arguments: str, quiet: bool = False) -> str:
    """Run git in the course and return what it says.

    Errors: SystemExit with git's own last line, but for `quiet`, which returns an empty text.
    """
    command = ["git", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, cwd=lessons.ROOT, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise SystemExit("An update needs git, which is not installed here.") from None
    if done.returncode and not quiet:
        message = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise SystemExit(f"Nothing was updated: git {arguments[0]} failed ({message}).")
    return "" if done.returncode else done.stdout


def names(*arguments: str) -> list[str]:
    """Return the file names that a git command lists."""
    return [name for name in git(*arguments, "-z").split("\0") if name]


def at(commit: str, name: str) -> NotebookNode | None:
    """Read a notebook as a commit has it; None where it has none."""
    text = git("show", f"{commit}:{name}", quiet=True)
    return nbformat.reads(text, as_version=4) if text else None


def take(cell: NotebookNode, theirs: NotebookNode) -> None:
    """Give a cell of the new lesson what the student's version of it holds."""
    for part in ("source", "attachments", "outputs", "execution_count"):
        if part in theirs:
            cell[part] = theirs[part]


def written(base: NotebookNode, mine: NotebookNode) -> list[NotebookNode]:
    """Return the cells that a student changed or added."""
    was = {cell.id: cell.source for cell in base.cells}
    return [cell for cell in mine.cells if cell.source != was.get(cell.id)]


def merge(base: NotebookNode, mine: NotebookNode, new: NotebookNode) -> list[NotebookNode]:
    """Put what a student changed into the new version of a lesson; return the cells that found no place there.

    Cells are told apart by their ids. A cell that the lesson did not change is the student's; one that the student
    added stands after the cell that it stood after; one that the student deleted comes back.
    """
    was, own = ({cell.id: cell for cell in book.cells} for book in (base, mine))
    placed = set()
    for cell in new.cells:
        if cell.id in was and cell.id in own and cell.source in (was[cell.id].source, own[cell.id].source):
            take(cell, own[cell.id])
            placed.add(cell.id)
    for place, cell in enumerate(mine.cells):
        there = [other.id for other in new.cells]
        if cell.id not in was and cell.id not in there:
            above = next((c.id for c in reversed(mine.cells[:place]) if c.id in there), None)
            new.cells.insert(there.index(above) + 1 if above else len(there) if place else 0, cell)
            placed.add(cell.id)
    return [cell for cell in written(base, mine) if cell.id not in placed]


def housed(
    answer: NotebookNode, stub: str | None, old: dict[str, set[str]], new: dict[str, NotebookNode]
) -> str | None:
    """Put an answer into the lesson that its exercise moved to; return that lesson's name, or None.

    It moved there if the same cell, by id and source, stands where the older version of the lesson had none of that id.
    """
    for name, book in new.items():
        for cell in book.cells:
            if cell.id == answer.id and cell.source == stub and cell.id not in old.get(name, ()):
                take(cell, answer)
                return name
    return None


def update() -> int:
    """Update the course; say what was kept, and where the copies are."""
    if not git("rev-parse", "--is-inside-work-tree", quiet=True):
        raise SystemExit("This folder is no clone made with git, so there is nothing that it could be updated from.")
    git("fetch", "--quiet")
    head, newest = git("rev-parse", "HEAD").strip(), git("rev-parse", "@{upstream}", quiet=True).strip()
    if not newest:
        raise SystemExit("This branch follows none of its origin's; `git branch --set-upstream-to` names one.")
    if git("merge-base", head, newest).strip() != head:
        raise SystemExit("There are commits of your own here; `git merge` joins them with the new ones.")
    if head == newest:
        print("This is the newest version already.")
        return 0

    brought = set(names("ls-tree", "-r", "--name-only", newest)) - set(names("ls-tree", "-r", "--name-only", head))
    in_the_way = [name for name in sorted(brought) if (lessons.ROOT / name).is_file()]
    mine = [name for name in names("diff", "--name-only", head) if (lessons.ROOT / name).is_file()]
    folder = lessons.NOTEBOOKS / f"mine-{datetime.datetime.now():%Y-%m-%d-%H%M%S}"
    for name in dict.fromkeys(mine + in_the_way):
        copy = folder / name.removeprefix("notebooks/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(lessons.ROOT / name, copy)
    if mine or in_the_way:
        print(f"Copies of what you had changed: {folder.relative_to(lessons.ROOT).as_posix()}")

    books = {name: at(newest, name) for name in names("ls-tree", "-r", "--name-only", newest, "notebooks")}
    before, after = {name: nbformat.writes(book) for name, book in books.items()}, []
    old = {name: {cell.id for cell in book.cells} for name in books if (book := at(head, name))}
    for name in mine:
        try:
            base, own = at(head, name), nbformat.read(lessons.ROOT / name, as_version=4)
            left = merge(base, own, books[name]) if name in books else written(base, own)
        except Exception:  # a file that is no notebook, or none any more
            after.append(f"{name}: the new version stands there")
            continue
        stubs = {cell.id: cell.source for cell in base.cells}
        for cell in left:
            moved = housed(cell, stubs.get(cell.id), old, books)
            after.append(f"{name}, cell {cell.id}: " + (f"is in {moved} now" if moved else "only the copy has yours"))
    kept = {name: nbformat.writes(book) for name, book in books.items() if nbformat.writes(book) != before[name]}

    git("checkout", "--force", head, "--", ".")
    for name in in_the_way:
        (lessons.ROOT / name).unlink()
    git("merge", "--ff-only", "--quiet", newest)
    for name, text in kept.items():
        lessons.replace(lessons.ROOT / name, text + "\n")
    print(f"Updated. Your work is in {len(kept)} of the new version's lessons." if kept else "Updated.")
    for line in after + [f"{name}: the new version stands there" for name in in_the_way]:
        print(f"- {line}")
    return 0


if __name__ == "__main__":
    sys.exit(update())
