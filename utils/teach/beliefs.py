"""What a class got wrong: `python -m utils.teach.beliefs` counts it, exercise by exercise, after `make grade`.

From what was graded it takes how each exercise came out. From what was handed in it takes what the students' own checks
had told them: the mistake that was recognised, and how many hints were open. It names no student.
"""

import argparse
import ast
import csv
import html
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from utils.teach import handout, hunt
from utils.workshop import lessons

OUTCOMES = ("right", "wrong", "raises an error", "not attempted")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>What the class got wrong</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ border-bottom: 1px solid #ccc; padding: 0.3rem 1rem 0.3rem 0;
text-align: left; vertical-align: top; }} td:last-child {{ text-align: right; }}</style></head>
<body><main><h1>What the class got wrong</h1>
<p>How each exercise and mystery came out is from the grading. Mistakes and hints are as the students' own checks last
told them: an answer that was handed in without its check leaves none.</p>
{tables}
</main></body></html>
"""


@dataclass
class Exercise:
    """What is known of one exercise: the mistakes that its check names, and what was counted."""

    mistakes: list[str]
    outcomes: Counter = field(default_factory=Counter)
    recognised: Counter = field(default_factory=Counter)
    hints: Counter = field(default_factory=Counter)
    possible: tuple[str, ...] = OUTCOMES


def named_mistakes(source: str) -> list[str]:
    """Return the mistakes that a check names: the texts that are keys of a dictionary in its code."""
    keys = (key for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict) for key in node.keys)
    found = (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    return [text for text in found if " " in text]  # other keys are single words


def checks(book: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Yield the check cells of a notebook, each with the name of its exercise."""
    for cell in lessons.code_cells(book):
        if name := lessons.checked(cell):
            yield name, cell


def outcome(cell: NotebookNode) -> str:
    """Return how an exercise came out, from its graded check."""
    printed = lessons.text_of(cell)
    if re.search("^● ", printed, re.M):
        return "right"
    if re.search("^○ ", printed, re.M):
        return "not attempted"
    broken = any(
        output.output_type == "error" and output.ename != "NotRightError" for output in cell.get("outputs", [])
    )
    return "raises an error" if broken or re.search(r"^◐ .*Case \d+ raised ", printed, re.M) else "wrong"


def told(cell: NotebookNode, mistakes: list[str]) -> tuple[list[str], int]:
    """Return the mistakes that a student's own check had named, and how many of its hints were open."""
    printed = lessons.text_of(cell)
    lines = [line for line in printed.splitlines() if line.startswith(("◐", "  Hint"))]
    recognised = [mistake for mistake in mistakes if any(mistake in line for line in lines)]
    return recognised, len(re.findall(r"^  Hint \d of 3: ", printed, re.M))


def read(file: Path) -> NotebookNode | None:
    """Read a notebook; None where there is none that can be read."""
    try:
        return lessons.read(file)
    except Exception:  # the report of the grading says what is wrong with it
        return None


def count(root: Path) -> dict[str, dict[str, Exercise]]:
    """Return what is known of each exercise of each lesson that was graded in a class."""
    found: dict[str, dict[str, Exercise]] = defaultdict(dict)
    for file in sorted((root / "autograded").glob("*/*/*.ipynb")):
        stem, student = file.parent.name, file.parent.parent.name
        book, release = read(file), read(root / "release" / stem / f"{stem}.ipynb")
        if file.stem != stem or book is None or release is None:
            continue
        if came_out := hunt.outcome(book):
            found[stem].setdefault("mystery", Exercise([], possible=hunt.OUTCOMES)).outcomes[came_out] += 1
            continue
        for name, cell in checks(release):
            found[stem].setdefault(name, Exercise(named_mistakes(cell.source)))
        for name, cell in checks(book):
            if name in found[stem]:
                found[stem][name].outcomes[outcome(cell)] += 1
        own = read(root / "submitted" / student / stem / file.name)
        last = dict(checks(own)) if own else {}  # of copies the last
        for name, exercise in found[stem].items():
            if name in last:
                recognised, hints = told(last[name], exercise.mistakes)
                exercise.recognised.update(recognised)
                exercise.hints[hints] += hints > 0
    return dict(found)


def rows(found: dict[str, dict[str, Exercise]]) -> Iterator[tuple[str, str, str, str, int]]:
    """Yield every count as (lesson, exercise, kind, what, how many)."""
    for stem in sorted(found):
        for name, exercise in found[stem].items():
            title = name.replace("_", " ")
            for what in exercise.possible:
                yield stem, title, "outcome", what, exercise.outcomes[what]
            for mistake in sorted(exercise.mistakes, key=lambda text: -exercise.recognised[text]):
                yield stem, title, "mistake", mistake, exercise.recognised[mistake]
            for hints in (1, 2, 3) if exercise.mistakes else ():  # a mystery has neither
                yield stem, title, "hints open", str(hints), exercise.hints[hints]


def page(found: dict[str, dict[str, Exercise]]) -> str:
    """Write the counts that are not 0 as a page, a table for each exercise."""
    tables, above = [], None
    for stem, title, kind, what, number in rows(found):
        if (stem, title) != above:
            tables.append(f"</tbody></table>\n<h2>{html.escape(stem)}: {html.escape(title)}</h2>\n<table><tbody>")
            above = stem, title
        if number:
            words = {"outcome": what, "mistake": f"“{what}”", "hints open": f"hints open: {what}"}[kind]
            tables.append(f"<tr><td>{html.escape(words)}</td><td>{number}</td></tr>")
    return PAGE.format(tables="\n".join([*tables, "</tbody></table>"]).removeprefix("</tbody></table>\n"))


def main(arguments: list[str] | None = None, root: Path = handout.CLASS) -> int:
    """Write beliefs.csv and beliefs.html into the class; return the exit status."""
    argparse.ArgumentParser(prog="python -m utils.teach.beliefs", description=__doc__.splitlines()[0]).parse_args(
        arguments
    )
    found = count(root)
    if not found:
        print("Nothing was graded yet, so there is nothing to count.")
        return 0
    with (root / "beliefs.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("lesson", "exercise", "kind", "what", "students"))
        writer.writerows(rows(found))
    (root / "beliefs.html").write_text(page(found), encoding="utf-8")
    worst = max(
        (
            (name, stem, text, n)
            for stem in found
            for name, e in found[stem].items()
            for text, n in e.recognised.items()
        ),
        key=lambda entry: entry[3],
        default=None,
    )
    print(f"What the class got wrong: {root / 'beliefs.html'}, and as a table beliefs.csv.")
    if worst:
        print(f"Most often, by {worst[3]}, in {worst[0].replace('_', ' ')} of {worst[1]}: {worst[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
