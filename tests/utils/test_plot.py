"""Pictures read back pixel by pixel: colours, width, limits, alternative text."""

import base64
import io
import os
import subprocess
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from PIL import Image

from utils import data, plot


def pixels(png: bytes | str) -> np.ndarray:
    """Decode a PNG (bytes or the base64 text of a notebook) to (H, W, 3)."""
    png = base64.b64decode(png) if isinstance(png, str) else png
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def colour(name: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgb(name))


def count(picture: np.ndarray, name: str) -> int:
    return int((picture == colour(name)).all(-1).sum())


def shown(picture: np.ndarray) -> tuple[float, float]:
    """Draw one picture and return the limits of its colours."""
    (drawn,) = plot.image(plot.panels()[1], picture).images
    return drawn.get_clim()


DRAW = """
from utils import plot
plot.use_style()
figure, axes = plot.panels(1, 2)
axes[0].imshow([[0, 1], [2, 3]])
axes[1].plot([1, 2, 3], label="a")
axes[1].set_xlabel("x")
axes[1].legend()
print(hash(plot.png(figure)))
"""
RC = """
text.usetex: True
image.origin: lower
image.cmap: jet
figure.dpi: 30
figure.facecolor: black
axes.prop_cycle: cycler("color", ["red"])
axes.autolimit_mode: round_numbers
font.size: 30
interactive: True
"""


def test_a_readers_own_matplotlibrc_changes_no_picture(tmp_path):
    (tmp_path / "matplotlibrc").write_text(RC)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
    drawn = []
    for extra in ({}, {"MATPLOTLIBRC": str(tmp_path)}):
        command = [sys.executable, "-c", DRAW]
        shown = subprocess.run(command, capture_output=True, text=True, env=environment | extra)
        assert not shown.returncode, shown.stderr
        drawn.append(shown.stdout)
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 3), (2, 2), (4, 1)])
def test_panels_come_row_by_row_without_pyplot(rows, columns):
    figure, axes = plot.panels(rows, columns, height=3)
    axes = [axes] if rows * columns == 1 else axes
    assert all(isinstance(ax, Axes) for ax in axes) and axes == figure.axes
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [n // columns for n in range(rows * columns)]
    assert figure.get_size_inches().tolist() == [6.4, 3]
    assert not hasattr(figure, "number")  # pyplot, which would show it twice, numbers its figures


def test_panels_share_limits_only_when_asked():
    _, (first, second) = plot.panels(1, 2, sharex=True)
    first.set(xlim=(-3, 8), ylim=(-3, 8))
    assert second.get_xlim() == (-3, 8) and second.get_ylim() == (0, 1)
    _, (first, second) = plot.panels(2, 1, sharey=True)
    first.set(ylim=(-3, 8))
    assert second.get_ylim() == (-3, 8)


def test_the_style_is_the_courses_and_only_comes_when_asked():
    mpl.rcdefaults()
    assert mpl.rcParams["axes.spines.top"]
    plot.use_style()
    assert not mpl.rcParams["axes.spines.top"] and mpl.rcParams["font.size"] == 9
    cycle = [colour("#" + name.lstrip("#")) for name in mpl.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert cycle == [colour(name) for name in plot.CYCLE]
    assert colour(plot.MODEL) in cycle and colour(plot.ERROR) in cycle


def test_the_colour_roles_are_far_apart_for_colour_blind_readers():
    # Brettel's rule of thumb: without red and green apart, brightness and blueness must still tell them apart
    roles = np.array([colour(name) for name in (plot.DATA, plot.MODEL, plot.REFERENCE, plot.ERROR)]) / 255
    reduced = np.stack([roles[:, :2] @ [0.38, 0.62], roles[:, 2]], 1)
    gaps = np.linalg.norm(reduced[:, None] - reduced[None], axis=-1) + 9 * np.eye(4)
    assert gaps.min() > 0.25


def figure_with_every_role():
    figure, ax = plot.panels(height=2)
    for height, name in enumerate((plot.DATA, plot.MODEL, plot.REFERENCE, plot.ERROR)):
        ax.axhspan(height, height + 1, color=name)
    return figure


def test_show_stores_the_picture_its_width_its_colours_and_its_alternative_text(shell, capsys):
    plot.use_style()
    figure = figure_with_every_role()
    assert plot.show(figure, alt="Four bands of colour") is None
    (output,) = shell
    assert output["metadata"] == {"image/png": {"alt": "Four bands of colour", "width": 640}}
    assert output["data"]["text/plain"] == "<figure>", "what a folded output shows does not tell the answer"
    exact, stored = pixels(plot.png(figure, scale=2)), pixels(output["data"]["image/png"])
    assert stored.shape == exact.shape == (400, 1280, 3)
    assert pixels(plot.png(figure)).shape == (200, 640, 3), "an explorer still draws it at its own size"
    for name in (plot.DATA, plot.MODEL, plot.REFERENCE, plot.ERROR):
        assert count(stored, name) > 5000 and count(stored, name) == pytest.approx(count(exact, name), rel=0.01)
    assert capsys.readouterr().out == ""


def test_the_stored_picture_of_a_photograph_is_smaller_and_hardly_different():
    figure, (left, right) = plot.panels(1, 2)
    plot.image(left, data.photograph("flower", 200))
    right.plot([0, 1], color=plot.ERROR)
    exact = plot.png(figure, scale=2)
    stored, width = plot.still(figure)
    assert width == 640
    assert len(base64.b64decode(stored)) < len(exact) / 2
    difference = np.abs(pixels(stored) - pixels(exact))
    assert difference.mean() < 2 and np.quantile(difference, 0.99) < 20
    assert count(pixels(stored), plot.ERROR) > 100


def test_outside_a_notebook_show_prints_only_the_words(capsys):
    plot.show(figure_with_every_role(), alt="Four bands")
    assert capsys.readouterr().out == "<figure: Four bands>\n"


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_picture_without_words_is_refused(alt):
    with pytest.raises(ValueError, match="alt was empty; say in words what the picture shows"):
        plot.show(figure_with_every_role(), alt=alt)


def test_png_equals_savefig_and_a_second_call_shows_what_changed():
    figure, ax = plot.panels()
    (line,) = ax.plot([0, 1], [0, 0], lw=4, color=plot.MODEL)
    ax.set(ylim=(-1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=figure.dpi)
    first = plot.png(figure)
    assert np.abs(pixels(first) - pixels(buffer.getvalue())).max() <= 1
    assert plot.png(figure) == first
    line.set_ydata([0.8, 0.8])
    moved = pixels(plot.png(figure))
    rows = [np.argwhere((p == colour(plot.MODEL)).all(-1))[:, 0].mean() for p in (pixels(first), moved)]
    assert rows[1] < rows[0] - 20 and moved.shape == pixels(first).shape


def test_the_layout_is_fixed_by_the_first_drawing_so_that_an_explorer_never_jumps():
    figure, ax = plot.panels()
    plot.png(figure)
    place = ax.get_position().bounds
    ax.set(title="a title\non two lines", ylabel="an axis\non two lines")
    plot.png(figure)
    assert ax.get_position().bounds == place


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (3, 5, 7)])
@pytest.mark.parametrize("kind", [torch.rand, lambda *s: np.random.rand(*s), lambda *s: torch.rand(*s).gt(0.5)])
def test_a_picture_of_any_accepted_shape_is_drawn_without_axes(shape, kind):
    ax = plot.panels()[1]
    picture = kind(*shape)
    assert plot.image(ax, picture, title="a picture") is ax
    drawn = np.asarray(ax.images[0].get_array(), float)
    wanted = np.asarray(picture, float)
    np.testing.assert_allclose(drawn, wanted.transpose(1, 2, 0) if shape[0] == 3 else wanted.reshape(5, 7), atol=1e-6)
    assert ax.get_title() == "a picture" and not len(ax.get_xticks()) and not len(ax.get_yticks())


def test_a_picture_that_carries_gradients_is_drawn():
    plot.image(plot.panels()[1], torch.rand(3, 3, requires_grad=True))


@pytest.mark.parametrize("shape", [(5,), (2, 5, 7), (1, 1, 5, 7), (5, 7, 3), ()])
def test_a_picture_of_another_shape_names_it_and_those_accepted(shape):
    with pytest.raises(ValueError) as error:
        plot.image(plot.panels()[1], torch.zeros(shape))
    assert str(error.value) == f"The picture has shape {shape}; accepted are (H, W), (1, H, W) and (3, H, W)."


@pytest.mark.parametrize(
    "values, options, limits",
    [
        ([[1, 2], [3, 9]], {}, (1, 9)),
        ([[1, 2], [3, 9]], {"signed": True}, (-9, 9)),
        ([[1, 2], [3, -9.5]], {"signed": True}, (-9.5, 9.5)),
        ([[0, 0]], {"signed": True}, (-1, 1)),
        ([[1, 2]], {"limits": (0, 4)}, (0, 4)),
        ([[1, 2]], {"limits": np.array([0, 4]), "signed": True}, (0, 4)),
        ([[1, -np.inf], [3, np.nan]], {}, (1, 3)),  # masked scores leave the others their colours
        ([[np.nan, np.nan]], {}, (0, 1)),
        (np.array([[-128, 5]], np.int8), {"signed": True}, (-128, 128)),  # abs(-128) is -128 in eight bits
        ([[True, False]], {}, (0, 1)),
    ],
)
@pytest.mark.parametrize("draw", [plot.image, plot.matrix])
def test_colours_span_the_finite_numbers_or_the_limits_given(draw, values, options, limits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = draw(plot.panels()[1], values, **options)
        plot.png(ax.figure)
    assert ax.images[0].get_clim() == limits


def test_zero_is_the_neutral_colour_of_a_signed_picture():
    (drawn,) = plot.image(plot.panels()[1], [[-1.0, 0, 3]], signed=True).images
    below, zero, above, _ = (drawn.cmap(drawn.norm(value)) for value in (-3, 0, 3, 1))
    assert min(zero[:3]) > 0.9 and below[2] > below[0] and above[0] > above[2]  # blue, near white, red


@pytest.mark.parametrize("number, columns, axes", [(1, 1, 1), (5, 3, 6), (4, 4, 4), (2, 5, 5)])
def test_a_grid_shows_every_picture_once_with_shared_limits(number, columns, axes):
    pictures = torch.arange(number * 6.0).reshape(number, 1, 2, 3)
    figure = plot.image_grid(pictures, columns, titles=range(number))
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(figure.axes) == axes and len(drawn) == number
    assert {ax.images[0].get_clim() for ax in drawn} == {(0, 6 * number - 1)}
    assert [ax.get_title() for ax in drawn] == [str(n) for n in range(number)]
    assert not any(ax.axison for ax in figure.axes if ax not in drawn)
    for ax, picture in zip(drawn, pictures, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture[0])


def test_a_grid_is_never_wider_than_the_page():
    assert plot.image_grid(np.zeros((12, 4, 4)), 12).get_figwidth() == 6.4
    assert plot.image_grid(np.zeros((2, 3, 4, 4)), 2).get_figwidth() < 6.4


@pytest.mark.parametrize(
    "pictures, columns, titles, sentence",
    [
        ([], 3, None, "wants pictures of one shape; it was given no pictures"),
        ([np.ones((2, 2)), np.ones((3, 3))], 2, None, r"one shape; it was given \[\(2, 2\), \(3, 3\)\]"),
        (np.ones((2, 5)), 2, None, r"The picture has shape \(5,\); accepted are"),
        (np.ones((2, 3, 3)), 0, None, "columns was 0; accepted is a whole number of at least 1"),
        (np.ones((2, 3, 3)), 2, ["one"], "1 titles were given for 2 pictures"),
    ],
)
def test_a_grid_that_cannot_be_drawn_says_why(pictures, columns, titles, sentence):
    with pytest.raises(ValueError, match=sentence):
        plot.image_grid(pictures, columns, titles)


def test_a_matrix_carries_its_numbers_and_labels():
    ax = plot.panels()[1]
    values = torch.tensor([[0.126, 2.0, -1.0], [3.0, 4.5, 100.0]])
    assert plot.matrix(ax, values, rows=["q1", "q2"], columns="abc", digits=1, title="scores") is ax
    assert [(text.get_position(), text.get_text()) for text in ax.texts] == [
        ((column, row), f"{values[row, column]:.1f}") for row in range(2) for column in range(3)
    ]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["q1", "q2"]
    assert ax.get_title() == "scores"
    unlabelled = plot.matrix(plot.panels()[1], values)
    assert [label.get_text() for label in unlabelled.get_xticklabels()] == ["0", "1", "2"]


def test_the_numbers_of_a_matrix_can_be_read_on_their_colours():
    values = np.append(np.linspace(-1, 1, 21), -np.inf)[None]
    for signed in (False, True):
        ax = plot.matrix(plot.panels()[1], values, signed=signed)
        drawn = ax.images[0]
        for value, text in zip(values[0], ax.texts, strict=True):
            ground = drawn.cmap(drawn.norm(value))[:3] if np.isfinite(value) else (1, 1, 1)
            light, dark = sorted((luminance(ground), luminance(to_rgb(text.get_color()))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, f"{value:.2f} cannot be read"  # WCAG's contrast ratio


def luminance(rgb) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize(
    "values, options, sentence",
    [
        (torch.zeros(3), {}, r"The matrix has shape \(3,\); accepted is \(rows, columns\)"),
        (torch.zeros(1, 2, 3), {}, r"shape \(1, 2, 3\)"),
        (torch.zeros(2, 3), {"rows": "abc"}, r"3 labels were given for the rows of a matrix of shape \(2, 3\)"),
        (torch.zeros(2, 3), {"columns": []}, r"0 labels were given for the columns of a matrix of shape \(2, 3\)"),
    ],
)
def test_a_matrix_of_another_shape_says_so(values, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        plot.matrix(plot.panels()[1], values, **options)


def test_drawing_draws_no_random_number_and_changes_no_value():
    values = torch.rand(3, 4, 4)
    kept, state = values.clone(), torch.random.get_rng_state()
    plot.png(plot.image_grid(values, 3))
    plot.image(plot.panels()[1], 3 * values - 1)
    plot.matrix(plot.panels()[1], values[0], signed=True)
    assert torch.equal(values, kept) and torch.equal(state, torch.random.get_rng_state())


# Diagrams -------------------------------------------------------------------------------------------------------


def test_a_diagram_draws_its_boxes_where_they_are_said_to_stand_and_an_arrow_between_them():
    figure = plot.diagram({"x": (0, 0, "left", plot.DATA), "y": (2, 1, "right")}, [("x", "y", "goes to")])
    (ax,) = figure.axes
    boxes = {text.get_text(): text for text in ax.texts if text.get_text()}
    assert set(boxes) == {"left", "right", "goes to"}
    assert boxes["left"].get_position() == (0, 0) and boxes["right"].get_position() == (2, -1)
    assert boxes["goes to"].get_position() == pytest.approx((1, -0.5)), "a label stands on its arrow"
    assert colour(boxes["left"].get_bbox_patch().get_edgecolor()) == colour(plot.DATA)
    arrows = [text.arrow_patch for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 1
    drawn = pixels(plot.png(figure))
    assert (drawn.sum(-1) < 100).any(), "something black is drawn"


def test_arrows_there_and_back_are_bent_apart():
    both = plot.diagram({"a": (0, 0, "a"), "b": (1, 0, "b")}, [("a", "b", "there"), ("b", "a", "back")])
    heights = [text.get_position()[1] for text in both.axes[0].texts if text.get_text() in ("there", "back")]
    assert heights[0] * heights[1] < 0 and abs(heights[0] - heights[1]) > 0.1


def test_an_arrow_to_a_box_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"boxes that are not there: \['c'\]; there are \['a'\]"):
        plot.diagram({"a": (0, 0, "a")}, [("a", "c")])
