"""Runs inside a kernel: the cells of a broken notebook in a namespace of their own, up to the first that fails.

All breakages of a lesson are tried in one kernel, so that its libraries load once.
"""

import contextlib
import gc
import io
import types


def bite(cells):
    """Run cells, each an (id, source); return what stopped them (cell, error, claim), or None."""
    from utils import check

    gc.collect()  # what the breakage before left
    check.claims.clear()
    module = types.ModuleType("__main__")
    for identifier, source in cells:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, identifier, "exec"), module.__dict__)
        except BaseException as error:
            claim = check.claims[-1]["name"] if isinstance(error, check.ClaimError) else None
            return {"cell": identifier, "ename": type(error).__name__, "evalue": str(error), "claim": claim}
    return None
