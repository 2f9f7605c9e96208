"""Begins a lesson from the template."""

import re
import shutil
from pathlib import Path

import nbformat

from utils.workshop import lessons

TEMPLATE = Path(__file__).with_name("template") / "template.ipynb"


def new(names: list[str]) -> int:
    """Begin a lesson: copy the template and what the tests try on it under a new name, with a title to match."""
    if len(names) != 1 or not re.fullmatch(r"(?!00)[0-7]\d_[a-z0-9]+(_[a-z0-9]+)*", names[0]):
        asked = " ".join(names) or "nothing"
        raise SystemExit(
            f"A new lesson was to be called {asked!r}; accepted is one name such as 22_transformers: two digits, "
            "the first of which is the part of the course (0 to 7), then words in small letters after underscores."
        )
    lesson = lessons.NOTEBOOKS / f"{names[0]}.ipynb"
    trials = lessons.room(lesson) / "trials.toml"
    there = [str(path.relative_to(lessons.ROOT)) for path in (lesson, trials) if path.exists()]
    if there:
        raise SystemExit(f"{' and '.join(there)} already there; nothing was written. Take another name.")
    notebook = lessons.read(TEMPLATE)
    title = names[0][3:].replace("_", " ").capitalize()
    notebook.cells[0].source = re.sub("^# .*", f"# {title}", notebook.cells[0].source)
    trials.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATE.with_name("trials.toml"), trials)
    lesson.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    readme = lessons.ROOT / "README.md"
    question = re.search(r"\*\*(.+\?)\*\*", notebook.cells[0].source)[1]
    lessons.replace(readme, with_lesson(readme.read_text(encoding="utf-8"), names[0], question))
    print(f"{lesson.relative_to(lessons.ROOT)}: a whole small lesson; write yours in its place.")
    print(f"{trials.relative_to(lessons.ROOT)}: what the tests try on it. CONTRIBUTING.md says how both work.")
    print("README.md: a row with its question; write yours there too.")
    return 0


def with_lesson(readme: str, name: str, question: str) -> str:
    """Return the README with a row for a lesson, in its place among the others."""
    rows = re.findall(r"^\| \[\w+\]\(notebooks/.*\n", readme, re.M)
    row = f"| [{name}](notebooks/{name}.ipynb) | {question} |\n"
    return readme.replace("".join(rows), "".join(sorted([*rows, row])))
