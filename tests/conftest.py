"""What every lane shares: one thread a worker, notebooks kept whole under xdist, the lanes' durations at the end."""

import math
import os
import re
from collections import defaultdict

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import ledger
from tests.ledger import lane
from utils.workshop import lessons
from utils.workshop.kernel import KERNEL_ENVIRONMENT

os.environ.update(KERNEL_ENVIRONMENT)  # before anything imports torch; kernels inherit it
os.environ.setdefault("COURSE_STRICT", "1")
LONGEST_FIRST = "lessons nbval classroom teeth elsewhere browser slides site commands lanes unit".split()
ONE_BY_ONE = ("lessons", "elsewhere", "full_size", "browser", "classroom", "slides")  # each test may go to any worker


def pytest_generate_tests(metafunc):
    """Give a test that asks for `notebook` (or `lesson`, a notebook of a topic) each one there is, found by glob."""
    for name in ("notebook", "lesson"):
        if name in metafunc.fixturenames:
            found = [path for path in lessons.find() if name == "notebook" or not path.name.startswith("00")]
            metafunc.parametrize(name, found, ids=[path.stem for path in found], scope="module")


@pytest.fixture(scope="session")
def digits():
    """Load the halves of the digits that every generator and the judge use."""
    from utils import data

    return data.load("digits", split="random")


@pytest.fixture(scope="session")
def frozen(digits):
    """Fit the frozen judge once for all its tests."""
    from utils import judge

    return judge.Judge(*digits)


@pytest.fixture(scope="module")
def browser():
    """Start the browser once for all tests of a file; its event loop would be in the way of other files' kernels."""
    from playwright.sync_api import expect, sync_playwright

    from tests import chromium

    expect.set_options(timeout=chromium.PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium.CHROMIUM, args=chromium.FLAGS)
        yield started
        started.close()


def pytest_configure(config):
    """Let the ledger choose the tests, where a command asks for it."""
    mode = os.environ.get("COURSE_LEDGER")
    if mode:
        config.pluginmanager.register(ledger.Ledger(mode, os.environ.get("COURSE_LESSONS", "").split()))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Keep one part of the tests, where that is asked for; start what takes long first, then the proofs by lesson."""
    if "COURSE_PART" in os.environ:
        part, parts = map(int, os.environ["COURSE_PART"].split("/"))
        others = [item for item in items if ledger.part_of(item.nodeid, parts) != part]
        items[:] = [item for item in items if ledger.part_of(item.nodeid, parts) == part]
        config.hook.pytest_deselected(items=others)
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}

    def rank(item):
        proof = ledger.proof_of(item.nodeid)
        return proof or ("", ""), order.get(lane(item.nodeid), len(order))

    items.sort(key=rank)


class KeepTogether(LoadScopeScheduling):
    """Send to one worker what shares a process: a notebook's cells under nbval, the tests of its live run."""

    def _split_scope(self, nodeid: str) -> str:
        name = lane(nodeid)
        shared = re.search(r"::test_(?:widgets|exercises|breakage_is_noticed)\[(\d\d_[a-z0-9_]+)", nodeid)
        if shared:
            return f"live {shared[1]}"
        return nodeid if name in ONE_BY_ONE else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config, log):
    """Let xdist use it."""
    return KeepTogether(config, log)


def reason(report) -> str:
    """Say in one line what failed: for a cell under nbval its notebook, its id and its error, else the message."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(report.longrepr))
    text = re.sub(r"\n\s*\.\.\.Full output truncated.*", "", text).strip()
    cell = re.search(r"(\w+)\.ipynb::Cell (\d+)", report.nodeid)
    if cell:
        book = lessons.read(lessons.ROOT / report.nodeid.split("::")[0])
        return f"{cell[1]}, cell {lessons.code_cells(book)[int(cell[2])].id}: {text.splitlines()[-1]}"
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join((crash.message if crash else text.splitlines()[-1]).split())[:600]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """Print the figures that tests recorded, what each lane took (added over its workers), and what failed."""
    yield
    seconds, counts, figures, milliseconds = defaultdict(float), defaultdict(int), [], []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                seconds[lane(report.nodeid)] += report.duration
                counts[lane(report.nodeid)] += report.when == "call"
                recorded = report.user_properties if report.when == "call" else []
                figures += [text for name, text in recorded if name == "figure"]
                milliseconds += [ms for name, taken in recorded if name == "milliseconds" for ms in taken]
    if milliseconds:
        within = sorted(milliseconds)[math.ceil(0.95 * len(milliseconds)) - 1]
        figures.append(f"every explorer opened: {len(milliseconds)} key presses, {within:.0f} ms in 95 %")
    if figures:
        terminalreporter.section("figures")
        for text in sorted(figures):
            terminalreporter.line(text)
    if seconds:
        terminalreporter.section("lanes (seconds added over workers)")
        for name in sorted(seconds, key=seconds.get, reverse=True):
            terminalreporter.line(f"{name:12s} {counts[name]:5d} tests {seconds[name]:8.1f} s")
    failed = [report for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, [])]
    if failed:
        terminalreporter.section("what failed")
        for report in failed:
            terminalreporter.line(f"{lane(report.nodeid)}: {report.nodeid.split('::')[-1]}: {reason(report)}")
