"""The browser lane: real JupyterLab in headless chromium, as a reader uses it, on a copy of the notebooks.

Every notebook is opened, unless the ledger has its page proved. Each is run whole, at its small knobs but for 00, since
whether its claims hold is asked elsewhere; each explorer is moved by keyboard, and an exercise is answered by typing.
What was seen is kept in build/screenshots.
"""

import contextlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import defaultdict

import nbformat
import pytest
from playwright.sync_api import TimeoutError, expect

from tests import chromium
from utils.workshop import lessons

RUN_TIMEOUT = 300_000  # milliseconds
GOAL = 100  # milliseconds from a key press to the changed picture; reported, since a busy machine is slower
pytestmark = chromium.needed


def as_committed(folder):
    """Put the notebooks as they are committed into a folder, over what stands there."""
    ignored = shutil.ignore_patterns(".*")
    shutil.copytree(lessons.NOTEBOOKS, folder / "notebooks", ignore=ignored, dirs_exist_ok=True)


def turn_knobs(path, folder):
    """Write a lesson's small knobs under those of its copy in a folder."""
    book = lessons.read(path)
    cell = next(cell for cell in lessons.code_cells(book) if "parameters" in lessons.tags(cell))
    for name, value in lessons.trials(path).get("knobs", {}).get("small", {}).items():
        cell.source += f"\n{name} = {value!r}"
    nbformat.write(book, folder / "notebooks" / path.name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Serve a copy of the notebooks with JupyterLab on the loopback interface; return its folder and address."""
    folder = tmp_path_factory.mktemp("course")
    as_committed(folder)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    whole = {"windowingMode": "none"}  # keeps every cell in the page, so that it can be looked for
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(whole))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root"]
    command += ["--IdentityProvider.token=course", f"--ServerApp.root_dir={folder}"]
    environment = {**os.environ, "COURSE_STRICT": "0"}  # a reader's: at small knobs a claim need not hold
    for kind in ("settings", "workspaces"):  # a reader's own are left alone
        environment[f"JUPYTERLAB_{kind.upper()}_DIR"] = str(folder / kind)
    environment.pop("TQDM_DISABLE", None)  # a reader sees the progress bars
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(150):
                try:
                    urllib.request.urlopen(f"{address}/api?token=course", timeout=2).close()
                    break
                except OSError:
                    assert server.poll() is None, (folder / "lab.log").read_text()
                    time.sleep(0.2)
            yield folder, address
        finally:
            chromium.stop(server)


@pytest.fixture
def page(browser, lab):
    """Open a page of its own, which remembers what its console complained of; at its end its kernels end too."""
    _, address = lab
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: message.type == "error" and page.complaints.append(f"{message.text} {message.location}"),
    )
    yield page
    sessions = context.request.get(f"{address}/api/sessions?token=course").json()
    for session in sessions:  # a lesson's kernel holds half a gigabyte
        context.request.delete(f"{address}/api/sessions/{session['id']}?token=course")
    context.close()


def open_notebook(page, address, name):
    """Open a notebook in a workspace of its own, in which nothing else is open, and wait for its kernel."""
    page.goto(f"{address}/lab/workspaces/{uuid.uuid4().hex}/tree/notebooks/{name}.ipynb?token=course")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=chromium.PATIENCE)
    expect(page.locator(".jp-NotebookPanel-toolbar .jp-KernelName")).to_contain_text("Python 3")
    idle = page.locator(".jp-Notebook-ExecutionIndicator-tooltip", has_text="Idle")
    expect(idle).to_have_count(1)
    photograph(page, f"{name}-opened")


def photograph(seen, name):
    """Keep what a page or a part of it shows."""
    chromium.SHOTS.mkdir(parents=True, exist_ok=True)
    seen.screenshot(path=chromium.SHOTS / f"{name}.png")


def run_all(page, folder, name):
    """Choose Run > Run All Cells, wait, save, and return the notebook as it now stands in its file."""
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_function(
        """() => {
            const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
            const stopped = document.querySelector('[data-mime-type="application/vnd.jupyter.error"], .jp-Dialog');
            const done = prompts.every(p => p === '' || /\\[\\d+\\]/.test(p));  // a folded cell shows no prompt
            return stopped || (done && document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]'));
        }""",
        timeout=RUN_TIMEOUT,
    )
    assert not page.locator(".jp-Dialog").count(), page.locator(".jp-Dialog").inner_text()
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url):
        page.keyboard.press("Control+s")
    return lessons.read(folder / "notebooks" / f"{name}.ipynb")


def ours(complaints):
    """Leave out what JupyterLab itself says when it runs without an extension manager or the web."""
    theirs = r"favicon|extensionmanager|/lab/api/(extensions|news|workspaces)|jupyterlab/.*\.map"
    return [text for text in complaints if not re.search(theirs, text)]


# Explorers by keyboard ------------------------------------------------------------------------------------------

CONTROLS = ".noUi-handle, select, textarea, input, button:not(.widget-play button)"
WATCH = """image => {
    window.pressed = window.shown = null;
    document.addEventListener('keydown', event => { window.pressed = event.timeStamp; }, {once: true, capture: true});
    image.addEventListener('load', () => { window.shown = performance.now(); }, {once: true});
}"""
ANSWERED = "explorer => window.shown || explorer.querySelector('[role=alert]')"
PIXELS = """image => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


class Explorer:
    """One explorer on a page: its controls are moved by keyboard, and its picture has to answer every time."""

    def __init__(self, page, box, where, shot):
        self.page, self.box, self.where, self.shot = page, box, where, shot
        self.patience = chromium.PATIENCE
        self.picture = box.locator("img.widget-image")
        self.milliseconds = defaultdict(list)  # of each control, from a key press to the changed picture

    def fail(self, control, what):
        pytest.fail(f"{self.where}, control {control!r}: {what}", pytrace=False)

    @contextlib.contextmanager
    def answers(self, control, act):
        """Wait for a new picture after what is done inside; the kernel sends one only if its bytes differ."""
        self.picture.evaluate(WATCH)
        yield
        try:
            self.page.wait_for_function(ANSWERED, arg=self.box.element_handle(), timeout=self.patience)
        except TimeoutError:
            self.fail(control, f"{act}: the picture did not change")
        alert = self.box.locator("[role=alert]")
        if alert.count():
            self.fail(control, f"{act}: {alert.inner_text()}")

    def press(self, key, control, act):
        """Press a key, wait for the picture, and note how long it took."""
        with self.answers(control, f"{act} (key {key})"):
            self.page.keyboard.press(key)
        self.milliseconds[control].append(self.page.evaluate("window.shown - window.pressed"))

    def move_all(self):
        """Come to every control with the Tab key, and move it to both of its ends."""
        controls = self.box.locator(CONTROLS).all()
        assert controls, f"{self.where} has no control"
        controls[0].focus()
        for control in controls:
            label = control.locator("xpath=ancestor::*[contains(@class, 'widget-inline-hbox')][1]//label")
            label = label.filter(has_text=re.compile(r"\w"))  # a check box has an empty one too
            name = (label if label.count() else control).first.inner_text().strip()
            self.come_to(control, name)
            self.move(control, name)

    def come_to(self, control, name):
        for _ in range(8):  # a slider's number and the buttons beside it are stops of their own
            if control.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        self.fail(name, "the Tab key does not lead to it")

    def move(self, control, name):
        kind = control.evaluate("element => element.getAttribute('role') || element.type")
        if kind == "slider":
            self.move_slider(control, name)
        elif kind == "select-one":  # not by arrows, which JupyterLab takes to go to the next cell
            first, last = control.evaluate("element => [element.selectedIndex, element.length - 1]")
            ends = [("End", "at its last option"), ("Home", "at its first option")]
            for key, end in ends[::-1] if first == last else ends:
                self.press(key, name, end)
            photograph(self.box, self.shot)
            if control.evaluate("element => element.selectedIndex") != first:
                with self.answers(name, "back where it was"):
                    control.select_option(index=first)
        elif kind == "checkbox":
            for _ in range(2):
                self.press("Space", name, "switched")
        elif kind in ("text", "textarea"):
            text = control.input_value()
            if len(text) < 2:
                self.fail(name, f"starts as {text!r}; this test empties and retypes a text of two letters or more")
            self.page.keyboard.press("ControlOrMeta+a")
            self.press("Delete", name, "emptied")
            photograph(self.box, self.shot)
            self.press(text[0], name, "with one letter")
            with self.answers(name, f"with {text!r} again"):
                self.page.keyboard.insert_text(text[1:])
        elif kind in ("submit", "button"):
            for _ in range(2):
                self.press("Enter", name, "pressed")
        else:
            self.fail(name, f"is of a kind that this test cannot move ({kind})")

    def move_slider(self, handle, name):
        """Go to both ends, twice; play, where there is a play button; type the number that it started at.

        Not step by step: a small step may well leave the picture as it is.
        """
        slider = handle.locator("xpath=ancestor::*[contains(@class, 'widget-slider')][1]")
        number = slider.locator(".widget-readout")
        start = number.inner_text().replace("\N{MINUS SIGN}", "-")  # shown in a slider's number, not accepted there
        ends = [("End", "max", "at its upper end"), ("Home", "min", "at its lower end")]
        at_top = "translate(0%" in handle.locator("xpath=..").get_attribute("style")
        for key, bound, end in (ends[::-1] if at_top else ends) * 2:
            self.press(key, name, end)
            reached, wanted = (handle.get_attribute(f"aria-value{kind}") for kind in ("now", bound))
            if reached != wanted:
                self.fail(name, f"{end}: {key} led to {reached}, and not to {wanted}")
        photograph(self.box, self.shot)
        buttons = slider.locator("xpath=preceding-sibling::*[contains(@class, 'widget-play')]/button")
        if buttons.count():
            self.play(handle, buttons, name)
        if number.inner_text().replace("\N{MINUS SIGN}", "-") != start:
            number.focus()
            self.page.keyboard.press("ControlOrMeta+a")
            self.page.keyboard.insert_text(start)
            with self.answers(name, f"back at {start}"):
                self.page.keyboard.press("Enter")

    def play(self, handle, buttons, name):
        """Press play and stop, which ends at the lower end; only then is the picture at rest again."""
        handle.focus()
        if handle.get_attribute("aria-valuenow") != handle.get_attribute("aria-valuemin"):
            self.press("Home", name, "at its lower end")
        lowest = self.picture.evaluate(PIXELS)
        buttons.nth(0).focus()
        with self.answers(name, "playing"):
            self.page.keyboard.press("Enter")
        buttons.nth(1).focus()
        self.page.keyboard.press("Enter")
        try:
            at_rest = f"([image, lowest]) => ({PIXELS})(image) === lowest"
            self.page.wait_for_function(at_rest, arg=[self.picture.element_handle(), lowest], timeout=self.patience)
        except TimeoutError:
            self.fail(name, "stopped: the picture is not that of its lower end")


def explorers_of(page, book, name):
    """Find the explorers of a notebook that was run: each with its cell's id and its alternative text."""
    cells = [cell for cell in lessons.code_cells(book) if "widgets.explore(" in cell.source]
    boxes = page.locator(".jp-OutputArea-output:has(img.widget-image)")
    expect(boxes).to_have_count(len(cells))
    for cell, box in zip(cells, boxes.all(), strict=True):
        (alt,) = [output.metadata["image/png"].alt for output in cell.outputs if "image/png" in output.metadata]
        yield cell.id, Explorer(page, box, f"{name}, explorer {alt!r}", f"{name}-{cell.id}")


# Two layers -----------------------------------------------------------------------------------------------------

LAYERS = """() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell =>
    ['Input', 'Output'].map(what => cell.querySelector(`.jp-${what}Placeholder`) !== null))"""


def same_layer(page, book, name):
    """What is folded in the file is folded on the page, evidence shows one line, and a prediction takes one pick.

    Evidence stands open only where a claim does not hold, which at small knobs may well be.
    """
    cells = lessons.code_cells(book)
    hidden = [cell.metadata.get("jupyter", {}) for cell in cells]
    wanted = [[bool(cell.get("source_hidden")), bool(cell.get("outputs_hidden"))] for cell in hidden]
    assert page.evaluate(LAYERS) == wanted
    evidence = [
        output.metadata.claims for cell in cells for output in cell.outputs if "claims" in output.get("metadata", {})
    ]
    fell = sum(not all(claim["holds"] for claim in claims) for claims in evidence)
    lines = page.locator(".jp-OutputArea-output summary", has_text=re.compile("^evidence, .*: [0-9]+ hold$"))
    opened = page.locator(
        ".jp-OutputArea-output details[open] summary", has_text=re.compile("^evidence, .* do not hold$")
    )
    assert (lines.count(), opened.count()) == (len(evidence) - fell, fell)
    assert page.locator(".jp-OutputArea-output details[open]").count() == fell
    questions = page.locator(".jp-OutputArea-output fieldset")
    assert questions.count() == sum("widgets.predict(" in cell.source for cell in cells)
    for question in questions.all():
        for option in question.locator("label").all():
            option.click()
            assert question.locator("input:checked").count() == 1
    if questions.count():
        photograph(questions.first.locator("xpath=ancestor::*[contains(@class, 'jp-CodeCell')]"), f"{name}-question")
    for _ in page.locator(".jp-OutputPlaceholder").all():  # the answers; an explorer may be one
        page.locator(".jp-OutputPlaceholder").first.click()
    assert not page.locator(".jp-OutputPlaceholder").count()


# An exercise by typing ------------------------------------------------------------------------------------------


def at(page, book, cell):
    """Find a cell on the page."""
    return page.locator(".jp-Notebook .jp-Cell").nth([each.id for each in book.cells].index(cell.id))


def answer(page, stub, check, source):
    """Type an answer into the stub's cell, run it and the check, which is next, and return what the check printed."""
    before = line_of(check)
    stub.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(source)
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(check.locator(".jp-OutputArea-output")).not_to_have_text(before)
    return line_of(check)


def line_of(check):
    """Return what a check printed, as the page shows it."""
    output = check.locator(".jp-OutputArea-output")
    expect(output).to_have_text(re.compile("[○◐●]"))
    return output.inner_text().strip()


def as_a_student(solution, name):
    """Turn a solution's cell into what a student would have typed into the stub."""
    source = re.sub(rf"\bsolution_{name}\b", name, solution.source)
    return re.sub(rf"^check_\w+\({name}\)$", "", source, flags=re.M).strip()


def answer_an_exercise(page, book, name, wrong):
    """Answer the first exercise wrongly, then rightly."""
    exercise, check, solution = next(lessons.exercises(book))
    stub, shown = at(page, book, exercise), at(page, book, check)
    where = f"{name}, exercise {exercise.id}"
    verdict = line_of(shown)
    assert re.fullmatch("○ .+: not attempted yet", verdict), f"{where}, before an answer: {verdict}"
    verdict = answer(
        page, stub, shown, next(entry["answer"].strip() for entry in wrong if entry["exercise"] == exercise.id)
    )
    assert re.match("◐ .+: not yet", verdict), f"{where}, a wrong answer: {verdict}"
    verdict = answer(page, stub, shown, as_a_student(solution, lessons.student_function(exercise)))
    assert re.fullmatch(r"● .+: right \(\d+ cases?\)", verdict), f"{where}, the solution: {verdict}"
    shown.scroll_into_view_if_needed()
    photograph(page, f"{name}-answered")


# The tests ------------------------------------------------------------------------------------------------------


def in_words(milliseconds):
    """Say how long the pictures took, and on which control of which explorer longer than the goal."""
    every = sorted(ms for control in milliseconds.values() for ms in control)
    slow = [f"{name} {max(taken):.0f} ms" for name, taken in milliseconds.items() if max(taken) > GOAL]
    within = every[math.ceil(0.95 * len(every)) - 1]
    text = f"{len(every)} key presses, picture changed after {within:.0f} ms in 95 % (goal {GOAL} ms)"
    return text + (f"; longest where over: {', '.join(slow)}" if slow else "")


@pytest.mark.parametrize("path", lessons.find(), ids=lambda path: path.stem)
def test_runs_whole_answers_the_keyboard_and_an_exercise(path, lab, page, record_property):
    folder, address = lab
    name = path.stem
    as_committed(folder)
    turn_knobs(path, folder)
    open_notebook(page, address, name)
    book = run_all(page, folder, name)
    code = lessons.code_cells(book)
    assert not [f"{cell.id}: {o.evalue}" for cell in code for o in cell.outputs if o.output_type == "error"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    same_layer(page, book, name)
    milliseconds = {}
    for identifier, explorer in explorers_of(page, book, name):
        explorer.move_all()
        milliseconds |= {f"{identifier}/{control}": taken for control, taken in explorer.milliseconds.items()}
    answer_an_exercise(page, book, name, lessons.trials(path)["wrong"])
    record_property("figure", f"{name}: {in_words(milliseconds)}")
    record_property("milliseconds", [ms for control in milliseconds.values() for ms in control])
    assert not ours(page.complaints), f"{name}: the browser's console shows errors"


PLANTED = """
from IPython.display import Javascript
from utils import check, plot, widgets
display(Javascript("console.error('planted')"))
fig, ax = plot.panels()
(line,) = ax.plot([0, 1], [0, 1])
ax.set(ylim=(-4, 4))
def draw(slope, height):
    line.set_ydata([0, {value}])
    return fig
widgets.explore(draw, alt="{alt}", slope=(-4, 4), height=[0, 1])
"""


@pytest.fixture
def planted(lab, page):
    """Open and run a small notebook with three explorers, two of them broken, and an exercise."""
    folder, address = lab
    values = {"a sound one": "slope + height", "a deaf one": "slope", "one that breaks": "height + 1 / (slope - 4)"}
    cells = [nbformat.v4.new_code_cell(PLANTED.format(alt=alt, value=value)) for alt, value in values.items()]
    for tag, source in {
        "exercise": "def twice(x):\n    return None",
        "check": "def check_twice(f):\n    check.exercise('twice', f, [((0,), 0), ((2,), 4)])\ncheck_twice(twice)",
        "solution": "def solution_twice(x):\n    return 2 * x\ncheck_twice(solution_twice)",
    }.items():
        cells.append(nbformat.v4.new_code_cell(source, id=f"twice-{tag}", metadata={"tags": [tag]}))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / "99_planted.ipynb")
    open_notebook(page, address, "99_planted")
    book = run_all(page, folder, "99_planted")
    return book, [explorer for _, explorer in explorers_of(page, book, "99_planted")]


def test_what_is_planted_is_noticed(planted, page):
    """The same steps as above, on explorers, an exercise and a console that are broken on purpose."""
    book, (sound, deaf, breaks) = planted
    deaf.patience = 10_000  # one of its controls never answers; the other does, though not at once
    sound.move_all()
    assert {name: len(taken) for name, taken in sound.milliseconds.items()} == {"slope": 4, "height": 2}
    where = "99_planted, explorer 'a deaf one', control 'height': at its last option"
    with pytest.raises(pytest.fail.Exception, match=re.escape(f"{where} (key End): the picture did not change")):
        deaf.move_all()
    where = "99_planted, explorer 'one that breaks', control 'slope': at its upper end (key End): "
    with pytest.raises(pytest.fail.Exception, match=re.escape(where) + ".*ZeroDivisionError: division by zero"):
        breaks.move_all()
    wrong = {"exercise": "twice-exercise"}
    with pytest.raises(AssertionError, match="99_planted, exercise twice-exercise, a wrong answer: ● twice: right"):
        answer_an_exercise(page, book, "99_planted", [wrong | {"answer": "def twice(x):\n    return x + x"}])
    assert len(ours(page.complaints)) == 3 and "planted" in ours(page.complaints)[0]


def test_start_here_opens_and_its_links_lead_somewhere(lab, page):
    folder, address = lab
    as_committed(folder)  # what another test ran and saved points to widgets that a new page may not know
    open_notebook(page, address, "00_start_here")
    start = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown a")
    targets = sorted({a.inner_text() for a in start.all() if re.fullmatch(r"\d\d_\w+", a.inner_text())})
    assert targets, "00_start_here links to the lessons"
    for target in targets:
        tab = page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text="00_start_here.ipynb")
        tab.click(position={"x": 8, "y": 10})  # of twenty tabs each is so narrow that its cross covers its name
        page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) a", has_text=target).first.click()
        expect(page.locator(".lm-DockPanel-tabBar .lm-mod-current", has_text=f"{target}.ipynb")).to_be_visible()
        title = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown h1").first
        expect(title).to_be_visible()
    assert not ours(page.complaints)
