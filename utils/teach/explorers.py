"""Explorers without a kernel: each state of every explorer is drawn once, and lies beside the page as pictures.

`python -m utils.teach.explorers [NB ...]` runs the lessons that changed and writes build/explorers/NB: for each
explorer its first picture, and a script that holds what the others change in it.
"""

import argparse
import base64
import hashlib
import html
import io
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
from filelock import FileLock
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbformat import NotebookNode
from PIL import Image
from tqdm import tqdm

from utils import plot, widgets
from utils.workshop import kernel, lessons

FOLDER = lessons.BUILD / "explorers"
MOST = 400  # states of an explorer; what has more is thinned
LARGEST = 4_000_000  # bytes of its script; what takes more is thinned too, but not below FEWEST states
FEWEST = 60
PRESSES = 12  # of a button
SCALE = 2  # pixels a side for each one at which the picture is shown, as a still has
HEAVY = 40_000  # bytes; what would take more, such as a photograph, is stored with a little loss where that is less
DRAW = "from utils.teach import explorers as _explorers; _explorers.draw_all({folder!r})"

# In a lesson's kernel, after its last cell ---------------------------------------------------------------------------


def control_of(name: str, widget: ipywidgets.Widget) -> dict[str, Any]:
    """Describe a control as a page shows it: its kind, its values in order, their words, and where it starts.

    Errors: ValueError for a widget of another kind.
    """
    value = widget.value
    if isinstance(widget, ipywidgets.Button):
        kind, values, words = "press", [*range(PRESSES + 1)], [str(count) for count in range(PRESSES + 1)]
    elif hasattr(widget, "options"):
        words, values = (list(part) for part in zip(*widget._options_full, strict=True))
        kind = "slider" if isinstance(widget, ipywidgets.SelectionSlider) else "choice"
    elif isinstance(value, bool):
        kind, values, words = "tick", [False, True], ["no", "yes"]
    elif isinstance(widget, ipywidgets.Text | ipywidgets.Textarea):
        kind, values = "choice", texts_like(value)
        words = [text or "(no text)" for text in values]
    elif isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        steps = math.floor((widget.max - widget.min) / widget.step + 1e-9)
        values = [widget.min + place * widget.step for place in range(steps + 1)]
        values = sorted({*(entry for entry in values if not math.isclose(entry, value, abs_tol=1e-9)), value})
        kind, words = "slider", [format(entry, widget.readout_format) for entry in values]
    else:
        raise ValueError(f"The control {name} is a {type(widget).__name__}, of which a page has no like.")
    players = [part for part in getattr(getattr(widget, "shown", None), "children", ()) if hasattr(part, "interval")]
    return {
        "name": widget.description or name.replace("_", " "),
        "kind": kind,
        "values": values,
        "words": words,
        "start": next(place for place, entry in enumerate(values) if entry is value or entry == value),
        "interval": players[0].interval if players else None,
    }


def texts_like(text: str) -> list[str]:
    """Return the texts that stand for what a reader might type: this one, and what can be made of its words."""
    parts = text.split()
    variants = [text, " ".join(reversed(parts)), text.upper(), " ".join(parts[:-1]), " ".join(parts[1:]), text.title()]
    return list(dict.fromkeys(variants))


def thinned(controls: list[dict[str, Any]], most: int = MOST) -> list[dict[str, Any]]:
    """Take values from the longest control until the explorer has no more than so many states.

    A control keeps its ends and its start, and of the others about every second one each time.

    Errors: ValueError if every control is down to its ends and there are still more.
    """
    controls = [dict(control) for control in controls]
    while math.prod(len(control["values"]) for control in controls) > most:
        longest = max(controls, key=lambda control: len(control["values"]))
        last = len(longest["values"]) - 1
        kept = sorted({*range(0, last + 1, 2), last, longest["start"]})
        if len(kept) == last + 1:  # its start is all that would go
            kept = sorted({0, last, longest["start"]})
        if len(kept) == last + 1:
            states = math.prod(len(control["values"]) for control in controls)
            raise ValueError(f"{len(controls)} controls have {states} states even at their ends; accepted are {most}.")
        longest["start"] = kept.index(longest["start"])
        for part in ("values", "words"):
            longest[part] = [longest[part][place] for place in kept]
    return controls


def pixels(figure: Figure) -> np.ndarray:
    """Draw a figure at the size of a still.

    Returns: (height, width, 3), bytes.
    """
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def encoded(picture: np.ndarray, changed: np.ndarray | None = None) -> bytes:
    """Return a picture as WebP: in 256 colours, as a still is, or with a little loss if it is heavy.

    Where `changed`, of (height, width), is given, all else is transparent.
    """

    def compressed(colours: Image.Image, **options: Any) -> bytes:
        image, buffer = colours.convert("RGB"), io.BytesIO()
        if changed is not None:
            image = Image.fromarray(np.dstack([np.asarray(image) * changed[..., None], changed * np.uint8(255)]))
        image.save(buffer, "webp", method=4, **options)
        return buffer.getvalue()

    whole = Image.fromarray(picture)
    few = compressed(whole.quantize(255, dither=Image.Dither.NONE), lossless=True, quality=60)
    return few if len(few) <= HEAVY else min(few, compressed(whole, quality=85), key=len)


def draw(explorer: widgets.Explorer, most: int = MOST) -> tuple[dict[str, Any], bytes, str]:
    """Draw every state of an explorer; return what a page has to know of it, its first picture, and the script.

    The script holds for each state what is laid over the first picture. Equal parts are stored once.

    Errors: ValueError for a picture of another size than the first, or one that depends on those before it.
    """
    whole = [control_of(name, widget) for name, widget in explorer.controls.items()]
    controls = thinned(whole, most)
    plot.png(explorer.figure)  # lays it out, as it was laid out for the reader
    dots = explorer.figure.dpi
    explorer.figure.set_dpi(SCALE * dots)

    def at(places: Iterable[int]) -> np.ndarray:
        values = [control["values"][place] for control, place in zip(controls, places, strict=True)]
        return pixels(explorer.draw(**dict(zip(explorer.controls, values, strict=True))))

    start = [control["start"] for control in controls]
    base = at(start)
    parts: dict[tuple[int, int, bytes], int] = {}
    states = []
    for places in itertools.product(*(range(len(control["values"])) for control in controls)):
        picture = at(places)
        if picture.shape != base.shape:
            raise ValueError(f"{explorer.alt}: a picture of {picture.shape[:2]}, where the first has {base.shape[:2]}.")
        changed = (picture != base).any(axis=2)
        if not changed.any():
            states.append(-1)
            continue
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        box = np.s_[top : rows[-1] + 1, left : columns[-1] + 1]
        states.append(parts.setdefault((left, top, encoded(picture[box], changed[box])), len(parts)))
    if not np.array_equal(at(start), base):
        raise ValueError(f"{explorer.alt}: the same settings gave two pictures; draw has to depend on them alone.")
    explorer.figure.set_dpi(dots)
    kept = [[left, top, base64.b64encode(data).decode()] for left, top, data in parts]
    height, width = base.shape[:2]
    about = {
        "alt": explorer.alt,
        "width": width // SCALE,
        "height": height // SCALE,
        "controls": [{key: control[key] for key in control if key != "values"} for control in controls],
        "states": len(states),
        "all_states": math.prod(len(control["values"]) for control in whole),
    }
    first = encoded(base)
    ground = [0, 0, base64.b64encode(first).decode()]  # again: a page from the file system may not paint with a file
    return about, first, json.dumps({"states": states, "first": ground, "parts": kept})


def draw_all(folder: str) -> None:
    """Draw every explorer that is alive into a folder; print what each is, as JSON."""
    found = []
    for number, explorer in enumerate(sorted(widgets.explorers, key=lambda explorer: explorer.alt)):
        about, base, states = draw(explorer)
        while len(states) > LARGEST and about["states"] > FEWEST:
            about, base, states = draw(explorer, max(FEWEST, about["states"] // 2))
        Path(folder, f"{number}.webp").write_bytes(base)
        Path(folder, f"{number}.json").write_text(states, encoding="utf-8")
        found.append(about)
    print(json.dumps(found))


# Outside -------------------------------------------------------------------------------------------------------------


def fingerprint(path: Path) -> str:
    """Hash what the pictures depend on: the lesson's code, and the rooms that lessons use."""
    found = hashlib.sha256(lessons.digest(lessons.read(path)).encode())
    utils = lessons.ROOT / "utils"
    for file in sorted([*utils.glob("*.py"), utils / "course.mplstyle", Path(__file__)]):
        found.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return found.hexdigest()[:16]


def cells_with(book: NotebookNode) -> dict[str, str]:
    """Return the explorers of an executed notebook: the id of its cell, and its alternative text."""
    return {
        cell.id: text.removeprefix("<explorer: ").removesuffix(">")
        for cell in lessons.code_cells(book)
        for output in cell.get("outputs", [])
        if (text := output.get("data", {}).get("text/plain", "")).startswith("<explorer: ")
    }


def film(path: Path, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Run a lesson and draw every state of its explorers into folder/NAME, unless that was done; return what they are.

    Errors: ValueError if the lesson stops, or if two of its explorers have one alternative text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{path.stem}.lock"):  # site and decks may be built at a time
        there = filmed(path, folder)
        return draw_lesson(path, folder) if there is None else there


def draw_lesson(path: Path, folder: Path) -> list[dict[str, Any]]:
    """Run a lesson and put the pictures of its explorers into folder/NAME, in the place of older ones."""
    target, new = folder / path.stem, folder / f"{path.stem}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    run = kernel.execute(path, strict=False, probes={"draw-all": DRAW.format(folder=str(new))}, cell_timeout=1800)
    if run.error:
        raise ValueError(kernel.failure(path, run.error))
    drawn = json.loads(lessons.text_of(run.cell("draw-all")))
    places = {about["alt"]: number for number, about in enumerate(drawn)}
    found = []
    for cell, alt in cells_with(run.notebook).items():
        if sum(about["alt"] == alt for about in drawn) != 1:
            raise ValueError(f"{path.stem}, cell {cell}: its explorer is not the only one called {alt!r}.")
        about, number = drawn[places[alt]], places[alt]
        (new / f"{number}.webp").rename(new / f"{cell}.webp")
        states = (new / f"{number}.json").read_text(encoding="utf-8")
        script = f'(window.courseFilms ??= {{}})["{path.stem}/{cell}"] = {states};\n'
        (new / f"{cell}.js").write_text(script, encoding="utf-8", newline="\n")
        found.append({"cell": cell, **about})
    for left_over in new.glob("*.json"):
        left_over.unlink()
    (new / "film.json").write_text(json.dumps({"of": fingerprint(path), "explorers": found}), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)
    return found


def filmed(path: Path, folder: Path = FOLDER) -> list[dict[str, Any]] | None:
    """Return what the explorers of a lesson are, if their pictures are there and of this code."""
    record = folder / path.stem / "film.json"
    if not record.is_file():
        return None
    kept = json.loads(record.read_text(encoding="utf-8"))
    return kept["explorers"] if kept["of"] == fingerprint(path) else None


def film_all(paths: list[Path], folder: Path = FOLDER) -> dict[str, list[dict[str, Any]]]:
    """Film the lessons that changed and have explorers, on all processors; return what the explorers of each are.

    Errors: ValueError with the last line of what each lesson that cannot be filmed said.
    """
    paths = [path for path in paths if cells_with(lessons.read(path))]
    new, faults = [path for path in paths if filmed(path, folder) is None], []

    def one(path: Path) -> None:
        command = [sys.executable, "-m", "utils.teach.explorers", "--into", str(folder), path.stem]
        done = subprocess.run(command, cwd=lessons.ROOT, capture_output=True, text=True, encoding="utf-8")
        if done.returncode:
            faults.append((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in tqdm(pool.map(one, new), total=len(new), desc="drawing explorers", unit="lesson", disable=not new):
            pass
    if faults:
        raise ValueError("\n".join(sorted(faults)))
    return {path.stem: filmed(path, folder) or [] for path in paths}


def lay(names: Iterable[str], target: Path, folder: Path = FOLDER) -> None:
    """Copy the pictures of lessons beside the pages that show them."""
    for name in names:
        shutil.copytree(folder / name, target / name, ignore=shutil.ignore_patterns("*.json"), dirs_exist_ok=True)


def markup(name: str, about: dict[str, Any], where: str) -> str:
    """Write an explorer as a page shows it: its controls, which wait for a script, and its first picture.

    `where` leads from the page to the folder into which `lay` copied the pictures.
    """
    film, rows = f"{name}/{about['cell']}", []
    for number, control in enumerate(about["controls"]):
        known, label, words = f"{about['cell']}-{number}", html.escape(control["name"]), control["words"]
        start, last = control["start"], len(words) - 1
        if control["kind"] == "slider":
            told = html.escape(json.dumps(words))
            element = f'<input type="range" id="{known}" min="0" max="{last}" value="{start}" data-words="{told}">'
            element += f'<output for="{known}">{html.escape(words[start])}</output>'
            if control["interval"]:
                element = f'<button type="button" data-play="{control["interval"]}">play</button>{element}'
        elif control["kind"] == "choice":
            options = [
                f"<option{' selected' * (place == start)}>{html.escape(word)}</option>"
                for place, word in enumerate(words)
            ]
            element = f'<select id="{known}">{"".join(options)}</select>'
        elif control["kind"] == "tick":
            element = f'<input type="checkbox" id="{known}"{" checked" * start}>'
        else:
            element = f'<button type="button" id="{known}" data-most="{last}">{label}</button>'
            element += f"<output>{words[start]}</output>"
        text = label if control["kind"] != "press" else "pressed"
        rows.append(f'<div><label for="{known}">{text}</label>{element}</div>')
    return (
        f'<div class="explorer" data-film="{film}" data-from="{where}">'
        f'<div class="explorer-controls" hidden>{"".join(rows)}</div>'
        f'<img src="{where}/{film}.webp" alt="{html.escape(about["alt"])}" width="{about["width"]}" '
        f'height="{about["height"]}" data-width="{about["width"]}"></div>'
    )


def told(name: str, found: list[dict[str, Any]], folder: Path = FOLDER) -> str:
    """Say in one line what was drawn of a lesson."""
    size = sum(file.stat().st_size for file in (folder / name).iterdir()) / 1e6
    counts = []
    for about in found:
        of = f" of {about['all_states']:,}" if about["states"] < about["all_states"] else ""
        counts.append(f"{about['states']}{of}")
    return f"{name}: {len(found)} explorers, {', '.join(counts)} states, {size:.2f} MB"


def main(arguments: list[str] | None = None) -> int:
    """Film lessons one after the other; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.teach.explorers", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NB")
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder; by default build/explorers")
    options = parser.parse_args(arguments)
    for path in lessons.find(options.names):
        try:
            print(told(path.stem, film(path, options.into), options.into), flush=True)
        except ValueError as fault:
            print(fault, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
