"""Explorers driven from Python, as a reader's mouse would: what is drawn, kept, shown and recorded."""

import base64
import re

import ipywidgets
import pytest
from IPython.core.formatters import DisplayFormatter

from utils import plot, widgets

VIEW = "application/vnd.jupyter.widget-view+json"


class Sketch:
    """A dot whose height follows the first control; keeps what it was called with."""

    def __init__(self):
        self.figure, ax = plot.panels(height=1, width=2)
        (self.dot,) = ax.plot([0], [0], "o")
        ax.set(ylim=(-100, 100))
        self.calls = []

    def __call__(self, **values):
        self.calls.append(values)
        first = next(iter(values.values()), 0)
        if first == 7:
            raise ValueError("seven <is> taken")
        self.dot.set_ydata([first if isinstance(first, int | float) else len(str(first))])
        return self.figure


@pytest.fixture
def sketch():
    return Sketch()


def explore(draw, **controls) -> widgets.Explorer:
    return widgets.explore(draw, alt="a dot", **controls)


def test_a_change_redraws_the_same_picture_widget_in_place(sketch):
    explorer = explore(sketch, height=(0, 10))
    picture, first = explorer.picture, explorer.picture.value
    explorer.controls["height"].value = 9
    assert explorer.picture is picture and picture in explorer.children
    assert picture.value != first and picture.value == plot.png(sketch.figure)
    assert bytes(picture.value).startswith(b"\x89PNG")
    explorer.controls["height"].value = 5
    assert picture.value == first, "the same setting gives the same picture"
    assert sketch.calls == [{"height": 5}, {"height": 9}, {"height": 5}]


def test_every_control_is_passed_by_its_name_at_every_change(sketch):
    explorer = explore(sketch, a=(0, 4), b=["x", "y"], c=True)
    explorer.controls["b"].value = "y"
    explorer.controls["c"].value = False
    assert sketch.calls[-1] == {"a": 2, "b": "y", "c": False}
    assert len(explorer.seconds) == 2 and all(second > 0 for second in explorer.seconds)


def test_no_output_widget_can_swallow_an_error(sketch):
    def below(widget):
        return [widget, *(found for child in getattr(widget, "children", ()) for found in below(child))]

    parts = below(explore(sketch, a=(0, 4), b=widgets.play(0, 3), c=widgets.button("again")))
    assert not any(isinstance(widget, ipywidgets.Output) for widget in parts)
    assert all(type(widget).__module__.startswith(("ipywidgets.", "utils.")) for widget in parts)


def test_an_error_is_shown_and_recorded_and_the_next_good_value_clears_it(sketch):
    explorer = explore(sketch, height=(0, 10))
    before = explorer.picture.value
    explorer.controls["height"].value = 7
    assert [str(error) for error in explorer.errors] == ["seven <is> taken"]
    assert "ValueError: seven &lt;is&gt; taken" in explorer.message.value and 'role="alert"' in explorer.message.value
    assert explorer.message in explorer.children
    assert explorer.picture.value == before, "the last good picture stays"
    explorer.controls["height"].value = 8
    assert explorer.message.value == "" and explorer.picture.value != before
    assert len(explorer.errors) == 1, "the record stays for the tests"


def test_an_error_in_the_first_picture_stops_the_cell(sketch):
    with pytest.raises(ValueError, match="seven"):
        explore(sketch, height=widgets.start((0, 10), 7))


@pytest.mark.parametrize("returned", [None, "picture", b"", (1, 2)])
def test_a_draw_that_returns_no_figure_is_told_so_at_once_and_later(sketch, returned):
    with pytest.raises(TypeError, match=f"draw returned {type(returned).__name__}; it must return the Figure"):
        explore(lambda **values: returned)
    explorer = explore(lambda n: returned if n == 3 else sketch(n=n), n=(0, 4))
    explorer.controls["n"].value = 3
    assert isinstance(explorer.errors[0], TypeError) and "must return the Figure" in explorer.message.value


def test_a_draw_that_returns_another_figure_is_told_so(sketch):
    other = Sketch()
    explorer = explore(lambda n: (other if n == 4 else sketch)(n=n), n=(0, 4))
    explorer.controls["n"].value = 4
    assert "it must change and return one and the same" in str(explorer.errors[0])


def test_a_later_cell_that_reuses_a_name_does_not_reach_into_an_explorer():
    notebook = {"Sketch": Sketch}  # the names of a notebook; each exec is a cell
    exec("ax = Sketch()\ndef draw(*, n, twice=2):\n    return ax(n=twice * n)", notebook)
    first, explorer = notebook["ax"], explore(notebook["draw"], n=(0, 4))
    exec("ax = Sketch()", notebook)
    explorer.controls["n"].value = 4
    assert first.calls == [{"n": 4}, {"n": 8}] and not notebook["ax"].calls and not explorer.errors


@pytest.mark.parametrize(
    "control, kind, first, other",
    [
        ((0, 10), ipywidgets.IntSlider, 5, 10),
        ((0, 10, 5), ipywidgets.IntSlider, 5, 0),
        ((0.0, 1.0), ipywidgets.FloatSlider, 0.5, 0.25),
        ((0.0, 1.0, 0.25), ipywidgets.FloatSlider, 0.5, 1.0),
        (["x", "y"], ipywidgets.Dropdown, "x", "y"),
        ([("one", 1), ("two", 2)], ipywidgets.Dropdown, 1, 2),
        ({"one": 1, "two": 2}, ipywidgets.Dropdown, 1, 2),
        (True, ipywidgets.Checkbox, True, False),
        ("text", ipywidgets.Text, "text", "other"),
        (ipywidgets.FloatLogSlider(value=1), ipywidgets.FloatLogSlider, 1, 10),
        (ipywidgets.IntSlider(2, 0, 4, continuous_update=False), ipywidgets.IntSlider, 2, 4),
    ],
)
def test_each_abbreviation_becomes_its_control(sketch, control, kind, first, other):
    explorer = explore(sketch, some_knob=control)
    built = explorer.controls["some_knob"]
    assert type(built) is kind and built.value == first and built.description == "some knob"
    assert built in explorer.children[0].children
    built.value = other
    assert sketch.calls == [{"some_knob": first}, {"some_knob": other}] and not explorer.errors


def test_an_explorer_without_controls_is_a_still_picture(sketch):
    assert explore(sketch).picture.value == plot.png(sketch.figure)


@pytest.mark.parametrize(
    "bad",
    [(5, 1), (1, 2, 3, 4), (0, 10, 0), (), [], {}, ("a", "b"), None, object(), ipywidgets.fixed(3), ipywidgets.HBox()],
    ids=lambda bad: f"{type(bad).__name__}-{bad}"[:20],
)
def test_a_bad_control_is_named_with_those_accepted(sketch, bad):
    with pytest.raises(ValueError) as error:
        explore(sketch, height=bad)
    message = str(error.value)
    assert message.startswith("The control height was ") and repr(bad) in message
    for accepted in ("(low, high)", "a list or dict", "True or False", "a text", "play(", "button(", "start("):
        assert accepted in message
    assert not sketch.calls


@pytest.mark.parametrize("alt", ["", " \n"])
def test_an_explorer_without_words_is_refused(sketch, alt):
    with pytest.raises(ValueError, match="alt was empty; say in words what the picture shows"):
        widgets.explore(sketch, alt=alt, height=(0, 10))


@pytest.mark.parametrize(
    "control, value",
    [
        ((0, 10), 3),
        ((0, 10), 0),
        ((0.0, 1.0), 0.25),
        (["x", "y"], "y"),
        ({"one": 1, "two": 2}, 2),
        (True, False),
        ("a", ""),
    ],
)
def test_start_sets_the_first_value_and_keeps_the_name(sketch, control, value):
    explorer = explore(sketch, some_knob=widgets.start(control, value))
    assert sketch.calls == [{"some_knob": value}]
    assert explorer.controls["some_knob"].description == "some knob"


@pytest.mark.parametrize(
    "control, value, accepted",
    [
        ((0, 10), 50, r"a value that \(0, 10\) can take"),
        ((0, 10), 2.5, r"a value that \(0, 10\) can take"),
        (["x", "y"], "z", r"one of \['x', 'y'\]"),
        ({"one": 1, "two": 2}, 3, r"one of \[1, 2\]"),
        ("text", 3, "a value that 'text' can take"),
    ],
)
def test_a_start_beyond_the_control_says_what_is_accepted(control, value, accepted):
    with pytest.raises(ValueError, match=f"was to start at {value!r}; accepted is {accepted}"):
        widgets.start(control, value)
    with pytest.raises(ValueError, match="The control to start was <object"):
        widgets.start(object(), value)


@pytest.mark.parametrize("low, high, step", [(0, 10, 1), (200, 300, 10), (-20, -10, 2)])
def test_play_is_a_slider_with_a_player_over_the_same_stops(sketch, low, high, step):
    explorer = explore(sketch, frame=widgets.play(low, high, step, interval=50))
    slider = explorer.controls["frame"]
    player, beside = explorer.children[0].children[0].children
    assert beside is slider and isinstance(player, ipywidgets.Play) and player.interval == 50
    for widget in (player, slider):
        assert (widget.min, widget.max, widget.step, widget.value) == (low, high, step, low)
    slider.value = high
    assert sketch.calls == [{"frame": low}, {"frame": high}]


def test_a_player_that_starts_elsewhere_is_set_by_its_slider(sketch, monkeypatch):
    # In the browser a link first copies its source to its target: the other way round, frame 5 would jump to 0.
    links = []
    monkeypatch.setattr(ipywidgets, "jslink", lambda source, target: links.append((source, target)))
    slider = widgets.start(widgets.play(0, 10), 5)
    ((source, target),) = links
    assert source == (slider, "value") and isinstance(target[0], ipywidgets.Play)
    explore(sketch, frame=slider)
    assert sketch.calls == [{"frame": 5}]


@pytest.mark.parametrize("low, high, step", [(5, 1, 1), (3, 3, 1), (0, 10, 0)])
def test_a_player_without_stops_is_refused(low, high, step):
    with pytest.raises(ValueError, match="accepted are low < high and step >= 1"):
        widgets.play(low, high, step)


def test_a_button_counts_and_every_press_redraws(sketch):
    explorer = explore(sketch, draws=widgets.button("draw again"))
    button = explorer.controls["draws"]
    assert isinstance(button, ipywidgets.Button) and button.description == "draw again"
    button.click()
    button.click()
    assert sketch.calls == [{"draws": 0}, {"draws": 1}, {"draws": 2}]


def test_the_bundle_holds_the_widget_the_still_and_the_words(shell, sketch):
    explorer = explore(sketch, height=(0, 10))
    explorer.controls["height"].value = 9
    data, metadata = DisplayFormatter().format(explorer)  # as a notebook asks for it
    assert data[VIEW]["model_id"] == explorer.model_id
    assert data["image/png"] == plot.still(explorer.figure)[0]  # the picture of now, not of the beginning
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "<explorer: a dot>"
    assert metadata == {"image/png": {"alt": "a dot", "width": plot.still(explorer.figure)[1]}}


def test_every_living_explorer_is_known_to_the_tests(sketch):
    explorer = explore(sketch, height=(0, 10))
    assert explorer in widgets.explorers


# Predictions ----------------------------------------------------------------------------------------------------


def test_a_prediction_is_plain_html_with_one_pick_a_question(shell):
    widgets.predict("Is 1 < 2?", ["yes", "no & never"])
    widgets.predict("And 2 < 1?", ["yes", "no"])
    first, second = (output["data"] for output in shell)
    assert first["text/plain"] == "Is 1 < 2?\n( ) yes\n( ) no & never"
    assert "<legend><b>Is 1 &lt; 2?</b></legend>" in first["text/html"] and "no &amp; never" in first["text/html"]
    groups = [re.findall(r'type="radio" name="([\w-]+)"', data["text/html"]) for data in (first, second)]
    assert [len(group) for group in groups] == [2, 2] and len(set(groups[0])) == 1
    assert groups[0][0] != groups[1][0], "questions are picked apart from each other"
    assert "checked" not in first["text/html"], "nothing is picked beforehand"


@pytest.mark.parametrize(
    "arguments", [("", ["a", "b"]), ("Which?", ["a"]), ("Which?", ["a", "a"]), ("Which?", ["a", " "])]
)
def test_a_prediction_without_question_or_choice_is_refused(arguments):
    with pytest.raises(ValueError, match="wanted are a question and 2 to 5 options"):
        widgets.predict(*arguments)
