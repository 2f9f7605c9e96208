"""Explorers without a kernel: what is drawn beforehand is what `draw` gives, and a page shows it at every setting."""

import base64
import io
import itertools
import json
import random
import shutil
import time

import ipywidgets
import nbformat
import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from matplotlib.figure import Figure
from PIL import Image

from tests import chromium
from utils import plot, widgets
from utils.teach import explorers, site
from utils.workshop import lessons

QUICK = lessons.find()[0]  # of the other lessons, every state is visited by `make test-browser`
PLANTED = """
import matplotlib
from matplotlib.figure import Figure
from utils import widgets

figure = Figure(figsize=(4, 2))
axes = figure.subplots()
(line,) = axes.plot([0, 1], [0, 1])
axes.set(ylim=(-3, 3))


def draw(slope, colour, dashed, name):
    line.set(ydata=[0, slope], color=colour, linestyle="--" if dashed else "-")
    axes.set_title(name)
    return figure


widgets.explore(
    draw, alt="A line whose slope, colour and title change", slope=widgets.play(-2, 2, interval=20),
    colour=widgets.start(["black", "red"], "red"), dashed=False, name="a b",
)
"""


def an_explorer(draw=None, **controls):
    """Make an explorer of a line whose end goes up and down."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    (line,) = axes.plot([0, 1], [0, 1])
    axes.set(ylim=(-1, 1))

    def up(height, dashed=False):
        line.set(ydata=[0, height], linestyle="--" if dashed else "-")
        return figure

    return widgets.explore(draw or up, alt="a line", **(controls or {"height": (-1.0, 1.0, 0.5), "dashed": True}))


def composed(base, states, state):
    """Lay over the first picture what a state changes; (height, width, 3)."""
    picture = base.convert("RGB")
    if states["states"][state] >= 0:
        left, top, data = states["parts"][states["states"][state]]
        part = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
        picture.paste(part, (left, top), part)
    return np.asarray(picture).astype(int)


def is_like(picture, wanted):
    """Tell whether two pictures differ no more than 256 colours differ from all."""
    return picture.shape == wanted.shape and abs(picture - wanted).max() < 40 and abs(picture - wanted).mean() < 0.5


# What is drawn -------------------------------------------------------------------------------------------------------


def test_every_state_is_what_draw_gives():
    about, first, script = explorers.draw(an_explorer())
    base, states = Image.open(io.BytesIO(first)), json.loads(script)
    assert (about["states"], about["all_states"], about["alt"]) == (10, 10, "a line")
    other = an_explorer()
    settings = list(enumerate(itertools.product([-1.0, -0.5, 0.0, 0.5, 1.0], [False, True])))
    drawn = {}
    for state, (height, dashed) in random.Random(0).sample(settings, len(settings)):
        image = Image.open(io.BytesIO(plot.png(other.draw(height=height, dashed=dashed), scale=2)))
        drawn[state] = np.asarray(image.convert("RGB")).astype(int)
    for state, wanted in drawn.items():
        found = composed(base, states, state)
        assert is_like(found, wanted)
        assert not any(is_like(found, drawn[another]) for another in drawn if another != state)
    assert (about["width"], about["height"]) == (base.width // 2, base.height // 2)
    assert states["states"].count(-1) == 1, "the first picture itself"


def test_what_was_drawn_leaves_the_explorer_as_it_was():
    explorer = an_explorer()
    before, dots = explorer.picture.value, explorer.figure.dpi
    explorers.draw(explorer)
    assert explorer.figure.dpi == dots
    assert explorer._redraw() == before


def test_a_draw_that_remembers_or_changes_its_size_is_refused():
    figure, count = Figure(figsize=(2, 2)), itertools.count()

    def remembers(height):
        figure.suptitle(f"{next(count)}")
        return figure

    with pytest.raises(ValueError, match="a line: the same settings gave two pictures"):
        explorers.draw(an_explorer(remembers, height=(0, 3)))
    figure = Figure(figsize=(2, 2))

    def grows(height):
        figure.set_size_inches(2, 2 + height)
        return figure

    with pytest.raises(ValueError, match="a line: a picture of .* where the first has"):
        explorers.draw(an_explorer(grows, height=widgets.start((0, 3), 0)))


@pytest.mark.parametrize(
    ("widget", "kind", "words", "start"),
    [
        (widgets.start((0.0, 1.0, 0.25), 0.5), "slider", ["0.00", "0.25", "0.50", "0.75", "1.00"], 2),
        (widgets.start((0, 7, 3), 6), "slider", ["0", "3", "6"], 2),
        (widgets.play(0, 2), "slider", ["0", "1", "2"], 0),
        (widgets.start({"few": 3, "many": 9}, 9), "choice", ["few", "many"], 1),
        (ipywidgets.SelectionSlider(options=["a", "b"]), "slider", ["a", "b"], 0),
        (ipywidgets.Checkbox(True), "tick", ["no", "yes"], 1),
        (widgets.button("again"), "press", [str(count) for count in range(13)], 0),
        (ipywidgets.Text("14 october"), "choice", ["14 october", "october 14", "14 OCTOBER", "14", "october"], 0),
    ],
)
def test_a_control_is_described(widget, kind, words, start):
    about = explorers.control_of("x", widget)
    assert about["kind"] == kind
    assert about["words"][: len(words)] == words
    assert about["start"] == start
    assert len(about["values"]) == len(about["words"])
    assert about["values"][start] == widget.value
    assert about["interval"] == (400 if hasattr(widget, "shown") else None)


def test_a_control_without_a_like_is_named():
    with pytest.raises(ValueError, match="The control x is a ColorPicker, of which a page has no like"):
        explorers.control_of("x", ipywidgets.ColorPicker())


@pytest.mark.parametrize("counts", [(401,), (61, 61), (2, 300, 3), (21, 21, 2), (400,), (1, 1), (1000, 1000)])
def test_thinning_keeps_ends_and_start(counts):
    controls = [
        {"values": [*range(count)], "words": [str(n) for n in range(count)], "start": count * 2 // 5}
        for count in counts
    ]
    at_first = json.dumps(controls)
    kept = explorers.thinned(controls)
    number = np.prod([len(control["values"]) for control in kept])
    assert number <= 400
    assert number > 99 or number == np.prod(counts)
    for before, after in zip(controls, kept, strict=True):
        assert {before["values"][0], before["values"][-1]} <= set(after["values"]) <= set(before["values"])
        assert after["values"][after["start"]] == before["values"][before["start"]]
        assert after["words"] == [str(value) for value in after["values"]] and after["values"] == sorted(
            after["values"]
        )
    assert json.dumps(controls) == at_first


def test_too_many_switches_are_refused():
    switches = [{"values": [False, True], "words": ["no", "yes"], "start": 0} for _ in range(9)]
    with pytest.raises(ValueError, match="9 controls have 512 states even at their ends; accepted are 400."):
        explorers.thinned(switches)


def test_what_takes_too_many_bytes_is_thinned_too(tmp_path, monkeypatch):
    explorer = an_explorer(height=(-1.0, 1.0, 0.005))
    monkeypatch.setattr(explorers.widgets, "explorers", [explorer])
    sizes = {}
    for largest in (10**9, 200_000, 1):
        monkeypatch.setattr(explorers, "LARGEST", largest)
        explorers.draw_all(str(tmp_path))
        states = json.loads((tmp_path / "0.json").read_text(encoding="utf-8"))["states"]
        sizes[largest] = len(states), (tmp_path / "0.json").stat().st_size
    assert sizes[200_000][0] < sizes[10**9][0] <= explorers.MOST
    assert sizes[200_000][1] <= 200_000 < sizes[10**9][1]
    assert explorers.FEWEST // 3 < sizes[1][0] <= explorers.FEWEST, "it is not thinned to nothing"


# A lesson of its own, on a page --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Film a small lesson; return its path, what its explorers are, and the folder of the pictures."""
    folder = tmp_path_factory.mktemp("planted")
    cells = [nbformat.v4.new_code_cell("SEED = 0", metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell(PLANTED, id="line"))
    path = folder / "70_line.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": explorers.kernel.SPEC}), path)
    return path, explorers.film(path, folder / "films"), folder / "films"


def test_a_lesson_is_run_again_when_it_changed(planted, monkeypatch):
    path, found, films = planted
    assert explorers.filmed(path, films) == found
    monkeypatch.setattr(explorers.kernel, "execute", lambda *arguments, **options: pytest.fail("was run again"))
    assert explorers.film(path, films) == found
    book = lessons.read(path)
    book.cells[1].source += "\n# changed"
    changed = path.with_name("70_line_.ipynb")
    nbformat.write(book, changed)
    assert explorers.fingerprint(changed) != explorers.fingerprint(path)


def test_a_lesson_that_stops_is_named(planted, tmp_path):
    path, _, _ = planted
    book = lessons.read(path)
    book.cells[1].source = "1 / 0"
    nbformat.write(book, tmp_path / "70_line.ipynb")
    with pytest.raises(ValueError, match="70_line, cell line: ZeroDivisionError: division by zero"):
        explorers.film(tmp_path / "70_line.ipynb", tmp_path)
    assert explorers.filmed(tmp_path / "70_line.ipynb", tmp_path) is None


MOVE = """async ([number, places, wish]) => {
    const explorer = document.querySelectorAll("[data-film]")[number];
    const rows = [...explorer.querySelectorAll(".explorer-controls > div")];
    const start = performance.now();
    const wanted = places.reduce((before, place, n) => before * counts[number][n] + place, 0);
    rows.forEach((row, n) => {
        const made = row.querySelector("select, input");
        if (made.matches("select")) made.selectedIndex = places[n];
        else if (made.type === "checkbox") made.checked = Boolean(places[n]);
        else made.value = places[n];
        made.dispatchEvent(new Event(made.type === "range" ? "input" : "change"));
    });
    while (explorer.querySelector("canvas")?.dataset.state !== String(wanted)) {
        if (performance.now() - start > 60000) throw Error(`state ${wanted} never came`);
        await new Promise(done => setTimeout(done));
    }
    const took = performance.now() - start, canvas = explorer.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const words = new Uint32Array(data.buffer);
    let sum = 0;  // of each pixel times its place
    for (let at = 0; at < words.length; at++) sum = (sum + Math.imul(words[at], at + 1)) | 0;
    if (wish === sum >>> 0) return {took};
    let text = "";  // in pieces: the arguments of a call are limited
    for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
    return {took, width: canvas.width, height: canvas.height, pixels: btoa(text)};
}"""
CALM = "() => document.querySelectorAll('[data-film]').forEach(one => one.scrollIntoView())"


@pytest.fixture
def shown(browser, tmp_path):
    """Show the explorers of a lesson on a page from the file system; return a function that opens it."""
    context = browser.new_context(viewport={"width": 1000, "height": 800}, java_script_enabled=True)
    asked, complaints = [], []

    def open_(path, found, films, javascript=True):
        explorers.lay([path.stem], tmp_path / "films", films)
        for name in ("explorers.js", "course.css"):
            shutil.copy(explorers.Path(explorers.__file__).with_name("static") / name, tmp_path)
        head = '<meta charset="utf-8"><title>t</title><link rel="stylesheet" href="course.css">'
        script = '<script src="explorers.js"></script>' if javascript else ""
        counts = json.dumps([[len(control["words"]) for control in about["controls"]] for about in found])
        body = "".join(explorers.markup(path.stem, about, "films") for about in found)
        text = f'<!DOCTYPE html><html lang="en"><head>{head}{script}<script>counts = {counts}</script></head>'
        (tmp_path / "page.html").write_text(
            f"{text}<body><main><h1>t</h1>{body}</main></body></html>", encoding="utf-8"
        )
        page = context.new_page()
        page.on(
            "request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else asked.append(1)
        )
        page.on("console", lambda message: None if "readback" in message.text else complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_
    assert not asked and not complaints
    context.close()


def summed(picture):
    """Add up each pixel times its place, as the page does, in 32 bits."""
    opaque = np.dstack([picture, np.full(picture.shape[:2], 255)]).astype(np.uint8)
    words = np.ascontiguousarray(opaque).view("<u4").ravel()
    return int((words * np.arange(1, words.size + 1, dtype=np.uint32)).sum(dtype=np.uint32))


def visit_all(page, path, found, films):
    """Move every explorer to every state, in an order without sense; compare what is painted; return milliseconds."""
    took = []
    for number, about in enumerate(found):
        base = Image.open(films / path.stem / f"{about['cell']}.webp")
        script = (films / path.stem / f"{about['cell']}.js").read_text(encoding="utf-8")
        states = json.loads(script.partition("] = ")[2].rstrip(";\n"))
        every = list(itertools.product(*(range(len(control["words"])) for control in about["controls"])))
        assert len(every) == about["states"] == len(states["states"]) <= explorers.MOST
        assert len(set(states["states"])) > 1
        for state, places in random.Random(0).sample(list(enumerate(every)), len(every)):
            wanted = composed(base, states, state)
            told = page.evaluate(MOVE, [number, places, summed(wanted)])
            if "pixels" in told:  # a browser may read a picture that is stored with a loss a little otherwise
                pixels = np.frombuffer(base64.b64decode(told["pixels"]), np.uint8)
                painted = pixels.reshape(told["height"], told["width"], 4)[..., :3].astype(int)
                assert abs(painted - wanted).max() <= 3, f"{path.stem}, {about['alt']}: {places}"
            took.append(told["took"])
    return took


@chromium.needed
def test_a_page_shows_every_state(planted, shown):
    path, found, films = planted
    page = shown(path, found, films)
    (about,) = found
    kinds = [control["kind"] for control in about["controls"]]
    assert (about["cell"], kinds) == ("line", ["slider", "choice", "tick", "choice"])
    assert page.locator(".explorer img").get_attribute("alt") == about["alt"]
    visit_all(page, path, found, films)
    assert page.get_by_role("img", name=about["alt"]).count() == 1, "the canvas has the picture's words"
    page.add_script_tag(content=AXE_SCRIPT)
    run = "async () => (await axe.run(document, {preload: false})).violations.map(fault => [fault.impact, fault.id])"
    faults = page.evaluate(run)
    assert not [fault for fault in faults if fault[0] in ("serious", "critical")]


@chromium.needed
def test_controls_answer_the_keyboard_and_play(planted, shown):
    page = shown(*planted)
    slider, told = page.get_by_role("slider", name="slope"), page.locator(".explorer output").first
    assert told.text_content() == "-2"
    slider.focus()
    page.keyboard.press("End")
    assert told.text_content() == "2" == slider.get_attribute("aria-valuetext")
    page.wait_for_function("document.querySelector('canvas')?.dataset.state")
    play = page.get_by_role("button", name="play")
    page.evaluate("""() => { window.said = []; const told = document.querySelector("output");
        new MutationObserver(() => said.push(told.textContent)).observe(told, {childList: true}); }""")
    play.press("Enter")
    page.wait_for_function("said.length === 4")
    assert page.evaluate("said") == ["-1", "0", "1", "2"], "from the end it begins anew"
    assert play.text_content() == "play", "it stops at the end"
    page.get_by_label("dashed").press(" ")
    assert page.get_by_label("dashed").is_checked()
    for width in (360, 250):  # the latter is 1000 pixels at 400 %
        page.set_viewport_size({"width": width, "height": 600})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@chromium.needed
def test_without_javascript_or_pictures_it_says_so(planted, shown):
    path, found, films = planted
    page = shown(path, found, films, javascript=False)
    assert page.locator(".explorer img").is_visible()
    assert not page.locator(".explorer-controls").is_visible()
    page.context.set_offline(True)
    folder = explorers.Path(page.url.removeprefix("file://")).parent / "films" / path.stem
    (folder / "line.js").unlink()
    other = page.context.browser.new_page()  # the browser complains there, as it should
    shutil.copy(explorers.Path(explorers.__file__).with_name("static") / "explorers.js", folder)
    (folder.parent.parent / "page.html").write_text(
        '<script src="films/70_line/explorers.js"></script>' + explorers.markup(path.stem, found[0], "films")
    )
    other.goto((folder.parent.parent / "page.html").as_uri())
    other.get_by_label("slope").press("End")
    other.get_by_text("The pictures of this explorer are not beside the page.").wait_for()
    other.close()


@chromium.needed
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", lessons.find() if chromium.ALL else [QUICK], ids=lambda path: path.stem)
def test_every_explorer_of_a_lesson_on_its_page(path, shown, tmp_path, record_property):
    folder = explorers.FOLDER if chromium.ALL else tmp_path / "drawn"
    start = time.perf_counter()
    found = explorers.film(path, folder)
    stored = explorers.cells_with(lessons.read(path))
    assert {about["cell"]: about["alt"] for about in found} == stored
    assert found, "a lesson without an explorer"
    seconds = time.perf_counter() - start
    page = shown(path, found, folder)
    page.evaluate(CALM)
    took = sorted(visit_all(page, path, found, folder))
    record_property(
        "figure",
        f"{explorers.told(path.stem, found, folder)}, drawn in {seconds:.0f} s; "
        f"{took[int(0.95 * len(took))]:.0f} ms from a control to the picture in 95 %",
    )


def test_a_page_says_how_many_pictures_it_has(planted):
    path, (about,), _ = planted
    assert "Its pictures were drawn beforehand." in site.told_of("70_line", about)
    few = {**about, "states": 400, "all_states": 3481}
    assert "400 of its 3,481 pictures were drawn beforehand." in site.told_of("70_line", few)
    assert "A still picture." in site.told_of("70_line", None)
