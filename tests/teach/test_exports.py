"""Exported grades, read as each platform reads them: by small readers written from its documentation, not from ours."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from utils.teach import beliefs, classroom, exports, handout
from utils.workshop import lessons

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
(QUICK, *_) = lessons.find()
CNN, PCA = "10_cnn", "50_pca_tsne"
GRADES = [  # student, lesson, points, of: what a class of five has
    ("anna", CNN, "17.5", "20"),
    ("anna", PCA, "30", "30"),
    ("ben", CNN, "0", "20"),
    ("=cmd", CNN, "20", "20"),
    ("Zoë Ångström", CNN, "10", "20"),
    ("dora", CNN, "", ""),
]
CHECKS = {"shift-check": 10, "kernel-check": 10}
ROSTER = [  # with the columns of all three platforms; Student and the next four are Canvas's own
    ["folder", "Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Username", "Email"],
    ["", "    Points Possible", "", "", "", "", "", ""],
    ["anna", 'Müller, Anna "Anni"', "0017", "s-1", "amueller", "Group 1; late", "anna.m", "Anna@Example.org"],
    ["ben", "O'Neil, Ben", "18", "", "", "Group 1", "ben", "ben@example.org"],
    ["=cmd", "=cmd|'/c calc'!A1", "19", "s-3", "cmd", "@home", "cmd", "cmd@example.org"],
    ["Zoë Ångström", "Ångström,\tZoë", "20", "s-4", "zoe", "", "zoe", "zoe@example.org"],
    ["dora", "Dora", "21", "s-5", "dora", "", "dora", "dora@example.org"],
]


# How the platforms read ------------------------------------------------------------------------------------------


def rfc4180(text):
    """Split a CSV text by the rules of RFC 4180: CRLF ends a line, quotes hold what they hold, two of them are one."""
    assert text.endswith("\r\n")
    lines, cell, cells, quoted, at = [], "", [], False, 0
    while at < len(text):
        mark = text[at]
        if quoted and text.startswith('""', at):
            cell, at = cell + '"', at + 1
        elif mark == '"':
            quoted = not quoted
        elif not quoted and mark == ",":
            cell, cells = "", [*cells, cell]
        elif not quoted and text.startswith("\r\n", at):
            lines, cell, cells, at = [*lines, [*cells, cell]], "", [], at + 1
        else:
            assert quoted or mark not in "\r\n"
            cell += mark
        at += 1
    assert len({len(line) for line in lines}) == 1, "every line has as many cells"
    return lines


def canvas_import(file, course):
    """Return (points possible, points of each ID) as Canvas's gradebook would take them; `course` maps IDs to names."""
    head, *lines = rfc4180(file.read_bytes().decode("utf-8"))
    assert "Student" in head[0] and "ID" in head[1]
    first = 3  # of the assignments: after Student, ID, Section; Section is the last of those that say who
    if re.search(r"SIS\s+Login\s+ID", head[2]):
        first += 1
    elif re.search(r"SIS\s+User\s+ID", head[2]) and re.search(r"SIS\s+Login\s+ID", head[3]):
        first += 2
    assert "Section" in head[first - 1], "Invalid header row"
    possible, points = {}, {}
    for line in lines:
        graded = dict(zip(head[first:], line[first:], strict=True))
        if "Points Possible" in line[0]:
            possible = {title: float(cell) for title, cell in graded.items()}
        else:
            found = [key for key in course if line[1] and int(key) == int(line[1])]
            found = found or [key for key, name in course.items() if name == line[0]]
            points[found[0] if found else f"who is {line[0]}?"] = {title: cell for title, cell in graded.items()}
    return possible, points


def moodle_import(file, column, users, most=100):
    """Return the points of each user as Moodle would import them, the other column mapped to a grade item."""
    head, *lines = rfc4180(file.read_bytes().decode("utf-8"))
    points, user = {}, None
    for line in lines:
        for name, cell in zip(head, line, strict=True):
            if name == column and cell:  # a blank one leaves the user of the line above
                assert cell in users, "User mapping error: the whole import is given up"
                user = cell
        for name, cell in zip(head, line, strict=True):
            if name != column:
                grade = None if cell in ("", "-") else float(cell)
                assert grade is None or grade <= most, "Grade value is too big"
                points[user] = {name: grade}
    return points


def gradescope_run(file, where, *emails):
    """Run an autograder as Gradescope would, and return what it prints and the results, held to their specification."""
    shutil.rmtree(where, ignore_errors=True)
    for folder in ("source", "results", "submission"):
        (where / folder).mkdir(parents=True)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(where / "source")
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert {"setup.sh", "run_autograder"} <= set(modes), "both stand in the root of the archive"
    assert modes["run_autograder"] & 0o111 and (where / "source" / "run_autograder").read_bytes().startswith(b"#!")
    shutil.copy(where / "source" / "run_autograder", where)
    users = [{"email": email, "id": number, "name": "Student User"} for number, email in enumerate(emails)]
    (where / "submission_metadata.json").write_text(json.dumps({"id": 123456, "users": users}))
    shown = subprocess.run([sys.executable, "run_autograder"], cwd=where, capture_output=True, text=True)
    if shown.returncode:
        return shown.stdout, None
    got = json.loads((where / "results" / "results.json").read_text(encoding="utf-8"))
    tests = got.get("tests", [])
    assert "score" in got or (tests and all("score" in test for test in tests))
    assert set(got) <= {"score", "execution_time", "output", "visibility", "stdout_visibility", "extra_data", "tests"}
    for test in tests:
        assert set(test) <= {"score", "max_score", "name", "number", "output", "tags", "visibility", "extra_data"}
        assert all(isinstance(test[key], int | float) for key in ("score", "max_score") if key in test)
        assert all(isinstance(test[key], str) for key in ("name", "output", "number") if key in test)
    return shown.stdout, got


# A class that was graded -----------------------------------------------------------------------------------------


def write_grades(root, grades, told="graded"):
    root.mkdir(exist_ok=True)
    with (root / "grades.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows(
            [["student", "lesson", "points", "of", "what happened"], *([*grade, told] for grade in grades)]
        )


def write_roster(root, rows, between=",", encoding="utf-8", end="\n"):
    quoted = [between.join('"' + cell.replace('"', '""') + '"' for cell in row) + end for row in rows]
    (root / "roster.csv").write_bytes("".join(quoted).encode(encoding))


@pytest.fixture
def root(tmp_path):
    """A class of two lessons and five students, and its roster; without Gradescope's column it needs no gradebook."""
    write_grades(tmp_path / "class", GRADES)
    write_roster(tmp_path / "class", [row[:-1] for row in ROSTER])
    return tmp_path / "class"


@pytest.fixture(scope="module")
def gradebook(tmp_path_factory):
    """The same class with a gradebook that nbgrader's own code wrote, and what the checks printed for anna."""
    root = tmp_path_factory.mktemp("graded") / "class"
    write_grades(root, GRADES)
    (root / "nbgrader_config.py").write_text(handout.CONFIG, encoding="utf-8")
    with handout.gradebook(handout.course(root)) as book:
        for lesson in (CNN, PCA):
            book.add_assignment(lesson)
            book.add_notebook(lesson, lesson)
            for name, most in CHECKS.items():
                book.add_grade_cell(name, lesson, lesson, max_score=most, cell_type="code")
        for student, lesson, points, _ in GRADES:
            book.update_or_create_student(student)
            book.add_submission(lesson, student)
            for number, name in enumerate(CHECKS):
                grade = book.find_grade(name, lesson, lesson, student)
                grade.auto_score = [min(10, float(points or 0)), max(0, min(10, float(points or 0) - 10))][number]
            book.db.commit()
    cells = [
        new_code_cell("", metadata={"nbgrader": {"grade_id": name}}, outputs=[new_output("stream", text=f"{name} ö\n")])
        for name in CHECKS
    ]
    (root / "autograded" / "anna" / CNN).mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), root / "autograded" / "anna" / CNN / f"{CNN}.ipynb")
    write_roster(root, ROSTER)
    return root


COURSE = {row[2]: row[1] for row in ROSTER[2:]}


def test_canvas_finds_every_grade(root):
    assert exports.main([], root) == 0
    possible, points = canvas_import(root / "exports" / CNN / "canvas.csv", COURSE)
    assert possible == {CNN: 20}
    assert points == {"0017": {CNN: "17.5"}, "18": {CNN: "0"}, "19": {CNN: "20"}, "20": {CNN: "10"}}
    assert canvas_import(root / "exports" / PCA / "canvas.csv", COURSE) == ({PCA: 30}, {"0017": {PCA: "30"}})


def test_names_survive_and_none_becomes_a_formula(root):
    exports.main([], root)
    _, _, *lines = rfc4180((root / "exports" / CNN / "canvas.csv").read_bytes().decode("utf-8"))
    assert [line[0] for line in lines] == [
        'Müller, Anna "Anni"',
        "O'Neil, Ben",
        "'=cmd|'/c calc'!A1",
        "Ångström, Zoë",
    ]
    assert lines[0][1:5] == ["0017", "s-1", "amueller", "Group 1; late"] and lines[2][4] == "'@home"
    for file in (root / "exports").glob("*/*.csv"):
        cells = [cell for line in rfc4180(file.read_bytes().decode("utf-8")) for cell in line]
        assert [cell for cell in cells if re.match(r"\s*[=+@-]", cell)] == [], file


def test_moodle_finds_every_grade(root):
    exports.main([], root)
    users = {row[6] for row in ROSTER[2:]}
    points = moodle_import(root / "exports" / CNN / "moodle.csv", "Username", users)
    assert points == {"anna.m": {CNN: 17.5}, "ben": {CNN: 0}, "cmd": {CNN: 20}, "zoe": {CNN: 10}}
    assert moodle_import(root / "exports" / PCA / "moodle.csv", "Username", users) == {"anna.m": {PCA: 30}}


def test_gradescope_gets_every_grade_and_what_the_checks_said(gradebook, tmp_path):
    assert exports.main([], gradebook) == 0
    file = gradebook / "exports" / CNN / "gradescope.zip"
    _, got = gradescope_run(file, tmp_path / "autograder", "anna@example.ORG")
    assert got["score"] == 17.5
    assert got["tests"] == [
        {"name": "shift", "score": 10, "max_score": 10, "output": "shift-check ö\n"},
        {"name": "kernel", "score": 7.5, "max_score": 10, "output": "kernel-check ö\n"},
    ]
    for email, points in (("ben@example.org", 0), ("cmd@example.org", 20), ("zoe@example.org", 10)):
        _, got = gradescope_run(file, tmp_path / "autograder", email)
        assert got["score"] == sum(test["score"] for test in got["tests"]) == points
    write_grades(gradebook, GRADES, "not a notebook: it is not text")
    exports.main([], gradebook)
    _, got = gradescope_run(file, tmp_path / "autograder", "anna@example.org")
    assert [test["output"] for test in got["tests"]] == ["", ""], "what an earlier hand-in printed is not of this one"
    write_grades(gradebook, GRADES)
    exports.main([], gradebook)
    first = file.read_bytes()
    exports.main([], gradebook)
    assert file.read_bytes() == first, "the same grades give the same file"


@pytest.mark.parametrize(
    ("emails", "sentence"),
    [(["dora@example.org"], "dora@example.org"), (["anna@example.org", "ben@example.org"], "anna.* with ben.*")],
    ids=["unknown", "group"],
)
def test_gradescope_gives_nobody_a_grade_that_is_not_theirs(gradebook, tmp_path, emails, sentence):
    exports.main([], gradebook)
    shown = gradescope_run(gradebook / "exports" / CNN / "gradescope.zip", tmp_path / "autograder", *emails)
    assert re.match(f"No grade is stored for {sentence}; stored are those of single students", shown[0])
    assert shown[1] is None, "no results, so no zero either"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("between", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_roster_is_read_as_it_comes(root, between, encoding, end):
    exports.main([], root)
    wanted = (root / "exports" / CNN / "canvas.csv").read_bytes()
    write_roster(root, [row[:-1] for row in ROSTER], between, encoding, end)
    assert exports.main([], root) == 0
    assert (root / "exports" / CNN / "canvas.csv").read_bytes() == wanted


def test_the_same_letters_written_otherwise_are_the_same_folder(root):
    write_grades(root, [("Zoe\u0308", CNN, "10", "20")])  # as a Mac writes ë
    write_roster(root, [["folder", "ID"], ["Zo\u00eb", "20"]])
    exports.main([], root)
    assert canvas_import(root / "exports" / CNN / "canvas.csv", {"20": "Zoë"})[1] == {"20": {CNN: "10"}}


NEW = ["new", "New", "99", "s-9", "new", "", "new"]


@pytest.mark.parametrize(
    ("change", "sentence", "gone"),
    [
        (lambda rows: rows.pop(3), "roster.csv has no single row for ben: in no file", {"ben"}),
        (lambda rows: rows.append(NEW), "In roster.csv, but handed nothing in: new.", set()),
        (lambda rows: rows.append(["", *NEW[1:]]), "roster.csv names no folder of New: nothing of theirs", set()),
        (lambda rows: rows.append(rows[3]), "roster.csv has more than one row for ben: none of them is used.", {"ben"}),
        (
            lambda rows: rows[3].__setitem__(2, "0017"),
            "anna and ben have the same ID, 0017: none of them is in canvas.csv.",
            {"anna", "ben"},
        ),
        (
            lambda rows: rows[3].__setitem__(2, ""),
            "No ID or SIS User ID or SIS Login ID for ben: not in canvas",
            {"ben"},
        ),
        (lambda rows: rows[3].__setitem__(2, "=1+1"), "ben has the ID =1+1, which a spreadsheet would comp", {"ben"}),
        (lambda rows: rows[3].pop(), "roster.csv, line 4: 6 cells where the first line has 7; the line is", {"ben"}),
        (lambda rows: rows[3].append("x"), "roster.csv, line 4: 8 cells where the first line has 7; the line", {"ben"}),
    ],
    ids=["no-row", "no-submission", "no-folder", "two-rows", "same-id", "no-id", "formula", "short", "long"],
)
def test_whoever_is_in_no_file_is_named(root, capsys, change, sentence, gone):
    """Nobody is lost: with points one is in the file, or named in a sentence."""
    rows = [row[:-1] for row in ROSTER]
    change(rows)
    write_roster(root, rows)
    assert exports.main([], root) == 0
    out = capsys.readouterr().out
    assert sentence in out
    assert f"Without points, so in no file: dora ({CNN}). report.md says why." in out
    there = set(canvas_import(root / "exports" / CNN / "canvas.csv", COURSE)[1])
    ids = {"anna": "0017", "ben": "18", "=cmd": "19", "Zoë Ångström": "20"}
    assert there == {ids[student] for student in set(ids) - gone}


def test_a_column_of_moodles_is_enough_and_blanks_are_left_out(root, capsys):
    write_roster(root, [["Folder", "EMAIL ADDRESS"], ["anna", "A@b.org"], ["ben", ""]])
    assert exports.main([], root) == 0
    points = moodle_import(root / "exports" / CNN / "moodle.csv", "Email address", {"A@b.org"})
    assert points == {"A@b.org": {CNN: 17.5}}, "ben's 0 does not go to anna, who stands above"
    assert "No Email address for ben: not in moodle.csv." in capsys.readouterr().out


def test_without_a_roster_folders_stand_for_names(root, capsys):
    (root / "roster.csv").unlink()
    assert exports.main([], root) == 0
    out = capsys.readouterr().out
    assert "There is no roster.csv: canvas.csv takes the names of folders for names" in out
    assert "=cmd has the Student =cmd, which a spreadsheet would compute: not in canvas.csv." in out
    course = {"17": "anna", "18": "ben", "20": "Zoë Ångström"}
    assert canvas_import(root / "exports" / CNN / "canvas.csv", course)[1] == {
        "17": {CNN: "17.5"},
        "18": {CNN: "0"},
        "20": {CNN: "10"},
    }
    users = set(course.values())
    assert len(moodle_import(root / "exports" / CNN / "moodle.csv", "Username", users)) == 3
    assert not list(root.glob("exports/*/gradescope.zip"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "roster.csv has the columns of an empty file; wanted are folder,"),
        (b"name,ID\nanna,17\n", "roster.csv has the columns name, id; wanted are folder, the name of a"),
        (b"folder,shoe size\nanna,38\n", "and one or more of ID, SIS User ID, SIS Login ID, Username,"),
        ("folder,ID\nZoë,1\n".encode("latin-1"), "roster.csv is not UTF-8; save it again as CSV in UTF-8."),
    ],
    ids=["empty", "no-folder", "no-id", "latin-1"],
)
def test_a_roster_that_is_none_gets_a_sentence(root, capsys, data, sentence):
    exports.main([], root)
    (root / "exports" / "mine.txt").write_text("mine")
    capsys.readouterr()
    (root / "roster.csv").write_bytes(data)
    assert exports.main([], root) == 1
    out = capsys.readouterr().out
    assert out.startswith("Nothing was exported. ") and sentence in out
    assert [file.name for file in (root / "exports").glob("**/*.*")] == ["mine.txt"], "what is old is not imported"


def test_a_file_that_is_open_elsewhere_gets_a_sentence(root, capsys, monkeypatch):
    def locked(self, *arguments, **named):
        raise PermissionError(13, "Permission denied", str(self))

    exports.main([], root)
    monkeypatch.setattr("pathlib.Path.unlink", locked)
    assert exports.main([], root) == 1
    assert re.search(r"canvas.csv cannot be written; close it where it is open", capsys.readouterr().out)


def test_before_grading_there_is_a_sentence(tmp_path, capsys):
    assert exports.main([], tmp_path) == 0
    assert capsys.readouterr().out == "Nothing was graded yet, so there is nothing to export.\n"
    assert not list(tmp_path.iterdir())


# The readers themselves, and the way from grading ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("canvas.csv", "SIS Login ID,", "", "as many cells"),
        ("canvas.csv", "Section", "Group", "Invalid header row"),
        ("canvas.csv", '"Ångström, Zoë"', "Ångström, Zoë", "as many cells"),
        ("moodle.csv", "ben", "benjamin", "the whole import is given up"),
        ("moodle.csv", "17.5", "175", "too big"),
    ],
)
def test_a_spoiled_file_is_refused(root, name, old, new, sentence):
    exports.main([], root)
    file = root / "exports" / CNN / name
    text = file.read_bytes().decode("utf-8")
    assert old in text
    file.write_bytes(text.replace(old, new).encode("utf-8"))
    with pytest.raises(AssertionError, match=sentence):
        canvas_import(file, COURSE) if name == "canvas.csv" else moodle_import(file, "Username", {"anna.m", "ben"})


def test_moodle_would_give_a_nameless_grade_to_the_student_above(root):
    (root / "moodle.csv").write_bytes(f"Username,{CNN}\r\nanna,10\r\n,0\r\n".encode())
    assert moodle_import(root / "moodle.csv", "Username", {"anna"}) == {"anna": {CNN: 0}}


def test_what_was_really_graded_is_exported(tmp_path):
    root, stem = tmp_path / "class", QUICK.stem
    assert handout.build([stem], root) == 0
    book = lessons.read(root / "release" / stem / QUICK.name)
    ((stub, _, solution),) = lessons.exercises(lessons.read(QUICK))
    name = lessons.student_function(stub)
    next(cell for cell in book.cells if cell.id == stub.id).source = solution.source.split("\ncheck_")[0].replace(
        f"solution_{name}", name
    )
    (root / "submitted" / "anna" / stem).mkdir(parents=True)
    nbformat.write(book, root / "submitted" / "anna" / stem / QUICK.name)
    assert classroom.grade([stem], root) == 0
    write_roster(root, [["folder", "ID", "Username", "Email"], ["anna", "17", "anni", "anna@example.org"]])
    assert exports.main([], root) == 0
    folder = root / "exports" / stem
    assert canvas_import(folder / "canvas.csv", {"17": "Anna"}) == ({stem: 10}, {"17": {stem: "10"}})
    assert moodle_import(folder / "moodle.csv", "Username", {"anni"}) == {"anni": {stem: 10}}
    _, got = gradescope_run(folder / "gradescope.zip", tmp_path / "autograder", "anna@example.org")
    ((_, check),) = beliefs.checks(lessons.read(root / "release" / stem / QUICK.name))
    assert [(test["name"], test["score"], test["max_score"]) for test in got["tests"]] == [
        (check.id.removesuffix("-check"), 10, 10)
    ]
    assert "● " in got["tests"][0]["output"] and got["score"] == 10


@pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="needs make and a POSIX shell")
def test_grading_exports():
    shell = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    shown = subprocess.run(["make", "-n", "grade"], cwd=lessons.ROOT, env=shell, capture_output=True, text=True)
    rooms = re.findall(r"-m utils\.teach\.(\w+)", shown.stdout)
    assert rooms == ["classroom", "beliefs", "exports"]
