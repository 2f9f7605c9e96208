"""How far a reader is: which exercises are right, tried or open, and which mysteries are solved; `make progress`.

It is read from the notebooks as they are saved, here or in another folder, and nothing is kept beside them. What was
picked at a prediction is not saved in a notebook, so nothing is told of it.
"""

import html
import re
from pathlib import Path

from nbformat import NotebookNode

from utils.workshop import lessons

SIGNS = {"right": "●", "tried": "◐", "open": "○"}
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>How far you are</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ border-bottom: 1px solid #ccc; padding: 0.3rem 1rem 0.3rem 0;
text-align: left; vertical-align: top; }}</style></head>
<body><main><h1>How far you are</h1><p>{total}</p><table><thead><tr><th scope="col">lesson</th>
<th scope="col">right</th><th scope="col">tried</th><th scope="col">open</th></tr></thead><tbody>
{rows}
</tbody></table></main></body></html>
"""


def exercises(book: NotebookNode) -> dict[str, str]:
    """Return how each exercise of a notebook stands: right, tried or open; of copies of a check, the best."""
    found: dict[str, str] = {}
    for cell in lessons.code_cells(book):
        if name := lessons.checked(cell):
            printed = lessons.text_of(cell)
            now = next((state for state, sign in SIGNS.items() if re.search(f"^{sign}", printed, re.M)), "open")
            found[name] = min(now, found.get(name, now), key=list(SIGNS).index)
    return found


def read(folder: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return how the exercises of each lesson of a folder stand, and why a notebook there cannot be read."""
    stand, faults = {}, {}
    for path in lessons.within(folder):
        try:
            stand[path.stem] = exercises(lessons.read(path))
        except Exception as error:  # whatever an editor, a merge or a full disk made of it
            faults[path.stem] = f"cannot be read: {type(error).__name__}"
    return stand, faults


def mysteries(folder: Path) -> dict[str, bool]:
    """Return which mysteries of a folder are solved; one that cannot be read is not."""
    solved = {}
    for path in sorted(folder.glob("*.ipynb")):
        try:
            solved[path.stem] = any(
                re.search("^Right: ", lessons.text_of(c), re.M) for c in lessons.code_cells(lessons.read(path))[-1:]
            )
        except Exception:
            solved[path.stem] = False
    return solved


def counted(number: int, of: int, what: str, how: str) -> str:
    """Say how many of how many things are something."""
    return f"{number} of {of} {what} {'is' if number == 1 else 'are'} {how}"


def summary(stand: dict[str, dict[str, str]], solved: dict[str, bool]) -> str:
    """Say in one line how far the reader is."""
    states = [state for of_lesson in stand.values() for state in of_lesson.values()]
    text = f"{counted(states.count('right'), len(states), 'exercises', 'right')}, {states.count('tried')} tried."
    return text + (f" {counted(sum(solved.values()), len(solved), 'mysteries', 'solved')}." if solved else "")


def told(folder: Path | str = ".", hunts: Path | None = None) -> str:
    """Say lesson by lesson how far a reader is whose notebooks lie in a folder, and in a last line altogether.

    `hunts` is the folder of the mysteries. Errors: ValueError if the folder holds no lesson.
    """
    folder = Path(folder)
    stand, faults = read(folder)
    if not stand and not faults:
        raise ValueError(f"{folder} holds no lesson; a lesson is a notebook with a name such as 10_cnn.ipynb.")
    lines = []
    for name in sorted({*stand, *faults}):
        of_lesson = stand.get(name, {})
        signs = "".join(SIGNS[state] for state in of_lesson.values())
        names = [
            f"{state}: {', '.join(exercise.replace('_', ' ') for exercise, now in of_lesson.items() if now == state)}"
            for state in SIGNS
            if state in of_lesson.values()
        ]
        lines.append(f"{name:28s} {signs:5s} {faults.get(name) or '; '.join(names)}".rstrip())
    solved = mysteries(hunts) if hunts else {}
    lines += [f"{name:28s} {'●' if done else '◐':5s} mystery" for name, done in solved.items()]
    return "\n".join([*lines, "", summary(stand, solved)])


def page(folder: Path, hunts: Path) -> str:
    """Write the same as a page, whose links lead to the notebooks."""
    stand, faults = read(folder)
    rows = []
    for name in sorted({*stand, *faults}):
        link = f'<a href="{html.escape((folder / name).resolve().as_uri())}.ipynb">{html.escape(name)}</a>'
        of_lesson = stand.get(name, {})
        cells = [
            ", ".join(exercise.replace("_", " ") for exercise, now in of_lesson.items() if now == state)
            for state in SIGNS
        ]
        told = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        rows.append(
            f'<tr><th scope="row">{link}</th>{told if name in stand else f"<td colspan=3>{faults[name]}</td>"}</tr>'
        )
    return PAGE.format(total=html.escape(summary(stand, mysteries(hunts))), rows="\n".join(rows))


def progress(folder: str | None = None) -> int:
    """Print how far the reader is, and write the page; return the exit status."""
    hunts, where = lessons.BUILD / "mystery", Path(folder) if folder else lessons.NOTEBOOKS
    try:
        print(told(where, hunts))
    except ValueError as fault:
        print(fault)
        return 1
    target = lessons.BUILD / "progress" / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(where, hunts), encoding="utf-8")
    print(f"The same as a page: {target.relative_to(lessons.ROOT)}")
    return 0
