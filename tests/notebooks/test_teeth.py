"""The teeth lane: break the idea of each lesson on purpose; a named claim must notice."""

import functools
import json
import os
import subprocess
import sys

import pytest

from utils.workshop import kernel, lessons


def breakages():
    """Find every breakage of every lesson."""
    for path in lessons.find():
        for number, entry in enumerate(lessons.trials(path).get("breakage", [])):
            yield pytest.param(path, number, id=f"{path.stem}-{entry['name']}")


@functools.cache
def bitten(path):
    """Try every breakage of a lesson in one process; return what stopped each, and last what stopped the lesson."""
    command = [sys.executable, "-m", "tests.notebooks.bite", path.stem]
    environment = {**os.environ, **kernel.KERNEL_ENVIRONMENT, "COURSE_STRICT": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=lessons.ROOT, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else [done.stderr.strip().splitlines()[-1]]


@pytest.mark.parametrize(("path", "number"), list(breakages()))
def test_breakage_is_noticed(path, number):
    entry = lessons.trials(path)["breakage"][number]
    *stops, whole = bitten(path)
    assert not whole, f"{path.stem} as it stands: {whole}"
    stop = stops[number]
    assert stop, f"{path.stem}: {entry['name']}: every claim still holds"
    said = f"cell {stop['cell']}: {stop['ename']}: {stop['evalue']}"
    assert stop["claim"], f"{entry['name']} should fail a claim, not stop with {said}"
    assert entry["fails"] in stop["claim"], f"{entry['name']} should fail {entry['fails']!r}, and failed {said}"
