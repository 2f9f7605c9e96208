"""Grades for Canvas, Moodle and Gradescope: `python -m utils.teach.exports` writes them, after `make grade`.

From grades.csv it makes a folder for each lesson, as exports/10_cnn, with canvas.csv, moodle.csv and gradescope.zip. A
file holds those grades only that are there, so that an import takes none away. Who a student's folder is on a platform
stands in roster.csv: a column folder, and beside it the platform's own columns.
"""

import argparse
import codecs
import csv
import io
import json
import re
import sys
import unicodedata
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from nbgrader.apps.api import NbGraderAPI

from utils.teach import classroom, grading, handout
from utils.workshop import lessons

Row = dict[str, str]  # a line of a table, by its columns' names in lower case
PLATFORMS = {  # the file of each, and the columns that tell it who somebody is
    "canvas.csv": ("ID", "SIS User ID", "SIS Login ID"),
    "moodle.csv": ("Username", "Email address", "ID number"),
    "gradescope.zip": ("Email",),
}
SETUP = "#!/usr/bin/env bash\napt-get install -y python3\n"
AUTOGRADER = '''\
#!/usr/bin/env python3
"""Answer a submission with the results that its student has already; nothing that was submitted is run."""

import json
import sys

with open("submission_metadata.json", encoding="utf-8") as file:
    emails = [user["email"].lower() for user in json.load(file)["users"]]
with open("source/results.json", encoding="utf-8") as file:
    results = json.load(file)
if len(emails) != 1 or emails[0] not in results:
    print("No grade is stored for " + " with ".join(emails) + "; stored are those of single students, by e-mail.")
    sys.exit(1)
with open("results/results.json", "w", encoding="utf-8") as file:
    json.dump(results[emails[0]], file)
'''


class Grade(NamedTuple):
    """What a student got for a lesson, written as grades.csv has it."""

    student: str
    lesson: str
    points: str
    most: str
    told: str

    @property
    def folder(self) -> str:
        """Return what rows of the roster are found by."""
        return same(self.student)


def table(file: Path) -> tuple[list[str], list[Row], list[str]]:
    """Read a table: its columns' names in lower case, its rows, a sentence for each line that does not fit the first.

    Between cells stand commas, semicolons or tabs. Lines end as they like, and a byte order mark is no matter.
    Errors: ValueError, a sentence, if the file is neither UTF-8 nor marked as UTF-16.
    """
    data = file.read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file.name} is not UTF-8; save it again as CSV in UTF-8.") from None
    head = next((line for line in text.splitlines() if line.strip()), "")
    between = max(",;\t", key=lambda mark: len(next(csv.reader([head], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if "".join(line).strip()]
    names = [name.lower() for name in lines[0][1]] if lines else []
    rows, faults = [], []
    for number, line in lines[1:]:
        if len(line) < len(names) or any(line[len(names) :]):
            fault = f"{len(line)} cells where the first line has {len(names)}; the line is left out."
            faults.append(f"{file.name}, line {number}: {fault}")
        else:
            rows.append(dict(zip(names, line, strict=False)))
    return names, rows, faults


def same(text: str) -> str:
    """Write a folder's name in one of the ways that Unicode has for the same letters: systems differ in theirs."""
    return unicodedata.normalize("NFC", text)


def roster(file: Path) -> tuple[list[str], dict[str, Row], list[str]]:
    """Read who is who: the columns, the row of each student's folder, and a sentence for each row that is none.

    Errors: ValueError, a sentence, if there is no column folder, or none that a platform knows.
    """
    names, rows, faults = table(file)
    wanted = [name for columns in PLATFORMS.values() for name in columns]
    if "folder" not in names or not set(names) & {name.lower() for name in wanted}:
        raise ValueError(
            f"{file.name} has the columns {', '.join(names) or 'of an empty file'}; wanted are folder, the name of a "
            f"student's folder in submitted, and one or more of {', '.join(dict.fromkeys(wanted))}."
        )
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["folder"] or any(row.get(name.lower()) for name in wanted):  # else Canvas's line Points Possible
            found[same(row["folder"])].append(row)
    if nameless := found.pop("", []):
        people = [row.get("student") or next(cell for cell in row.values() if cell) for row in nameless]
        faults.append(f"{file.name} names no folder of {', '.join(people)}: nothing of theirs is exported.")
    if twice := [folder for folder, its in found.items() if len(its) > 1]:
        faults.append(f"{file.name} has more than one row for {', '.join(twice)}: none of them is used.")
    return names, {folder: its[0] for folder, its in found.items() if len(its) == 1}, faults


def looks_like_a_formula(text: str) -> bool:
    """Tell whether a spreadsheet would compute a cell (CWE-1236)."""
    return bool(re.match(r"\s*[=+\-@]", text))


def plain(text: str) -> str:
    """Write a text on one line, with an apostrophe before it where a spreadsheet would compute it."""
    text = " ".join(text.split())
    return f"'{text}" if looks_like_a_formula(text) else text


def identified(rows: dict[str, Row], columns: list[str], file: str) -> tuple[dict[str, Row], list[str]]:
    """Return the rows of those whom a platform can tell apart, and a sentence on those whom it cannot."""
    faults, out = [], set()
    for name in columns:
        holders: dict[str, list[str]] = defaultdict(list)
        for folder, row in rows.items():
            holders[row.get(name.lower(), "").lower()].append(folder)
        holders.pop("", None)
        for value, folders in holders.items():
            if len(folders) > 1:
                faults.append(f"{' and '.join(folders)} have the same {name}, {value}: none of them is in {file}.")
            elif looks_like_a_formula(value):
                faults.append(f"{folders[0]} has the {name} {value}, which a spreadsheet would compute: not in {file}.")
            else:
                continue
            out.update(folders)
    if nobody := [folder for folder, row in rows.items() if not any(row.get(name.lower()) for name in columns)]:
        faults.append(f"No {' or '.join(columns)} for {', '.join(nobody)}: not in {file}.")
    return {folder: row for folder, row in rows.items() if folder not in {*out, *nobody}}, faults


def canvas(grades: list[Grade], rows: dict[str, Row]) -> list[list[str]]:
    """Write a lesson's grades as Canvas's gradebook imports them.

    The first cells of the header are fixed, and each further one is an assignment, found by its title or made anew.
    The line Points Possible says how much an assignment counts. A student is found by ID, else by SIS User ID, by
    SIS Login ID, and last by name. Source: the import itself, lib/gradebook_importer.rb of instructure/canvas-lms.
    """
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    lines = [[*head, grades[0].lesson], ["    Points Possible", "", "", "", "", grades[0].most]]
    for grade in grades:
        row = {"student": grade.student} | {name: cell for name, cell in rows[grade.folder].items() if cell}
        lines.append([*(plain(row.get(name.lower(), "")) for name in head), grade.points])
    return lines


def moodle(grades: list[Grade], rows: dict[str, Row], column: str) -> list[list[str]]:
    """Write a lesson's grades as Moodle imports them: a column that says who, and one for the grade item.

    Which column is which is chosen when importing. Somebody unknown stops the import, and a row without a name would go
    to the student above it, so there is none. Source: https://docs.moodle.org/311/en/Grade_import, and the import
    itself, grade/import/csv/classes/load_data.php of moodle/moodle.
    """
    body = [[rows[grade.folder][column.lower()], grade.points] for grade in grades]
    return [[column, grades[0].lesson], *body]


def results(root: Path, api: NbGraderAPI, grade: Grade) -> dict[str, Any]:
    """Write one student's grade as the results of an autograder of Gradescope's, each exercise a test.

    The score stands above the tests and replaces their sum. What a check printed is the output of its test.
    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/.
    """
    file = root / "autograded" / grade.student / grade.lesson / f"{grade.lesson}.ipynb"
    printed = {}
    if grade.told.startswith("graded") and file.is_file():  # else it is that of an earlier hand-in
        printed = {grading.name_of(cell): lessons.text_of(cell) for cell in lessons.code_cells(lessons.read(file))}
    tests = [
        {
            "name": name.removesuffix("-check"),
            "score": got.points,
            "max_score": got.most,
            "output": printed.get(name, ""),
        }
        for name, got in classroom.scores(api, grade.lesson, grade.student).items()
    ]
    return {"score": float(grade.points), "tests": tests}


def gradescope(file: Path, graded: dict[str, Any]) -> None:
    """Write an autograder for Gradescope that knows the results of each student, by e-mail.

    In Gradescope's documentation we found no import of grades; scores come from an autograder, which it runs on what
    students submit there, and can run again on all of it. It tells the autograder whose submission it is. Sources:
    https://gradescope-autograders.readthedocs.io/en/latest/specs/, .../latest/submission_metadata/, and
    https://guides.gradescope.com/hc/en-us/articles/22066635961357-Grading-a-Programming-Assignment.
    """
    parts = {"setup.sh": SETUP, "run_autograder": AUTOGRADER, "results.json": json.dumps(graded, indent=1)}
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name)  # of a fixed date, so that the same grades give the same file
            entry.create_system, entry.external_attr = 3, 0o755 << 16  # on Windows, too, it is to be executable
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)


def clear(folder: Path) -> None:
    """Take away what was written the last time, and nothing else: old grades are not to be imported by mistake."""
    for name in PLATFORMS:
        for file in folder.glob(f"*/{name}"):
            file.unlink()


def who(root: Path, graded: list[str], handed_in: list[str]) -> tuple[dict[str, list[str]], dict[str, Row], list[str]]:
    """Return for each file the columns that tell who somebody is, the row of each folder, and what there is to say.

    It says who was graded and has no row, and who has a row and handed nothing in. Without a roster the folders' names
    stand for the students' own.
    """
    if not (root / "roster.csv").exists():
        rows = {folder: {"student": folder, "username": folder} for folder in graded}
        sentence = (
            "canvas.csv takes the names of folders for names, moodle.csv for usernames; gradescope.zip needs a roster"
        )
        return {"canvas.csv": ["Student"], "moodle.csv": ["Username"]}, rows, [f"There is no roster.csv: {sentence}."]
    names, rows, faults = roster(root / "roster.csv")
    if unknown := [folder for folder in graded if folder not in rows]:
        faults.append(
            f"roster.csv has no single row for {', '.join(unknown)}: in no file, their points are in grades.csv."
        )
    if absent := [folder for folder in rows if folder not in handed_in]:
        faults.append(f"In roster.csv, but handed nothing in: {', '.join(absent)}.")
    columns = {}
    for file, known in PLATFORMS.items():
        if there := [name for name in known if name.lower() in names]:
            columns[file] = there if file == "canvas.csv" else there[:1]
    return columns, rows, faults


def export(root: Path) -> list[str]:
    """Write the files of every lesson with grades, and return what there is to say of it, sentence by sentence."""
    clear(root / "exports")
    _, rows, faults = table(root / "grades.csv")
    grades = [Grade(*(row[name] for name in ("student", "lesson", "points", "of", "what happened"))) for row in rows]
    handed_in = list(dict.fromkeys(grade.folder for grade in grades))
    if without := [f"{grade.student} ({grade.lesson})" for grade in grades if not grade.points]:
        faults.append(f"Without points, so in no file: {', '.join(without)}. report.md says why.")
    grades = [grade for grade in grades if grade.points]
    columns, people, more = who(root, list(dict.fromkeys(grade.folder for grade in grades)), handed_in)
    faults += more
    for file, used in columns.items():
        known, more = identified(people, used, file)
        faults += more
        by_lesson: dict[str, list[Grade]] = defaultdict(list)
        for grade in grades:
            if grade.folder in known:
                by_lesson[grade.lesson].append(grade)
        for lesson, chosen in by_lesson.items():
            target = root / "exports" / lesson / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if file == "gradescope.zip":
                api, key = handout.course(root), used[0].lower()
                gradescope(target, {known[one.folder][key].lower(): results(root, api, one) for one in chosen})
                continue
            lines = canvas(chosen, known) if file == "canvas.csv" else moodle(chosen, known, used[0])
            with target.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows(lines)
    written = [name for name in PLATFORMS if list((root / "exports").glob(f"*/{name}"))]
    listed = ", ".join(written) or "there was nobody to write into a file"
    return [*faults, f"For other platforms, a folder for each lesson in {root / 'exports'}: {listed}."]


def main(arguments: list[str] | None = None, root: Path = handout.CLASS) -> int:
    """Write the files into the class, and say who is not in them; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.teach.exports", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no ö loses nobody's grade
    if not (root / "grades.csv").exists():
        print("Nothing was graded yet, so there is nothing to export.")
        return 0
    try:
        print(*export(root), sep="\n")
    except (ValueError, csv.Error) as error:
        print(f"Nothing was exported. {error}")
        return 1
    except PermissionError as error:
        print(f"{error.filename} cannot be written; close it where it is open, then export again.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
