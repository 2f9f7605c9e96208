"""The explorer: controls around one picture that is redrawn in place."""

import hashlib
import html
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import ipywidgets
import traitlets
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from utils import plot

explorers: weakref.WeakSet = weakref.WeakSet()  # every explorer that is alive, so that the tests can drive them all


class Explorer(ipywidgets.VBox):
    """Controls, one picture, and a line for an error; made by `explore`.

    `errors` holds each exception that `draw` raised; `seconds` the time of the latest redraws.
    """

    def __init__(self, draw: Callable[..., Figure], controls: dict[str, ipywidgets.Widget], alt: str) -> None:
        self.draw, self.controls, self.alt = _with_names_of_now(draw), controls, alt
        self.figure: Figure | None = None
        self.errors: list[Exception] = []
        self.seconds: deque[float] = deque(maxlen=1000)
        self.picture = ipywidgets.Image(format="png")
        self.message = ipywidgets.HTML()
        self.picture.value = self._redraw()  # a fault in the first picture stops the cell, as it should
        self.seconds.clear()  # the first redraw also lays the figure out
        for control in controls.values():
            control.observe(self._changed, "value")
        shown = [getattr(control, "shown", control) for control in controls.values()]
        layout = {"align_items": "flex-start"}  # stretched, the picture would blur
        super().__init__([ipywidgets.VBox(shown), self.picture, self.message], layout=layout)
        explorers.add(self)

    def _redraw(self) -> bytes:
        start = time.perf_counter()
        figure = self.draw(**{name: control.value for name, control in self.controls.items()})
        if not isinstance(figure, Figure):
            raise TypeError(f"draw returned {type(figure).__name__}; it must return the Figure that it changed.")
        if figure is not (self.figure or figure):
            raise ValueError("draw returned another Figure than at first; it must change and return one and the same.")
        self.figure = figure
        picture = plot.png(figure)
        self.seconds.append(time.perf_counter() - start)
        return picture

    def _changed(self, change: dict[str, Any]) -> None:
        try:
            self.picture.value = self._redraw()
            self.message.value = ""
        except Exception as error:  # an exception raised here would vanish in the kernel's log
            self.errors.append(error)
            text = html.escape(f"{type(error).__name__}: {error}")
            self.message.value = f'<p role="alert">This setting could not be drawn. {text}</p>'

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = dict(super()._repr_mimebundle_(**kwargs))
        data["text/plain"] = f"<explorer: {self.alt}>"
        data["image/png"], width = plot.still(self.figure)
        return data, {"image/png": {"alt": self.alt, "width": width}}


def _with_names_of_now(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Let `draw` keep what `fig` and `ax` mean now; a later cell that reuses the names would change the explorer."""
    if not isinstance(draw, FunctionType):
        return draw
    kept = FunctionType(draw.__code__, dict(draw.__globals__), draw.__name__, draw.__defaults__, draw.__closure__)
    kept.__kwdefaults__ = draw.__kwdefaults__
    return kept


class _Counter(ipywidgets.Button):
    """A button whose value counts how often it was pressed."""

    value = traitlets.Int(0)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_click(lambda _: self.set_trait("value", self.value + 1))


def explore(draw: Callable[..., Figure], *, alt: str, **controls: Any) -> Explorer:
    """Show controls around one picture; each change calls `draw` again and puts the new picture in place.

    `draw(**values)` changes artists that were made beforehand and returns their Figure. A control is
    `(low, high)` or `(low, high, step)`, a list or dict of options, True or False, a text,
    `play(...)`, `button(...)`, `start(control, value)`, or a widget that has a value.
    `alt` says in words what the picture shows.

    Errors: ValueError for a control of another kind; the first call of `draw` raises what it raises.
    """
    if not alt.strip():
        raise ValueError("alt was empty; say in words what the picture shows.")
    return Explorer(draw, {name: _control(name, spec) for name, spec in controls.items()}, alt)


def _control(name: str, spec: Any) -> ipywidgets.Widget:
    try:
        widget = spec if isinstance(spec, ipywidgets.Widget) else ipywidgets.interactive.widget_from_abbrev(spec)
    except ValueError:  # low above high, or a step of 0
        widget = None
    empty = widget is not None and getattr(widget, "options", True) in ((), [], {})
    if not isinstance(widget, ipywidgets.Widget) or not widget.has_trait("value") or empty:
        raise ValueError(
            f"The control {name or 'to start'} was {spec!r}; accepted are (low, high), (low, high, step), "
            "a list or dict of options, True or False, a text, play(...), button(...), start(control, value), "
            "or a widget with a value."
        )
    if not getattr(widget, "description", ""):
        widget.description = name.replace("_", " ")
    if hasattr(getattr(widget, "style", None), "description_width"):
        widget.style.description_width = "10em"
        widget.layout.width = "32em"
    return widget


def start(control: Any, value: Any) -> ipywidgets.Widget:
    """Make a control that starts at `value` instead of the middle or the first option.

    Errors: ValueError for a value that the control cannot take, such as one beyond its ends.
    """
    widget = _control("", control)
    try:
        widget.value = value
    except traitlets.TraitError:
        pass
    if widget.value is not value and widget.value != value:  # a slider would go to its nearest stop and say nothing
        options = getattr(widget, "options", ())
        values = list(options.values() if isinstance(options, dict) else options)
        accepted = f"one of {values}" if values else f"a value that {control!r} can take"
        raise ValueError(f"A control was to start at {value!r}; accepted is {accepted}.")
    return widget


def play(low: int, high: int, step: int = 1, interval: int = 400) -> ipywidgets.IntSlider:
    """Make a slider with a play button that advances it every `interval` milliseconds.

    Errors: ValueError unless low < high and the step is at least 1.
    """
    if low >= high or step < 1:
        raise ValueError(f"play was given ({low!r}, {high!r}, step={step!r}); accepted are low < high and step >= 1.")
    slider = ipywidgets.IntSlider(value=low, min=low, max=high, step=step)
    player = ipywidgets.Play(value=low, min=low, max=high, step=step, interval=interval)
    ipywidgets.jslink((slider, "value"), (player, "value"))  # the first named sets the other when they are shown
    slider.shown = ipywidgets.HBox([player, slider])
    return slider


def button(label: str) -> ipywidgets.Button:
    """Make a button whose value is the number of times it was pressed."""
    return _Counter(description=label)


def predict(question: str, options: Sequence[str]) -> None:
    """Show a question with options to pick from, before its answer is opened.

    It is plain HTML: it works before and after a kernel runs, on the site and in a deck. What was picked stays beside
    the outcome as long as the page is open, and goes nowhere else.

    Errors: ValueError if the question is empty, or the options are not two to five different texts.
    """
    if not question.strip() or not 2 <= len(set(options)) == len(options) <= 5 or not all(map(str.strip, options)):
        raise ValueError(
            f"predict was given {question!r} and {list(options)!r}; wanted are a question and 2 to 5 options."
        )
    group = f"predict-{hashlib.sha256(question.encode()).hexdigest()[:8]}"  # one pick a question
    rows = "".join(
        f'<div><label><input type="radio" name="{group}"> {html.escape(option)}</label></div>' for option in options
    )
    fieldset = f"<fieldset><legend><b>{html.escape(question)}</b></legend>{rows}</fieldset>"
    plain = "\n".join([question, *(f"( ) {option}" for option in options)])
    if get_ipython() is None:
        print(plain)
    else:
        display({"text/html": fieldset, "text/plain": plain}, raw=True)
