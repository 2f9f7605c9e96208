"""Draws what a notebook computed; computes nothing. Figures are made without pyplot, so none shows up twice."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

DATA, MODEL, REFERENCE, ERROR = "#8c8c8c", "#0072B2", "black", "#D55E00"
CYCLE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
SIGNED, GREY = "RdBu_r", "gray"


def use_style() -> None:
    """Switch matplotlib to the course's style, whatever a matplotlibrc of the reader's own says."""
    matplotlib.style.use(["default", Path(__file__).with_name("course.mplstyle")])


def panels(
    rows: int = 1, columns: int = 1, height: float = 2.6, width: float = 6.4, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, Axes | list[Axes]]:
    """Make a figure of rows x columns panels; height and width in inches are those of the whole figure.

    Returns: the figure, and one Axes for a single panel or a flat list of them, row by row.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    return figure, (axes[0, 0] if rows * columns == 1 else list(axes.flat))


def png(figure: Figure, scale: int = 1) -> bytes:
    """Draw a figure and return it as the bytes of a PNG picture; its layout is fixed by the first call.

    `scale` is the number of pixels a side for each hundredth of an inch. Encoding the canvas directly takes half the
    time of `savefig`, which an explorer needs.
    """
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")
    if scale != 1:
        dots = figure.dpi
        figure.set_dpi(scale * dots)
        canvas.draw()
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(buffer, "png", compress_level=1)
    if scale != 1:
        figure.set_dpi(dots)
    return buffer.getvalue()


def show(figure: Figure, *, alt: str) -> None:
    """Display a figure as a picture that carries `alt`, its description in words; outside Jupyter only print `alt`.

    Errors: ValueError if `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("alt was empty; say in words what the picture shows.")
    if get_ipython() is None:
        print(f"<figure: {alt}>")
        return
    picture, width = still(figure)
    bundle = {"image/png": picture, "text/plain": "<figure>"}  # a folded output shows this text, not the answer
    display(bundle, raw=True, metadata={"image/png": {"alt": alt, "width": width}})


def still(figure: Figure) -> tuple[str, int]:
    """Return a figure as the base64 text of a PNG with 256 colours, at twice the pixels of the width it is shown at.

    Returns: the text a notebook stores, and that width in pixels.
    """
    picture = Image.open(io.BytesIO(png(figure, scale=2)))
    buffer = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode(), picture.width // 2


def diagram(
    boxes: Mapping[str, tuple],
    arrows: Sequence[tuple[str, ...]],
    height: float = 1.4,
    width: float = 6.4,
) -> Figure:
    """Draw boxes and the arrows between them: an architecture, a loop, a flow of shapes.

    `boxes` maps a key to (column, row, text) or (column, row, text, colour); rows count downwards, and both may be
    fractions. `arrows` are (from, to) or (from, to, label) in those keys; where an arrow of the opposite direction
    exists too, both are bent apart.

    Errors: ValueError for an arrow to or from a box that is not there.
    """
    missing = sorted({key for arrow in arrows for key in arrow[:2]} - set(boxes))
    if missing:
        raise ValueError(f"Arrows name boxes that are not there: {missing}; there are {sorted(boxes)}.")
    figure, ax = panels(height=height, width=width)
    drawn = {}
    for key, (column, row, text, *colour) in boxes.items():
        ink = colour[0] if colour else MODEL
        style = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": ink, "linewidth": 1.4}
        drawn[key] = ax.text(column, -row, text, ha="center", va="center", fontsize=8, bbox=style, zorder=3)
    columns, rows = [box[0] for box in boxes.values()], [-box[1] for box in boxes.values()]
    ax.set(xlim=(min(columns) - 0.6, max(columns) + 0.6), ylim=(min(rows) - 0.6, max(rows) + 0.6))
    ax.axis("off")
    FigureCanvasAgg(figure).draw()  # the arrows end at the boxes, whose sizes are known only now
    pairs = {arrow[:2] for arrow in arrows}
    for start, end, *label in arrows:
        bend = 0.25 if (end, start) in pairs else 0.0
        (x0, y0), (x1, y1) = drawn[start].get_position(), drawn[end].get_position()
        ax.annotate(
            "",
            (x1, y1),
            (x0, y0),
            arrowprops={
                "arrowstyle": "-|>",
                "color": REFERENCE,
                "linewidth": 1.1,
                "patchA": drawn[start].get_bbox_patch(),
                "patchB": drawn[end].get_bbox_patch(),
                "shrinkA": 1,
                "shrinkB": 1,
                "connectionstyle": f"arc3,rad={bend}",
            },
        )
        if label:
            (u0, v0), (u1, v1) = ax.transData.transform([(x0, y0), (x1, y1)])
            middle = (u0 + u1 + bend * (v1 - v0)) / 2, (v0 + v1 - bend * (u1 - u0)) / 2  # of the bent arrow
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            place = ax.transData.inverted().transform(middle)
            ax.text(*place, label[0], ha="center", va="center", fontsize=7.5, bbox=ground, zorder=4)
    return figure


def _array(values: ArrayLike) -> np.ndarray:
    detach = getattr(values, "detach", None)
    return np.asarray(detach().cpu().numpy() if detach else values)


def _limits(values: np.ndarray, limits: tuple[float, float] | None, signed: bool) -> tuple[float, float]:
    if limits is not None:
        low, high = limits
        return float(low), float(high)
    values = values[np.isfinite(values)]  # a masked score of -inf must not blacken the rest
    if not values.size:
        return 0.0, 1.0
    if signed:
        most = float(np.abs(values.astype(float)).max()) or 1.0
        return -most, most
    return float(values.min()), float(values.max())


def image(
    ax: Axes,
    picture: ArrayLike,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
) -> Axes:
    """Draw a picture without axes: grey, in colour, or (signed) with a diverging map centred at 0.

    Shapes: (H, W), (1, H, W) or (3, H, W) with colours in [0, 1].
    Errors: ValueError for another shape.
    """
    picture = _array(picture)
    if picture.ndim == 3 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim == 3 and picture.shape[0] == 3:
        ax.imshow(picture.transpose(1, 2, 0).clip(0, 1))
    elif picture.ndim == 2:
        low, high = _limits(picture, limits, signed)
        ax.imshow(np.ma.masked_invalid(picture), cmap=SIGNED if signed else GREY, vmin=low, vmax=high)
    else:
        raise ValueError(f"The picture has shape {picture.shape}; accepted are (H, W), (1, H, W) and (3, H, W).")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title)
    return ax


def image_grid(
    pictures: ArrayLike | Sequence[ArrayLike],
    columns: int,
    titles: Sequence[object] | None = None,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    scale: float = 0.6,
) -> Figure:
    """Draw many small pictures in rows of `columns`, each `scale` inches wide, all with the same limits.

    Shapes: (N, H, W), (N, 1, H, W) or (N, 3, H, W).
    Errors: ValueError for another shape, no pictures, no columns, or a title too few or too many.
    """
    pictures = [_array(picture) for picture in pictures]
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) != 1:
        raise ValueError(f"image_grid wants pictures of one shape; it was given {shapes or 'no pictures'}.")
    if columns < 1:
        raise ValueError(f"columns was {columns!r}; accepted is a whole number of at least 1.")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"{len(titles)} titles were given for {len(pictures)} pictures.")
    limits = _limits(np.stack(pictures), limits, signed)
    rows = -(-len(pictures) // columns)
    tall = scale + (0.22 if titles is not None else 0)
    figure, axes = panels(rows, columns, height=rows * tall + 0.1, width=min(6.4, columns * scale + 0.1))
    axes = [axes] if isinstance(axes, Axes) else axes
    for place, ax in enumerate(axes):
        if place < len(pictures):
            image(ax, pictures[place], None if titles is None else str(titles[place]), limits, signed)
        else:
            ax.axis("off")
    return figure


def matrix(
    ax: Axes,
    values: ArrayLike,
    rows: Sequence[object] | None = None,
    columns: Sequence[object] | None = None,
    digits: int = 2,
    limits: tuple[float, float] | None = None,
    signed: bool = False,
    title: str | None = None,
) -> Axes:
    """Draw a matrix as a heat map with its numbers written in, `digits` after the point.

    Shapes: values (R, C); `rows` and `columns` are its R and C labels.
    Errors: ValueError if the values are no matrix or a list of labels has another length.
    """
    values = _array(values)
    if values.ndim != 2:
        raise ValueError(f"The matrix has shape {values.shape}; accepted is (rows, columns).")
    for kind, labels, length in (("rows", rows, values.shape[0]), ("columns", columns, values.shape[1])):
        if labels is not None and len(labels) != length:
            raise ValueError(f"{len(labels)} labels were given for the {kind} of a matrix of shape {values.shape}.")
    low, high = _limits(values, limits, signed)
    colours = SIGNED if signed else "viridis"
    drawn = ax.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = drawn.cmap(drawn.norm(value)) if np.isfinite(value) else (1, 1, 1, 1)  # left blank
        colour = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        ax.text(column, row, f"{value:.{digits}f}", ha="center", va="center", color=colour, fontsize=8)
    ax.set_xticks(range(values.shape[1]), columns if columns is not None else range(values.shape[1]))
    ax.set_yticks(range(values.shape[0]), rows if rows is not None else range(values.shape[0]))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title)
    return ax
