"""Says whether an answer or a claim holds, and where to look if not."""

import contextlib
import copy
import functools
import html
import inspect
import math
import os
import re
import string
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np
from IPython import get_ipython
from IPython.display import display
from numpy.typing import ArrayLike

Case = tuple[tuple[Any, ...], Any]  # the arguments, and what is expected

claims: list[dict[str, Any]] = []  # every claim made so far: name, value, bound, holds, margin
_gathered: list[tuple[dict[str, Any], str]] | None = None  # the claims of the evidence that is being made, if one is


class ClaimError(AssertionError):
    """A claim that does not hold, raised only where COURSE_STRICT=1 (the tests)."""


def claim(
    name: str,
    value: float,
    *,
    above: float | None = None,
    below: float | None = None,
    between: tuple[float, float] | None = None,
    close_to: tuple[float, float] | None = None,
    equals: object = None,
) -> None:
    """State a finding and show the number beside its bound.

    Exactly one bound is given: `above`, `below`, `between=(low, high)`, `close_to=(target, tolerance)`
    or `equals`. A claim that fails shows an amber line; under COURSE_STRICT=1 it raises ClaimError.

    Errors: ValueError if there is not exactly one bound, TypeError if a number is wanted and none was given.
    """
    bounds = {"above": above, "below": below, "between": between, "close_to": close_to, "equals": equals}
    _report(name, *_measure(name, value, bounds))


def finding(
    sentence: str,
    value: float,
    *,
    above: float | None = None,
    below: float | None = None,
    between: tuple[float, float] | None = None,
    close_to: tuple[float, float] | None = None,
    equals: object = None,
    **numbers: float,
) -> None:
    """State a finding as a whole sentence with its numbers inside, and its bound small behind it.

    `sentence` is a format string: {value}, the number that is held to the bound, and any further {name}
    given in `numbers`, as in "The network reads {value:.1f} % of unseen digits, a guess {guess:.0f} %."
    Where {value} does not stand in the sentence, it is shown with its bound. The record's name is the sentence
    with … in place of its numbers. Bounds and failures are those of `claim`.

    Errors: those of `claim`; ValueError for a number that is in no place of the sentence, or a place without one.
    """
    places = set(re.findall(r"{(\w+)", sentence))
    if places - {"value"} != set(numbers):
        raise ValueError(f"The finding has places for {sorted(places)} and was given value and {sorted(numbers)}.")
    bounds = {"above": above, "below": below, "between": between, "close_to": close_to, "equals": equals}
    name = finding_name(sentence)
    shown, bound, margin, strictly = _measure(name, value, bounds)
    value = float(value.detach()) if hasattr(value, "detach") else value
    text = sentence.format(value=value, **{key: _plain(number) for key, number in numbers.items()})
    _report(name, shown, bound, margin, strictly, text, bound if "value" in places else f"{shown} {bound}")


def finding_name(sentence: str) -> str:
    """Return the name under which a finding is recorded: its sentence with … in place of the numbers."""
    return re.sub(r"{[^{}]*}", "…", sentence)


@contextlib.contextmanager
def evidence(title: str) -> Iterator[None]:
    """Gather the claims and agreements made inside into one folded line that says how many hold.

    Where one does not, the line turns amber and stands open.

    Errors: ValueError if nothing was claimed inside.
    """
    global _gathered
    outer, _gathered = _gathered, []
    try:
        yield
        if not _gathered:
            raise ValueError(f"evidence {title!r} holds no claim.")
    finally:
        inside, _gathered = _gathered, outer
        if inside:
            _show_evidence(title, inside)


def _show_evidence(title: str, inside: list[tuple[dict[str, Any], str]]) -> None:
    failed = sum(not record["holds"] for record, _ in inside)
    line = f"evidence, {title}: " + (f"{failed} of {len(inside)} do not hold" if failed else f"{len(inside)} hold")
    plain = "\n".join([line, *(f"  {text}" for _, text in inside)])
    rows = "<br>".join(html.escape(text) for _, text in inside)
    style = ' open style="color:#b45309"' if failed else ""
    folded = f"<details{style}><summary>{html.escape(line)}</summary>{rows}</details>"
    if get_ipython() is None:
        print(plain)
    else:
        bundle = {"text/plain": plain, "text/html": folded}
        display(bundle, raw=True, metadata={"claims": [_strict_json(record) for record, _ in inside]})


def _measure(name: str, value: Any, bounds: dict[str, Any]) -> tuple[str, str, float, bool]:
    """Return a value and its bound as texts, the margin, and whether the margin must be more than 0."""
    stated = {kind: bound for kind, bound in bounds.items() if bound is not None}
    if len(stated) != 1:
        raise ValueError(f"claim {name!r} has {len(stated)} bounds; give exactly one of {', '.join(bounds)}.")
    ((kind, bound),) = stated.items()
    if kind == "equals":
        value, bound = _plain(value), _plain(bound)
        return f"{value}", f"= {bound}", 0.0 if value == bound else -1.0, False
    value = _number(name, value)
    if kind in ("above", "below"):
        bound = _number(name, bound)
        shown, limit = _apart(value, bound)
        sign, margin = (">", value - bound) if kind == "above" else ("<", bound - value)
        return shown, f"{sign} {limit}", margin, True
    if not isinstance(bound, tuple | list) or len(bound) != 2:
        raise TypeError(f"claim {name!r}: {kind} takes two numbers; it was given {_describe(bound)}.")
    first, second = (_number(name, number) for number in bound)
    if kind == "between":
        margin = float(np.minimum(value - first, second - value))  # unlike min, it passes a NaN on
        return f"{value:.4g}", f"from {first:.4g} to {second:.4g}", margin, False
    return f"{value:.4g}", f"{first:.4g} within {second:.2g}", second - abs(value - first), False


def agree(name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float = 1e-6) -> None:
    """State that two results agree, and show their largest difference beside the tolerance.

    Shapes must be the same. Equal infinities agree; NaN agrees with nothing.
    Like a claim, it shows an amber line when it fails and raises under COURSE_STRICT=1.

    Errors: TypeError if either is not made of numbers.
    """
    for values in (ours, theirs):
        if not _is_numeric(values):
            raise TypeError(f"agreement {name!r} needs numbers; it was given {_describe(values)}.")
    ours, theirs = _array(ours), _array(theirs)
    if ours.shape != theirs.shape:
        _report(name, f"shape {ours.shape}", f"shape {theirs.shape}", -math.inf)
        return
    difference = float(_gap(ours, theirs).max()) if ours.size else math.nan
    limit = f"{tolerance:.0e}" if float(f"{tolerance:.0e}") == tolerance else f"{tolerance:.2e}"
    _report(name, f"largest difference {difference:.1e}", f"<= {limit}", tolerance - difference)


def _report(
    name: str, value: str, bound: str, margin: float, strictly: bool = False, sentence: str = "", behind: str = ""
) -> None:
    """Record a claim and show it: a sentence with its bound `behind` it, or the name with value and bound."""
    holds = margin > 0 if strictly else margin >= 0  # NaN holds nothing
    record = {"name": name, "value": value, "bound": bound, "margin": margin, "holds": holds}
    claims.append(record)
    if holds:
        line = f"✔ {sentence} ({behind})" if sentence else f"✔ {name}: {value} ({bound})"
        bundle = {"text/plain": line}
        if sentence:
            kept = html.escape(behind).replace(" ", "&nbsp;")  # in one piece
            small = f'<small style="opacity: 0.75">({kept})</small>'
            bundle["text/html"] = f"<span>✔ {html.escape(sentence)} {small}</span>"
    else:
        line = f"▲ {name}: {value}, wanted {bound}"
        why = "Does this setting break the idea, or only the number?"
        amber = f'<span style="color:#b45309">{html.escape(line)}. {why}</span>'
        bundle = {"text/plain": line, "text/html": amber}
    if _gathered is not None:
        _gathered.append((record, line))
    elif get_ipython() is None:
        print(line)
    else:
        display(bundle, raw=True, metadata={"claim": _strict_json(record)})
    if not holds and os.environ.get("COURSE_STRICT") == "1":
        raise ClaimError(f"claim {name!r} does not hold: {value}, wanted {bound}")


def _strict_json(record: dict[str, Any]) -> dict[str, Any]:
    """Strict JSON knows no infinity."""
    return {**record, "margin": record["margin"] if math.isfinite(record["margin"]) else None}


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"claim {name!r} needs a single number; it was given {_describe(value)}.") from error


def _array(values: Any) -> np.ndarray:
    detach = getattr(values, "detach", None)
    if isinstance(values, list | tuple) and any(hasattr(value, "detach") for value in values):
        values = [_array(value) for value in values]
    return np.asarray(detach().cpu().numpy() if detach else values)


def _gap(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return how far apart the numbers are; as floats, since booleans do not subtract and uint8 wraps around."""
    ours, theirs = (values.astype(complex if values.dtype.kind == "c" else float) for values in (ours, theirs))
    with np.errstate(invalid="ignore"):  # inf - inf
        return np.where(ours == theirs, 0.0, np.abs(ours - theirs))


def _plain(value: Any) -> Any:
    """Turn tensors and arrays into plain lists and numbers, which compare and print well."""
    return _array(value).tolist() if hasattr(value, "tolist") else value


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    return " ".join(f"{type(value).__name__} {value!r}".split())[:80]  # one line, whatever its repr


# Exercises ------------------------------------------------------------------------------------------------------

RIGHT_VERSION = "the right version"


class NotRightError(AssertionError):
    """An answer that is not right, raised only where nbgrader runs the notebook: there an error means no points."""


_wrong_so_far: dict[str, int] = {}  # how often each exercise was checked with an answer that was not right


def exercise(
    name: str,
    answer: Callable[..., Any],
    cases: Sequence[Case],
    mistakes: dict[str, Callable[..., Any]] | None = None,
    tolerance: float = 1e-4,
    hints: Sequence[str] = (),
    without: Sequence[str] = (),
    names: Sequence[str] = (),
) -> None:
    """Try an answer on every case and print a verdict: not attempted, not yet (with hints), or right.

    `cases` are pairs (arguments, expected). `mistakes` maps a hint to the wrong function that deserves it.
    `hints` are three, in order: the property that fails, the likely mistake, the first step. Each run of the check
    with an answer that is not right shows one more; a mistake that is recognised takes the place of the second.
    Without `hints` a recognised mistake is named at once. `without` names what the task excludes, such as "softmax":
    an answer whose code uses it is not right. Nothing that the answer does raises here. `names` are for `prosecute`.
    When nbgrader grades or validates (it sets NBGRADER_EXECUTION), any line but "right" is followed by NotRightError.

    Errors: ValueError for no cases, a case of another form, or hints that are not three.
    """
    if hints and len(hints) != 3:
        raise ValueError(f"exercise {name!r} has {len(hints)} hints; accepted are three.")
    line, known = _verdict(name, answer, cases, mistakes or {}, tolerance, without, names)
    if known and not hints:
        line, known = f"{line.partition(' not yet. ')[0]} not yet. {known}", None
    graded = os.environ.get("NBGRADER_EXECUTION")
    print("\n" * bool(graded) + line)  # the answer may have printed without ending its line
    if line.startswith("◐") and hints:
        _wrong_so_far[name] = _wrong_so_far.get(name, 0) + 1
        shown = [hints[0], known or hints[1], hints[2]][: _wrong_so_far[name]]
        print("\n".join(f"  Hint {number} of 3: {hint}" for number, hint in enumerate(shown, 1)))
        if len(shown) < 3:
            print("  Run the check again for the next hint.")
    if graded and not line.startswith("●"):
        raise NotRightError(line)


def prosecute(
    name: str,
    answer: Callable[..., Any],
    right: Callable[..., Any],
    broken: Sequence[Callable[..., Any]],
    mistakes: dict[str, str] | None = None,
    hints: Sequence[str] = (),
    without: Sequence[str] = (),
) -> None:
    """Try an answer that is itself a test: it must acquit the right version of a function and convict every broken one.

    `answer(version)` returns True where it finds something wrong, else False; a test that stops with an error at a
    broken version has found something too. The broken ones are told by letter, A for the first. `mistakes` maps a hint
    to the letters of those that get away when it is deserved, as in {"Is your filter symmetric?": "AC"}. A version
    shows its name and what it returns, not its code; each is tried twice. The rest is as in `exercise`.

    Errors: ValueError for no broken version or more than 26, two mistakes of the same letters, or hints that are not
    three.
    """
    if not 1 <= len(broken) <= 26:
        raise ValueError(f"exercise {name!r} has {len(broken)} broken versions; accepted are 1 to 26, a letter each.")
    letters = [*map("".join, map(sorted, (mistakes or {}).values()))]
    if len(set(letters)) < len(letters):
        raise ValueError(f"exercise {name!r} has two mistakes of the same letters, and would show the first only.")
    called = [RIGHT_VERSION, *string.ascii_uppercase[: len(broken)]]
    there_and_back = [*range(len(called)), *reversed(range(len(called)))]  # each at an odd place and at an even one
    versions = {_in_disguise([right, *broken][n], right): called[n] for n in there_and_back}

    def tried(version: Callable[..., Any]) -> Any:
        try:
            return answer(version)
        except Exception:
            if versions[version] == RIGHT_VERSION:
                raise
            return True

    def misses(letters: str) -> Callable[..., bool]:
        return lambda version: versions[version] not in (RIGHT_VERSION, *letters)

    exercise(
        name,
        functools.wraps(answer)(tried) if callable(answer) else answer,
        [((version,), letter != RIGHT_VERSION) for version, letter in versions.items()],
        {hint: misses(letters) for hint, letters in (mistakes or {}).items()},
        hints=hints,
        without=without,
        names=list(versions.values()),
    )


def variants(function: Callable[..., Any], *edits: tuple[str, str]) -> list[Callable[..., Any]]:
    """Return a function once for each edit (old, new), with that fragment of its source replaced.

    Errors: ValueError where `old` does not stand exactly once in the source, or `new` is the same.
    """
    source, found = textwrap.dedent(inspect.getsource(function)), []
    for old, new in edits:
        if source.count(old) != 1 or old == new:
            raise ValueError(
                f"{function.__name__} holds {old!r} {source.count(old)} times; an edit replaces, by something else, "
                "what stands there once. Was the function changed?"
            )
        space = dict(function.__globals__)
        exec(source.replace(old, new), space)
        found.append(space[function.__name__])
    return found


def _in_disguise(version: Callable[..., Any], right: Callable[..., Any]) -> Callable[..., Any]:
    """Return a version under the name of the right one, and with the same code as all others."""

    def call(*arguments: Any, **named: Any) -> Any:
        return version(*arguments, **named)

    functools.update_wrapper(call, right)
    del call.__wrapped__  # through which inspect would find the source
    return call


def _misjudged(pairs: Sequence[tuple[Any, Any]], names: Sequence[str]) -> str:
    """Say who got away and whether the right version was convicted, by the pairs (verdict, truth) of a prosecution."""
    if all(bool(verdict) != truth for verdict, truth in pairs):
        return "True and False are swapped: True is for a version with something wrong."
    verdicts: dict[str, set[bool]] = {}
    for (verdict, _), name in zip(pairs, names, strict=True):
        verdicts.setdefault(name, set()).add(bool(verdict))
    unsure = [name for name, verdict in verdicts.items() if len(verdict) > 1]
    if unsure:
        return f"Asked twice of {', '.join(unsure)}, your test did not say the same."
    free = [name for name, verdict in verdicts.items() if verdict == {False} and name != RIGHT_VERSION]
    print_it = "Print what it compares there; are the two equal but for rounding?"
    convicted = [f"Your test convicts {RIGHT_VERSION}. {print_it}"] if verdicts[RIGHT_VERSION] == {True} else []
    return " ".join(convicted + ([f"Got away: {', '.join(free)}."] if free else []))


def _verdict(
    name: str,
    answer: Any,
    cases: Sequence[Case],
    mistakes: dict[str, Callable[..., Any]],
    tolerance: float,
    without: Sequence[str],
    names: Sequence[str] = (),
) -> tuple[str, str | None]:
    """Return the verdict in a line, and the hint of the mistake that was recognised, if one was."""
    if not cases:
        raise ValueError(f"exercise {name!r} has no cases.")
    for number, case in enumerate(cases, 1):
        if len(case) != 2 or not isinstance(case[0], tuple | list):
            raise ValueError(f"Case {number} of exercise {name!r} must be ((argument, ...), expected), with its comma.")
    not_yet = f"◐ {name}: not yet."
    if not callable(answer):
        return f"{not_yet} The check wants a function, and was given {_describe(answer)}.", None
    excluded = sorted(set(without) & _names_used(getattr(inspect.unwrap(answer), "__code__", None)))
    if excluded:
        return f"{not_yet} Your code uses {', '.join(excluded)}, which this task asks you to do without.", None
    which = [f" Case {number} is {case}." for number, case in enumerate(names, 1)] or [""] * len(cases)
    results = []
    for number, (arguments, _) in enumerate(cases, 1):
        mine = _copy(arguments)
        try:
            results.append(answer(*mine))
        except (Exception, SystemExit) as error:
            text = str(error).strip().splitlines()
            fault = f"Case {number} raised {type(error).__name__}{': ' + text[0] if text else ''}.{which[number - 1]}"
            before = list(zip(results, cases, strict=False))  # a mistake may show in these, and only then raise
            wrong = any(not _equal(result, wanted, tolerance) for result, (_, wanted) in before)
            hint = _known_mistake(results, cases[: number - 1], mistakes, tolerance) if wrong else None
            return f"{not_yet} {fault}", f"{hint} {fault}" if hint else None
        if not _same_arguments(mine, arguments):
            return f"{not_yet} Your function changes its argument in place; work on a copy.", None
    if all(result is None for result in results):
        if names and _names_used(getattr(inspect.unwrap(answer), "__code__", None)):  # an untouched stub uses none
            return f"{not_yet} It returned None each time. Is the return missing?", None
        return f"○ {name}: not attempted yet", None
    expected = [wanted for _, wanted in cases]
    pairs = list(zip(results, expected, strict=True))
    faults = [f"Case {n}: {fault}{which[n - 1]}" for n, pair in enumerate(pairs, 1) if (fault := _misfit(*pair))]
    if not faults and all(_equal(*pair, tolerance) for pair in pairs):
        kind = "solution" if getattr(answer, "__name__", "").startswith("solution_") else name
        return f"● {kind}: right ({len(cases)} cases)", None
    seen = faults[0] if faults else _misjudged(pairs, names) if names else _hint(results, expected, tolerance)
    return f"{not_yet} {seen}", _known_mistake(results, cases, mistakes, tolerance)


def _names_used(code: CodeType | None) -> set[str]:
    """Return every name and attribute in a function's code and in the functions defined inside it."""
    if code is None:
        return set()
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names_used, inner))


def _copy(arguments: tuple[Any, ...]) -> list[Any]:
    copies = []
    for argument in arguments:
        try:
            copies.append(copy.deepcopy(argument))
        except Exception:  # a generator, an open file: it can only be lent
            copies.append(argument)
    return copies


def _same_arguments(mine: Sequence[Any], arguments: Sequence[Any]) -> bool:
    plain = (list, dict, set, np.ndarray)
    for used, kept in zip(mine, arguments, strict=True):
        if hasattr(kept, "detach") or isinstance(kept, plain):
            if not _equal(used, kept, 0.0):
                return False
    return True


def _is_numeric(value: Any) -> bool:
    try:
        return _array(value).dtype.kind in "biufc"
    except Exception:
        return False


def _misfit(result: Any, expected: Any) -> str | None:
    """Say what is wrong with the type, the shape or the finiteness of a result; None if nothing is."""
    if result is None:
        return "it returned None. Is a return missing on one path?"
    if isinstance(expected, tuple):
        if not isinstance(result, tuple | list):
            return f"it returned {_describe(result)}; wanted are {len(expected)} values, as in return a, b."
        if len(result) != len(expected):
            return f"it returned {len(result)} values; wanted are {len(expected)}."
        for place, pair in enumerate(zip(result, expected, strict=True), 1):
            fault = "it is None." if pair[0] is None else _misfit(*pair)
            if fault:
                return f"value {place} of {len(expected)}: {fault}"
        return None
    if not _is_numeric(expected):
        if not isinstance(result, type(expected)):
            return f"it returned {_describe(result)}; wanted is a {type(expected).__name__}."
        return None
    wanted = _array(expected)
    if wanted.dtype.kind == "b" and not (_is_numeric(result) and _array(result).dtype.kind == "b"):
        return f"it returned {_describe(result)}; wanted is True or False."
    if wanted.dtype.kind == "b" and not wanted.ndim and _array(result).ndim:
        return f"it returned {_describe(result)}; wanted is one True or False, as .any() or .all() makes of many."
    if not _is_numeric(result):
        kind = f"numbers of shape {wanted.shape}" if wanted.ndim else "a number"
        return f"it returned {_describe(result)}; wanted is {kind}."
    actual = _array(result)
    if actual.shape != wanted.shape:
        if actual.ndim == 2 and actual.T.shape == wanted.shape:
            return f"the result has shape {actual.shape}; wanted is {wanted.shape}. Is it transposed?"
        return f"the result has shape {actual.shape}; wanted is {wanted.shape}."
    if np.isnan(actual).any() and not np.isnan(wanted).any():
        return "the result contains NaN, not a number. Look for 0/0, inf - inf, or the log of a negative number."
    if np.isinf(actual).any() and not np.isinf(wanted).any():
        return "the result contains infinity. Look for a division by 0, the log of 0, or an exp that overflows."
    return None


def _equal(result: Any, expected: Any, tolerance: float) -> bool:
    """Compare two results of any kind; never raises. Whole numbers have no relative tolerance: 10,001 is not 10,000."""
    if isinstance(expected, tuple) or (isinstance(expected, list) and not _is_numeric(expected)):
        if not isinstance(result, tuple | list) or len(result) != len(expected):
            return False
        return all(_equal(*pair, tolerance) for pair in zip(result, expected, strict=True))
    if isinstance(expected, dict):
        if not isinstance(result, dict) or result.keys() != expected.keys():
            return False
        return all(_equal(result[key], value, tolerance) for key, value in expected.items())
    if not _is_numeric(expected):
        try:
            return bool(result == expected)
        except Exception:  # such as an array where a text is wanted
            return False
    if not _is_numeric(result):
        return False
    actual, wanted = _array(result), _array(expected)
    relative = tolerance if wanted.dtype.kind in "fc" else 0.0
    return actual.shape == wanted.shape and np.allclose(actual, wanted, rtol=relative, atol=tolerance, equal_nan=True)


def _known_mistake(
    results: list[Any], cases: Sequence[Case], mistakes: dict[str, Callable[..., Any]], tolerance: float
) -> str | None:
    for hint, mistake in mistakes.items():
        try:
            wrong = [mistake(*_copy(arguments)) for arguments, _ in cases]
            if all(_equal(*pair, tolerance) for pair in zip(results, wrong, strict=True)):
                return hint
        except Exception:  # that mistake does not apply to these cases
            continue
    return None


def _hint(results: list[Any], expected: list[Any], tolerance: float) -> str:
    if all(_is_numeric(wanted) and not isinstance(wanted, tuple) for wanted in expected):
        actual = np.concatenate([_array(result).ravel().astype(float) for result in results])
        wanted = np.concatenate([_array(value).ravel().astype(float) for value in expected])
        kinds = {_array(value).dtype.kind for value in expected}
        if kinds == {"b"}:
            swapped = actual.size > 1 and (actual != wanted).all()
            return "True and False are swapped." if swapped else _first_difference(results, expected, tolerance)
        pattern = _pattern(actual, wanted, tolerance, tolerance if kinds & {"f", "c"} else 0.0)
        if pattern:
            return pattern
        if all(_array(v).ndim == 2 and _array(v).shape[0] == _array(v).shape[1] for v in expected) and all(
            _equal(_array(result).T, value, tolerance) for result, value in zip(results, expected, strict=True)
        ):
            return "Your matrix is the transpose of the right one. Which axis is which?"
    return _first_difference(results, expected, tolerance)


def _pattern(actual: np.ndarray, wanted: np.ndarray, tolerance: float, relative: float) -> str | None:
    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return np.allclose(a, b, rtol=relative, atol=tolerance)

    finite = np.isfinite(actual) & np.isfinite(wanted)
    if not finite.any() or not np.array_equal(actual[~finite], wanted[~finite]):
        return None
    actual, wanted = actual[finite], wanted[finite]
    if same(actual, -wanted):
        return "Every number has the wrong sign."
    nearly = _nearly(actual, wanted) if relative else None  # whole numbers are not rounded constants
    if nearly:
        return nearly
    nonzero = np.abs(wanted) > tolerance
    factor = float(np.median(actual[nonzero] / wanted[nonzero])) if nonzero.sum() > 1 else 0.0
    if factor and same(actual, factor * wanted):
        return f"Every number is {factor:.4g} times the right one. Is a scale missing, or one too many?"
    shift = float(np.median(actual - wanted))
    if actual.size > 1 and same(actual, wanted + shift):
        off = " Off by one?" if math.isclose(abs(shift), 1, abs_tol=tolerance) else ""
        return f"Every number is too {'large' if shift > 0 else 'small'} by {abs(shift):.4g}.{off}"
    return None


def _nearly(actual: np.ndarray, wanted: np.ndarray) -> str | None:
    """Say so if every number is right to within half a percent."""
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(actual == wanted, 0.0, np.abs(actual - wanted) / np.abs(wanted))
    return f"Nearly right, to within {100 * off.max():.2g} %: a rounded constant?" if 0 < off.max() < 0.005 else None


def _first_difference(results: list[Any], expected: list[Any], tolerance: float) -> str:
    for number, (result, wanted) in enumerate(zip(results, expected, strict=True), 1):
        if _equal(result, wanted, tolerance):
            continue
        if isinstance(wanted, tuple):
            pairs = list(zip(result, wanted, strict=True))
            place = next(i for i, pair in enumerate(pairs) if not _equal(*pair, tolerance))
            mine, right = _apart(*pairs[place])
            return f"In case {number} value {place + 1} of {len(wanted)} differs: yours is {mine}, not {right}."
        if _is_numeric(wanted) and _array(wanted).ndim:
            gap = _gap(_array(result), _array(wanted))
            place = tuple(int(i) for i in np.unravel_index(np.argmax(gap), gap.shape))
            mine, right = _apart(_array(result)[place], _array(wanted)[place])
            where = ", ".join(map(str, place))
            return f"In case {number} the largest difference is at [{where}]: yours is {mine}, not {right}."
        whole = len(f"{_plain(result)!r}") <= 60 and len(f"{_plain(wanted)!r}") <= 60  # then both fit in the line
        if isinstance(wanted, list | str) and not whole:
            kind = "character" if isinstance(wanted, str) else "item"
            if len(result) != len(wanted):
                return f"In case {number} yours has {len(result)} {kind}s, not {len(wanted)}."
            place = next(i for i, pair in enumerate(zip(result, wanted, strict=True)) if not _equal(*pair, tolerance))
            mine, right = _apart(result[place], wanted[place])
            return f"In case {number} {kind} {place + 1} of {len(wanted)} differs: yours is {mine}, not {right}."
        if isinstance(wanted, dict) and not whole:
            key = next((k for k in wanted if k not in result or not _equal(result[k], wanted[k], tolerance)), None)
            if key is None:
                extra = _short(next(k for k in result if k not in wanted), 4)
                return f"In case {number} yours has the key {extra}, which is not wanted."
            mine, right = _apart(result.get(key, "missing"), wanted[key])
            return f"In case {number} the entry {_short(key, 4)} differs: yours is {mine}, not {right}."
        mine, right = _apart(result, wanted)
        return f"In case {number} yours is {mine}, not {right}."
    return "The results differ from what is wanted."


def _apart(first: Any, second: Any) -> tuple[str, str]:
    """Write two values with four digits, or with as many as it takes to tell them apart."""
    for digits in (4, 8, 17):
        texts = _short(first, digits), _short(second, digits)
        if texts[0] != texts[1]:
            return texts
    return _short(first, 4), _short(second, 4)


def _short(value: Any, digits: int) -> str:
    value = _plain(value)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    text = " ".join(f"{value!r}".split())
    return text if len(text) <= 60 else f"{text[:60]} …"
