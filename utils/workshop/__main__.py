"""The workshop's command line: `python -m utils.workshop new | run | figures | bench | sweep | quick | prove | ...`."""

import argparse
import os
import re
import sys
import time
from pathlib import Path

from utils.workshop import bench, lanes, mystery, new, progress, run, sweep

ON_LESSONS = {
    "run": (run.run, "execute the notebooks that changed, in place"),
    "figures": (run.figures, "write every stored picture to build/figures"),
    "bench": (bench.bench, "seconds, memory and redraw time of each notebook alone"),
}
TESTS = {
    "quick": (lanes.quick, "a writer's inner loop: form, defaults, second seed, widgets, exercises, other knobs"),
    "prove": (lanes.prove, "prove in full what changed, and write down that it is proved"),
    "test": (lanes.test, "every lane, with the network cut; of lessons proved before, two again"),
    "browser": (lanes.browser, "every notebook, page and slide in a real browser"),
}


def part(text: str) -> str:
    """Read which part of how many, as in 2/3."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not accepted; accepted is a part of several, as in 2/3.")
    return text


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and do what it says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.workshop", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    named = {"nargs": "*", "metavar": "NB", "help": "names such as 10_cnn; all of them by default"}
    begin = commands.add_parser("new", help="begin a lesson from the template")
    begin.add_argument("names", nargs="*", metavar="NB", help="its name, such as 22_transformers")
    for name, (_, text) in ON_LESSONS.items():
        commands.add_parser(name, help=text).add_argument("names", **named)
    for name, (_, text) in TESTS.items():
        lane = commands.add_parser(name, help=text)
        lane.add_argument("names", **named)
        lane.add_argument("--workers", type=sweep.count, default=os.cpu_count() or 1, help="processes")
        if name == "test":
            lane.add_argument("--part", type=part, help="one part of several, as in 2/3")
            lane.add_argument("--everything", action="store_true", help="take no row of the ledger for proof")
    bug = commands.add_parser("mystery", help="a lesson with a bug in it, to be found; or its hints; or the check")
    bug.add_argument("name", metavar="NB", help="its name, such as 10_cnn")
    bug.add_argument("--seed", type=int, default=1, help="which bug")
    asked = bug.add_mutually_exclusive_group()
    asked.add_argument("--hint", type=int, choices=(1, 2, 3), help="the section, what fell first, or the line")
    asked.add_argument("--check", action="store_true", help="say whether it is mended")
    far = commands.add_parser("progress", help="how far a reader is, from the notebooks as they are saved")
    far.add_argument("folder", nargs="?", metavar="DIR", help="where they lie; by default notebooks")
    sweep.options(commands.add_parser("sweep", help="every claim over many seeds"))
    options = parser.parse_args(arguments)
    if options.command == "new":
        return new.new(options.names)
    if options.command == "sweep":
        return sweep.main(options)
    if options.command == "mystery":
        return mystery.mystery(Path(options.name).stem, options.seed, options.hint, options.check)
    if options.command == "progress":
        return progress.progress(options.folder)
    if options.command in TESTS:
        more = {"part": options.part, "everything": options.everything} if options.command == "test" else {}
        return TESTS[options.command][0](options.names, options.workers, **more)
    start = time.perf_counter()
    status = ON_LESSONS[options.command][0](options.names)
    print(f"{options.command}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
