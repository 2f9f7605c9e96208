"""Proves that the lanes catch what they are for, on small notebooks with a planted fault."""

import json
from pathlib import Path

import nbformat
import pytest

from tests import runner
from tests.notebooks.bite import bite

DRIVE = (Path(__file__).parent / "drive.py").read_text(encoding="utf-8")
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
    run = runner.execute(path, probes={"probe-widgets": DRIVE})
    assert run.error is None, "the fault of an explorer never reaches a cell"
    (explorer,) = json.loads(runner.text_of(run.cell("probe-widgets")))
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
    run = runner.execute(write("print(SEED)"), {"SEED": 7})
    assert runner.text_of(run.notebook.cells[-1]) == "7\n"


def test_a_mistyped_knob_is_an_error(write):
    with pytest.raises(ValueError, match="99_planted has no knob SEDE; its knobs are SEED"):
        runner.execute(write(), {"SEDE": 7})


CLAIM = "from utils import check\ncheck.claim('water is wet', 0.3, above=0.5)"


def test_a_failing_claim_is_an_error_that_names_the_numbers(write):
    path = write(CLAIM, "print('later')")
    run = runner.execute(path)
    said = runner.failure(path, run.error)
    assert f"99_planted, cell {run.notebook.cells[-2].id}: " in said
    assert "ClaimError: claim 'water is wet' does not hold: 0.3, wanted > 0.5" in said


def test_a_failing_claim_is_only_reported_to_a_reader_who_turned_a_knob(write):
    run = runner.execute(write(CLAIM, "print('later')"), strict=False)
    assert run.error is None
    assert [claim["holds"] for claim in run.claims] == [False]
    assert runner.text_of(run.notebook.cells[-1]) == "later\n"


def test_a_cell_that_raises_is_named(write):
    path = write("1 / 0")
    run = runner.execute(path)
    assert "ZeroDivisionError: division by zero" in runner.failure(path, run.error)


def test_a_kernel_that_ends_early_is_an_error(write):
    """papermill alone stays green when a cell leaves through sys.exit(0), with the later cells never run."""
    path = write("import sys; sys.exit(0)", "print('never')")
    run = runner.execute(path)
    assert run.error is not None
    assert "never run" in runner.failure(path, run.error)


def test_a_kernel_that_dies_is_an_error(write):
    path = write("import os; os._exit(1)", "print('never')")
    run = runner.execute(path)
    assert "DeadKernelError" in runner.failure(path, run.error)


def test_a_breakage_stops_at_its_claim_and_one_that_no_claim_notices_runs_through(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    sound = [["half", "half = 0.8"], ["claim", CLAIM.replace("0.3", "half")]]
    assert bite(sound) is None
    stop = bite([["half", "half = 0.4"], *sound[1:], ["after", "1 / 0"]])
    assert (stop["cell"], stop["claim"]) == ("claim", "water is wet")
    stop = bite([["half", "half = 1 / 0"], *sound[1:]])
    assert (stop["cell"], stop["ename"], stop["claim"]) == ("half", "ZeroDivisionError", None)
    assert bite(sound[1:])["ename"] == "NameError", "what one breakage defined is not there for the next"
