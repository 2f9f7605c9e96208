"""The commands behind the Makefile: `make run` stores a clean run or nothing, the others say what they measured."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from utils.workshop import bench, kernel, lanes, lessons, new, run
from utils.workshop.__main__ import main

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def test_a_new_lesson_passes_every_lane_as_it_is(tmp_path):
    """A writer starts from green, so that what turns red is of their own making."""

    def run(*module):
        return subprocess.run([sys.executable, "-m", *module], cwd=tmp_path, capture_output=True, text=True)

    for room in ("tests", "utils"):
        shutil.copytree(lessons.ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("[0-9][0-9]_*", ".*"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(lessons.ROOT / file, tmp_path)
    (tmp_path / "notebooks").mkdir()
    shown = run("utils.workshop", "new", "77_two_towers")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("notebooks/77_two_towers.ipynb: a whole small lesson")
    book, template = lessons.read(tmp_path / "notebooks" / "77_two_towers.ipynb"), lessons.read(new.TEMPLATE)
    assert book.cells[0].source.startswith("# Two towers\n")
    assert book.cells[1:] == template.cells[1:], "only the title changes"
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/\1.ipynb\) \| .+", (tmp_path / "README.md").read_text(), re.M)
    assert rows == sorted([path.stem for path in lessons.find()] + ["77_two_towers"]), "each lesson has its row"
    lanes = [f"tests/notebooks/test_{lane}.py" for lane in ("form", "lessons", "teeth")]
    shown = run("pytest", "-p", "no:cacheprovider", "-q", *lanes, "-k", "77_two_towers")
    assert shown.returncode == 0, shown.stdout
    passed = int(re.search(r"(\d+) passed", shown.stdout)[1])
    breakages = tomllib.loads(new.TEMPLATE.with_name("trials.toml").read_text())["breakage"]
    assert passed > 25 + len(breakages) and not re.search(r"skipped|failed|error", shown.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "names", [[], ["transformers"], ["2_x"], ["22_Transformers"], ["../22_x"], ["00_x"], ["93_x"], ["22_x", "23_y"]]
)
def test_a_bad_name_of_a_new_lesson_is_refused(names):
    sentence = f"to be called {' '.join(names) or 'nothing'!r}; accepted is one name such as 22_transformers"
    with pytest.raises(SystemExit, match=re.escape(sentence)):
        new.new(names)


def test_a_new_lesson_replaces_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    (tmp_path / "77_two_towers.ipynb").write_text("mine")
    with pytest.raises(
        SystemExit, match="^77_two_towers.ipynb already there; nothing was written. Take another name.$"
    ):
        new.new(["77_two_towers"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)

    def write(*sources: str) -> Path:
        cells = [nbformat.v4.new_code_cell("SEED = 0", id="knobs", metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
        path = tmp_path / "98_planted.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
        return path

    return write


def test_run_stores_a_clean_run(write):
    path = write("import ipywidgets\nprint(SEED)", "ipywidgets.IntSlider()")
    assert run.run_one(path) is None
    book = lessons.read(path)
    assert [cell.execution_count for cell in book.cells] == [1, 2, 3]
    assert lessons.text_of(book.cells[1]) == "0\n"
    assert book.cells[2].outputs == [], "a widget view without its kernel shows nothing"
    assert book.metadata.course.code == lessons.digest(book)
    assert "widgets" not in book.metadata and "execution" not in book.cells[1].metadata


def test_what_was_printed_in_pieces_is_stored_in_one(write):
    path = write("import sys, time\nfor n in range(3):\n    print(n)\n    sys.stdout.flush()\n    time.sleep(0.3)")
    assert run.run_one(path) is None
    (output,) = lessons.read(path).cells[1].outputs
    assert output.text == "0\n1\n2\n"


def test_a_notebook_without_its_kernels_name_runs(write):
    path = write("print(SEED)")
    book = lessons.read(path)
    book.metadata = {}
    nbformat.write(book, path)
    assert run.run_one(path) is None
    assert lessons.read(path).metadata.kernelspec.name == "python3"


def test_run_keeps_what_the_writer_set_on_a_cell(write):
    path = write("print(SEED)")
    book = lessons.read(path)
    set_here = {"course": {"notes": "Misconception: a.\nAsk: b?"}, "slideshow": {"slide_type": "slide"}, "tags": ["x"]}
    book.cells[1].metadata = nbformat.from_dict(set_here)
    nbformat.write(book, path)
    assert run.run_one(path) is None
    assert lessons.read(path).cells[1].metadata == set_here


def test_run_does_not_replace_what_was_changed_meanwhile(write):
    """The notebook edits itself while it runs, as a writer in JupyterLab might."""
    path = write("from pathlib import Path\nwith Path('98_planted.ipynb').open('a') as book:\n    _ = book.write(' ')")
    before = path.read_bytes()
    assert run.run_one(path) == (
        "98_planted: it ran, but the file was changed meanwhile; what stands there now was not replaced"
    )
    assert path.read_bytes() == before + b" "


def test_run_takes_only_what_changed(write, capsys):
    path = write("print(SEED)")
    assert run.run([]) == 0
    assert "COURSE_KEEP" not in os.environ, "what is run later would replace what generators left"
    first = path.read_bytes()
    assert run.run([]) == 0
    assert "stored outputs are those of its code" in capsys.readouterr().out
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "98_planted, cell cell-1: ZeroDivisionError: division by zero"),
        ("import sys; print('noise', file=sys.stderr)", "98_planted, cell cell-1 wrote to stderr: noise"),
        ("import sys; sys.exit(0)", "98_planted, cell cell-1: SystemExit: 1 cells after it were never run"),
        ("import os; os._exit(1)", "98_planted, cell cell-1: DeadKernelError"),
    ],
    ids=["error", "stderr", "exit", "death"],
)
def test_a_failing_notebook_is_left_as_it_was(write, source, message):
    path = write("print('fine')", source, "print('after')")
    before = path.read_bytes()
    assert run.run_one(path).startswith(message)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_notebook_as_it_was(write, monkeypatch):
    path = write("print('fine')")
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run.run_one(path) == (
        "98_planted: it ran, but could not be written (No space left on device); the notebook is as it was"
    )
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "no half-written file stays behind"


def test_a_copy_is_no_lesson(write, tmp_path):
    path = write()
    for copy in ("98_planted-Copy1", "Untitled", "98_Planted", "98 planted", "9_planted"):
        shutil.copy(path, tmp_path / f"{copy}.ipynb")
    assert lessons.find() == [path]


def test_an_unknown_notebook_gets_the_list(write):
    write()
    with pytest.raises(SystemExit, match="There is no lesson 99_nothing; there are 98_planted."):
        lessons.find(["99_nothing"])


def test_bench_measures_a_notebook(write, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "DRIVE", tmp_path / "drive.py")
    kernel.DRIVE.write_text("print([])")
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    path = write("print('fine')")
    lessons.room(path).mkdir(parents=True)
    (lessons.room(path) / "trials.toml").write_text("[bench]\n'the seed again' = 'print(SEED + 2)'")
    row, compared = bench.bench_one(path)
    assert compared == ["- 98_planted, the seed again: 2"]
    name, seconds, memory, redraw, size, claims = row
    assert (name, seconds, redraw, claims) == ("98_planted", "0 s", "-", "0")
    assert memory.endswith("GiB") and float(memory.split()[0]) > 0.01
    assert size.endswith("MB")


def test_a_row_is_measured_alone(tmp_path, monkeypatch, capsys):
    """It takes its place among the others, unless these were measured on another machine."""
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    (tmp_path / "utils").mkdir()
    for name in ("97_old", "98_again", "99_new"):
        (tmp_path / f"{name}.ipynb").touch()
    monkeypatch.setattr(bench, "machine", lambda: "this machine")
    monkeypatch.setattr(bench, "bench_one", lambda path: ([path.stem, "9 s"], [f"- {path.stem}, x: 9"]))
    old = "| 97_old | 1 s |\n| 98_again | 1 s |\n\n- 97_old, x: 1\n- 98_again, x: 1\n\nMeasured alone, one thread, on "
    readme = tmp_path / "README.md"
    readme.write_text(f"<!-- bench -->\n{old}this machine.\n<!-- /bench -->\n")
    bench.bench(["98_again", "99_new"])
    wanted = ["| 97_old | 1 s |", "| 98_again | 9 s |", "| 99_new | 9 s |"]
    wanted += ["- 97_old, x: 1", "- 98_again, x: 9", "- 99_new, x: 9"]
    assert [line for line in readme.read_text().splitlines() if re.match(r"(\||-) \d", line)] == wanted
    other = f"<!-- bench -->\n{old}a faster one.\n<!-- /bench -->\n"
    readme.write_text(other)
    bench.bench(["99_new"])
    assert readme.read_text() == other
    assert "of another machine and stays as it is" in capsys.readouterr().out


def test_the_cost_of_an_import_is_measured():
    assert 0 < bench.import_seconds("measure") < 60


def test_the_table_goes_between_its_marks():
    empty = "a\n<!-- bench -->\n<!-- /bench -->\nb\n"
    once = bench.with_table(empty, "bench", "| 1 |")
    assert once == "a\n<!-- bench -->\n| 1 |\n<!-- /bench -->\nb\n"
    assert bench.with_table(once, "bench", "| 2 |") == once.replace("1", "2")
    with pytest.raises(SystemExit, match="There is no place for the table"):
        bench.with_table("a\nb\n", "bench", "| 1 |")


def test_the_readme_shows_a_row_for_every_notebook():
    readme = (lessons.ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.stem for path in lessons.find() if f"| {path.stem} |" not in readme] == []


ALL_TESTS = ["tests", "notebooks"]


@pytest.mark.parametrize(
    ("line", "chosen", "environment"),
    [
        ("test", ALL_TESTS, {"COURSE_LEDGER": "test"}),
        ("test --part 2/3", ALL_TESTS, {"COURSE_LEDGER": "test", "COURSE_PART": "2/3"}),
        ("test --everything --part 1/3", ALL_TESTS, {"COURSE_PART": "1/3"}),
        ("test 10_cnn 20_rnn_lstm", [*ALL_TESTS, "-k", "10_cnn or 20_rnn_lstm"], {}),
        ("prove", ["tests"], {"COURSE_LEDGER": "prove", "COURSE_LESSONS": ""}),
        ("prove 10_cnn", ["tests"], {"COURSE_LEDGER": "prove", "COURSE_LESSONS": "10_cnn"}),
        ("browser", lanes.BROWSER, {"COURSE_BROWSER": "all"}),
    ],
)
def test_the_command_line_starts_the_tests_it_names(monkeypatch, line, chosen, environment):
    started = []
    monkeypatch.setattr(lanes, "ruff", lambda *arguments: 0)
    monkeypatch.setattr(lanes, "pytest", lambda chosen, workers, **rest: started.append((chosen, workers, rest)) or 0)
    assert main([*line.split(), "--workers", "3"]) == 0
    assert started == [(chosen, 3, environment)]


@pytest.mark.parametrize(("status", "shown"), [(5, 0), (1, 1), (0, 0)])
def test_nothing_left_to_prove_is_no_error(monkeypatch, status, shown):
    monkeypatch.setattr(lanes, "pytest", lambda *chosen, **rest: status)
    assert lanes.prove([], 2) == shown
    assert lanes.NOTHING_TO_RUN == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "a/b", "1/3/2"])
def test_a_part_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        main(["test", "--part", text])
    assert f"{text!r} is not accepted; accepted is a part of several, as in 2/3." in capsys.readouterr().err


def test_an_unknown_lesson_starts_no_test(monkeypatch):
    monkeypatch.setattr(lanes, "ruff", lambda *arguments: 0)
    with pytest.raises(SystemExit, match="There is no lesson 99_dreams; there are 00_start_here"):
        main(["prove", "99_dreams"])
