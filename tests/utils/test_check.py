"""Claims at, above and below every bound; exercises given every kind of answer a student may write."""

import inspect
import itertools
import json
import math
import re

import numpy as np
import pytest
import torch

from utils import check

UP, DOWN = math.nextafter(0.9, 1), math.nextafter(0.9, 0)  # the floats next to 0.9


@pytest.fixture
def lenient(monkeypatch):
    """A reader's notebook, where a claim that fails is a line and not an error."""
    monkeypatch.delenv("COURSE_STRICT", raising=False)


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")


# Claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, bound, holds",
    [
        (0.9, {"above": 0.9}, False),
        (UP, {"above": 0.9}, True),
        (DOWN, {"above": 0.9}, False),
        (0.9, {"below": 0.9}, False),
        (UP, {"below": 0.9}, False),
        (DOWN, {"below": 0.9}, True),
        (0.9, {"between": (0.9, 1)}, True),
        (DOWN, {"between": (0.9, 1)}, False),
        (0.9, {"between": (0, 0.9)}, True),
        (UP, {"between": [0, 0.9]}, False),
        (3.5, {"close_to": (3, 0.5)}, True),
        (2.5, {"close_to": (3, 0.5)}, True),
        (3.5000001, {"close_to": (3, 0.5)}, False),
        (2.4999999, {"close_to": (3, 0.5)}, False),
        (4, {"equals": 4}, True),
        (5, {"equals": 4}, False),
        (0, {"equals": False}, True),  # False and 0 are bounds, not the absence of one
        (-1, {"above": 0}, False),
        ((1, 8, 8), {"equals": torch.Size([1, 8, 8])}, True),
        (torch.tensor([1, 2]), {"equals": [1, 2]}, True),
        (np.array([1, 2]), {"equals": torch.tensor([1, 3])}, False),
        ("cat", {"equals": "dog"}, False),
        (True, {"equals": True}, True),
        (math.inf, {"above": 3}, True),
        (torch.tensor(2.0, requires_grad=True), {"above": torch.tensor(1)}, True),
        (np.float32(2), {"between": (np.int64(1), torch.tensor(2.0))}, True),
    ],
)
def test_a_claim_holds_up_to_its_bound_and_not_beyond(value, bound, holds, lenient, capsys):
    check.claim("the finding", value, **bound)
    line = capsys.readouterr().out
    assert check.claims[-1]["holds"] is holds
    assert line.startswith("✔ the finding: " if holds else "▲ the finding: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "bound",
    [
        {"above": -math.inf},
        {"below": math.inf},
        {"between": (-1, 1)},
        {"close_to": (0, math.inf)},
        {"equals": math.nan},
    ],
    ids=lambda bound: next(iter(bound)),
)
@pytest.mark.parametrize("nan", [math.nan, np.float32("nan"), torch.tensor(math.nan)], ids=["float", "numpy", "torch"])
def test_nan_never_holds(nan, bound, strict):
    with pytest.raises(check.ClaimError, match="nan"):
        check.claim("a number", nan, **bound)


@pytest.mark.parametrize("bound", [{"above": math.nan}, {"between": (0, math.nan)}, {"close_to": (1, math.nan)}])
def test_nothing_holds_against_a_bound_that_is_nan(bound, lenient):
    check.claim("a number", 1, **bound)
    assert not check.claims[-1]["holds"]


def test_a_failing_claim_raises_only_under_the_tests(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    check.claim("it holds", 2, above=1)
    with pytest.raises(check.ClaimError, match="claim 'it fails' does not hold: 0.5, wanted > 1"):
        check.claim("it fails", 0.5, above=1)
    monkeypatch.setenv("COURSE_STRICT", "0")
    check.claim("it fails", 0.5, above=1)
    assert capsys.readouterr().out.splitlines() == [
        "✔ it holds: 2 (> 1)",
        "▲ it fails: 0.5, wanted > 1",
        "▲ it fails: 0.5, wanted > 1",
    ]
    assert issubclass(check.ClaimError, AssertionError)


def test_a_near_miss_is_shown_with_the_digits_that_tell_it_apart(lenient, capsys):
    check.claim("accuracy", 0.97998, above=0.98)
    assert "0.97998, wanted > 0.98" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bounds, count", [({}, 0), ({"above": 1, "below": 2}, 2), ({"equals": 1, "between": (0, 1), "above": 0}, 3)]
)
def test_a_claim_without_exactly_one_bound_is_refused(bounds, count):
    before = len(check.claims)
    with pytest.raises(ValueError, match=f"'x' has {count} bounds; give exactly one of above, below, between"):
        check.claim("x", 1, **bounds)
    assert len(check.claims) == before


@pytest.mark.parametrize(
    "value, bounds, described",
    [
        (None, {"above": 0}, "NoneType None"),
        ("many", {"below": 0}, "str 'many'"),
        (torch.ones(2, 3), {"above": 0}, r"Tensor of shape \(2, 3\)"),
        (np.ones(2), {"between": (0, 1)}, r"ndarray of shape \(2,\)"),
        (1, {"above": torch.ones(2)}, r"Tensor of shape \(2,\)"),
        (1, {"between": 3}, "between takes two numbers; it was given int 3"),
        (1, {"close_to": (1, 2, 3)}, r"close_to takes two numbers; it was given tuple \(1, 2, 3\)"),
    ],
)
def test_a_claim_about_no_number_says_what_was_given(value, bounds, described):
    with pytest.raises(TypeError, match=described):
        check.claim("x", value, **bounds)


@pytest.mark.parametrize(
    "value, bounds, margin",
    [
        (3, {"above": 1}, 2),
        (3, {"below": 1}, -2),
        (3, {"between": (1, 10)}, 2),
        (9, {"between": (1, 10)}, 1),
        (3, {"close_to": (4, 1.5)}, 0.5),
    ],
)
def test_the_margin_is_the_distance_to_the_bound(value, bounds, margin, lenient):
    check.claim("x", value, **bounds)
    record = check.claims[-1]
    assert record["name"] == "x" and record["margin"] == pytest.approx(margin)


def test_in_a_notebook_the_record_travels_in_the_outputs_metadata(shell, lenient, capsys):
    check.claim("it holds", 2, above=1)
    check.claim("5 < 3 & other <tales>", 5, below=3)
    check.agree("shapes", torch.ones(2), torch.ones(3))
    holds, fails, shapes = shell
    assert holds["data"] == {"text/plain": "✔ it holds: 2 (> 1)"}
    assert holds["metadata"]["claim"] == {
        "name": "it holds",
        "value": "2",
        "bound": "> 1",
        "margin": 1.0,
        "holds": True,
    }
    assert (
        "#b45309" in fails["data"]["text/html"] and "5 &lt; 3 &amp; other &lt;tales&gt;" in fails["data"]["text/html"]
    )
    assert "text/plain" in fails["data"] and fails["metadata"]["claim"]["holds"] is False
    assert shapes["metadata"]["claim"]["margin"] is None  # an infinite margin would be no JSON
    json.dumps([output["metadata"] for output in shell], allow_nan=False)
    assert capsys.readouterr().out == ""


def test_in_a_notebook_a_failing_claim_is_displayed_before_it_raises(shell, strict):
    with pytest.raises(check.ClaimError):
        check.claim("it fails", 1, equals=2)
    assert shell[0]["data"]["text/plain"] == "▲ it fails: 1, wanted = 2"


# Agreements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ours, theirs, tolerance, holds",
    [
        (torch.ones(2, 3), np.ones((2, 3)), 1e-6, True),
        ([1.0, 2.0], torch.tensor([1.0, 2.0], requires_grad=True), 0, True),
        ([torch.tensor(1.0), torch.tensor(2.0)], [1, 2], 0, True),
        (1.0, 1.5, 0.5, True),
        (1.0, 1.5, 0.4999, False),
        (torch.zeros(2), torch.tensor([0, math.nan]), 1, False),
        (torch.tensor([math.nan]), torch.tensor([math.nan]), 1, False),
        (torch.tensor([-math.inf, 1]), torch.tensor([-math.inf, 1]), 1e-6, True),  # masked scores
        (torch.tensor([-math.inf]), torch.tensor([math.inf]), 1e-6, False),
        (torch.tensor([True, False]), torch.tensor([True, False]), 0, True),
        (torch.tensor([True, False]), torch.tensor([True, True]), 0, False),
        (np.array([3], np.uint8), np.array([4], np.uint8), 1, True),  # 3 - 4 is 255 in eight bits
        (torch.ones(2), torch.ones(2, 1), 1, False),
        (torch.ones(1), torch.tensor(1.0), 1, False),
        (torch.ones(0), torch.ones(0), 1, False),  # nothing shows nothing
    ],
)
@pytest.mark.filterwarnings("error")
def test_two_results_agree_within_the_tolerance(ours, theirs, tolerance, holds, lenient):
    check.agree("ours against theirs", ours, theirs, tolerance)
    assert check.claims[-1]["holds"] is holds


def test_the_largest_difference_is_shown_and_strictness_raises(strict, capsys):
    check.agree("sum", [1.0, 2.0], [1.0, 2.25], tolerance=0.5)
    assert capsys.readouterr().out == "✔ sum: largest difference 2.5e-01 (<= 5e-01)\n"
    with pytest.raises(check.ClaimError, match="'sum' does not hold: largest difference 2.5e-01, wanted <= 1e-06"):
        check.agree("sum", [1.0, 2.0], [1.0, 2.25])
    with pytest.raises(check.ClaimError, match=r"shape \(2,\), wanted shape \(2, 1\)"):
        check.agree("sum", torch.ones(2), torch.ones(2, 1))


@pytest.mark.parametrize("bad", [None, "text", ["a"], [[1], [1, 2]]])
def test_an_agreement_of_no_numbers_says_what_was_given(bad):
    with pytest.raises(TypeError, match="agreement 'x' needs numbers; it was given (NoneType|str|list)"):
        check.agree("x", torch.ones(1), bad)


# Findings and evidence ------------------------------------------------------------------------------------------


def test_a_finding_is_a_sentence_with_its_numbers_inside_and_its_bound_behind_it(shell):
    check.finding("The network reads {value:.1f} % of digits, a guess {guess:.0f} %.", 98.46, above=90, guess=10)
    check.finding("It reads {net:.0f} % & more than <half>.", 98.46 - 50, above=1, net=98.46)
    first, second = shell
    assert first["data"]["text/plain"] == "✔ The network reads 98.5 % of digits, a guess 10 %. (> 90)"
    assert "a guess 10 %. <small" in first["data"]["text/html"] and "(&gt;&nbsp;90)" in first["data"]["text/html"]
    assert second["data"]["text/plain"] == "✔ It reads 98 % & more than <half>. (48.46 > 1)"
    assert "98 % &amp; more than &lt;half&gt;." in second["data"]["text/html"]
    record = first["metadata"]["claim"]
    assert record == check.claims[-2] and record["name"] == "The network reads … % of digits, a guess … %."
    assert record["margin"] == pytest.approx(8.46) and record["holds"]
    assert check.finding_name("It reads {net:.0f} % & more.") == "It reads … % & more."


def test_a_finding_that_fails_is_amber_for_a_reader_and_an_error_for_the_tests(shell, lenient, monkeypatch):
    sentence = "The network reads {value:.1f} % of unseen digits."
    check.finding(sentence, torch.tensor(60.0), above=90)
    assert "#b45309" in shell[0]["data"]["text/html"] and "60, wanted &gt; 90" in shell[0]["data"]["text/html"]
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(
        check.ClaimError, match="The network reads … % of unseen digits.' does not hold: 60, wanted > 90"
    ):
        check.finding(sentence, 60, above=90)


@pytest.mark.parametrize(
    "sentence, numbers", [("It reads {net:.0f} %.", {}), ("It reads.", {"net": 1}), ("It reads {a}.", {"b": 1})]
)
def test_a_number_without_a_place_or_a_place_without_a_number_is_refused(sentence, numbers):
    with pytest.raises(ValueError, match="The finding has places for"):
        check.finding(sentence, 1, above=0, **numbers)
    with pytest.raises(ValueError, match="has 0 bounds"):
        check.finding("It reads well.", 1)


def test_evidence_is_one_folded_line_that_says_how_many_hold(shell):
    with check.evidence("two ways to the same sum"):
        check.agree("loop and vector", [1.0, 2.0], [1.0, 2.0])
        check.claim("their sum", 3, equals=3)
    (output,) = shell
    assert output["data"]["text/html"].startswith(
        "<details><summary>evidence, two ways to the same sum: 2 hold</summary>"
    )
    assert output["data"]["text/plain"].splitlines()[0] == "evidence, two ways to the same sum: 2 hold"
    assert [claim["name"] for claim in output["metadata"]["claims"]] == ["loop and vector", "their sum"]
    assert check.claims[-2:] == output["metadata"]["claims"]
    check.claim("afterwards", 1, above=0)
    assert "claim" in shell[1]["metadata"], "what comes after stands for itself again"


def test_evidence_that_does_not_hold_stands_open_in_amber(shell, lenient):
    with check.evidence("sums"):
        check.claim("right", 1, above=0)
        check.claim("wrong", math.inf, below=0)
    html = shell[0]["data"]["text/html"]
    assert html.startswith('<details open style="color:#b45309"><summary>evidence, sums: 1 of 2 do not hold</summary>')
    json.dumps(shell[0]["metadata"], allow_nan=False)


def test_under_the_tests_evidence_stops_at_the_first_that_fails_and_shows_what_it_has(shell, strict):
    with pytest.raises(check.ClaimError), check.evidence("sums"):
        check.claim("wrong", -1, above=0)
        check.claim("never made", 1, above=0)
    assert len(shell[0]["metadata"]["claims"]) == 1
    check.claim("afterwards", 1, above=0)
    assert "claim" in shell[1]["metadata"]


def test_evidence_without_a_claim_is_refused():
    with pytest.raises(ValueError, match="evidence 'nothing' holds no claim"), check.evidence("nothing"):
        pass


# Exercises ------------------------------------------------------------------------------------------------------


def verdict(capsys, answer, cases, **options) -> str:
    """Run a check and return its one line."""
    capsys.readouterr()
    assert check.exercise("task", answer, cases, **options) is None
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("\n") == 1, "a verdict is one line"
    return captured.out.rstrip("\n")


def gives(*results):
    """Make an answer that returns these results one after the other, whatever it is asked."""
    remaining = iter(results)
    return lambda *arguments: next(remaining)


SCORES = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0], [2.0, 2.0, 1.0]])
SOFTMAX = [((SCORES,), torch.softmax(SCORES, 1)), ((SCORES[:2],), torch.softmax(SCORES[:2], 1))]


def softmax_with_exp(scores):
    return scores.exp() / scores.exp().sum(1, keepdim=True)


def change_in_place(scores):
    scores.sub_(scores.max())
    return torch.softmax(scores, 1)


def leave(scores):
    raise SystemExit("I give up\nfor today")


SOFTMAX_ANSWERS = {
    "right": (softmax_with_exp, r"● task: right \(2 cases\)"),
    "right as an array": (lambda s: torch.softmax(s, 1).numpy(), "●"),
    "right as lists": (lambda s: torch.softmax(s, 1).tolist(), "●"),
    "right as a list of tensors": (lambda s: [torch.softmax(row, 0).requires_grad_() for row in s], "●"),
    "right with gradients": (lambda s: torch.softmax(s.clone().requires_grad_(), 1), "●"),
    "blank": (lambda s: None, "○ task: not attempted yet"),
    "partly None": (
        lambda s: torch.softmax(s, 1) if len(s) == 3 else None,
        "Case 2: it returned None. .*return missing",
    ),
    "raises": (lambda s: s @ torch.ones(7), "Case 1 raised RuntimeError: "),
    "raises without words": (lambda s: {}[s], "Case 1 raised KeyError"),
    "exits": (leave, "Case 1 raised SystemExit: I give up.$"),
    "wants more arguments": (lambda s, axis: s, "raised TypeError: .*missing 1 required positional argument"),
    "a text": (lambda s: "softmax", r"returned str 'softmax'; wanted is numbers of shape \(3, 3\)"),
    "a function": (lambda s: softmax_with_exp, r"returned function .*; wanted is numbers"),
    "ragged lists": (lambda s: [[1], [1, 2]], r"returned list \[\[1\], \[1, 2\]\]; wanted is numbers"),
    "too few dimensions": (lambda s: s.sum(1), r"shape \(3,\); wanted is \(3, 3\)\.$"),
    "transposed shape": (lambda s: torch.softmax(s, 1).T, r"Case 2: the result has shape \(3, 2\).*Is it transposed\?"),
    "NaN": (lambda s: s * math.nan, "contains NaN"),
    "infinity": (lambda s: s / 0, "contains (infinity|NaN)"),
    "only infinity": (lambda s: torch.full_like(s, math.inf), "contains infinity"),
    "wrong sign": (lambda s: -torch.softmax(s, 1), "Every number has the wrong sign"),
    "wrong factor": (lambda s: 3 * torch.softmax(s, 1), "Every number is 3 times the right one"),
    "all zero": (lambda s: 0 * s, "In case 1 the largest difference is at"),
    "shifted": (lambda s: torch.softmax(s, 1) - 0.25, r"too small by 0.25\.$"),
    "off by one": (lambda s: torch.softmax(s, 1) + 1, "too large by 1. Off by one?"),
    "wrong axis": (lambda s: torch.softmax(s, 0), r"In case 1 the largest difference is at \[\d, \d\]: yours is"),
    "changes its argument": (change_in_place, "changes its argument in place; work on a copy"),
    "no function": (3, "The check wants a function, and was given int 3"),
    "nothing": (None, "The check wants a function, and was given NoneType None"),
}


@pytest.mark.parametrize("answer, line", SOFTMAX_ANSWERS.values(), ids=SOFTMAX_ANSWERS)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_answer_gets_its_line(answer, line, capsys):
    shown = verdict(capsys, answer, SOFTMAX)
    assert re.search(line, shown), shown
    assert shown.startswith(line[0] if line[0] in "○●" else "◐ task: not yet. ")


@pytest.mark.parametrize(
    "expected, right, wrong, hint",
    [
        (3, 3.0, 4, "yours is 4, not 3"),
        (3, torch.tensor(3), [3], r"shape \(1,\); wanted is \(\)"),
        (0.5, np.float32(0.5), "0.5", "returned str '0.5'; wanted is a number"),
        (10_000, 10_000, 10_001, "yours is 10001, not 10000"),  # a relative tolerance would let it pass
        (1.2346, 1.23461, 1.2349, "Nearly right, to within 0.024 %"),  # four digits would show no difference
        (True, np.bool_(True), 1, "returned int 1; wanted is True or False"),
        (True, True, False, "yours is False, not True"),
        ("cat", "cat", "dog", "yours is 'dog', not 'cat'"),
        ("cat", np.str_("cat"), 3, "returned int 3; wanted is a str"),
        (["a", "b"], ["a", "b"], ["b", "a"], r"yours is \['b', 'a'\], not \['a', 'b'\]"),
        (["a"], ["a"], [np.array([1, 2])], r"not \['a'\]"),
        (["a"], ["a"], ("a",), "returned tuple .*; wanted is a list"),
        ([1, 2], (1, 2), [1, 2, 3], r"shape \(3,\); wanted is \(2,\)"),
        ((3, 4), (3, 4), (4, 3), "value 1 of 2 differs: yours is 4, not 3"),
        ((3, 4), torch.Size([3, 4]), 3, "returned int 3; wanted are 2 values"),
        ((3, 4), [3, 4], (3, 4, 5), "returned 3 values; wanted are 2"),
        ((3, torch.ones(2)), (3, [1, 1]), (3, torch.ones(3)), r"value 2 of 2: the result has shape \(3,\)"),
        ((3, 4), (3, 4), (3, None), "value 2 of 2: it is None"),
        ((3, 4), (3, 4), torch.tensor([3, 4]), r"Tensor of shape \(2,\); wanted are 2 values"),
        ({"w": torch.ones(2)}, {"w": [1, 1]}, {"w": torch.zeros(2)}, "In case 1 yours is {'w'"),
        ({"w": 1}, {"w": 1}, {"v": 1}, "{'v': 1}, not {'w': 1}"),
        ([torch.ones(2), torch.ones(3)], [[1, 1], [1, 1, 1]], [torch.ones(2), torch.zeros(3)], "In case 1 yours is"),
        (torch.tensor([True, False]), [True, False], [False, True], "True and False are swapped"),
        (
            torch.tensor([True, False, True]),
            [True, False, True],
            [True, True, True],
            r"at \[1\]: yours is True, not False",
        ),
        (SCORES, SCORES.numpy(), SCORES.T, "the transpose of the right one"),
        ([5, 6], [5, 6], [4, 5], "too small by 1. Off by one?"),
        ([2.0, 0.0], [2, 0], [2, 5], r"at \[1\]: yours is 5, not 0"),
        (
            torch.tensor([-math.inf, 2.0, 8.0]),
            [-math.inf, 2, 8],
            torch.tensor([-math.inf, 1.0, 3.0]),
            r"at \[2\]: yours is 3, not 8",
        ),
        (torch.tensor([-math.inf, 2.0, 8.0]), [-math.inf, 2, 8], [-math.inf, 4, 16], "Every number is 2 times"),
        (torch.tensor([-math.inf, 2.0]), [-math.inf, 2], [0.0, 2.0], r"at \[0\]: yours is 0, not -inf"),
        (torch.tensor([math.nan, 2.0]), [math.nan, 2], [1.0, 2.0], "not nan"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_result_is_accepted_when_right_and_answered_when_wrong(expected, right, wrong, hint, capsys):
    cases = [((), expected)]
    assert verdict(capsys, gives(right), cases) == "● task: right (1 cases)"
    shown = verdict(capsys, gives(wrong), cases)
    assert shown.startswith("◐ task: not yet. ") and re.search(hint, shown), shown


@pytest.mark.parametrize("scale, passes", [(1 + 5e-5, True), (1 + 5e-3, False)])
def test_the_tolerance_is_relative_and_can_be_widened(scale, passes, capsys):
    cases = [((), torch.tensor([100.0, 200.0, 7.0]))]
    off = cases[0][1] * scale
    assert verdict(capsys, gives(off), cases).startswith("●" if passes else "◐")
    assert verdict(capsys, gives(off), cases, tolerance=0.01).startswith("●")


def test_a_wrong_case_among_right_ones_is_found(capsys):
    cases = [((n,), n * n) for n in range(5)]
    assert verdict(capsys, lambda n: n * n, cases) == "● task: right (5 cases)"
    assert "In case 4 yours is 8, not 9" in verdict(capsys, lambda n: n * n - (n == 3), cases)


@pytest.mark.parametrize("argument", [[3, 1], {"a": [1]}, {3, 1}, np.array([3, 1]), torch.tensor([3, 1])], ids=repr)
def test_a_changed_argument_is_noticed_and_the_cases_stay_whole(argument, capsys):
    def change(values):
        if isinstance(values, dict | set):
            values.clear()
        else:
            values[0] = 0
        return 1

    cases = [((argument,), 1)]
    before = repr(argument)
    assert "changes its argument in place" in verdict(capsys, change, cases)
    assert repr(argument) == before
    assert verdict(capsys, lambda values: 1, cases).startswith("●")


def replace_by_texts(values):
    values[:] = ["a", "b"]


@pytest.mark.parametrize(
    "answer, argument",
    [
        (lambda weights: 1, {"w": torch.ones(2)}),  # two tensors have no single truth
        (lambda values: 1, [torch.ones(2), torch.ones(3)]),
        (lambda values: 1, iter([1])),  # can be lent, not copied
        (lambda values: 1, (torch.ones(2, requires_grad=True) * 2)),  # copy.deepcopy refuses it
    ],
)
def test_unusual_arguments_are_handed_over(answer, argument, capsys):
    assert verdict(capsys, answer, [((argument,), 1)]).startswith("●")


def test_an_argument_that_changes_its_kind_is_noticed(capsys):
    assert "in place" in verdict(capsys, replace_by_texts, [(([1, 2],), 1)])


def raises(scores):
    raise ZeroDivisionError


MISTAKES = {
    "This mistake cannot run.": raises,
    "Which axis did you sum over?": lambda s: torch.softmax(s, 0),
    "Keep the sign of the scores.": lambda s: torch.softmax(-s, 1),
    "You divided by nothing.": lambda s: s.exp(),
    "Return every row, not their sum.": lambda s: torch.softmax(s, 1).sum(0),
    "Log of a negative number.": lambda s: (s - 100).log(),
}


@pytest.mark.parametrize("hint", list(MISTAKES)[1:])
def test_a_lessons_mistake_gets_the_lessons_hint_whatever_its_shape(hint, capsys):
    shown = verdict(capsys, MISTAKES[hint], SOFTMAX, mistakes=MISTAKES)
    assert shown == f"◐ task: not yet. {hint}"


def test_a_mistake_changes_no_case_and_hides_no_right_answer(capsys):
    mistakes = {"in place": change_in_place, "not a mistake": softmax_with_exp}
    before = SCORES.clone()
    assert verdict(capsys, lambda s: s, SOFTMAX, mistakes=mistakes).startswith("◐")
    assert torch.equal(SCORES, before)
    assert verdict(capsys, softmax_with_exp, SOFTMAX, mistakes=mistakes).startswith("●")
    assert "In case 1" in verdict(capsys, lambda s: s * s, SOFTMAX, mistakes=mistakes)


def test_a_solution_says_so_only_when_it_is_right(capsys):
    def solution_square(n):
        return n * n

    assert verdict(capsys, solution_square, [((3,), 9)]) == "● solution: right (1 cases)"
    assert verdict(capsys, solution_square, [((3,), 8)]).startswith("◐ task: not yet.")


@pytest.mark.parametrize(
    "cases, sentence",
    [
        ([], "exercise 'task' has no cases"),
        ([((3), 9)], "Case 1 of exercise 'task' must be"),  # (3) is no tuple
        ([((3,), 9), (torch.ones(2), 2)], "Case 2 of exercise 'task' must be"),
        ([((3,), 9, 1)], "Case 1 of exercise 'task' must be"),
    ],
)
def test_a_lesson_with_malformed_cases_is_told(cases, sentence):
    with pytest.raises(ValueError, match=sentence):
        check.exercise("task", lambda n: n * n, cases)


def test_an_interrupt_by_the_reader_is_no_wrong_answer():
    def wait(n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check.exercise("task", wait, [((1,), 1)])


def test_exercises_are_no_claims(capsys, strict):
    before = len(check.claims)
    verdict(capsys, lambda s: s, SOFTMAX)
    assert len(check.claims) == before


def test_a_mistake_that_shows_before_it_raises_gets_its_hint(capsys):
    """An answer may do what a known mistake does on one case, and stop on the next."""

    def answer(x):
        return x + 1 if x < 2 else 1 / 0

    cases = [((1,), 3), ((2,), 6)]
    check.exercise("triple", answer, cases, mistakes={"Times, not plus.": lambda x: x + 1})
    assert capsys.readouterr().out == (
        "◐ triple: not yet. Times, not plus. Case 2 raised ZeroDivisionError: division by zero.\n"
    )
    check.exercise("same", lambda x: x if x < 2 else 1 / 0, [((1,), 1), ((2,), 2)], mistakes={"No.": lambda x: x})
    assert capsys.readouterr().out == "◐ same: not yet. Case 2 raised ZeroDivisionError: division by zero.\n"
    for first in (None, "text", object(), [[1], [2, 3]]):
        check.exercise("odd", lambda x, first=first: first if x < 2 else 1 / 0, cases, mistakes={"No.": lambda x: x})
        assert capsys.readouterr().out == "◐ odd: not yet. Case 2 raised ZeroDivisionError: division by zero.\n"


@pytest.mark.parametrize(
    "answer", [lambda n: n + 1, lambda n: None, lambda n: 1 / 0, 3], ids=["wrong", "blank", "raises", "3"]
)
def test_under_nbgrader_an_answer_that_is_not_right_raises_after_its_line(answer, capsys, monkeypatch):
    shown = verdict(capsys, answer, [((3,), 9)])
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(check.NotRightError) as stopped:
        check.exercise("task", answer, [((3,), 9)])
    assert capsys.readouterr().out == f"\n{shown}\n" and str(stopped.value) == shown
    check.exercise("task", lambda n: n * n, [((3,), 9)])
    assert capsys.readouterr().out == "\n● task: right (1 cases)\n"


# Hints in three steps -------------------------------------------------------------------------------------------


def double(wrong=None, hints=("It grows with x.", "Is it squared?", "Begin with x + x."), name="double", **options):
    cases = [((1.0,), 2.0), ((3.0,), 6.0), ((5.0,), 10.0)]
    check.exercise(name, wrong, cases, {"You squared it.": lambda x: x**2}, hints=hints, **options)


def test_each_run_of_the_check_shows_one_hint_more_and_a_known_mistake_takes_the_second_place(capsys):
    lines = []
    for _ in range(4):
        double(lambda x: x**2, name="double, a known mistake")
        lines.append(capsys.readouterr().out.splitlines())
    again = "  Run the check again for the next hint."
    assert lines[0][1:] == ["  Hint 1 of 3: It grows with x.", again]
    assert lines[1][1:] == ["  Hint 1 of 3: It grows with x.", "  Hint 2 of 3: You squared it.", again]
    assert lines[2][3] == "  Hint 3 of 3: Begin with x + x." and lines[2] == lines[3] and again not in lines[2]
    assert "You squared it" not in lines[0][0], "the first step says what is seen, not what was done"
    for _ in range(2):
        double(lambda x: x + 7, name="double, an unknown mistake")
    assert "Hint 2 of 3: Is it squared?" in capsys.readouterr().out


def test_no_hint_where_none_is_needed(capsys):
    double(lambda x: 2 * x)
    double(lambda x: None)
    assert "Hint" not in capsys.readouterr().out


def test_hints_are_three():
    with pytest.raises(ValueError, match="has 2 hints; accepted are three"):
        double(lambda x: x, hints=("a", "b"))


def helper_softmax(x):
    def inner():
        return torch.softmax(x, 0)

    return inner()


@pytest.mark.parametrize(
    "answer",
    [lambda x: torch.softmax(x, 0), lambda x: x.softmax(0), lambda x: [torch.softmax(x, 0) for _ in (1,)][0]],
)
def test_a_shortcut_that_the_task_excludes_is_not_right(answer, capsys):
    x = torch.tensor([1.0, 2.0])
    for attempt in (answer, helper_softmax):
        check.exercise("softmax", attempt, [((x,), torch.softmax(x, 0))], without=["softmax"])
        assert "Your code uses softmax, which this task asks you to do without." in capsys.readouterr().out
    check.exercise("softmax", lambda x: x.exp() / x.exp().sum(), [((x,), torch.softmax(x, 0))], without=["softmax"])
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(
    "expected, wrong, hint",
    [
        ([math.log(2), 2 * math.log(2)], [0.692, 1.384], "Nearly right, to within 0.17 %: a rounded constant?"),
        (math.log(2), 0.692, "Nearly right, to within 0.17 %: a rounded constant?"),
        (10_000, 10_001, "too large by 1|10001"),
        (
            [str(n) for n in range(40)],
            [str(n) for n in range(39)] + ["x"],
            "item 40 of 40 differs: yours is 'x', not '39'",
        ),
        (["a"] * 40, ["a"] * 39, "yours has 39 items, not 40"),
        ("a" * 70 + "b", "a" * 70 + "c", "character 71 of 71 differs: yours is 'c', not 'b'"),
        ({n: n for n in range(40)}, {n: n % 39 for n in range(40)}, "the entry 39 differs: yours is 0, not 39"),
    ],
)
def test_what_is_long_or_nearly_right_is_said_in_words(expected, wrong, hint, capsys):
    check.exercise("task", lambda x: wrong, [((1,), expected)])
    line = capsys.readouterr().out
    assert re.search(hint, line), line
    assert "1 times the right one" not in line


# Prosecutions ---------------------------------------------------------------------------------------------------


def mean_step(numbers, rate=1.0):
    """Return the mean of the steps between neighbours."""
    steps = [b - a for a, b in zip(numbers, numbers[1:], strict=False)]
    return rate * sum(steps) / len(steps)


BROKEN = check.variants(mean_step, ("b - a", "abs(b - a)"), ("len(steps)", "len(numbers)"), ("rate * ", ""))


def tried(capsys, answer, **options):
    check.prosecute("test the mean step", answer, mean_step, BROKEN, **options)
    return capsys.readouterr().out.rstrip("\n")


def good_test(mean_step):
    return mean_step([5, 1, 3], rate=3) != -3


def stops_at_what_is_wrong(mean_step):
    assert mean_step([5, 1, 3], rate=3) == -3
    return False


def solution_test(mean_step):
    return good_test(mean_step)


def knows_the_right_one(version):
    return version is not mean_step


def reads_the_source(version):
    return inspect.getsource(version) != inspect.getsource(mean_step)


def reads_the_code(version):
    same = (mean_step.__name__, mean_step.__doc__) == (version.__name__, version.__doc__)
    return not same or version.__code__.co_code != mean_step.__code__.co_code


def says_so_by_turns(verdicts=iter([False, True, True, True, True, True, True, True])):  # noqa: B008
    return lambda version: next(verdicts)


def raises_on_the_right_one(version):
    if version([5, 1, 3], rate=3) == -3:
        raise RuntimeError("planted")
    return True


@pytest.mark.parametrize("answer", [good_test, stops_at_what_is_wrong, lambda f: torch.tensor(good_test(f))])
def test_a_test_that_tells_the_right_version_from_all_broken_ones_is_right(answer, capsys):
    assert tried(capsys, answer) == "● test the mean step: right (8 cases)"


def test_a_solution_and_a_blank_are_told_as_in_other_exercises(capsys):
    assert tried(capsys, solution_test) == "● solution: right (8 cases)"
    assert tried(capsys, lambda version: None) == "○ test the mean step: not attempted yet"
    forgot = "◐ test the mean step: not yet. It returned None each time. Is the return missing?"
    assert tried(capsys, lambda version: print(end="")) == forgot


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (lambda f: True, "Your test convicts the right version."),
        (lambda f: False, "Got away: A, B, C."),
        (lambda f: not good_test(f), "True and False are swapped: True is for a version with something wrong."),
        (lambda f: f([5, 1, 3]) != -1, "Got away: C."),
        (lambda f: f([1, 3, 4]) != 1.5, "Got away: A, C."),
        (lambda f: f([5, 1, 3]) == -1, "for rounding? Got away: A, B."),
        (lambda f: f([5, 1, 3]) < 0, "Your test convicts the right version. Print what it compares there;"),
        (says_so_by_turns(), "Asked twice of the right version, your test did not say the same."),
        (lambda f: "wrong", "Case 1: it returned str 'wrong'; wanted is True or False. Case 1 is the right version."),
        (
            lambda f: True if good_test(f) else None,
            "Case 1: it returned None. Is a return missing on one path? Case 1 is the right version.",
        ),
        (raises_on_the_right_one, "Case 1 raised RuntimeError: planted. Case 1 is the right version."),
        (lambda f: f(), "Case 1 raised TypeError: mean_step() missing 1 required positional"),
        (
            lambda f: np.array([f([5, 1, 3]) != -1] * 2),
            "wanted is one True or False, as .any() or .all() makes of many",
        ),
        (knows_the_right_one, "Your test convicts the right version."),
        (reads_the_source, "Your test convicts the right version."),
        (reads_the_code, "Your test convicts the right version."),
        (3, "The check wants a function, and was given int 3."),
    ],
)
def test_a_test_that_does_not_tell_them_apart_is_not_right(answer, sentence, capsys):
    line = tried(capsys, answer)
    assert line.startswith("◐ test the mean step: not yet. ") and sentence in line, line
    assert "abs" not in line and "numbers)" not in line, "it is not told what is broken"


def test_who_got_away_decides_which_mistake_is_named(capsys):
    mistakes = {"Do your numbers only rise?": "A", "Do you leave rate alone?": "C"}
    hints = ["It has three faults.", "Which numbers?", "Take a pencil."]
    for answer, hint in [(lambda f: f([1, 3, 4], 3) != 4.5, 0), (lambda f: f([5, 1, 3]) != -1, 1)]:
        assert tried(capsys, answer, mistakes=mistakes).endswith(f"not yet. {[*mistakes][hint]}")
        check._wrong_so_far.pop("test the mean step", None)
        tried(capsys, answer, mistakes=mistakes, hints=hints)
        assert f"Hint 2 of 3: {[*mistakes][hint]}" in tried(capsys, answer, mistakes=mistakes, hints=hints)
    check._wrong_so_far.pop("test the mean step", None)
    tried(capsys, lambda f: False, mistakes=mistakes, hints=hints)
    assert "Hint 2 of 3: Which numbers?" in tried(capsys, lambda f: False, mistakes=mistakes, hints=hints)


def test_two_mistakes_by_turns_convict_no_more_than_each(capsys, monkeypatch):
    """The lane of lessons mixes mistakes; each version is tried at an odd place and at an even one."""
    asked = {}
    monkeypatch.setattr(check, "exercise", lambda name, answer, cases, mistakes, **rest: asked.update(locals()))
    mistakes = {f"It misses {letters}.": letters for letters in ("A", "B", "C", "AC", "ABC")}
    for count in (2, 3):
        check.prosecute("turns", solution_test, mean_step, BROKEN[:count], mistakes)
        for first in [asked["answer"], *asked["mistakes"].values()]:
            for second in [*asked["mistakes"].values()][:count]:
                turns = itertools.cycle([first, second])
                line, _ = check._verdict("turns", lambda f, turns=turns: next(turns)(f), asked["cases"], {}, 0, ())
                assert line.startswith("◐")


def test_what_the_task_excludes_is_found_in_a_test_too(capsys):
    def by_reference(version):
        return version([5, 1, 3], 3) != 3 * np.diff([5, 1, 3]).mean()

    excluded = "Your code uses diff, which this task asks you to do without."
    assert excluded in tried(capsys, by_reference, without=["diff"])
    assert excluded in tried(capsys, torch.no_grad()(by_reference), without=["diff"])
    assert "right (8 cases)" in tried(capsys, by_reference)


def test_under_nbgrader_a_test_that_misses_one_is_an_error(capsys, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(check.NotRightError, match="Got away: C"):
        tried(capsys, lambda f: f([5, 1, 3]) != -1)
    assert "● " in tried(capsys, good_test)


def test_a_variant_is_the_function_with_one_fragment_replaced():
    fall = [5, 1, 3]
    assert [f(fall, 3) for f in (mean_step, *BROKEN)] == [-3, 9, -2, -1]
    for old, times in [("no such code", 0), ("steps", 4)]:
        with pytest.raises(ValueError, match=f"mean_step holds '{old}' {times} times; .* Was the function changed"):
            check.variants(mean_step, (old, "new"))
    with pytest.raises(ValueError, match="by something else"):
        check.variants(mean_step, ("b - a", "b - a"))
    with pytest.raises(ValueError, match="0 broken versions; accepted are 1 to 26"):
        check.prosecute("task", good_test, mean_step, [])
