"""The form lane: what is asked of every notebook and of every lesson's two layers, read from its file."""

import ast
import base64
import io
import itertools
import re
import statistics

import nbformat
import pytest
from PIL import Image

from utils.check import finding_name
from utils.workshop import kernel, lessons

WIDGET = "application/vnd.jupyter.widget-view+json"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def book(notebook):
    return lessons.read(notebook)


@pytest.fixture(scope="module")
def code(book):
    return lessons.code_cells(book)


def prose_of(book):
    return [cell for cell in book.cells if cell.cell_type == "markdown"]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def tagged(book, tag):
    return [cell for cell in book.cells if tag in lessons.tags(cell)]


def calls(cells, room, name):
    """Find the calls `room.name(...)` in code."""
    trees = [ast.parse(cell.source) for cell in cells]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if ast.unparse(node.func) == f"{room}.{name}"]


def claims_in(cells):
    """Return the names under which code makes claims; None for one that is put together when it runs."""
    found = [(call, call.args[0]) for name in ("claim", "agree", "finding") for call in calls(cells, "check", name)]
    return [
        (finding_name(first.value) if call.func.attr == "finding" else first.value)
        if isinstance(first, ast.Constant)
        else None
        for call, first in found
    ]


def hides(cell, what="source"):
    return cell.metadata.get("jupyter", {}).get(f"{what}_hidden", False)


def heading(cell):
    """Return the heading of the section that a cell begins, or None."""
    found = re.match(r"##+ (.+)", cell.source) if cell.cell_type == "markdown" else None
    return found[1] if found else None


def layers(book):
    """Return the cells of the core and those of Further, references left out."""
    headings = [heading(cell) or "" for cell in book.cells]
    references = headings.index("References") if "References" in headings else len(headings)
    further = next((n for n, text in enumerate(headings) if text.startswith("Further")), references)
    return book.cells[:further], book.cells[further:references]


def open_words(cells):
    """Count the words of prose that stand open, without what is folded in <details>."""
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return sum(len(re.sub(r"<details>.*?</details>", "", text, flags=re.S).split()) for text in texts)


def first_line(cell):
    """Return the first line of what a cell printed or displayed."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return next((line for text in texts for line in text.splitlines() if line.strip()), "")


def open_lengths(cells):
    """Return the lengths in lines, in order of size, of the code cells whose code stands open."""
    return sorted(len(lines(cell)) for cell in cells if cell.cell_type == "code" and not hides(cell))


@pytest.fixture(scope="module")
def layered(lesson):
    """A lesson in two layers."""
    book = lessons.read(lesson)
    if not tagged(book, "evidence"):
        pytest.skip("not in two layers yet")
    return book


def test_is_valid(book):
    nbformat.validate(book)


def test_one_title(book):
    titles = [line for cell in prose_of(book) for line in cell.source.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert book.cells[0].source.startswith("# "), "the title stands in the first cell"


def test_cell_ids_have_meaning(book):
    nameless = [cell.id for cell in book.cells if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id)]
    nameless += [cell.id for cell in book.cells if re.fullmatch(r"[0-9a-f]{8}|cell-\d+", cell.id)]
    assert not nameless, f"ids should be words joined by hyphens, as in bellman-backup: {nameless}"


def test_outputs_are_of_one_clean_run(book, code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "execution counts are not 1..N"
    assert book.metadata.get("course", {}).get("code") == lessons.digest(book), (
        "the stored outputs are of other code; run `make run`"
    )


def test_no_error_noise_or_leftover_is_stored(book, code):
    found = []
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{cell.id}: error {output.ename}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"{cell.id}: stderr {output.text[:60]!r}")
            if WIDGET in output.get("data", {}):
                found.append(f"{cell.id}: widget state is not stored, so a widget view shows nothing")
        found += [f"{cell.id}: metadata {key}" for key in ("execution", "collapsed") if key in cell.metadata]
    assert not found
    assert "widgets" not in book.metadata


def test_text_that_is_compared_or_kept_holds_no_path(book, code):
    texts = [(cell.id, str(cell.outputs)) for cell in code]
    assert not [identifier for identifier, text in texts if re.search(r"/(home|root|tmp|Users|work)/|[A-Z]:\\\\", text)]


def test_no_remote_picture(book):
    pattern = r"!\[[^\]]*\]\(\s*https?:|<img[^>]+src=[\"']?https?:"
    assert not [cell.id for cell in prose_of(book) if re.search(pattern, cell.source)]


def test_every_picture_has_alternative_text_and_fits(code):
    for cell in code:
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png")
            if picture is None:
                continue
            alt = output.metadata.get("image/png", {}).get("alt", "")
            assert len(alt.split()) >= 3, f"{cell.id}: the picture has no alternative text"
            width, _ = Image.open(io.BytesIO(base64.b64decode(picture))).size
            shown = output.metadata["image/png"].get("width", width)
            assert shown <= 640, f"{cell.id}: the picture is shown {shown} pixels wide"
            assert width in (shown, 2 * shown), f"{cell.id}: stored at {width} pixels, shown at {shown}"
    for cell in code:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert not kinds & {"image/svg+xml", "image/jpeg"}, f"{cell.id}: pictures are PNG"


def test_prose_pictures_have_alternative_text(book):
    bare = [cell.id for cell in prose_of(book) if re.search(r"!\[\s*\]\(|<img(?![^>]*alt=)", cell.source)]
    assert not bare


def test_fits_a_megabyte_and_a_half(notebook):
    assert notebook.stat().st_size <= 1.5 * MEGABYTE


def test_set_up_is_plain(code):
    assert len(lines(code[0])) <= 15
    for cell in code:
        assert not re.search(r"^\s*[!%]|sys\.path|import \*|\bpip\b.*install|pyplot", cell.source, re.M), cell.id


def test_one_cell_of_knobs(book, notebook):
    cells = tagged(book, "parameters")
    assert len(cells) == 1
    for statement in ast.parse(cells[0].source).body:
        assert isinstance(statement, ast.Assign), "the knobs are plain constants"
        ast.literal_eval(statement.value)
        assert statement.targets[0].id.isupper()
    assert "SEED" in kernel.knobs(notebook)
    bare = [line for line in lines(cells[0]) if "=" in line and "#" not in line]
    assert not bare, f"each knob has a comment that says what turning it does: {bare}"


def test_code_never_runs_on_without_prose(book):
    run = 0
    for cell in book.cells:
        if cell.cell_type == "markdown":
            run = 0
        elif not lessons.tags(cell) & lessons.EXERCISE_TAGS and not hides(cell):
            run += 1  # an exercise, its check and its folded solution read as one; what is folded is not read
        assert run <= 3, f"cell {cell.id} is the fourth open code cell in a row"


def test_no_cell_is_too_long(code):
    assert not [(cell.id, len(lines(cell))) for cell in code if len(lines(cell)) > 40]


def test_slides_are_set(book):
    kinds = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in book.cells]
    assert kinds.count("slide") >= 3
    assert None not in kinds, (
        f"cells without a slide type: {[c.id for c, k in zip(book.cells, kinds, strict=True) if not k]}"
    )


def test_a_slide_keeps_what_it_asks_to_predict(book):
    """Code after a prediction comes at a later key."""
    told = [
        cell.id
        for text, cell in itertools.pairwise(book.cells)
        if text.cell_type == "markdown"
        and re.search(r"\b(Predict|Guess|Write down your guess|Before you run)\b", text.source)
        and cell.metadata.slideshow.slide_type == "-"
        and not calls([cell] if cell.cell_type == "code" else [], "widgets", "predict")
    ]
    assert not told, f"{told} show at once what the text before asks to predict; make them fragments"


def test_a_lesson_has_speaker_notes(lesson):
    """A note belongs to the slide that its cell begins: what is wrongly believed there, and what to ask."""
    cells = [cell for cell in lessons.read(lesson).cells if "notes" in cell.metadata.get("course", {})]
    assert len(cells) >= 8, f"{len(cells)} cells have notes for the speaker (metadata course.notes); wanted are 8"
    for cell in cells:
        notes = cell.metadata.course.notes
        form = r"Misconception: \S[^\n]*\nAsk: \S[^\n]*\?"
        assert re.fullmatch(form, notes), f"{cell.id}: the lines are 'Misconception: ...' and 'Ask: ...?': {notes!r}"
        assert len(notes.split()) <= 80, f"{cell.id}: {len(notes.split())} words of notes; at most 80"
        kind = cell.metadata.slideshow.slide_type
        assert kind in ("slide", "subslide"), f"{cell.id}: notes stand where a slide begins, not on {kind!r}"


def test_a_lesson_has_claims_explorer_exercises_and_pins(lesson):
    book = lessons.read(lesson)
    code = lessons.code_cells(book)
    ordered = [tag for cell in code for tag in ("exercise", "check", "solution") if tag in lessons.tags(cell)]
    assert ordered == ["exercise", "check", "solution"] * (len(ordered) // 3)
    assert 3 <= len(ordered) // 3 - len(calls(code, "check", "prosecute")[:1]) <= 4, "and one prosecution more"
    hidden = [cell.metadata.get("jupyter", {}).get("source_hidden") for cell in tagged(book, "solution")]
    assert all(hidden), "solutions are folded"
    assert tagged(book, lessons.PINNED)
    assert len(claims_in(code)) >= 6
    assert calls(code, "widgets", "explore")


def test_every_claim_in_the_code_was_made(book, code):
    """A claim in a function that nobody calls, or behind an `if`, proves nothing. At full size has its own lane."""
    code = [cell for cell in code if cell.id != "full-size-run"]
    written = set(claims_in(code)) - {None}
    assert written <= {claim["name"] for claim in lessons.claims_of(book)}


def test_no_cell_escapes_the_lanes(book, code):
    """nbval obeys marks that let a cell raise or be skipped, and a pin without an output compares nothing."""
    known = {"parameters", lessons.PINNED, *lessons.EXERCISE_TAGS, *lessons.LAYER_TAGS}
    assert not [cell.id for cell in book.cells if lessons.tags(cell) - known], f"the tags in use are {sorted(known)}"
    assert not [cell.id for cell in code if "NBVAL_" in cell.source]
    assert not [cell.id for cell in tagged(book, lessons.PINNED) if not cell.outputs]
    assert not [cell.id for cell in code if "ipywidgets" in cell.source], "only explorers of utils.widgets are driven"


def test_claims_have_names_of_their_own(book):
    names = [claim["name"] for claim in lessons.claims_of(book)]
    assert len(names) == len(set(names)), "a claim's name stands once in a notebook"
    assert all(claim["holds"] for claim in lessons.claims_of(book))


def test_no_lesson_depends_on_an_exercise(lesson):
    book = lessons.read(lesson)
    student = set()
    for cell in lessons.code_cells(book):
        names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        if not lessons.tags(cell) & lessons.EXERCISE_TAGS:
            assert not names & student, f"cell {cell.id} uses {names & student}, which a student writes"
        if "exercise" in lessons.tags(cell):
            student |= {n.name for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef)}


def test_breakages_name_what_stands_in_the_lesson(notebook):
    """Each breakage replaces a fragment that stands once in its cell, and fails a claim that the lesson makes."""
    book, trials = lessons.read(notebook), lessons.trials(notebook)
    sources = {cell.id: cell.source for cell in lessons.code_cells(book)}
    stated = [claim["name"] for claim in lessons.claims_of(book)]
    for entry in trials["breakage"]:
        name = entry["name"]
        assert sources.get(entry["cell"], "").count(entry["old"]) == 1, f"{name}: {entry['old']!r} in {entry['cell']}"
        assert any(entry["fails"] in claim for claim in stated), f"{name}: no claim is called {entry['fails']!r}"


def test_a_lesson_says_what_to_try_on_it(lesson):
    """Each lesson comes with knobs to try, wrong answers and breakages; the other lanes use them."""
    trials, known = lessons.trials(lesson), kernel.knobs(lesson)
    assert set(trials["knobs"]) == {"small", "odd"}
    assert all(knobs and set(knobs) <= set(known) for knobs in trials["knobs"].values())
    assert len(trials["breakage"]) >= 3
    wrong = [entry["exercise"] for entry in trials["wrong"]]
    asked = [cell.id for cell in tagged(lessons.read(lesson), "exercise")]
    assert set(wrong) <= set(asked), "a wrong answer to no exercise is never tried"
    for identifier in asked:
        assert wrong.count(identifier) >= 2, f"{identifier} wants at least two plausible wrong answers"


def test_every_notebook_is_found():
    """A file with an odd name would run under nbval and in no other lane; a folder without its notebook in none."""
    there = {path for path in lessons.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert there == set(lessons.find()), "notebooks are called like 21_attention.ipynb and stand side by side"
    rooms = {path.name for path in (lessons.ROOT / "tests" / "lessons").iterdir() if path.is_dir()}
    assert rooms <= {path.stem for path in there}


# Two layers ----------------------------------------------------------------------------------------------------


def test_the_core_keeps_to_its_budget(layered):
    core, further = layers(layered)
    lengths, tried = open_lengths(core), calls(lessons.code_cells(layered), "check", "prosecute")[:1]
    assert len(core) <= 60 and len(further) <= 60 + 5 * len(tried), (
        "a prosecution is a task, three cells and what is said afterwards"
    )
    assert open_words(core) <= 2500 and open_words(further) <= 2500
    assert sum(lengths) <= 350
    assert statistics.median(lengths) <= 8 and lengths[int(0.9 * (len(lengths) - 1))] <= 16 and lengths[-1] <= 25


def test_it_says_how_long_it_takes(layered):
    for words in (r"\d+ minutes to read", r"\d+ (minutes )?to work through", r"\d+ seconds to run"):
        assert re.search(words, layered.cells[0].source), f"the first cell says {words!r}"


def test_the_first_picture_comes_at_once(layered):
    first = [any("image/png" in o.get("data", {}) for o in cell.get("outputs", [])) for cell in layered.cells[:5]]
    assert any(first), "within the first five cells the reader sees what the lesson is about"


def test_there_is_a_diagram(layered):
    drawn = calls(lessons.code_cells(layered), "plot", "diagram")
    assert drawn, "an architecture or a loop is drawn once, with plot.diagram"


def test_no_cell_draws_and_proves(layered):
    for cell in lessons.code_cells(layered):
        draws = calls([cell], "plot", "show") + calls([cell], "widgets", "explore")
        tags = lessons.tags(cell)
        if cell.id == "full-size-run":
            continue
        assert not (draws and claims_in([cell])), f"{cell.id} draws and proves"
        if draws:
            assert "figure" in tags and hides(cell), f"{cell.id} draws: its tag is figure, and its code is hidden"
        if "figure" in tags:
            assert draws, f"{cell.id} is tagged figure and draws nothing"


def test_findings_are_few_and_are_sentences(layered):
    for cells, most in zip(layers(layered), (12, 6), strict=True):
        found = calls([c for c in cells if c.cell_type == "code"], "check", "finding")
        assert len(found) <= most, f"{len(found)} findings; at most {most}"
        for call in found:
            sentence = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
            assert re.fullmatch(r"[A-Z0-9{].*[.?!]", sentence) and len(sentence.split()) >= 6, (
                f"a whole sentence: {sentence!r}"
            )
    assert calls(lessons.code_cells(layered), "check", "finding")
    for cell in lessons.code_cells(layered):
        only = all(ast.unparse(node).startswith("check.finding(") for node in ast.parse(cell.source).body)
        assert not only or hides(cell), f"{cell.id} only states a finding: hide its source"


def test_evidence_is_folded(layered):
    for cell in lessons.code_cells(layered):
        if cell.id == "full-size-run":
            continue
        if "evidence" in lessons.tags(cell):
            withs = [node for node in ast.parse(cell.source).body if isinstance(node, ast.With)]
            folded = [node for node in withs if ast.unparse(node.items[0].context_expr.func) == "check.evidence"]
            inside = sum(len(claims_in([nbformat.v4.new_code_cell(ast.unparse(node))])) for node in folded)
            assert folded and inside == len(claims_in([cell])), f"{cell.id}: claims stand in `with check.evidence(...)`"
            assert not calls([cell], "check", "finding"), f"{cell.id}: a finding stands open"
            assert hides(cell), f"{cell.id}: the code of evidence is hidden"
            assert cell.metadata.slideshow.slide_type == "skip", f"{cell.id}: evidence is on no slide"
        else:
            plain = calls([cell], "check", "claim") + calls([cell], "check", "agree")
            assert not plain, f"{cell.id}: claims and agreements stand in cells tagged evidence, findings in the open"


def test_answers_are_folded_under_a_place_to_commit(layered):
    asked = 0
    for before, cell in itertools.pairwise(layered.cells):
        asks = before.cell_type == "code" and bool(calls([before], "widgets", "predict"))
        answers = "answer" in lessons.tags(cell)
        assert asks == answers, f"{cell.id}: a cell tagged answer follows each widgets.predict, and nothing else"
        if answers:
            assert hides(cell, "outputs"), f"{cell.id}: the answer's output is hidden"
            assert hides(before), f"{before.id}: the code of a question is hidden"
            assert cell.metadata.slideshow.slide_type in ("fragment", "skip"), f"{cell.id}: the answer is a fragment"
            told = first_line(cell)
            assert re.match(r"<figure>|<explorer|.*:$", told), (
                f"{cell.id}: JupyterLab shows the first printed line of a folded output, here {told!r}, which must not "
                "tell the answer: begin with a line that ends in a colon, such as print('after ten steps:')"
            )
        asked += asks
    assert asked >= 2, "at least two predictions that the reader commits to"


def test_a_section_ends_with_its_reading(layered):
    """The last open cell before a heading is prose or a finding: nothing is left for the next heading."""
    core, further = layers(layered)
    for cells in (core, further):
        last, name = None, None
        for cell in [*cells, None]:
            if cell is None or heading(cell):
                exempt = name is None or re.match(r"Exercise|What we saw|Further|Before", name)
                if last is not None and last.cell_type == "code" and not exempt:
                    assert calls([last], "check", "finding"), f"section {name!r} ends with {last.id}, without a reading"
                name = cell and heading(cell)
            last = cell if cell is not None and "evidence" not in lessons.tags(cell) else last


def test_exercises_say_how_hard_and_hint_in_three_steps(layered):
    for before, cell in itertools.pairwise(layered.cells):
        if "exercise" in lessons.tags(cell):
            assert re.search(r"[●○]{3}.{0,5}\d+ min", before.source), f"{before.id}: as in ●●○, 8 minutes"
    checks = tagged(layered, "check")
    for cell in checks:
        assert hides(cell), f"{cell.id}: a check is folded, since it holds what is expected"
        asked = calls([cell], "check", "exercise") + calls([cell], "check", "prosecute")
        assert asked and all("hints" in {k.arg for k in call.keywords} for call in asked), cell.id


def test_it_ends_in_the_past_tense_and_says_what_to_trust(layered):
    headings = [heading(cell) for cell in layered.cells if heading(cell)]
    for name in ("Exercises", "What we saw", "References"):
        assert name in headings, f"a section is called {name}"
    text = "\n".join(cell.source for cell in prose_of(layered))
    for name in ("How far to trust this", "Where the field is now"):
        assert name in text, f"a box is called {name}"
    (last,) = [cell for cell in layered.cells if heading(cell) == "References"]
    assert len(re.findall(r"^\d+\. ", last.source, re.M)) <= 7, "at most seven references"


def test_a_misconception_is_told_to_self_learners_too(layered):
    for cell in layered.cells:
        notes = cell.metadata.get("course", {}).get("notes", "")
        told = re.match(r"Misconception: (.*)", notes)
        if told:
            folded = " ".join(re.findall(r"<details>.*?</details>", "\n".join(c.source for c in layered.cells), re.S))
            assert told[1] in folded, f"{cell.id}: its misconception stands in no <details> of the lesson"


def test_report(notebook, book, record_property):
    """Record the figures that are printed at the end: cells, words, lines, findings, size."""
    core, further = layers(book)
    lengths = open_lengths(core) or [0]
    findings = [
        len(calls([c for c in cells if c.cell_type == "code"], "check", "finding")) for cells in (core, further)
    ]
    record_property(
        "figure",
        f"{notebook.stem}: core {len(core)} cells, {open_words(core)} words, {sum(lengths)} open lines (median "
        f"{statistics.median(lengths):g}, nine in ten {lengths[int(0.9 * (len(lengths) - 1))]}, most {lengths[-1]}), "
        f"{findings[0]} findings; Further {len(further)} cells, {open_words(further)} words, {findings[1]} findings; "
        f"{len(list(lessons.claims_of(book)))} claims; {notebook.stat().st_size / 1e6:.2f} MB",
    )
