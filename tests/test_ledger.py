"""The ledger: what makes a row stale, who writes one, and that a false one is found."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests import ledger
from utils.workshop import lessons

NAMES = ["10_planted", "20_planted", "30_planted"]
CONFTEST = f"""
import os, sys
from pathlib import Path

sys.path.append({str(lessons.ROOT)!r})
from tests import ledger
from utils.workshop import lessons

lessons.ROOT = Path(__file__).parent
lessons.NOTEBOOKS = lessons.ROOT / "notebooks"
ledger.BUDGET = int(os.environ.get("BUDGET", ledger.BUDGET))

def pytest_configure(config):
    names = os.environ.get("COURSE_LESSONS", "").split()
    config.pluginmanager.register(ledger.Ledger(os.environ["COURSE_LEDGER"], names))
"""
LANE = f"""
from pathlib import Path
import pytest
from utils.workshop import kernel

@pytest.mark.parametrize("name", {NAMES!r})
def test_planted(name):
    assert "fault" not in Path("notebooks", name + ".ipynb").read_text()
"""


def write(path, text):
    """Write a file and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Plant a course of three lessons with two lanes of theirs, and a test that is of no lesson."""
    for name in NAMES:
        cells = [
            nbformat.v4.new_code_cell("from utils import check\nx = judge.kept('vae')", id="one"),
            nbformat.v4.new_markdown_cell("A word.", id="two"),
        ]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    for room, text in {
        "conftest.py": CONFTEST,
        "tests/notebooks/test_teeth.py": LANE,
        "tests/teach/test_slides.py": LANE,
        "tests/test_rest.py": "def test_rest(): pass",
        "tests/lessons/10_planted/trials.toml": "",
        "utils/check.py": "def shown():\n    from utils.plot import png",
        "utils/plot.py": "",
        "utils/workshop/kernel.py": "",
        "utils/measure.py": "",
        "data/generated/vae.json": "1",
        "data/generated/gan.json": "1",
        "requirements.lock": "",
    }.items():
        write(tmp_path / room, text)
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


@pytest.fixture
def ran(tree):
    """Run the planted course's tests in a mode; return (passed, failed, what was printed)."""

    def ran(mode, *arguments, **environment):
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments, "tests"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "PYTEST_"))}
        done = subprocess.run(
            command, cwd=tree, env={**kept, "COURSE_LEDGER": mode, **environment}, capture_output=True, text=True
        )
        count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
        return count.get("passed", 0), count.get("failed", 0) + count.get("error", 0), done.stdout

    return ran


def edit(name, **changes):
    """Change the first cell of a planted lesson."""
    path = lessons.NOTEBOOKS / f"{name}.ipynb"
    book = lessons.read(path)
    for key, value in changes.items():
        setattr(book.cells[0], key, value)
    nbformat.write(book, path)


def forge(name):
    """Write rows of a planted lesson as if it had been proved."""
    for kind, lane in {"run": "teeth", "page": "slides"}.items():
        ledger.write(name, kind, ledger.fingerprint(name, kind), {lane: [1.0]})


def test_prove_writes_rows_once_and_a_test_run_passes_over_them(ran):
    assert ran("prove")[:2] == (6, 0)
    assert ledger.rows("10_planted")["run"]["lanes"] == {"teeth": {"seconds": 0, "tests": 1}}
    assert ran("prove")[:2] == (0, 0)
    passed, failed, text = ran("test")
    assert (passed, failed) == (1 + 2 * ledger.DRAWN, 0)
    assert "run: 3 of 3 lessons were proved before; not believed: " in text


def test_two_workers_write_the_same_rows(ran):
    assert ran("prove", "-n", "2")[:2] == (6, 0)
    assert all(ledger.proved(name, kind) for name in NAMES for kind in ledger.KINDS)


def test_only_what_changed_is_proved_again(ran):
    ran("prove")
    edit("20_planted", source="x = 2")
    assert ran("prove")[:2] == (2, 0)
    path = lessons.NOTEBOOKS / "30_planted.ipynb"
    path.write_text(path.read_text().replace("A word.", "Another word."))
    passed, _, text = ran("prove")
    assert passed == 1 and "test_slides.py::test_planted[30_planted]" in text


def test_a_red_run_writes_no_row(ran):
    edit("20_planted", source="'a fault'")
    assert ran("prove")[:2] == (4, 2)
    assert [name for name in NAMES if ledger.rows(name)] == ["10_planted", "30_planted"]


def test_a_test_run_writes_no_row(ran):
    assert ran("test")[:2] == (7, 0)
    assert not any(ledger.rows(name) for name in NAMES)


def test_a_forged_row_is_found_when_its_lesson_is_drawn(ran):
    edit("20_planted", source="'a fault'")
    for name in NAMES:
        forge(name)
    out = [name for name in NAMES if name not in ledger.drawn(NAMES, ledger.commit())]
    _, failed, text = ran("test")
    assert failed == (0 if out == ["20_planted"] else 2)
    told = [f"20_planted, {kind}: failed, and its row is valid; `make prove NB=20_planted`" for kind in ledger.KINDS]
    assert all((line in text) == (failed == 2) for line in told)
    commits = [f"{number:040x}" for number in range(30)]
    assert {name for commit in commits for name in ledger.drawn(NAMES, commit)} == set(NAMES), "each is drawn in time"


def test_a_lesson_that_is_named_is_proved_again_and_a_false_row_goes(ran):
    ran("prove")
    edit("20_planted", source="'a fault'")
    forge("20_planted")
    assert ran("prove")[:2] == (0, 0)
    passed, failed, text = ran("prove", COURSE_LESSONS="20_planted")
    assert (passed, failed) == (0, 2) and not ledger.rows("20_planted")
    assert "20_planted, run: no row, since not all of its tests passed" in text
    assert ran("prove", COURSE_LESSONS="10_planted")[:2] == (2, 0) and ledger.proved("10_planted", "run")


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "two workers"])
def test_a_file_that_cannot_be_read_leaves_no_row(ran, tree, workers):
    (tree / "tests" / "lessons" / "10_planted" / "test_own.py").write_text("raise ValueError('it is not read')")
    assert ran("prove", *workers)[1] >= 1
    assert not any(ledger.rows(name) for name in NAMES)


def test_a_row_of_fewer_tests_than_there_are_is_none(ran):
    assert ran("prove", PYTEST_ADDOPTS="-k '10_planted or slides'")[:2] == (4, 0)
    assert ran("prove")[:2] == (2, 0)
    row = ledger.rows("10_planted")
    row["run"]["lanes"]["teeth"]["tests"] = 0
    ledger.store("10_planted", row)
    assert ran("prove")[:2] == (1, 0)
    assert ledger.number_of_tests("10_planted", "run") == {"teeth": 1}


def test_a_lesson_that_is_changed_while_it_is_proved_has_no_row(ran, tree):
    write(
        tree / "tests" / "lessons" / "20_planted" / "test_own.py",
        "from pathlib import Path\n"
        "def test_own():\n"
        "    book = Path('notebooks', '20_planted.ipynb')\n"
        "    book.write_text(book.read_text().replace('judge', 'other'))\n",
    )
    assert ran("prove")[:2] == (7, 0)
    assert [name for name in NAMES if ledger.rows(name)] == ["10_planted", "30_planted"]


def test_a_worker_that_dies_costs_no_other_row(ran, tree):
    """One that is started later finds rows that were not there before, and has to choose the same tests."""
    write(
        tree / "tests" / "notebooks" / "test_lessons.py",
        "import os, pytest, time\n"
        f"@pytest.mark.parametrize('name', {NAMES!r})\n"
        "def test_dies(name):\n"
        "    if name == '20_planted' and not os.path.exists('died'):\n"
        "        while not os.path.exists('tests/lessons/10_planted/proof.json'): time.sleep(0.1)\n"
        "        open('died', 'w')\n"
        "        os._exit(1)\n",
    )
    _, failed, text = ran("prove", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
    assert failed == 1 and "INTERNALERROR" not in text, text
    assert not ledger.proved("20_planted", "run")
    assert all(ledger.proved(name, "run") for name in ("10_planted", "30_planted"))
    assert all(ledger.proved(name, "page") for name in NAMES)


def test_a_test_of_a_lesson_that_is_gone_is_run_each_time(ran, tree):
    write(tree / "tests" / "lessons" / "11_gone" / "test_gone.py", "def test_gone(): assert False")
    assert ran("test")[1] == 1


def test_where_git_is_missing_the_day_draws(tree, monkeypatch):
    monkeypatch.setenv("PATH", str(tree))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", ledger.commit())


def test_a_row_of_another_lesson_is_none(ran):
    ran("prove")
    shutil.copy(ledger.place("10_planted"), ledger.place("20_planted"))
    assert ledger.proved("10_planted", "run") and not ledger.proved("20_planted", "run")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"run": 3}', '{"run": {}}', '{"run": {"fingerprint": "0123456789abcdef"}}']
)
def test_a_row_that_is_cut_off_or_false_is_none(text, tree):
    ledger.place("10_planted").parent.mkdir(parents=True, exist_ok=True)
    ledger.place("10_planted").write_text(text)
    assert not ledger.proved("10_planted", "run")


@pytest.mark.parametrize("mode", ["prove", "test"])
def test_the_second_seed_is_passed_over_where_ten_seeds_are_of_these_cells(tree, monkeypatch, mode):
    monkeypatch.setattr(ledger, "drawn", lambda names, commit: {"30_planted"})
    margins = tree / "tests" / "lessons" / "{}" / "margins.csv"

    def wanted(name):
        return ledger.Ledger(mode, NAMES).wanted(f"tests/notebooks/test_lessons.py::test_second_seed[{name}]")

    assert wanted("10_planted"), "there are no margins"
    for name in NAMES:
        code = lessons.digest(lessons.read(lessons.NOTEBOOKS / f"{name}.ipynb"))
        Path(str(margins).format(name)).parent.mkdir(parents=True, exist_ok=True)
        Path(str(margins).format(name)).write_text(f"code,claim\n{code},a\n")
    assert not wanted("10_planted")
    assert wanted("30_planted") == (mode == "test"), "nothing is believed of a lesson that is drawn"
    edit("10_planted", source="x = 4")
    assert wanted("10_planted"), "they are of older cells"
    mark = ledger.fingerprint("20_planted", "run")
    Path(str(margins).format("20_planted")).unlink()
    assert ledger.fingerprint("20_planted", "run") != mark, "a row without a second seed outlives its margins"


def test_what_runs_each_time_is_there_and_in_no_row():
    from tests.notebooks import test_lessons
    from tests.teach import test_classroom

    places = {"test_other_knobs": test_lessons, "test_release": test_classroom}
    for test in ledger.ALWAYS:
        name = re.match(r"::(\w+)\[", test)[1]
        assert callable(getattr(places[name], name))
        file = Path(places[name].__file__).relative_to(lessons.ROOT).as_posix()
        assert ledger.proof_of(file + test.format("10_cnn")) is None
        assert ledger.proof_of(f"{file}::{name}[10_cnn-odd]") == ("10_cnn", "run")


def test_what_is_left_unproved_when_the_time_is_spent_is_red_and_named(ran):
    passed, failed, text = ran("test", BUDGET="-1")
    assert (passed, failed) == (1, 6)
    assert "test_teeth.py::test_planted[20_planted]" in text
    assert "not proved: the" in text
    for name in NAMES:
        forge(name)
    assert "its row is valid" not in ran("test", BUDGET="-1")[2], "nothing was found out about it"


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_parts_share_the_lessons_and_keep_each_together(tree, parts):
    kinds = [
        "notebooks/{}.ipynb::Cell 3",
        "tests/notebooks/test_teeth.py::test_x[{}-a b]",
        "tests/lessons/{}/test_x.py::a",
    ]
    kinds += ["tests/notebooks/test_form.py::test_x[{}]", "tests/teach/test_site.py::test_page[notebooks/{}.html]"]
    found = {name: {ledger.part_of(kind.format(name), parts) for kind in kinds} for name in NAMES}
    assert all(len(of) == 1 for of in found.values()) and set().union(*found.values()) == set(range(1, parts + 1))
    others = [f"tests/utils/test_{room}.py::test_{number}" for room in "abcdef" for number in (1, 2)]
    assert all(
        1 <= ledger.part_of(one, parts) == ledger.part_of(two, parts) <= parts
        for one, two in zip(others[::2], others[1::2], strict=True)
    )


CHANGES = {
    "source": lambda tree: edit("10_planted", source="x = 2"),
    "id": lambda tree: edit("10_planted", id="three"),
    "tag": lambda tree: edit("10_planted", metadata={"tags": ["evidence"]}),
    "folded": lambda tree: edit("10_planted", metadata={"jupyter": {"source_hidden": True}}),
    "what is said of it": lambda tree: write(tree / "tests/lessons/10_planted/trials.toml", "x = 1"),
    "what another lesson left": lambda tree: write(tree / "data/generated/vae.json", "2"),
    "its own tests": lambda tree: write(tree / "tests/lessons/10_planted/test_own.py", "x = 1"),
    "its own tests, deeper": lambda tree: write(tree / "tests/lessons/10_planted/more/test_own.py", "x = 1"),
    "what every room begins with": lambda tree: write(tree / "utils/__init__.py", "x = 1"),
    "what tests begin with": lambda tree: write(tree / "tests/notebooks/conftest.py", "x = 1"),
    "the guard of the network": lambda tree: write(tree / "tests/offline.py", "x = 1"),
    "the options of the tests": lambda tree: write(tree / "pyproject.toml", "[tool.pytest.x]\ny = 1"),
    "a room": lambda tree: write(tree / "utils/check.py", "from utils.plot import png"),
    "a room of a room": lambda tree: write(tree / "utils/plot.py", "x = 1"),
    "a room of the harness": lambda tree: write(tree / "utils/workshop/kernel.py", "x = 1"),
    "the harness": lambda tree: write(tree / "tests/notebooks/test_teeth.py", "x = 1"),
    "the lock": lambda tree: write(tree / "requirements.lock", "torch==1.0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_stale_after_a_change_of(change, tree):
    before = ledger.fingerprint("10_planted", "run")
    CHANGES[change](tree)
    assert ledger.fingerprint("10_planted", "run") != before


def test_the_python_and_the_system_are_in_the_fingerprint(tree, monkeypatch):
    found = [ledger.fingerprint("10_planted", "run")]
    monkeypatch.setattr(sys, "platform", "elsewhere")
    found.append(ledger.fingerprint("10_planted", "run"))
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert len({*found, ledger.fingerprint("10_planted", "run")}) == 3


def test_stored_outputs_and_prose_leave_a_run_as_it_is(tree):
    before = ledger.fingerprint("10_planted", "run"), ledger.fingerprint("10_planted", "page")
    path = lessons.NOTEBOOKS / "10_planted.ipynb"
    book = json.loads(path.read_text())
    book["cells"][0].update(execution_count=7, outputs=[nbformat.v4.new_output("stream", text="said")])
    book["cells"][1]["source"] = "Another word."
    path.write_text(json.dumps(book))
    (tree / "data" / "generated" / "gan.json").write_text("2")  # which it does not read
    (tree / "utils" / "measure.py").write_text("x = 1")  # nor does it import that
    assert ledger.fingerprint("10_planted", "run") == before[0]
    assert ledger.fingerprint("10_planted", "page") != before[1]
    pages = {ledger.fingerprint("10_planted", "page")}
    book["metadata"]["kernelspec"] = {"name": "ir", "display_name": "R", "language": "R"}
    path.write_text(json.dumps(book))
    assert ledger.fingerprint("10_planted", "page") not in pages, "JupyterLab would open it with another kernel"
