"""Lane 1, form: what the house style says of every notebook, read from its file. The counts are printed, not judged."""

import ast
import base64
import io
import itertools
import re
import statistics
import tomllib

import nbformat
import pytest
from PIL import Image

from tests import runner

WIDGET = "application/vnd.jupyter.widget-view+json"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def book(notebook):
    return runner.read(notebook)


@pytest.fixture(scope="module")
def code(book):
    return runner.code_cells(book)


def prose_of(book):
    return [cell for cell in book.cells if cell.cell_type == "markdown"]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def tagged(book, tag):
    return [cell for cell in book.cells if tag in runner.tags(cell)]


def calls(cells, room, name):
    """Find the calls `room.name(...)` in code."""
    trees = [ast.parse(cell.source) for cell in cells]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in nodes if ast.unparse(node.func) == f"{room}.{name}"]


def claims_in(cells):
    return calls(cells, "check", "claim") + calls(cells, "check", "agree")


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
    assert book.metadata.get("course", {}).get("code") == runner.digest(book), (
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
            assert width <= 640, f"{cell.id}: the picture is {width} pixels wide"
    for cell in code:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert not kinds & {"image/svg+xml", "image/jpeg"}, f"{cell.id}: pictures are PNG"


def test_prose_pictures_have_alternative_text(book):
    bare = [cell.id for cell in prose_of(book) if re.search(r"!\[\s*\]\(|<img(?![^>]*alt=)", cell.source)]
    assert not bare


def test_fits_a_megabyte(notebook):
    assert notebook.stat().st_size <= MEGABYTE


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
    assert "SEED" in runner.knobs(notebook)
    bare = [line for line in lines(cells[0]) if "=" in line and "#" not in line]
    assert not bare, f"each knob has a comment that says what turning it does: {bare}"


def test_code_never_runs_on_without_prose(book):
    run = 0
    for cell in book.cells:
        # an exercise, its check and its folded solution read as one
        run = run + 1 if cell.cell_type == "code" and not runner.tags(cell) & runner.EXERCISE_TAGS else 0
        assert run <= 3, f"cell {cell.id} is the fourth code cell in a row"


def test_no_cell_is_too_long(book, code):
    long_code = [(cell.id, len(lines(cell))) for cell in code if len(lines(cell)) > 40]
    long_prose = [(cell.id, len(cell.source.split())) for cell in prose_of(book) if len(cell.source.split()) > 140]
    assert not long_code
    assert not long_prose


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
    ]
    assert not told, f"{told} show at once what the text before asks to predict; make them fragments"


def test_a_lesson_has_speaker_notes(lesson):
    """A note belongs to the slide that its cell begins: what is wrongly believed there, and what to ask."""
    cells = [cell for cell in runner.read(lesson).cells if "notes" in cell.metadata.get("course", {})]
    assert len(cells) >= 8, f"{len(cells)} cells have notes for the speaker (metadata course.notes); wanted are 8"
    for cell in cells:
        notes = cell.metadata.course.notes
        form = r"Misconception: \S[^\n]*\nAsk: \S[^\n]*\?"
        assert re.fullmatch(form, notes), f"{cell.id}: the lines are 'Misconception: ...' and 'Ask: ...?': {notes!r}"
        assert len(notes.split()) <= 80, f"{cell.id}: {len(notes.split())} words of notes; at most 80"
        kind = cell.metadata.slideshow.slide_type
        assert kind in ("slide", "subslide"), f"{cell.id}: notes stand where a slide begins, not on {kind!r}"


def test_a_lesson_has_claims_explorer_exercises_and_pins(lesson):
    book = runner.read(lesson)
    code = runner.code_cells(book)
    ordered = [tag for cell in code for tag in ("exercise", "check", "solution") if tag in runner.tags(cell)]
    assert ordered == ["exercise", "check", "solution"] * (len(ordered) // 3)
    assert 3 <= len(ordered) // 3 <= 4
    hidden = [cell.metadata.get("jupyter", {}).get("source_hidden") for cell in tagged(book, "solution")]
    assert all(hidden), "solutions are folded"
    assert tagged(book, runner.PINNED)
    assert len(claims_in(code)) >= 6
    assert calls(code, "widgets", "explore")


def test_every_claim_in_the_code_was_made(book, code):
    """A claim in a function that nobody calls, or behind an `if`, proves nothing. At full size has its own lane."""
    code = [cell for cell in code if cell.id != "full-size-run"]
    written = {call.args[0].value for call in claims_in(code) if isinstance(call.args[0], ast.Constant)}
    assert written <= {claim["name"] for claim in runner.claims_of(book)}


def test_no_cell_escapes_the_lanes(book, code):
    """nbval obeys marks that let a cell raise or be skipped, and a pin without an output compares nothing."""
    known = {"parameters", runner.PINNED, *runner.EXERCISE_TAGS}
    assert not [cell.id for cell in book.cells if runner.tags(cell) - known], f"the tags in use are {sorted(known)}"
    assert not [cell.id for cell in code if "NBVAL_" in cell.source]
    assert not [cell.id for cell in tagged(book, runner.PINNED) if not cell.outputs]
    assert not [cell.id for cell in code if "ipywidgets" in cell.source], "only explorers of utils.widgets are driven"


def test_claims_have_names_of_their_own(book):
    names = [claim["name"] for claim in runner.claims_of(book)]
    assert len(names) == len(set(names)), "a claim's name stands once in a notebook"
    assert all(claim["holds"] for claim in runner.claims_of(book))


def test_no_lesson_depends_on_an_exercise(lesson):
    book = runner.read(lesson)
    student = set()
    for cell in runner.code_cells(book):
        names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        if not runner.tags(cell) & runner.EXERCISE_TAGS:
            assert not names & student, f"cell {cell.id} uses {names & student}, which a student writes"
        if "exercise" in runner.tags(cell):
            student |= {n.name for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef)}


def test_a_lesson_says_what_to_try_on_it(lesson):
    """Each lesson comes with knobs to try, wrong answers and breakages; the other lanes use them."""
    said = tomllib.loads((runner.ROOT / "tests" / "notebooks" / f"{lesson.stem}.toml").read_text(encoding="utf-8"))
    known = runner.knobs(lesson)
    assert set(said["knobs"]) == {"small", "odd"}
    assert all(given and set(given) <= set(known) for given in said["knobs"].values())
    assert len(said["breakage"]) >= 3
    wrong = [entry["exercise"] for entry in said["wrong"]]
    asked = [cell.id for cell in tagged(runner.read(lesson), "exercise")]
    assert set(wrong) <= set(asked), "a wrong answer to no exercise is never tried"
    for identifier in asked:
        assert wrong.count(identifier) >= 2, f"{identifier} wants at least two plausible wrong answers"


def test_every_notebook_is_found():
    """A file with an odd name would run under nbval and in no other lane; a TOML file without its notebook in none."""
    there = {path for path in runner.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert there == set(runner.notebooks()), "notebooks are called like 21_attention.ipynb and stand side by side"
    said = {path.stem for path in (runner.ROOT / "tests" / "notebooks").glob("*.toml")}
    assert said <= {path.stem for path in there}


def test_report(notebook, book, code, record_property):
    """Record the figures of guidance, which are printed at the end: cells, lengths, size."""
    lengths = sorted(len(lines(cell)) for cell in code)
    words = max(len(cell.source.split()) for cell in prose_of(book))
    record_property(
        "figure",
        f"{notebook.stem}: {len(book.cells)} cells ({len(code)} code), lines a code cell: "
        f"median {statistics.median(lengths):g}, nine in ten {lengths[int(0.9 * (len(lengths) - 1))]}, "
        f"most {lengths[-1]}; most words in a prose cell {words}; {notebook.stat().st_size / 1e6:.2f} MB",
    )
