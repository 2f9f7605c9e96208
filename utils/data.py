"""Named data sets as plain tensors. Everything here comes with the installed packages: no network is needed."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

NAMES = ("digits",)
SPLITS = ("published", "random")
PHOTOGRAPHS = ("china", "flower")


class Split(NamedTuple):
    """Training and test part of a data set: pictures (N, C, H, W) in [0, 1] and labels (N,)."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def _choose(what: str, given: object, accepted: tuple[str, ...]) -> None:
    if given not in accepted:
        raise ValueError(f"{what} was {given!r}; accepted are {', '.join(map(repr, accepted))}.")


def load(name: str = "digits", split: str = "published", seed: int = 0) -> Split:
    """Load a data set of labelled pictures, split in two halves.

    "digits": 1,797 handwritten digits of 8 x 8 pixels, each a count 0..16 divided by 16.
    `split="published"` keeps the order (first 898 / last 899: mostly other hands);
    `split="random"` draws stratified halves with `seed`.

    Returns: Split with float32 (N, 1, 8, 8) in [0, 1] and int64 (N,).
    Errors: ValueError for an unknown name or split.
    Source: scikit-learn's `load_digits` (UCI, Alpaydin and Kaynak, 1998).
    """
    _choose("DATASET", name, NAMES)
    _choose("The split", split, SPLITS)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.tensor(bunch.images / 16, dtype=torch.float32)[:, None]  # (N, 1, 8, 8)
    y = torch.tensor(bunch.target, dtype=torch.int64)
    half = len(x) // 2
    if split == "published":
        return Split(x[:half], y[:half], x[half:], y[half:])
    return _stratified(x, y, len(x) - half, seed)


def hold_out(x: Tensor, y: Tensor, fraction: float = 0.2, seed: int = 0) -> Split:
    """Set a stratified part of the training data aside for validation.

    Shapes: x (N, ...), y (N,). Returns a Split whose `test_x`, `test_y` are the part set aside.
    Errors: ValueError if x and y differ in length or `fraction` is not between 0 and 1.
    """
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same length; they have shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction was {fraction!r}; accepted is a number between 0 and 1.")
    return _stratified(x, y, round(fraction * len(x)), seed)


def _stratified(x: Tensor, y: Tensor, held_out: int, seed: int) -> Split:
    from sklearn.model_selection import train_test_split

    places = np.arange(len(x))
    train, test = train_test_split(places, test_size=held_out, random_state=seed, stratify=y.cpu().numpy())
    return Split(x[train], y[train], x[test], y[test])


def photograph(name: str = "china", height: int | None = None) -> Tensor:
    """Load a colour photograph, scaled down to `height` pixels where one is given.

    Returns: float32 (3, H, W) in [0, 1]; 427 x 640 pixels at full size.
    Errors: ValueError for an unknown name or a height that is not 1..427.
    Source: scikit-learn's sample images (by danielbuechele and vultilion on Flickr, CC BY 2.0).
    """
    _choose("The photograph", name, PHOTOGRAPHS)
    from sklearn.datasets import load_sample_image

    picture = torch.tensor(load_sample_image(f"{name}.jpg"), dtype=torch.float32).permute(2, 0, 1) / 255  # (3, H, W)
    if height is None:
        return picture
    full, width = picture.shape[1:]
    if isinstance(height, bool) or not isinstance(height, int) or not 1 <= height <= full:
        raise ValueError(f"height was {height!r}; accepted is a whole number from 1 to {full}.")
    size = (height, max(1, round(width * height / full)))
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def faces() -> Tensor:
    """Load 100 grey faces.

    Returns: float32 (100, 1, 25, 25) in [0, 1].
    Source: scikit-image's `lfw_subset`, from Labeled Faces in the Wild (Huang et al., 2007).
    """
    from skimage.data import lfw_subset

    return torch.tensor(lfw_subset()[:100], dtype=torch.float32)[:, None]  # (100, 1, 25, 25)


def english() -> str:
    """Load about 460,000 characters of English: the language manual inside Python's own help.

    The text differs a little from one Python version to the next.
    Source: `pydoc_data.topics` of the running Python.
    """
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))
