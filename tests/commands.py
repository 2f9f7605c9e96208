"""The commands behind the Makefile: `python -m tests.commands new | run | bench | figures`."""

import argparse
import base64
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from tests import runner

WIDGET = "application/vnd.jupyter.widget-view+json"
DRIVE = runner.ROOT / "tests" / "notebooks" / "drive.py"
TEMPLATE = runner.ROOT / "tests" / "template" / "template.ipynb"
PEAK_MEMORY = """
import resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


def chosen(names: list[str]) -> list[Path]:
    """Return the notebooks of these names, or all of them; an unknown name is an error that lists the known."""
    known = {path.stem: path for path in runner.notebooks()}
    stems = [Path(name).stem for name in names]
    unknown = [stem for stem in stems if stem not in known]
    if unknown:
        raise SystemExit(f"There is no notebook {', '.join(unknown)}; there are {', '.join(known)}.")
    return [known[stem] for stem in stems] or list(known.values())


# new ------------------------------------------------------------------------------------------------------------


def new(names: list[str]) -> int:
    """Begin a lesson: copy the template and what the tests try on it under a new name, with a title to match."""
    if len(names) != 1 or not re.fullmatch(r"(?!00)[0-7]\d_[a-z0-9]+(_[a-z0-9]+)*", names[0]):
        given = " ".join(names) or "nothing"
        raise SystemExit(
            f"A new lesson was to be called {given!r}; accepted is one name such as 22_transformers: two digits, "
            "the first of which is the part of the course (0 to 7), then words in small letters after underscores."
        )
    lesson = runner.NOTEBOOKS / f"{names[0]}.ipynb"
    trials = runner.room(lesson) / "trials.toml"
    there = [str(path.relative_to(runner.ROOT)) for path in (lesson, trials) if path.exists()]
    if there:
        raise SystemExit(f"{' and '.join(there)} already there; nothing was written. Take another name.")
    notebook = runner.read(TEMPLATE)
    title = names[0][3:].replace("_", " ").capitalize()
    notebook.cells[0].source = re.sub("^# .*", f"# {title}", notebook.cells[0].source)
    trials.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATE.with_name("trials.toml"), trials)
    lesson.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    readme = runner.ROOT / "README.md"
    question = re.search(r"\*\*(.+\?)\*\*", notebook.cells[0].source)[1]
    replace(readme, with_lesson(readme.read_text(encoding="utf-8"), names[0], question))
    print(f"{lesson.relative_to(runner.ROOT)}: a whole small lesson; write yours in its place.")
    print(f"{trials.relative_to(runner.ROOT)}: what the tests try on it. CONTRIBUTING.md says how both work.")
    print("README.md: a row with its question; write yours there too.")
    return 0


def with_lesson(readme: str, name: str, question: str) -> str:
    """Return the README with a row for a lesson, in its place among the others."""
    rows = re.findall(r"^\| \[\w+\]\(notebooks/.*\n", readme, re.M)
    row = f"| [{name}](notebooks/{name}.ipynb) | {question} |\n"
    return readme.replace("".join(rows), "".join(sorted([*rows, row])))


# run ------------------------------------------------------------------------------------------------------------


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep of a fresh run what a reader needs and what does not change from run to run."""
    for cell in runner.code_cells(notebook):
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):  # without a kernel the view is empty; the still picture shows
                output.data.pop(WIDGET, None)
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    course = {"code": runner.digest(notebook)}
    notebook.metadata = {"course": course, "kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def noise(notebook: nbformat.NotebookNode) -> str | None:
    """Name the first cell that wrote to stderr, which a stored notebook may not hold."""
    for cell in runner.code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                return f"cell {cell.id} wrote to stderr: {output.text.strip()[:200]}"
    return None


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as new:
        try:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
            os.chmod(new.name, path.stat().st_mode)
            os.replace(new.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new.name)
            raise


def run_one(path: Path) -> str | None:
    """Execute one notebook in place, and return what went wrong, if something did; then the file is as it was."""
    before = path.read_bytes()
    notebook = nbformat.reads(before.decode(), as_version=4)
    cells = runner.code_cells(notebook)
    with tqdm(total=len(cells), desc=path.stem, disable=None) as bar:
        client = NotebookClient(
            notebook,
            timeout=runner.CELL_TIMEOUT,
            kernel_name="python3",
            store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_executed=lambda cell, **_: bar.update() if cell.cell_type == "code" else None,
        )
        try:
            client.execute()
        except CellExecutionError as error:
            failed = next((c.id for c in cells if any(o.output_type == "error" for o in c.outputs)), "?")
            return f"{path.stem}, cell {failed}: {error.ename}: {error.evalue}"
        except Exception as error:
            return f"{path.stem}: {type(error).__name__}: {error}"
    if said := noise(notebook):
        return f"{path.stem}, {said}"
    if path.read_bytes() != before:
        return f"{path.stem}: it ran, but the file was changed meanwhile; what stands there now was not replaced"
    try:
        replace(path, nbformat.writes(normalise(notebook)) + "\n")
    except OSError as error:
        return f"{path.stem}: it ran, but could not be written ({error.strerror}); the notebook is as it was"
    return None


def run(names: list[str]) -> int:
    """Execute the named notebooks, or those whose code is not that of their stored outputs."""
    paths = chosen(names)
    if not names:
        stored = {path: runner.read(path) for path in paths}
        paths = [p for p, book in stored.items() if book.metadata.get("course", {}).get("code") != runner.digest(book)]
        if not paths:
            print("Every notebook's stored outputs are those of its code; name one with NB=... to run it all the same.")
    generated = str(runner.ROOT / "data" / "generated")  # generators leave their samples there, to be compared
    os.environ.update(runner.KERNEL_ENVIRONMENT, COURSE_STRICT="1", COURSE_KEEP=generated)
    faults = [fault for path in paths if (fault := run_one(path))]
    for fault in faults:
        print(f"not stored: {fault}", file=sys.stderr)
    return bool(faults)


# bench ----------------------------------------------------------------------------------------------------------


def machine() -> str:
    """Describe the processor, its cores and the memory."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, AttributeError):
        processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()).group(1)
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def import_seconds(room: str) -> float:
    """Measure what importing a room costs beyond its third-party imports, with `-X importtime`."""
    command = [sys.executable, "-X", "importtime", "-c", f"import utils.{room}"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    own = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+utils(?:\.\w+)?$", log, re.M)
    return sum(map(int, own)) / 1e6


def bench_one(path: Path) -> tuple[list[str], list[str]]:
    """Run a notebook alone; return its row of the table, and a line for each comparison in its file of the tests."""
    trials = runner.room(path) / "trials.toml"
    compared = tomllib.loads(trials.read_text(encoding="utf-8")).get("bench", {}) if trials.exists() else {}
    probes = {"probe-memory": PEAK_MEMORY, "probe-widgets": DRIVE.read_text(encoding="utf-8")}
    probes |= {f"probe-{number}": code for number, code in enumerate(compared.values())}
    outcome = runner.execute(path, strict=False, probes=probes)
    if outcome.error:
        raise SystemExit(runner.failure(path, outcome.error))
    timed = [c.metadata.papermill for c in runner.code_cells(outcome.notebook) if not c.id.startswith("probe-")]
    seconds = sum(entry.duration for entry in timed)
    peak = int(runner.text_of(outcome.cell("probe-memory")))
    redraws = [1e3 * s for e in json.loads(runner.text_of(outcome.cell("probe-widgets"))) for s in e["seconds"]]
    redraw = f"{sorted(redraws)[int(0.95 * (len(redraws) - 1))]:.0f} ms" if redraws else "-"
    size = path.stat().st_size / 1e6
    found = [runner.text_of(outcome.cell(f"probe-{number}")).strip() for number in range(len(compared))]
    lines = [f"- {path.stem}, {name}: {text}" for name, text in zip(compared, found, strict=True)]
    row = [path.stem, f"{seconds:.0f} s", f"{peak / 2**30:.2f} GiB", redraw, f"{size:.2f} MB", f"{len(outcome.claims)}"]
    return row, lines


def with_table(document: str, mark: str, text: str) -> str:
    """Return a document with the text between its two marks of that name."""
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", document, flags=re.S)
    if count != 1:
        raise SystemExit(f"There is no place for the table: <!-- {mark} --> and <!-- /{mark} -->, each on its line.")
    return new


def bench(names: list[str]) -> int:
    """Run each notebook alone and write the table into the README."""
    rows = [["lesson", "seconds", "peak memory", "redraw (95 %)", "size", "claims"], ["---"] * 6]
    compared = []
    for path in tqdm(chosen(names), desc="bench", disable=None):
        row, lines = bench_one(path)
        rows.append(row)
        compared += lines
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    rooms = sorted(p.stem for p in (runner.ROOT / "utils").glob("[a-z]*.py"))
    imports = ", ".join(f"{room} {import_seconds(room):.2f} s" for room in rooms)
    about = f"Measured alone, one thread, on {machine()}. "
    about += f"Importing a module of utils, beyond the libraries it needs: {imports}."
    text = "\n\n".join(filter(None, [table, "\n".join(compared), about]))
    print(text)
    if not names:
        readme = runner.ROOT / "README.md"
        replace(readme, with_table(readme.read_text(encoding="utf-8"), "bench", text))
    return 0


def figures(names: list[str]) -> int:
    """Write every stored picture to build/figures, to look at them."""
    for path in chosen(names):
        folder = runner.BUILD / "figures" / path.stem
        shutil.rmtree(folder, ignore_errors=True)  # pictures of cells that are no more
        folder.mkdir(parents=True)
        for cell in runner.code_cells(runner.read(path)):
            for number, output in enumerate(cell.outputs):
                if "image/png" in output.get("data", {}):
                    (folder / f"{cell.id}-{number}.png").write_bytes(base64.b64decode(output.data["image/png"]))
        print(folder.relative_to(runner.ROOT))
    return 0


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.commands", description=__doc__)
    parser.add_argument("command", choices=["new", "run", "bench", "figures"])
    parser.add_argument("notebooks", nargs="*", help="names such as 10_cnn; all of them by default")
    given = parser.parse_args()
    if given.command == "new":
        return new(given.notebooks)
    start = time.perf_counter()
    status = {"run": run, "bench": bench, "figures": figures}[given.command](given.notebooks)
    print(f"{given.command}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
