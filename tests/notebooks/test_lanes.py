"""Proves that the lanes catch what they are for, on small notebooks with a planted fault."""

import json
from pathlib import Path

import matplotlib
import nbformat
import pytest

from tests.notebooks import test_form
from tests.notebooks.bite import FORKS, bite, fresh, printed, told_cells
from tests.notebooks.test_lessons import each_twice
from utils.workshop import kernel, lessons, new

KNOBS = "SEED = 0  # which random numbers"
EXPLORER = """
from utils import plot, widgets
fig, ax = plot.panels()
(line,) = ax.plot([0, 1], [0, 1])
def draw(slope):
    line.set_ydata([0, {value}])
    return fig
explorer = widgets.explore(draw, alt="a line of some slope", slope=(-4, 4))
explorer
"""


@pytest.fixture
def write(tmp_path):
    def write(*sources: str) -> Path:
        cells = [nbformat.v4.new_code_cell(KNOBS, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "99_planted.ipynb")
        return tmp_path / "99_planted.ipynb"

    return write


def driven(path):
    run = kernel.execute(path, probes={"probe-widgets": kernel.DRIVE.read_text(encoding="utf-8")})
    assert run.error is None, "the fault of an explorer never reaches a cell"
    (explorer,) = json.loads(lessons.text_of(run.cell("probe-widgets")))
    return explorer


def test_a_sound_explorer_passes(write):
    explorer = driven(write(EXPLORER.format(value="slope / 4")))
    assert explorer["errors"] == [] and explorer["idle"] == []
    assert len(explorer["seconds"]) >= 3


def test_an_explorer_that_breaks_at_one_end_is_caught(write):
    """papermill and nbmake would be green: the first picture is drawn, and the exception stays in the widget."""
    explorer = driven(write(EXPLORER.format(value="1 / (slope - 4)")))
    assert explorer["errors"] == ["ZeroDivisionError: division by zero"]


def test_an_explorer_that_breaks_between_its_ends_is_caught(write):
    explorer = driven(write(EXPLORER.format(value="1 / (slope - 3)")))
    assert explorer["errors"] == ["ZeroDivisionError: division by zero"]


def test_an_explorer_that_breaks_only_where_two_controls_meet_is_caught(write):
    two = EXPLORER.replace("draw(slope)", "draw(slope, height)").replace("(-4, 4))", "(-4, 4), height=(0, 4))")
    explorer = driven(write(two.format(value="1 / (8 - slope - height)")))
    assert explorer["errors"] == ["ZeroDivisionError: division by zero"]


def test_a_control_that_does_nothing_is_caught(write):
    assert driven(write(EXPLORER.format(value="1")))["idle"] == ["slope"]


def test_a_later_cell_may_reuse_the_names_of_an_explorer(write):
    """It happened: the explorer showed the figure of a later cell, and every cell was green."""
    explorer = driven(write(EXPLORER.format(value="slope / 4"), "fig, ax = plot.panels()\nline = None"))
    assert explorer["errors"] == [] and explorer["idle"] == []


def test_an_injected_value_takes_effect(write):
    run = kernel.execute(write("print(SEED)"), {"SEED": 7})
    assert lessons.text_of(run.notebook.cells[-1]) == "7\n"


def test_a_mistyped_knob_is_an_error(write):
    with pytest.raises(ValueError, match="99_planted has no knob SEDE; its knobs are SEED"):
        kernel.execute(write(), {"SEDE": 7})


CLAIM = "from utils import check\ncheck.claim('water is wet', 0.3, above=0.5)"


def test_a_failing_claim_is_an_error_that_names_the_numbers(write):
    path = write(CLAIM, "print('later')")
    run = kernel.execute(path)
    message = kernel.failure(path, run.error)
    assert f"99_planted, cell {run.notebook.cells[-2].id}: " in message
    assert "ClaimError: claim 'water is wet' does not hold: 0.3, wanted > 0.5" in message


def test_a_failing_claim_is_only_reported_to_a_reader_who_turned_a_knob(write):
    run = kernel.execute(write(CLAIM, "print('later')"), strict=False)
    assert run.error is None
    assert [claim["holds"] for claim in run.claims] == [False]
    assert lessons.text_of(run.notebook.cells[-1]) == "later\n"


def test_a_cell_that_raises_is_named(write):
    path = write("1 / 0")
    run = kernel.execute(path)
    assert "ZeroDivisionError: division by zero" in kernel.failure(path, run.error)


def test_a_cell_that_cannot_run_again_is_named(write):
    path = write("parts = ['once']", "parts.append('again')\n_, part = parts")
    assert kernel.execute(path).error is None
    run = kernel.execute(path, source=each_twice(lessons.read(path)))
    assert run.error.cell.endswith("-again") and run.error.ename == "ValueError"


def test_a_kernel_that_ends_early_is_an_error(write):
    """papermill alone stays green when a cell leaves through sys.exit(0), with the later cells never run."""
    path = write("import sys; sys.exit(0)", "print('never')")
    run = kernel.execute(path)
    assert run.error is not None
    assert "never run" in kernel.failure(path, run.error)


def test_a_kernel_that_dies_is_an_error(write):
    path = write("import os; os._exit(1)", "print('never')")
    run = kernel.execute(path)
    assert "DeadKernelError" in kernel.failure(path, run.error)


SOUND = [("half", "half = 0.8"), ("third", "third = half / 3"), ("claim", CLAIM.replace("0.3", "half"))]
BREAKAGES = [
    {"cell": "half", "old": "0.8", "new": "0.4"},
    {"cell": "third", "old": "half / 3", "new": "half / 0"},
    {"cell": "third", "old": "third = half / 3", "new": "half = 0.4"},
    {"cell": "third", "old": "3", "new": "4"},
    {"cell": "third", "old": "a fragment of an older lesson", "new": ""},
    {"cell": "half", "old": "half", "new": "whole"},
]


@pytest.mark.parametrize("forks", {False, FORKS})
def test_a_breakage_stops_at_its_claim_and_one_that_no_claim_notices_runs_through(forks, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    *stops, whole = bite(SOUND, BREAKAGES, fresh(), forks)
    assert whole is None
    told = [stop and (stop["cell"], stop["ename"], stop["claim"]) for stop in stops]
    assert told == [
        ("claim", "ClaimError", "water is wet"),
        ("third", "ZeroDivisionError", None),
        ("claim", "ClaimError", "water is wet"),
        None,
        ("third", "ValueError", None),
        ("third", "NameError", None),  # what another run defined is not there
    ]


@pytest.mark.parametrize("forks", {False, FORKS})
def test_a_lesson_that_fails_as_it_stands_proves_no_breakage(forks, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    breakage = {"cell": "claim", "old": "half", "new": "0"}
    *stops, whole = bite([SOUND[0], ("third", "1 / 0"), SOUND[2]], [breakage], fresh(), forks)
    assert whole["ename"] == "ZeroDivisionError"
    assert stops == [whole]


@pytest.mark.parametrize("forks", {False, FORKS})
def test_after_the_breakages_the_lesson_stands_as_it_was(forks, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    space = fresh()
    assert bite(SOUND, BREAKAGES, space, forks)[-1] is None
    tried = [
        ("ask", "print(half, third)"),
        ("f", "def f(): return 1\nimport inspect; print(inspect.getsource(f))"),
        ("fail", "print('begun')\n1 / 0"),
        ("leave", "raise SystemExit"),
    ]
    assert printed([*tried, ("go on", "print(half)")], space) == {
        "ask": f"0.8 {0.8 / 3}\n",
        "f": "def f(): return 1\n\n",  # as a prosecutor's check reads it
        "fail": "begun\nZeroDivisionError: division by zero",
        "leave": "SystemExit: ",
        "go on": "0.8\n",
    }


@pytest.mark.skipif(not FORKS, reason="there is one way only")
def test_forks_find_what_runs_from_the_top_find(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    monkeypatch.chdir(lessons.NOTEBOOKS)
    path = lessons.NOTEBOOKS / "00_start_here.ipynb"
    cells, breakages = told_cells(path), lessons.trials(path)["breakage"]
    with matplotlib.rc_context():  # the lesson sets its style
        assert bite(cells, breakages, fresh(), forks=True) == bite(cells, breakages, fresh(), forks=False)


# The form of two layers: the template keeps it; each edit of one cell breaks one rule ------------------------------


def cell_of(book, identifier):
    return next(cell for cell in book.cells if cell.id == identifier)


def fold(cell, **hidden):
    cell.metadata.jupyter = {f"{what}_hidden": value for what, value in hidden.items()}


def add_words(book):
    book.cells[0].source += " word" * 2500


def add_lines(book):
    cell_of(book, "train").source += "\npass" * 20


def add_a_claim(book):
    cell_of(book, "train").source += "\ncheck.claim('loss', 0.1, below=1)"


def prove_in_a_figure(book):
    cell_of(book, "look").source += "\ncheck.finding('The weights are as large as we thought.', 1, above=0)"


def open_a_figure(book):
    fold(cell_of(book, "look"), source=False)


def open_an_answer(book):
    fold(cell_of(book, "look"), source=True)


def tell_the_answer(book):
    cell_of(book, "by-hand").outputs[0].text = "z = 0.5, p = 0.6225\n"


def ask_without_an_answer(book):
    cell_of(book, "by-hand").metadata.tags.remove("answer")


def clip_a_finding(book):
    cell = cell_of(book, "accuracy-finding")
    cell.source = "check.finding('accuracy on unseen digits: {value}', accuracy, above=0.9)"


def state_too_many(book):
    cell = cell_of(book, "accuracy-finding")
    cell.source += "".join(f"\ncheck.finding('This is finding {n} of a long row.', 1, above=0)" for n in range(12))


def open_evidence(book):
    fold(cell_of(book, "agree"), source=False)


def claim_outside_the_line(book):
    cell_of(book, "agree").source += "\ncheck.claim('one more', 1, above=0)"


def leave_the_reading_out(book):
    book.cells.remove(cell_of(book, "look-reading"))


def say_no_times(book):
    book.cells[0].source = book.cells[0].source.replace("minutes to read", "minutes")


def draw_late(book):
    book.cells.remove(cell_of(book, "see-first"))


def draw_no_diagram(book):
    book.cells.remove(cell_of(book, "diagram"))


def open_a_check(book):
    fold(cell_of(book, "stable-check"), source=False)


def give_no_hints(book):
    cell = cell_of(book, "stable-check")
    cell.source = cell.source.replace("hints=[", "mistakes=[")


def hide_the_difficulty(book):
    cell = cell_of(book, "stable-prose")
    cell.source = cell.source.replace("●●○, 10 minutes", "Medium")


def trust_everything(book):
    cell = cell_of(book, "what-we-saw")
    cell.source = cell.source.replace("How far to trust this", "A remark")


def keep_the_notes_to_the_teacher(book):
    cell = cell_of(book, "run-reading")
    cell.source = cell.source.split("<details>")[0]


PLANTED = {
    add_words: test_form.test_the_core_keeps_to_its_budget,
    add_lines: test_form.test_the_core_keeps_to_its_budget,
    add_a_claim: test_form.test_evidence_is_folded,
    prove_in_a_figure: test_form.test_no_cell_draws_and_proves,
    open_a_figure: test_form.test_no_cell_draws_and_proves,
    open_an_answer: test_form.test_answers_are_folded_under_a_place_to_commit,
    tell_the_answer: test_form.test_answers_are_folded_under_a_place_to_commit,
    ask_without_an_answer: test_form.test_answers_are_folded_under_a_place_to_commit,
    clip_a_finding: test_form.test_findings_are_few_and_are_sentences,
    state_too_many: test_form.test_findings_are_few_and_are_sentences,
    open_evidence: test_form.test_evidence_is_folded,
    claim_outside_the_line: test_form.test_evidence_is_folded,
    leave_the_reading_out: test_form.test_a_section_ends_with_its_reading,
    say_no_times: test_form.test_it_says_how_long_it_takes,
    draw_late: test_form.test_the_first_picture_comes_at_once,
    draw_no_diagram: test_form.test_there_is_a_diagram,
    open_a_check: test_form.test_exercises_say_how_hard_and_hint_in_three_steps,
    give_no_hints: test_form.test_exercises_say_how_hard_and_hint_in_three_steps,
    hide_the_difficulty: test_form.test_exercises_say_how_hard_and_hint_in_three_steps,
    trust_everything: test_form.test_it_ends_in_the_past_tense_and_says_what_to_trust,
    keep_the_notes_to_the_teacher: test_form.test_a_misconception_is_told_to_self_learners_too,
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_form_that_is_not_of_two_layers_is_noticed(plant):
    rule, book = PLANTED[plant], lessons.read(new.TEMPLATE)
    rule(book)
    plant(book)
    with pytest.raises(AssertionError):
        rule(book)
