"""The ledger: what of a lesson was proved, and of which code, so that one change does not ask for all proofs again.

A lesson's `tests/lessons/NN_name/proof.json` has a row for each kind of proof: the fingerprint of what the proof
depends on, its lanes with their tests and seconds, and the date. `make test` passes over the tests of a row that is
valid, but for two lessons that the commit draws, so that a row that is not true is found. `make prove` runs what has
no valid row, or is named, and writes a row as soon as all its tests have passed; where one fails, the row goes. The
second seed is run of the two that are drawn, and of a lesson whose ten seeds (`margins.csv`) are not of its code.
"""

import ast
import csv
import datetime
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from utils.workshop import lessons

KINDS = {  # what a lesson does when it is run, and how it is shown: the lanes of each
    "run": ("lessons", "teeth", "elsewhere", "full_size", "classroom", "own"),
    "page": ("slides", "site", "browser"),
}
ALWAYS = ("::test_other_knobs[{}-small]", "::test_release[{}]")  # papermill runs every lesson each time, as nbval does
LESSON = re.compile(r"(?:\[|notebooks/|tests/lessons/)(\d\d_[a-z0-9_]+)")
KEPT = re.compile(r"\bkept\(\s*[\"'](\w+)[\"']")  # what a lesson reads of what it or another one left
DRAWN = 2  # lessons of a commit whose rows are not believed
BUDGET = 60 * 60  # seconds; what is not begun by then is called unproved
UNPROVED = "not proved: "
ROOMS = {  # the files that the lanes of a proof read, beside the lesson's own and what they import of the course
    "run": """
        requirements.lock utils/course.mplstyle utils/__init__.py utils/*/__init__.py utils/workshop/drive.py
        tests/conftest.py tests/*/conftest.py tests/offline.py tests/guard/*.py tests/teach/test_classroom.py
        tests/notebooks/attempts.py tests/notebooks/bite.py tests/notebooks/elsewhere.py
        tests/notebooks/test_lessons.py
        tests/notebooks/test_teeth.py tests/notebooks/test_elsewhere.py tests/notebooks/test_full_size.py
    """.split(),
    "page": """
        requirements.lock utils/course.mplstyle utils/__init__.py utils/*/__init__.py
        utils/teach/static/**/* utils/teach/templates/**/* tests/conftest.py tests/*/conftest.py tests/offline.py
        tests/guard/*.py tests/chromium.py tests/notebooks/test_browser.py
        tests/notebooks/test_lessons.py tests/teach/test_site.py tests/teach/test_slides.py tests/teach/*.js
    """.split(),
}
# Of slides a run takes one pattern, that of a link, which is used in a release only; releases and hunts are tested each
# time.
APART = (
    "utils/teach/slides.py",
    "utils/teach/explorers.py",
    "utils/teach/hunt.py",
    "utils/workshop/mystery.py",
)


def lane(nodeid):
    """Name the lane that a test belongs to."""
    path = Path(nodeid.split("::")[0])
    if path.suffix == ".ipynb":
        return "nbval"
    if path.parts[:2] == ("tests", "lessons"):
        return "own"  # tests that one lesson brings
    return "unit" if path.parent.name == "utils" else path.stem.removeprefix("test_")


def part_of(nodeid, parts):
    """Return the part, from 1, that a test belongs to: a lesson's tests stay together, as do other files'."""
    found, names = LESSON.search(nodeid), [path.stem for path in lessons.find()]
    if found and found[1] in names:
        return names.index(found[1]) % parts + 1
    return zlib.crc32(nodeid.split("::")[0].encode()) % parts + 1


def proof_of(nodeid):
    """Return the lesson and the kind of proof that a test is a part of, or None."""
    found = LESSON.search(nodeid)
    if not found or not (lessons.NOTEBOOKS / f"{found[1]}.ipynb").is_file():
        return None
    if nodeid.endswith(tuple(test.format(found[1]) for test in ALWAYS)):
        return None
    return next(((found[1], kind) for kind, lanes in KINDS.items() if lane(nodeid) in lanes), None)


@functools.cache
def names_imported(source):
    """Return what a source imports, by its whole names: modules, and what it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def imported(sources):
    """Return the files of the course's rooms that these sources import, and those that these import in turn."""
    found, waiting = set(), [*sources]
    while waiting:
        for name in names_imported(waiting.pop()):
            path = lessons.ROOT / f"{name.replace('.', '/')}.py"
            if name.startswith("utils.") and path not in found and path.is_file():
                found.add(path)
                waiting.append(path.read_text(encoding="utf-8"))
    return found


def options():
    """Return what pyproject.toml asks of pytest."""
    try:
        return tomllib.loads((lessons.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    except (OSError, KeyError):
        return {}


def fingerprint(name, kind):
    """Hash what a proof depends on: the lesson, what is said of it, the rooms it uses, the system and the Python.

    A run depends on the code cells, with their ids, tags and metadata; a page on the whole file.
    """
    book = lessons.read(lessons.NOTEBOOKS / f"{name}.ipynb")
    code = "\n".join(cell.source for cell in lessons.code_cells(book))
    whole = [book.metadata, *book.cells]
    cells = [(c.id, c.source, c.metadata) for c in lessons.code_cells(book)] if kind == "run" else whole
    parts = [name, kind, sys.platform, sys.version_info[:2], json.dumps([options(), cells], sort_keys=True)]
    parts += [swept(name)] if kind == "run" else []  # a row without a second seed is none once the margins are gone
    found = hashlib.sha256(repr(parts).encode())
    patterns = [*ROOMS[kind], f"tests/lessons/{name}/trials.toml", f"tests/lessons/{name}/**/*.py"]
    patterns += [f"data/generated/{kept}.*" for kept in KEPT.findall(code)]
    files = {path for pattern in patterns for path in lessons.ROOT.glob(pattern) if path.is_file()}
    files |= imported([code, *(path.read_text(encoding="utf-8") for path in files if path.suffix == ".py")])
    if kind == "run":
        files -= {lessons.ROOT / name for name in APART}
    for path in sorted(files):
        text = path.read_bytes().replace(b"\r\n", b"\n")  # as git may store it on Windows
        found.update(f"{path.relative_to(lessons.ROOT).as_posix()} {hashlib.sha256(text).hexdigest()}\n".encode())
    return found.hexdigest()[:16]


def place(name):
    """Return where the rows of a lesson are kept."""
    return lessons.room(Path(name)) / "proof.json"


def swept(name):
    """Tell whether the margins of a lesson, of ten seeds, are of the code that stands there."""
    try:
        with (lessons.room(Path(name)) / "margins.csv").open(encoding="utf-8", newline="") as kept:
            codes = {row["code"] for row in csv.DictReader(kept)}
    except (OSError, KeyError):
        return False
    return codes == {lessons.claims_digest(lessons.read(lessons.NOTEBOOKS / f"{name}.ipynb"))}


def rows(name):
    """Return the rows of a lesson, by kind; none where the file is absent or holds anything else."""
    try:
        found = json.loads(place(name).read_text(encoding="utf-8"))
        return {kind: row for kind, row in found.items() if isinstance(row, dict)}
    except (OSError, ValueError, AttributeError):
        return {}


def proved(name, kind):
    """Tell whether a lesson has a row of what the tree holds now."""
    return rows(name).get(kind, {}).get("fingerprint") == fingerprint(name, kind)


def store(name, found):
    """Write the rows of a lesson."""
    place(name).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    place(name).write_text(text, encoding="utf-8", newline="\n")


def write(name, kind, mark, lanes):
    """Write a row: the fingerprint, the date, and of each lane its tests and seconds."""
    lanes = {lane: {"seconds": round(sum(spent)), "tests": len(spent)} for lane, spent in lanes.items()}
    row = {"date": datetime.date.today().isoformat(), "fingerprint": mark, "lanes": lanes}
    store(name, {**rows(name), kind: row})


def drop(name, kind):
    """Take a row away, if there is one."""
    found = rows(name)
    if found.pop(kind, None):
        store(name, found)


def number_of_tests(name, kind):
    """Return how many tests of each lane the row of a lesson speaks of."""
    try:
        return {lane: spent["tests"] for lane, spent in rows(name)[kind]["lanes"].items()}
    except (AttributeError, KeyError, TypeError):
        return {}


def drawn(names, commit):
    """Return the lessons whose rows a commit does not believe."""
    return set(sorted(names, key=lambda name: hashlib.sha256(f"{commit} {name}".encode()).digest())[:DRAWN])


def commit():
    """Return the hash of the commit that is tested; outside of git, or without it, the day."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=lessons.ROOT, capture_output=True, text=True).stdout
    except OSError:
        asked = ""
    return asked.strip() or datetime.date.today().isoformat()


class Ledger:
    """Chooses the tests that are still to be run, and writes the rows; `mode` is test or prove."""

    def __init__(self, mode, names=None):
        self.mode, self.start = mode, time.monotonic()
        self.names = names or [path.stem for path in lessons.find()]
        self.marks = {(name, kind): fingerprint(name, kind) for name in self.names for kind in KINDS}
        again = mode == "prove" and names  # whoever names a lesson wants it proved, whatever its rows say
        self.valid = {} if again else {proof: number_of_tests(*proof) for proof in self.marks if proved(*proof)}
        self.drawn = drawn(self.names, commit()) if mode == "test" else set()
        self.waiting, self.spent = defaultdict(set), defaultdict(lambda: defaultdict(list))
        self.whole, self.done, self.false, self.written = True, set(), set(), set()

    def pytest_configure_node(self, node):
        node.workerinput["ledger"] = [[*proof, tests] for proof, tests in self.valid.items()]

    def pytest_configure(self, config):
        """Let a worker that is started later choose as the others did: rows have been written since."""
        handed = getattr(config, "workerinput", {}).get("ledger")
        if handed is not None:
            self.valid = {(name, kind): tests for name, kind, tests in handed}

    def belongs(self, nodeid):
        """Tell whether a test is a part of its lesson's proof: a second seed is, unless ten seeds are of this code."""
        proof = proof_of(nodeid)
        return proof in self.marks and not ("::test_second_seed[" in nodeid and swept(proof[0]))

    def wanted(self, nodeid):
        """Tell whether a test is to be run."""
        proof = proof_of(nodeid)
        if proof is None:
            return self.mode == "test"
        if proof[0] in self.drawn:
            return proof in self.marks
        return self.belongs(nodeid) and proof not in self.valid

    def pytest_collectreport(self, report):
        self.whole = self.whole and report.passed

    def pytest_collection_modifyitems(self, config, items):
        there = defaultdict(Counter)
        for item in filter(lambda item: self.belongs(item.nodeid), items):
            there[proof_of(item.nodeid)][lane(item.nodeid)] += 1
        # a row of fewer tests than there are is none
        self.valid = {proof: tests for proof, tests in self.valid.items() if tests == there[proof]}
        passed_over = [item for item in items if not self.wanted(item.nodeid)]
        items[:] = [item for item in items if self.wanted(item.nodeid)]
        config.hook.pytest_deselected(items=passed_over)

    def pytest_runtest_setup(self, item):
        if self.mode == "test" and proof_of(item.nodeid) and time.monotonic() - self.start > BUDGET:
            pytest.fail(f"{UNPROVED}the {BUDGET // 60} minutes were spent; run make prove", pytrace=False)

    def pytest_xdist_node_collection_finished(self, ids):
        self.expect(ids)

    def pytest_collection_finish(self, session):
        self.expect([item.nodeid for item in session.items])

    def expect(self, nodeids):
        for nodeid in nodeids:
            if proof_of(nodeid) and nodeid not in self.done:  # a worker that was started later collects all again
                self.waiting[proof_of(nodeid)].add(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        proof = proof_of(report.nodeid)
        if "PYTEST_XDIST_WORKER" in os.environ or proof is None:
            return
        if report.failed and UNPROVED not in str(report.longrepr):
            self.false.add(proof)
        if self.mode != "prove":
            return
        self.spent[proof][lane(report.nodeid)] += [report.duration] if report.when == "call" else []
        if report.failed:
            drop(*proof)
        if report.outcome != "passed":
            self.marks.pop(proof, None)  # no row, whatever comes of the rest
        elif report.when == "teardown":
            self.done.add(report.nodeid)
            self.waiting[proof].discard(report.nodeid)
            # not where a file could not be read, nor where the lesson was changed while it was proved
            if self.whole and not self.waiting[proof] and self.marks.get(proof) == fingerprint(*proof):
                write(*proof, self.marks[proof], self.spent[proof])
                self.written.add(proof)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("ledger")
        for kind in KINDS:
            held = [name for name in self.names if (name, kind) in self.valid]
            text = f"{kind}: {len(held)} of {len(self.names)} lessons were proved before"
            terminalreporter.line(text + (f"; not believed: {', '.join(sorted(self.drawn))}" if self.drawn else ""))
        if self.mode == "prove":
            for name, kind in sorted(self.waiting.keys() - self.written):
                terminalreporter.line(f"{name}, {kind}: no row, since not all of its tests passed")
        for name, kind in sorted(self.false & self.valid.keys()):
            terminalreporter.line(
                f"{name}, {kind}: failed, and its row is valid; `make prove NB={name}` proves it again"
            )
