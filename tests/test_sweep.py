"""Sweeps on a real cluster of two workers; most runs are of a stub in a notebook's place, which counts them."""

import contextlib
import csv
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import nbformat
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

from utils.workshop import kernel, lessons, sweep

STUB = """
    import json, os, pathlib, sys, time
    run = json.load(sys.stdin)
    knobs = run["knobs"]
    log = pathlib.Path(sys.argv[1])
    with log.open("a") as file:
        file.write(f"{run['run']}\\n")
    kind = knobs.get("KIND")
    if kind == "killed" or (kind == "killed once" and log.read_text().count(run["run"]) == 1):
        os.kill(os.getpid(), 9)
    if kind == "hangs":
        time.sleep(60)
    if kind == "worker killed" and log.read_text().count(run["run"]) == 1:
        time.sleep(0.5)
        os.kill(int(sys.argv[2]), 9)
        time.sleep(60)
    error = {"error": "10_cnn, cell loss: ValueError: planted"} if kind == "fails" else {}
    seed = knobs["SEED"]
    claims = [{"name": name, "value": seed, "bound": "< 3", "margin": margin, "holds": seed < 3}
              for name, margin in (("a, with a comma", 3 - seed), ("nan", None))]
    claims.append({"name": "exact", "value": seed, "bound": "<= 3", "margin": 0, "holds": True})
    print(json.dumps({"claims": claims, "seconds": 0.1, "versions": "x", "peak_gib": 0.5, **error}))
"""


@pytest.fixture(scope="module")
def client():
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0)
    with cluster, Client(cluster) as connected:
        yield connected


@pytest.fixture
def stub(tmp_path):
    """Return the command of the stub, and a function that counts how often each run was begun."""
    (tmp_path / "stub.py").write_text(textwrap.dedent(STUB))
    log = tmp_path / "log"
    log.touch()
    return [sys.executable, str(tmp_path / "stub.py"), str(log)], lambda: log.read_text().split()


def runs_of(seeds, **knobs):
    return [
        {"run": f"run{seed}{knobs.get('KIND', '')}".replace(" ", ""), "notebook": "10_cnn", "code": "c"}
        | {"knobs": {**knobs, "SEED": seed}}
        for seed in seeds
    ]


def test_the_store_has_a_row_for_each_claim(client, stub, tmp_path):
    command, begun = stub
    file = tmp_path / "sweep" / "claims.sqlite"
    runs = runs_of(range(4))
    done = list(sweep.sweep(runs, file, client, command=command))
    assert len(done) == 4 and len(begun()) == 4
    rows = list(csv.DictReader(sweep.tidy(file).open(newline="")))
    assert len(rows) == 12
    assert {(row["seed"], row["value"], row["holds"]) for row in rows if row["claim"] == "a, with a comma"} == {
        ("0", "0", "True"),
        ("1", "1", "True"),
        ("2", "2", "True"),
        ("3", "3", "False"),
    }
    table = {row["claim"]: row for row in sweep.worst(file, runs)}
    assert table["a, with a comma"] == {
        **{"notebook": "10_cnn", "knobs": "", "claim": "a, with a comma", "runs": 4, "held": 3},
        **{"margin": "0", "seed": "3", "value": "3", "bound": "< 3"},
        "deviations": f"{np.mean([3, 2, 1, 0]) / np.std([3, 2, 1, 0], ddof=1):.1f}",
    }
    assert (table["nan"]["margin"], table["nan"]["deviations"]) == ("-inf", "-inf")
    assert (table["exact"]["held"], table["exact"]["deviations"]) == (4, "inf"), "a margin of 0 may hold"
    assert sweep.worst(file, runs[:3])[0]["runs"] == 3, "runs that were not asked for are left out"
    (drawn,) = sweep.picture(file, runs)
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_that_was_interrupted_goes_on_with_what_is_left(client, stub, tmp_path):
    command, begun = stub
    file = tmp_path / "claims.sqlite"
    begin = sweep.sweep(runs_of(range(2)), file, client, command=command)
    next(begin)
    begin.close()
    before = set(sweep.finished(file))
    assert len(before) == 1
    seen = len(begun())
    done = [run["run"] for run, _ in sweep.sweep(runs_of(range(4)), file, client, command=command)]
    assert sorted(done) == sorted({"run0", "run1", "run2", "run3"} - before)
    assert not before & set(begun()[seen:]), "what had finished is not made again"
    assert set(sweep.finished(file)) == {"run0", "run1", "run2", "run3"}


@pytest.mark.skipif(os.name == "nt", reason="kills a process as POSIX does")
def test_a_sweep_that_is_killed_while_it_stores_keeps_whole_runs(tmp_path):
    """A process stores runs of 500 claims each until it is killed; each run is there whole or not at all."""
    file = tmp_path / "claims.sqlite"
    code = f"""
from pathlib import Path
from utils.workshop import sweep
claims = [{{"name": f'a "b", {{n}}', "value": 1, "bound": "> 0", "margin": 1, "holds": True}} for n in range(500)]
for seed in range(10_000):
    run = {{"run": f"run{{seed}}", "notebook": "10_cnn", "code": "c", "knobs": {{"SEED": seed}}}}
    sweep.keep(Path({str(file)!r}), sweep.rows_of(run, {{"claims": claims, "seconds": 1.0}}))
    print(seed, flush=True)
"""
    for wait in (0.0, 0.013, 0.027):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=lessons.ROOT)
        stored = [int(writer.stdout.readline()) for _ in range(3)]
        time.sleep(wait)
        writer.kill()
        stored += map(int, writer.communicate()[0].split())
        held = sweep.finished(file)
        assert {len(rows) for rows in held.values()} == {500}
        assert {f"run{seed}" for seed in stored} <= set(held), "what it said to have stored is there"


def test_a_run_that_failed_and_then_did_not_is_held_without_its_error(tmp_path):
    file, (run,) = tmp_path / "claims.sqlite", runs_of([0])
    claims = [{"name": name, "value": 1, "bound": "> 0", "margin": 1, "holds": True} for name in "ab"]
    sweep.keep(file, sweep.rows_of(run, {"claims": [], "seconds": 0.0, "error": "in two\nlines"}))
    assert [row["error"] for row in sweep.finished(file)["run0"]] == ["in two lines"]
    sweep.keep(file, sweep.rows_of(run, {"claims": claims, "seconds": 1.0}))
    assert [(row["claim"], row["error"]) for row in sweep.finished(file)["run0"]] == [("a", ""), ("b", "")]


@pytest.mark.parametrize("text", ["run,notebook\n1,10_cnn\n", None])
def test_a_file_that_is_no_store_of_this_version_is_named(tmp_path, text):
    file = tmp_path / "claims.sqlite"
    if text:
        file.write_text(text)
    else:
        with contextlib.closing(sqlite3.connect(file)) as other, other:
            other.execute("CREATE TABLE claims (run, notebook)")
    with pytest.raises(SystemExit, match="is no store of this version .*; move it away, or choose a --name"):
        sweep.finished(file)


def test_a_notebook_that_fails_is_a_row_with_its_error_and_not_the_end(client, stub, tmp_path):
    command, begun = stub
    file = tmp_path / "claims.sqlite"
    list(sweep.sweep(runs_of([0], KIND="fails") + runs_of([1, 2]), file, client, command=command))
    (row,) = sweep.finished(file)["run0fails"]
    assert row["error"] == "10_cnn, cell loss: ValueError: planted" and row["claim"] == ""
    assert begun().count("run0fails") == 1, "an error of the notebook's own would only come again"
    assert len(sweep.finished(file)) == 3
    list(sweep.sweep(runs_of([0], KIND="fails"), file, client, command=command))
    assert begun().count("run0fails") == 2, "a later sweep tries it again: it may be mended"


def test_a_run_that_is_lost_is_tried_again_and_at_last_a_row(client, stub, tmp_path):
    command, begun = stub
    file = tmp_path / "claims.sqlite"
    planned = runs_of([0], KIND="killed") + runs_of([1], KIND="killed once") + runs_of([2])
    list(sweep.sweep(planned, file, client, retries=1, command=command))
    rows = sweep.finished(file)
    assert rows["run0killed"][0]["error"].startswith("RunLostError: its process ended with -9")
    assert not rows["run1killedonce"][0]["error"]
    assert [begun().count(run["run"]) for run in planned] == [2, 2, 1]


def test_a_run_that_hangs_is_ended_at_its_timeout(client, stub, tmp_path):
    file = tmp_path / "claims.sqlite"
    command, _ = stub
    list(sweep.sweep(runs_of([0], KIND="hangs"), file, client, timeout=1, retries=0, command=command))
    assert sweep.finished(file)["run0hangs"][0]["error"] == "RunLostError: took longer than 1 s"


@pytest.mark.skipif(os.name == "nt", reason="kills a process as POSIX does")
def test_killing_a_worker_loses_no_result_and_repeats_no_finished_run(client, stub, tmp_path):
    command, begun = stub
    file = tmp_path / "claims.sqlite"
    planned = runs_of(range(3)) + runs_of([3], KIND="worker killed") + runs_of(range(4, 8))
    finished_first = []
    for run, result in sweep.sweep(planned, file, client, command=command):
        assert not result.get("error")
        finished_first.append(run["run"])
    assert set(sweep.finished(file)) == {run["run"] for run in planned}
    assert begun().count("run3workerkilled") == 2
    for run in planned:
        if run["run"] != "run3workerkilled":
            assert begun().count(run["run"]) == 1


def test_a_real_notebook_claims_in_a_sweep_what_it_claims_alone(client, tmp_path):
    file = tmp_path / "claims.sqlite"
    (path,) = [path for path in lessons.find() if path.stem == "00_start_here"]
    (run,) = sweep.plan([path], {}, [1])
    list(sweep.sweep([run], file, client))
    rows = sweep.finished(file)[run["run"]]
    alone = kernel.execute(path, {"SEED": 1}, strict=False).claims
    assert [(row["claim"], row["value"]) for row in rows] == [(c["name"], str(c["value"])) for c in alone]
    assert all(
        float(row["seconds"]) > 0 and float(row["peak_gib"]) > 0.1 and "torch" in row["versions"] for row in rows
    )


def test_a_run_does_not_keep_house_with_memory_as_a_worker_does(client):
    trim = "MALLOC_TRIM_THRESHOLD_"
    assert set(client.run(os.environ.get, trim).values()) == {"65536"}, "dask gives its workers this no more"
    code = f"import json, os; print(json.dumps(os.environ.get({trim!r})))"
    assert client.submit(sweep.work, {}, 60, [sys.executable, "-c", code]).result() is None


def test_a_run_of_another_version_of_the_notebook_is_not_made():
    assert (
        "of another version" in sweep.one({"notebook": "00_start_here", "code": "old", "knobs": {"SEED": 0}})["error"]
    )


@pytest.mark.skipif(os.name == "nt", reason="ends a process as POSIX does")
def test_a_run_ends_with_its_worker(tmp_path):
    """Otherwise the run would go on beside its second try."""
    code = f"""
import os, subprocess, time
run = subprocess.Popen({sweep.ONE!r} + [str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True)
print(run.pid, flush=True)
time.sleep(60)
"""
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=lessons.ROOT)
    child = int(worker.stdout.readline())
    process = psutil.Process(child)
    while not any(thread for thread in process.threads()[1:]):  # it watches once it has imported what it needs
        pass
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert process.wait(20) is None or not process.is_running()


def test_a_grid_is_every_combination_and_its_runs_have_names_of_their_own(monkeypatch):
    paths = [path for path in lessons.find() if path.stem == "40_value_iteration"]
    runs = sweep.plan(paths, {"EPISODES": [1, 2], "LAKE_SIZE": [16]}, [0, 1, 2])
    assert len({run["run"] for run in runs}) == len(runs) == 6
    assert {(run["knobs"]["EPISODES"], run["knobs"]["LAKE_SIZE"], run["knobs"]["SEED"]) for run in runs} == {
        (episodes, 16, seed) for episodes in (1, 2) for seed in (0, 1, 2)
    }
    assert sweep.plan(paths, {"EPISODES": [1, 2], "LAKE_SIZE": [16]}, [0, 1, 2]) == runs
    assert len(sweep.plan(paths * 2, {"EPISODES": [1, 1]}, [0])) == 1, "the same run is made once"
    with pytest.raises(ValueError, match="SEED is no knob of a grid; --seeds"):
        sweep.plan(paths, {"SEED": [1]}, [0])
    with pytest.raises(ValueError, match="40_value_iteration has no knob EPOCHS; its knobs are .*EPISODES"):
        sweep.plan(paths, {"EPOCHS": [1]}, [0])
    monkeypatch.setattr(lessons, "digest", lambda notebook: "edited")
    again = sweep.plan(paths, {"EPISODES": [1, 2], "LAKE_SIZE": [16]}, [0, 1, 2])
    assert not {run["run"] for run in runs} & {run["run"] for run in again}, "an edited lesson is another run"


@pytest.mark.parametrize(
    "text, read",
    [
        ("EPOCHS=1,2", ("EPOCHS", [1, 2])),
        ("KIND='a','b'", ("KIND", ["a", "b"])),
        ("DATASET=mnist", ("DATASET", ["mnist"])),
    ],
)
def test_values_are_read_as_python_writes_them(text, read):
    assert sweep.values(text) == read


@pytest.mark.parametrize("text", ["EPOCHS", "epochs=1", "=1", "EPOCHS="])
def test_what_is_no_knob_is_named(text):
    with pytest.raises(sweep.argparse.ArgumentTypeError, match="is no knob with values; write one as in EPOCHS=1,2"):
        sweep.values(text)


def test_no_scheduler_there_is_one_sentence():
    with pytest.raises(SystemExit, match="There is no scheduler at 'tcp://127.0.0.1:9'"):
        sweep.connect("tcp://127.0.0.1:9", 1)


def test_the_scheduler_does_many_tasks_that_do_nothing(client):
    assert sweep.dry(200, client).startswith("200 tasks that do nothing: ")


def test_each_setting_of_the_knobs_stands_alone(client, stub, tmp_path):
    command, _ = stub
    file, runs = tmp_path / "claims.sqlite", runs_of([0, 1], KIND="a") + runs_of([2, 3], KIND="b")
    list(sweep.sweep(runs, file, client, command=command))
    table = [row for row in sweep.worst(file, runs) if row["claim"].startswith("a")]
    assert [(row["knobs"], row["runs"], row["held"]) for row in table] == [("KIND='a'", 2, 2), ("KIND='b'", 2, 1)]
    assert {path.name for path in sweep.picture(file, runs)} == {"10_cnn-KIND=-a-.png", "10_cnn-KIND=-b-.png"}


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_sweep_of_no_seeds_is_refused(text):
    command = [sys.executable, "-m", "utils.workshop", "sweep", "run", "00_start_here", "--seeds", text]
    shown = subprocess.run(command, cwd=lessons.ROOT, capture_output=True, text=True)
    assert shown.returncode == 2
    assert f"{text!r} is not accepted; accepted are whole numbers from 1." in shown.stderr


def test_margins_want_every_run(tmp_path):
    command = [sys.executable, "-m", "utils.workshop", "sweep", "margins", "--name", "of nobody"]
    shown = subprocess.run(command, cwd=lessons.ROOT, capture_output=True, text=True)
    assert shown.returncode == 1 and "lacks" in shown.stderr and "Traceback" not in shown.stderr


def test_a_line_a_lesson_names_the_narrowest():
    rows = [("wide", 10, "9.0"), ("narrow", 9, "1.2")]
    table = [{"notebook": "10_cnn", "claim": name, "runs": 10, "held": held, "deviations": d} for name, held, d in rows]
    assert sweep.summary(table).splitlines()[2:] == ["| 10_cnn | 2 | 10 | 1 | narrow: 1.2 |"]


def test_margins_are_kept_in_the_lesson_s_folder_with_the_code(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    row = {"claim": "a", "runs": 10, "held": 10, "deviations": "9.0", "margin": "1", "seed": "0", "value": "2"}
    table = [{"notebook": name, "knobs": "", **row, "bound": "> 1"} for name in ("10_cnn", "10_cnn", "50_pca_tsne")]
    sweep.write_margins(table, {"10_cnn": "of ten", "50_pca_tsne": "of fifty"})
    kept = {path.parent.name: path.read_text().splitlines() for path in tmp_path.rglob("margins.csv")}
    assert kept["50_pca_tsne"] == [",".join(sweep.MARGINS), "of fifty,a,10,10,9.0,1,0,2,> 1"]
    assert len(kept["10_cnn"]) == 3


def test_margins_are_of_the_code_up_to_the_last_claim():
    code = nbformat.v4.new_code_cell
    before, claim, after = code("x = 1"), code('check.finding("x is {value}.", x, above=0)'), code("y = 2")
    mark = lessons.claims_digest(nbformat.v4.new_notebook(cells=[before, claim, after]))
    assert mark == lessons.claims_digest(nbformat.v4.new_notebook(cells=[before, claim]))
    after.source = "check_y(y)  # an exercise"
    assert mark == lessons.claims_digest(nbformat.v4.new_notebook(cells=[before, claim, after]))
    after.outputs = [nbformat.v4.new_output("display_data", metadata={"claim": {"name": "made by a function"}})]
    assert mark != lessons.claims_digest(nbformat.v4.new_notebook(cells=[before, claim, after]))
    before.source = "x = 3"
    assert mark != lessons.claims_digest(nbformat.v4.new_notebook(cells=[before, claim]))


@pytest.mark.parametrize("path", lessons.find(), ids=lambda path: path.stem)
def test_kept_margins_are_of_this_code_and_every_claim_held(path):
    file = lessons.room(path) / "margins.csv"
    if not file.exists():
        pytest.skip(f"{path.stem} has changed since its last ten seeds")
    with file.open(encoding="utf-8", newline="") as kept:
        table = list(csv.DictReader(kept))
    book = lessons.read(path)
    assert {row["code"] for row in table} == {lessons.claims_digest(book)}, (
        "of older code; sweep again, or take the file away"
    )
    assert {row["claim"] for row in table} == {claim["name"] for claim in lessons.claims_of(book)}
    assert min(int(row["runs"]) for row in table) >= 10
    assert {row["claim"] for row in table if int(row["held"]) < int(row["runs"])} == set()
