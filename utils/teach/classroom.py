"""A class with nbgrader: `python -m utils.teach.classroom build | grade [NB ...]`.

`build` makes of each lesson an assignment (`utils.teach.handout`), or with `--mystery` a hunt (`utils.teach.hunt`).
`grade` grades what was handed in, each submission as `utils.teach.grading` says, and tells what it met. It runs
students' code: first read "A class" in TEACHING.md.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from filelock import FileLock, Timeout
from nbformat import NotebookNode
from nbgrader.api import Grade, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from sqlalchemy.exc import SAWarning

from utils.teach import grading, handout, hunt
from utils.teach.grading import OnlyExercises, Restore, RunChecks  # noqa: F401  (settings of older classes name them)
from utils.workshop import lessons

NOT_GRADED = "could not be graded"
LEFTOVERS = {".DS_Store", ".ipynb_checkpoints", "__MACOSX"}  # what systems and editors leave beside students' folders


def handed_in(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each submission as (student, lesson, fault), with a sentence where there is nothing to grade."""
    known = {path.stem for path in lessons.find()}
    for folder in sorted((root / "submitted").iterdir()):
        if folder.name in LEFTOVERS:
            continue
        if folder.name != readable(folder.name):
            yield readable(folder.name), "?", "the folder's name is not UTF-8, as after unpacking on Windows: rename it"
            continue
        if not folder.is_dir():
            yield folder.name, "?", "a file where a student's folder is wanted, as in STUDENT/10_cnn/10_cnn.ipynb"
            continue
        if re.search(r'^[.\s]|\s$|[,"*?\[\]\n]', folder.name):
            yield (
                folder.name,
                "?",
                "the folder's name may not begin with a dot or hold , \" * ? [ ] or outer spaces",
            )
            continue
        try:
            inside = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "__MACOSX"))]
        except OSError as error:
            yield folder.name, "?", f"the folder cannot be read: {error.strerror}"
            continue
        if not inside:
            yield folder.name, "?", "the folder is empty"
        for entry in inside:
            if not entry.is_dir():
                wanted = entry.stem if entry.suffix == ".ipynb" else "LESSON"
                fault = f"{entry.name} is not in a lesson's folder; wanted is {wanted}/{wanted}.ipynb"
                yield folder.name, "?", readable(fault)
            elif hunt.lesson_of(entry.name) not in known:
                yield folder.name, readable(entry.name), readable(f"there is no lesson {entry.name}")
            else:
                handed_out = (root / "release" / entry.name / f"{entry.name}.ipynb").is_file()
                asked = entry.name.replace("-mystery-", " MYSTERY=")
                wanted = f"the lesson was not handed out; `make class NB={asked}` makes its assignment"
                yield folder.name, entry.name, readable(not_there(entry) if handed_out else wanted)


def not_there(entry: Path) -> str:
    """Say why a student's folder of a lesson holds no file to grade; nothing if it holds one."""
    file = entry / f"{entry.name}.ipynb"
    try:
        others = ", ".join(sorted(other.name for other in entry.iterdir())) or "nothing"
        if not file.is_file():
            return f"no {file.name} in the folder, but {others}"
        file.open("rb").close()
        return ""
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"


def readable(text: str) -> str:
    """Write what is not UTF-8 in a file's name so that it can be printed and stored."""
    return text.encode("utf-8", "backslashreplace").decode()


def not_a_notebook(file: Path) -> str:
    """Say why a file is no notebook; nothing if it is one."""
    try:
        text = file.read_text(encoding="utf-8")
        if not text.strip():
            return "not a notebook: the file is empty"
        if text.startswith("\ufeff"):
            return "not a notebook: it begins with a byte order mark; save it as UTF-8 without one"
        nbformat.reads(text, as_version=4)
        return ""
    except UnicodeDecodeError:
        return "not a notebook: it is not text"
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return f"not a notebook: {type(error).__name__}: {lines[0][:120]}"


def what_happened(book: NotebookNode, release: NotebookNode) -> str:
    """Tell in a line what grading met: what was put back, what raised, what took too long."""
    notes = book.metadata["course"]
    kinds = {grading.name_of(cell): cell.metadata for cell in release.cells}
    told = [notes["stopped"]] if "stopped" in notes else []
    for cell in book.cells:
        raised = {output.ename: output.evalue for output in cell.get("outputs", []) if output.output_type == "error"}
        if "CellTimeoutError" in raised:  # beside it stands what the interrupt raised
            told.append(f"timeout in cell {grading.name_of(cell)}")
        elif "NotRightError" in raised:
            reasons = re.findall(r"Case \d+ raised \w+|not attempted", raised["NotRightError"])
            told += [f"{grading.name_of(cell)}: {text}" for text in reasons]
        elif raised:
            told.append(f"cell {grading.name_of(cell)} raised {', '.join(raised)}")
    told += [f"cell {name} stands twice, each is run in its place" for name in dict.fromkeys(notes["twice"])]
    if notes["rebound"]:
        told.append(f"redefines {', '.join(notes['rebound'])}, which a check uses: look at it")
    for place, line in (("reset", "changed: put back"), ("missing", "deleted: put back")):
        for name in notes[place]:
            tags = kinds[name].get("tags", [])
            if "exercise" in tags:
                told.append(f"exercise cell {name} is missing: no points")
            elif "parameters" in tags:
                told.append(f"knobs {line}")
            elif "check" in tags:
                told.append(f"check cell {name} {line}")
        others = [
            name for name in notes[place] if not {"exercise", "parameters", "check"} & set(kinds[name].get("tags", []))
        ]
        if others:
            told.append(f"{len(others)} other cells {line} ({', '.join(others[:3])}{', ...' * (len(others) > 3)})")
    return "; ".join(["graded", *told])


class Score(NamedTuple):
    """What the gradebook holds of a check."""

    points: float  # by the instructor's hand, where there are some
    most: float
    automatic: float | None
    look: bool  # whether points by hand are older than the last grading, so that somebody should look at them


def scores(api: NbGraderAPI, stem: str, student: str) -> dict[str, Score]:
    """Read from the gradebook what each check gave and what it could give."""
    with handout.gradebook(api) as book:
        try:
            grades = book.find_submission_notebook(stem, stem, student).grades
        except MissingEntry:
            return {}
        return {
            grade.name: Score(
                grade.score, grade.max_score, grade.auto_score, grade.needs_manual_grade and is_by_hand(grade)
            )
            for grade in grades
        }


def is_by_hand(grade: Grade) -> bool:
    """Tell whether an instructor gave points in nbgrader's own tools."""
    return grade.manual_score is not None or bool(grade.extra_credit)


def ask_for_a_look(api: NbGraderAPI, stem: str, student: str) -> None:
    """Mark the points by hand that nbgrader kept when it graded anew; it forgets to mark extra credit."""
    with handout.gradebook(api) as book:
        for grade in book.find_submission_notebook(stem, stem, student).grades:
            grade.needs_manual_grade = is_by_hand(grade)
        book.db.commit()


def no_points(root: Path, api: NbGraderAPI, stem: str, student: str, drop: bool) -> float:
    """Take away what an earlier hand-in got: its points, its page, and if they are to `drop` those by hand.

    Returns the points by hand that were dropped.
    """
    shutil.rmtree(root / "feedback" / student / stem, ignore_errors=True)
    dropped = 0.0
    with handout.gradebook(api) as book:
        book.update_or_create_student(student)
        with contextlib.suppress(MissingEntry):  # where the lesson was never graded
            for submission in book.update_or_create_submission(stem, student).notebooks:
                for grade in submission.grades:
                    grade.auto_score, grade.needs_manual_grade = 0, not drop
                    if drop:
                        dropped += (grade.manual_score or 0) + (grade.extra_credit or 0)
                        grade.manual_score = grade.extra_credit = None
        book.db.commit()
    return dropped


def grade_one(root: Path, api: NbGraderAPI, stem: str, student: str) -> str:
    """Grade one submission, and tell in a line what happened.

    Errors: LessonFaultError if the lesson's own cells do not run here.
    """
    file = root / "submitted" / student / stem / f"{stem}.ipynb"
    fault = not_a_notebook(file)
    if fault:
        dropped = no_points(root, api, stem, student, drop=True)
        return fault + (f"; {dropped:g} points by hand are dropped" if dropped else "")
    hunted = hunt.lesson_of(stem) != stem
    graded = {"success": True} if hunted else handout.quietly(root, api.autograde, stem, student)
    told = hunt.grade(root, api, stem, student) if hunted else ""
    if graded["success"]:
        ask_for_a_look(api, stem, student)
        page = handout.quietly(root, api.generate_feedback, stem, student)["success"]
        done, release = (root / "autograded" / student / stem / file.name, root / "release" / stem / file.name)
        told = told or what_happened(nbformat.read(done, as_version=4), nbformat.read(release, as_version=4))
        besides = sorted(readable(other.name) for other in file.parent.iterdir() if other != file)
        told += "" if page else f"; no feedback page: {root / 'nbgrader.log'} says why"
        return told + (f"; left aside: {', '.join(besides)}" if besides else "")
    if why := re.search(r"LessonFaultError: (.+)", f"{graded.get('log')}\n{graded.get('error')}"):
        raise grading.LessonFaultError(why[1])
    no_points(root, api, stem, student, drop=False)
    return f"{NOT_GRADED}; {root / 'nbgrader.log'} says why"


def fingerprint(root: Path, stem: str, student: str) -> str:
    """Digest what was handed in and what was handed out."""
    files = [root / folder / stem / f"{stem}.ipynb" for folder in (f"submitted/{student}", "release")]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def remembered(memory: Path) -> dict[str, dict[str, Any]]:
    """Read what was told of each submission; what cannot be read is graded anew."""
    try:
        told = json.loads(memory.read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    except (OSError, ValueError):
        return {}


def remember(memory: Path, told: dict[str, dict[str, Any]]) -> None:
    """Store what was told, whole or not at all."""
    new = memory.with_suffix(".new")
    new.write_text(json.dumps(told, indent=1), encoding="utf-8")
    new.replace(memory)


def shown(now: dict[str, Score]) -> list[float]:
    """Return the points that a student's page shows."""
    return [score.points for score in now.values()]


def holds(last: dict[str, Any] | None, of: str, now: dict[str, Score]) -> bool:
    """Tell whether what was told still holds: of this hand-in, it was graded, and the gradebook has those points."""
    if last is None or last["of"] != of or last["what"].startswith(NOT_GRADED):
        return False
    automatic = [score.automatic for score in now.values()]  # others in a copy that was put back, none in a new one
    return last.get("automatic", automatic) == automatic


def grade(names: list[str], root: Path = handout.CLASS, again: bool = False, **settings: int) -> int:
    """Grade what was handed in of the lessons and mysteries named, and write grades.csv and report.md.

    Returns the exit status. A lesson's mysteries are graded with it.
    What was graded before and has not changed since is not run again, unless `again`. Only one may grade at a time.
    """
    asked = [Path(name).stem for name in names]
    found = lessons.find(map(hunt.lesson_of, asked))
    chosen = set(asked) or {path.stem for path in found}
    if not (root / "nbgrader_config.py").exists():
        raise SystemExit(f"There is no class in {root}; `make class` builds it.")
    try:
        with FileLock(root / "grading.lock", timeout=0):
            return grade_all(chosen, root, again, **settings)
    except Timeout:
        raise SystemExit(f"Somebody is grading in {root} already; grade again when that has ended.") from None


def grade_all(chosen: set[str], root: Path, again: bool, **settings: int) -> int:
    """Grade what was handed in of the lessons chosen, one after the other, and write what came of it."""
    (root / "submitted").mkdir(exist_ok=True)
    found = list(handed_in(root))
    if not found:
        raise SystemExit(
            f"Nothing was handed in: {root / 'submitted'} holds nothing. Wanted is STUDENT/10_cnn/10_cnn.ipynb."
        )
    api, memory = handout.course(root, **settings), root / "graded.json"
    told = remembered(memory)
    lines, records, faults = [], [], 0
    for number, (student, stem, fault) in enumerate(found, 1):
        key, seconds, points = f"{student}/{stem}", 0.0, {}
        if not fault:
            of = fingerprint(root, stem, student)
            asked = bool({stem, hunt.lesson_of(stem)} & chosen)
            if asked and (again or not holds(told.get(key), of, scores(api, stem, student))):
                start = time.monotonic()
                try:
                    what = grade_one(root, api, stem, student)
                except grading.LessonFaultError as error:
                    print(f"Stopped at {key}: {error}, before any answer was run. Mend this machine, then grade again.")
                    return 1
                except Exception as error:  # whatever it was, the next student's is graded
                    what = f"{NOT_GRADED}: {type(error).__name__}: {error}"
                    with contextlib.suppress(Exception):  # what stops the grading may stop this as well
                        no_points(root, api, stem, student, drop=False)
                now = scores(api, stem, student)
                told[key] = {"of": of, "what": what, "seconds": round(time.monotonic() - start, 1)}
                told[key] |= {"automatic": [score.automatic for score in now.values()], "page": shown(now)}
                remember(memory, told)
            before = told.get(key, {"of": of, "what": "not graded yet", "seconds": 0.0})
            fault = before["what"] + "; handed in anew since" * (before["of"] != of)
            seconds = before["seconds"]
            if not fault.startswith(NOT_GRADED):
                points = scores(api, stem, student)
                if fault.startswith("graded") and before.get("page", shown(points)) != shown(points):  # by hand
                    handout.quietly(root, api.generate_feedback, stem, student)
                    before["page"] = shown(points)
                    remember(memory, told)
                looks = any(score.look for score in points.values())
                fault += "; points by hand from before it was last graded: look at them" * looks
        fault = " ".join(fault.split())  # names of files and of errors may break lines
        faults += not fault.startswith("graded")
        got, most = (sum(score[k] for score in points.values()) for k in (0, 1))
        total = f"{got:g} of {most:g}" if points else "no points"
        records.append([student, stem, f"{got:g}" if points else "", f"{most:g}" if points else "", fault])
        each = ", ".join(f"{name.removesuffix('-check')} {score.points:g}" for name, score in points.items())
        line = (student, stem, total, each, f"{seconds:.1f}", fault)
        lines.append("| " + " | ".join(text.replace("|", "/") for text in line) + " |")
        print(f"{number}/{len(found)} {student}, {stem}: {total}, {seconds:.0f} s, {fault}", flush=True)
    head = "| student | lesson | points | each | seconds | what happened |\n|---|---|---|---|---|---|"
    (root / "report.md").write_text("\n".join(["# What was handed in", "", head, *lines, ""]), encoding="utf-8")
    with (root / "grades.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["student", "lesson", "points", "of", "what happened"], *records])
    print(f"{len(found)} submissions, {faults} of them not graded. {root / 'grades.csv'} and report.md hold it all;")
    print(f"{root / 'feedback'} has a page for each submission that was graded.")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m utils.teach.classroom", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["build", "grade"])
    parser.add_argument("names", nargs="*", metavar="NB", help="lessons, as in 10_cnn; all of them if none is named")
    parser.add_argument("--again", action="store_true", help="grade also what has not changed since it was graded")
    parser.add_argument("--mystery", type=int, metavar="SEED", help="build: a mystery of each lesson named; which one")
    parser.add_argument("--timeout", type=int, default=30, help="seconds for a cell that a student wrote (30)")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=SAWarning)  # of nbgrader's own gradebook
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no ö stops nobody's grading
    if options.command == "build" and options.mystery is not None:
        if not options.names or options.mystery < 0:
            parser.error(
                f"--mystery was given {options.mystery} and {' '.join(options.names) or 'no lesson'}; wanted is "
                "a number, 0 or more, and a lesson, as in: build 10_cnn --mystery 3 (make class NB=10_cnn MYSTERY=3)"
            )
        return hunt.build(options.names, options.mystery)
    if options.command == "build":
        return handout.build(options.names)
    if options.timeout < 1:
        parser.error(f"--timeout was given {options.timeout}; wanted is a number of seconds, 1 or more")
    try:
        return grade(options.names, again=options.again, timeout=options.timeout)
    except KeyboardInterrupt:
        print("Stopped. What was graded is kept, and `make grade` goes on from there.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
