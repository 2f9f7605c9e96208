"""Runs a command with the network cut: `python tests/offline.py COMMAND ...`.

On Linux, where the system allows it, the command gets a network namespace of its own in which only the loopback
interface exists. Elsewhere every Python process below refuses to connect to anything but this machine.
`COURSE_OFFLINE` tells the tests which of the two it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

GUARD = Path(__file__).resolve().parent / "guard"  # its sitecustomize.py is found through PYTHONPATH
RAISE_LOOPBACK = """
import fcntl, socket, struct
request = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, request)  # SIOCSIFFLAGS: the interface starts down in a new namespace
"""


def namespace() -> list[str] | None:
    """Return the command that opens a network namespace here, or None where none is allowed."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return None
    for options in (["-n"], ["-r", "-n"]):  # as root; as a user, in a user namespace too
        trial = ["unshare", *options, sys.executable, "-c", RAISE_LOOPBACK]
        if subprocess.run(trial, capture_output=True).returncode == 0:
            return ["unshare", *options]
    return None


def main(command: list[str]) -> int:
    """Run the command, and return its exit status."""
    if not command:
        print("usage: python tests/offline.py COMMAND ...", file=sys.stderr)
        return 2
    environment = dict(os.environ)
    opened = namespace()
    if opened:
        environment["COURSE_OFFLINE"] = "namespace"
        inside = f"{RAISE_LOOPBACK}\nimport os, sys\nos.execvp(sys.argv[1], sys.argv[1:])"
        return subprocess.run([*opened, sys.executable, "-c", inside, *command], env=environment).returncode
    environment["COURSE_OFFLINE"] = "guard"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), environment.get("PYTHONPATH")]))
    return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
