"""Runs of many notebooks, knobs and seeds on dask.distributed: `python -m utils.workshop sweep run | dry | margins`.

Each run is a task: papermill in a process of its own, with a timeout. What it claimed, or what stopped it, is stored
as it finishes; a sweep that is begun again goes on with the runs that are not in the store. At its end a tidy CSV is
written from the store.
"""

import argparse
import ast
import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import os
import platform
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, as_completed
from tqdm import tqdm

from utils.workshop import bench, kernel, lessons

COLUMNS = ["run", "notebook", "code", "seed", "knobs", "claim", "value", "bound", "margin", "holds"]
COLUMNS += ["seconds", "peak_gib", "versions", "error"]
ONE = [sys.executable, "-m", "utils.workshop", "sweep", "one"]
NARROW = 3  # standard deviations from the bound
MARGINS = ["code", "claim", "runs", "held", "deviations", "margin", "seed", "value", "bound"]  # what is kept of them


class RunLostError(RuntimeError):
    """A run ended without a result: its process was killed or took too long; it is tried again."""


def plan(paths: list[Path], knobs: dict[str, list[Any]], seeds: list[int]) -> list[dict[str, Any]]:
    """List the runs of a grid: every notebook with every combination of knobs and every seed, each once.

    Errors: ValueError for a knob that one of the notebooks does not have, and for SEED, which has an option of its own.
    """
    if "SEED" in knobs:
        raise ValueError("SEED is no knob of a grid; --seeds (with make: SEEDS=) says how many seeds are run.")
    runs = {}
    for path in paths:
        known = kernel.knobs(path)
        unknown = sorted(set(knobs) - set(known))
        if unknown:
            raise ValueError(f"{path.stem} has no knob {', '.join(unknown)}; its knobs are {', '.join(known)}.")
        code = lessons.claims_digest(lessons.read(path))
        for *values, seed in itertools.product(*knobs.values(), seeds):
            run = {
                "notebook": path.stem,
                "code": code,
                "knobs": {**dict(zip(knobs, values, strict=True)), "SEED": seed},
            }
            name = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]
            runs[name] = {"run": name, **run}
    return list(runs.values())


# one run, on a worker -------------------------------------------------------------------------------------------


def work(run: dict[str, Any], timeout: float, command: list[str]) -> dict[str, Any]:
    """Make one run in a process of its own, and return what came of it.

    `command` is given the worker's process id; it reads the run and prints the result, both as JSON.

    Errors: RunLostError if the process was killed or did not end in `timeout` seconds; then dask tries again.
    """
    # dask makes its workers hand freed memory back at once; in a run of its own that made 10_cnn a third slower
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_TRIM_THRESHOLD_"}
    process = subprocess.Popen(
        [*command, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=lessons.ROOT,
        env=environment,
        start_new_session=True,
    )
    try:
        answer, errors = process.communicate(json.dumps({**run, "timeout": timeout}), timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        raise RunLostError(f"took longer than {timeout:g} s") from None
    if process.returncode:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise RunLostError(f"its process ended with {process.returncode}: {last}")
    return json.loads(answer)


def _end(process: subprocess.Popen) -> None:
    """End a run and the kernel that it started."""
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _end_with(parent: int) -> None:
    """End this process when the worker that started it is gone, so that a run is not made twice at a time."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def one(run: dict[str, Any]) -> dict[str, Any]:
    """Execute a notebook with the knobs of a run; an error in it is a result as well."""
    (path,) = lessons.find([run["notebook"]])
    start = time.perf_counter()
    if lessons.claims_digest(lessons.read(path)) != run["code"]:
        return {"claims": [], "seconds": 0.0, "error": f"this machine's {path.stem} is of another version"}
    probes = {"probe-memory": bench.PEAK_MEMORY}
    outcome = kernel.execute(path, run["knobs"], strict=False, probes=probes, cell_timeout=run["timeout"])
    result = {"claims": outcome.claims, "seconds": time.perf_counter() - start}
    result["versions"] = f"Python {platform.python_version()}, torch {version('torch')}, numpy {version('numpy')}"
    if outcome.error:
        return {**result, "error": kernel.failure(path, outcome.error)}
    return {**result, "peak_gib": int(lessons.text_of(outcome.cell("probe-memory"))) / 2**30}


# the store ------------------------------------------------------------------------------------------------------


def rows_of(run: dict[str, Any], result: dict[str, Any]) -> list[dict[str, str]]:
    """Write a run as rows: one for each claim, or one with its error."""
    shared = {**dict.fromkeys(COLUMNS, ""), **{name: run[name] for name in ("run", "notebook", "code")}}
    shared |= {"seed": str(run["knobs"]["SEED"]), "knobs": json.dumps(run["knobs"])}
    shared |= {"versions": result.get("versions", ""), "error": " ".join(result.get("error", "").split())}
    shared["seconds"] = f"{result['seconds']:.1f}"
    shared["peak_gib"] = f"{result['peak_gib']:.3f}" if "peak_gib" in result else ""
    claims = [] if shared["error"] else result["claims"]
    return [
        {**shared, "claim": c["name"], "value": str(c["value"]), "bound": c["bound"], "holds": str(c["holds"])}
        | {"margin": "-inf" if c["margin"] is None else str(c["margin"])}  # JSON has no infinity
        for c in claims
    ] or [shared]


@contextlib.contextmanager
def store(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the store, and keep what was done in it as a whole or not at all.

    Errors: SystemExit if the file is something else.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as held:
        try:
            held.execute(f"CREATE TABLE IF NOT EXISTS claims ({', '.join(COLUMNS)})")
            held.execute(f"SELECT {', '.join(COLUMNS)} FROM claims LIMIT 0")
        except sqlite3.DatabaseError as error:
            raise SystemExit(
                f"{file} is no store of this version ({error}); move it away, or choose a --name."
            ) from None
        with held:
            yield held


def finished(file: Path) -> dict[str, list[dict[str, str]]]:
    """Read the runs that the store holds, each with its rows."""
    found = defaultdict(list)
    if not file.exists():
        return {}
    with store(file) as held:
        for row in held.execute(f"SELECT {', '.join(COLUMNS)} FROM claims ORDER BY rowid"):
            found[row[0]].append(dict(zip(COLUMNS, row, strict=True)))
    return dict(found)


def keep(file: Path, rows: list[dict[str, str]]) -> None:
    """Store the rows of one run, in the place of those that it had."""
    with store(file) as held:
        held.execute("DELETE FROM claims WHERE run = ?", (rows[0]["run"],))
        held.executemany(f"INSERT INTO claims VALUES ({', '.join(f':{name}' for name in COLUMNS)})", rows)


def tidy(file: Path) -> Path:
    """Write what the store holds as a CSV beside it, a row for each claim of each run."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(itertools.chain(*finished(file).values()))
    file.with_suffix(".csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    return file.with_suffix(".csv")


# the sweep ------------------------------------------------------------------------------------------------------


def sweep(
    runs: list[dict[str, Any]],
    file: Path,
    client: Client,
    timeout: float = 900,
    retries: int = 2,
    command: list[str] = ONE,
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Make the runs that the store does not hold without an error, store each as it finishes, and yield it."""
    held = {name for name, rows in finished(file).items() if not rows[0]["error"]}
    left = {run["run"]: run for run in runs if run["run"] not in held}
    futures = [client.submit(work, run, timeout, command, key=name, retries=retries) for name, run in left.items()]
    for future in as_completed(futures):
        run = left[future.key]
        try:
            result = future.result()
        except Exception as error:  # lost more often than it may be tried; the sweep goes on
            result = {"claims": [], "seconds": 0.0, "error": f"{type(error).__name__}: {error}"}
        keep(file, rows_of(run, result))
        future.release()
        yield run, result


def connect(scheduler: str | None, workers: int) -> Client:
    """Connect to a scheduler that runs, or start one here with `workers` processes of one thread."""
    if scheduler:
        try:
            return Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise SystemExit(
                f"There is no scheduler at {scheduler!r} ({error}); an address is tcp://HOST:8786."
            ) from None
    return Client(LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=0))


def knobs_of(run: dict[str, Any]) -> str:
    """Write the knobs that a run turns, all but its seed."""
    return ", ".join(f"{name}={value!r}" for name, value in run["knobs"].items() if name != "SEED")


def claims_of(file: Path, runs: list[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, str]]]:
    """Gather the rows of each (notebook, knobs, claim) from these runs; what the store holds of others is left out."""
    found, held = defaultdict(list), finished(file)
    for run in runs:
        for row in held.get(run["run"], []):
            if row["claim"]:
                found[run["notebook"], knobs_of(run), row["claim"]].append(row)
    return found


def worst(file: Path, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each claim in these runs, with each setting of the knobs, how often it held and how narrowly.

    `margin` is the smallest, with its seed and value; `deviations` is the mean margin over its standard deviation.
    """
    table = []
    for (notebook, knobs, claim), rows in claims_of(file, runs).items():
        margins = [float(row["margin"]) for row in rows]
        least = rows[margins.index(min(margins))]
        spread = statistics.stdev(margins) if len(margins) > 1 and all(map(math.isfinite, margins)) else 0
        alike = "inf" if min(margins) >= 0 else "-inf"
        deviations = f"{statistics.mean(margins) / spread:.1f}" if spread else alike
        held = sum(row["holds"] == "True" for row in rows)
        row = {"notebook": notebook, "knobs": knobs, "claim": claim, "runs": len(rows), "held": held}
        row |= {"deviations": deviations, **{name: least[name] for name in ("margin", "seed", "value", "bound")}}
        table.append(row)
    return table


def summary(table: list[dict[str, Any]]) -> str:
    """Write one line a lesson: how many claims, over how many runs, how many held in all, and the narrowest."""
    lines = [
        "| lesson | claims | runs | held in every run | narrowest, in standard deviations from its bound |",
        "|---" * 5 + "|",
    ]
    for notebook, rows in itertools.groupby(table, lambda row: row["notebook"]):
        rows = list(rows)
        narrow = min(rows, key=lambda row: float(row["deviations"]))
        always, runs = sum(row["held"] == row["runs"] for row in rows), min(row["runs"] for row in rows)
        lines.append(f"| {notebook} | {len(rows)} | {runs} | {always} | {narrow['claim']}: {narrow['deviations']} |")
    return "\n".join(lines)


def write_margins(table: list[dict[str, Any]], codes: dict[str, str]) -> None:
    """Keep the rows of each notebook in its folder of the tests, with the fingerprint of the code that was run."""
    for notebook, rows in itertools.groupby(table, lambda row: row["notebook"]):
        text = io.StringIO()
        writer = csv.DictWriter(text, MARGINS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "code": codes[notebook]} for row in rows)
        file = lessons.room(Path(notebook)) / "margins.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def picture(file: Path, runs: list[dict[str, Any]]) -> list[Path]:
    """Draw, for each notebook, the margin of every claim in these runs; left of the line it fails."""
    from utils import plot

    plot.use_style()
    found, files = defaultdict(dict), []
    for (notebook, knobs, claim), rows in claims_of(file, runs).items():
        found[f"{notebook} {knobs}".strip()][claim] = [float(row["margin"]) for row in rows]
    for which, claims in found.items():
        fig, ax = plot.panels(height=1 + 0.16 * len(claims), width=9)
        for place, (_, margins) in enumerate(reversed(claims.items())):
            widest = max((abs(margin) for margin in margins if math.isfinite(margin)), default=0) or 1
            colours = [plot.MODEL if margin >= 0 else plot.ERROR for margin in margins]
            ax.scatter(
                [max(-1.1, min(1.1, margin / widest)) for margin in margins], [place] * len(margins), 12, colours
            )
        ax.axvline(0, color="black", linestyle="--")
        ax.set_yticks(range(len(claims)), [name[:70] for name in reversed(claims)], fontsize=7)
        ax.set_xlabel("margin, as a share of the claim's widest")
        ax.set_title(f"{which}: {len(claims)} claims in {max(map(len, claims.values()))} runs", loc="left")
        files.append(file.with_name(re.sub(r"[^\w.=-]+", "-", which) + ".png"))
        files[-1].write_bytes(plot.png(fig))
    return files


def values(text: str) -> tuple[str, list[Any]]:
    """Read `NAME=1,2` as a knob and its values."""
    name, _, values = text.partition("=")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or not values:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no knob with values; write one as in EPOCHS=1,2 or KIND='a','b'."
        )
    try:
        read = ast.literal_eval(f"[{values}]")
    except (SyntaxError, ValueError):
        read = values.split(",")
    return name, read


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; accepted are whole numbers from 1.")
    return int(text)


def dry(count: int, client: Client) -> str:
    """Measure what the scheduler itself costs: tasks that do nothing."""
    client.gather(client.map(abs, range(100), pure=False))
    start = time.perf_counter()
    futures = client.map(abs, range(count), pure=False)
    done = sum(1 for _ in as_completed(futures))
    seconds = time.perf_counter() - start
    return f"{done:,} tasks that do nothing: {seconds:.1f} s, {1e3 * seconds / done:.2f} ms each"


def watch(runs: list[dict[str, Any]], results: Iterator[tuple[dict, dict]], file: Path, name: str) -> int:
    """Show a bar while the runs are made, say what failed, and return how many did."""
    failed = 0
    with tqdm(total=len(runs), desc=name, disable=None) as bar:
        held = {name for name, rows in finished(file).items() if not rows[0]["error"]}
        bar.update(sum(run["run"] in held for run in runs))
        for run, result in results:
            bar.update()
            if result.get("error"):
                failed += 1
                bar.write(f"{run['notebook']} {run['knobs']}: {result['error']}")
    return failed


def options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of a sweep."""
    commands = parser.add_subparsers(dest="step", required=True)
    on = argparse.ArgumentParser(add_help=False)
    on.add_argument("--scheduler", help="the address of one that runs, tcp://HOST:8786; by default one is started here")
    on.add_argument("--workers", type=count, default=os.cpu_count(), help="processes, where one is started here")
    on.add_argument("--name", default="seeds", help="the folder under build/sweep")
    begin = commands.add_parser("run", parents=[on], help="make the runs of a grid")
    begin.add_argument("notebooks", nargs="*", help="names such as 10_cnn; all of them by default")
    begin.add_argument("--seeds", type=count, default=10, help="how many")
    begin.add_argument("--set", dest="knobs", type=values, action="append", default=[], help="as in EPOCHS=1,2")
    begin.add_argument("--timeout", type=count, default=900, help="seconds a run may take")
    begin.add_argument("--retries", type=int, choices=range(10), default=2, metavar="0..9", help="tries of a lost run")
    commands.add_parser("dry", parents=[on], help="what the scheduler costs").add_argument("count", type=count)
    margins = commands.add_parser("margins", help="write what the runs of all lessons say of each claim")
    margins.add_argument("--name", default="seeds", help="the folder under build/sweep")
    margins.add_argument("--seeds", type=count, default=10, help="how many")
    margins.add_argument("notebooks", nargs="*", metavar="NB", help="whose lines are written; all by default")
    margins.set_defaults(knobs=[])
    commands.add_parser("one").add_argument("parent", type=int)  # what a worker starts


def main(options: argparse.Namespace) -> int:
    """Do what the options say; return the exit status."""
    if options.step == "one":
        if os.name != "nt":
            threading.Thread(target=_end_with, args=(options.parent,), daemon=True).start()
        print(json.dumps(one(json.load(sys.stdin))))
        return 0
    file = lessons.BUILD / "sweep" / options.name / "claims.sqlite"
    if options.step == "dry":
        with connect(options.scheduler, options.workers) as client:
            print(dry(options.count, client))
        return 0
    try:
        named = [name for name, _ in options.knobs]
        if len(set(named)) < len(named):
            raise ValueError(f"A knob was set twice ({', '.join(named)}); write its values in one, as in EPOCHS=1,2.")
        runs = plan(lessons.find(options.notebooks), dict(options.knobs), list(range(options.seeds)))
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if options.step == "margins":
        held = finished(file)
        missing = [run for run in runs if run["run"] not in held or held[run["run"]][0]["error"]]
        if missing:
            lacks = ", ".join(sorted({run["notebook"] for run in missing}))
            raise SystemExit(f"{file} lacks {len(missing)} of {len(runs)} runs ({lacks}); make sweep makes them.")
        found = worst(file, runs)
        write_margins(found, {run["notebook"]: run["code"] for run in runs})
        print(summary(found))
        return 0
    try:
        with connect(options.scheduler, options.workers) as client:
            failed = watch(runs, sweep(runs, file, client, options.timeout, options.retries), file, options.name)
    except KeyboardInterrupt:
        kept = len(finished(file).keys() & {run["run"] for run in runs})
        print(f"\nStopped. {kept} of {len(runs)} runs are in {file.relative_to(lessons.ROOT)}; begun again it goes on.")
        return 1
    for row in worst(file, runs):
        if len(options.notebooks) == 1 or row["held"] < row["runs"] or float(row["deviations"]) < NARROW:
            which, margin = f"{row['notebook']} {row['knobs']}".strip(), f"{float(row['margin']):9.3g}"
            print(f"{which}  {row['held']}/{row['runs']}  margin {margin}  {row['claim']}: ", end="")
            print(f"{row['value']} ({row['bound']}, seed {row['seed']})")
    for drawn in picture(file, runs):
        print(drawn.relative_to(lessons.ROOT))
    print(f"{tidy(file).relative_to(lessons.ROOT)}: {len(runs)} runs, {failed} failed")
    return bool(failed)
