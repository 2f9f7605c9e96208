"""Measures lessons, each alone: seconds, memory, redraw of explorers, size, claims; the table is the README's."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from utils.workshop import kernel, lessons

PEAK_MEMORY = """
import resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


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
    compared = lessons.trials(path).get("bench", {})
    probes = {"probe-memory": PEAK_MEMORY, "probe-widgets": kernel.DRIVE.read_text(encoding="utf-8")}
    probes |= {f"probe-{number}": code for number, code in enumerate(compared.values())}
    outcome = kernel.execute(path, strict=False, probes=probes)
    if outcome.error:
        raise SystemExit(kernel.failure(path, outcome.error))
    timed = [c.metadata.papermill for c in lessons.code_cells(outcome.notebook) if not c.id.startswith("probe-")]
    seconds = sum(entry.duration for entry in timed)
    peak = int(lessons.text_of(outcome.cell("probe-memory")))
    redraws = [1e3 * s for e in json.loads(lessons.text_of(outcome.cell("probe-widgets"))) for s in e["seconds"]]
    redraw = f"{sorted(redraws)[int(0.95 * (len(redraws) - 1))]:.0f} ms" if redraws else "-"
    size = path.stat().st_size / 1e6
    found = [lessons.text_of(outcome.cell(f"probe-{number}")).strip() for number in range(len(compared))]
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


def merged(table: str, measured: dict[str, tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
    """Return the rows and the comparisons of a table with those of the lessons that were measured in their places."""
    rows = {name: "| " + " | ".join(row) + " |" for name, (row, _) in measured.items()}
    compared = {name: lines for name, (_, lines) in measured.items()}
    for path in lessons.find():
        name = path.stem
        if name not in measured:
            kept = re.findall(rf"^\| {name} \| \d+ s \|.*", table, re.M)  # other tables begin with a lesson, too
            rows.update({name: kept[0]} if kept else {})
            compared[name] = re.findall(rf"^- {name}, .*", table, re.M)
    return [rows[name] for name in sorted(rows)], [line for name in sorted(compared) for line in compared[name]]


def bench(names: list[str]) -> int:
    """Run each notebook alone and write its row into the README's table; rows of two machines are not mixed."""
    measured = {}
    for path in tqdm(lessons.find(names), desc="bench", disable=None):
        measured[path.stem] = bench_one(path)
    readme = lessons.ROOT / "README.md"
    document = readme.read_text(encoding="utf-8")
    here = f"Measured alone, one thread, on {machine()}."
    alone = bool(names) and here not in document
    rows, compared = merged("" if alone else document, measured)
    table = "\n".join(["| lesson | seconds | peak memory | redraw (95 %) | size | claims |", "| --- " * 6 + "|", *rows])
    rooms = sorted(p.stem for p in (lessons.ROOT / "utils").glob("[a-z]*.py"))
    imports = ", ".join(f"{room} {import_seconds(room):.2f} s" for room in rooms)
    about = f"{here} Importing a module of utils, beyond the libraries it needs: {imports}."
    text = "\n\n".join(filter(None, [table, "\n".join(compared), about]))
    print(text)
    if alone:
        print("The README's table is of another machine and stays as it is; without names all is measured here.")
    else:
        lessons.replace(readme, with_table(document, "bench", text))
    return 0
