"""Named data sets as plain tensors: the defaults come with the installed packages, larger ones are fetched when asked.

`python -m utils.data list` says what there is, `python -m utils.data fetch mnist` fetches a set.
"""

import argparse
import math
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

NAMES = ("digits", "mnist", "fashion_mnist")
TEXTS = ("manual", "shakespeare")
SPLITS = ("published", "random")
PHOTOGRAPHS = (
    *("china", "flower", "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "retina", "rocket"),
)
GENERATED = Path(__file__).resolve().parent.parent / "data" / "generated"  # what lessons made, of the committed run

# What is fetched: where from, and each file's checksum of the uncompressed bytes (mirrors compress anew).
FETCHED = {
    "mnist": {
        "mirrors": [
            "https://ossci-datasets.s3.amazonaws.com/mnist/{file}.gz",
            "https://storage.googleapis.com/cvdf-datasets/mnist/{file}.gz",
        ],
        "files": {
            "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    },
    "fashion_mnist": {
        "mirrors": [
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/{file}.gz",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/{file}.gz",
        ],
        "files": {  # as published by users of the set; no SHA-256 of the uncompressed bytes is
            "train-images-idx3-ubyte": "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "md5:9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "md5:8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "md5:15d484375f8d13e6eb1aabb0c3f46965",
        },
    },
    "shakespeare": {
        "mirrors": ["https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/{file}"],
        "files": {"input.txt": "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
    },
}


class Split(NamedTuple):
    """Training and test part of a data set: pictures (N, C, H, W) in [0, 1] and labels (N,)."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def keep(name: str, thing: np.ndarray | Tensor | str) -> None:
    """Keep what a lesson made, an array or a text, for its own first picture or for another lesson.

    It is written where `make run` says, as NAME.npy or NAME.txt; in any other run nothing is written.
    """
    folder = os.environ.get("COURSE_KEEP")
    if not folder:
        return
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(thing, str):
        path.with_suffix(".txt").write_text(thing, encoding="utf-8", newline="\n")
    else:
        np.save(path.with_suffix(".npy"), thing.detach().cpu().numpy() if isinstance(thing, Tensor) else thing)


def kept(name: str, folder: Path = GENERATED) -> np.ndarray | str:
    """Return the array or the text that `keep` wrote in the committed run.

    Errors: FileNotFoundError that lists what there is.
    """
    path = Path(folder) / name
    if path.with_suffix(".txt").exists():
        return path.with_suffix(".txt").read_text(encoding="utf-8")
    if path.with_suffix(".npy").exists():
        return np.load(path.with_suffix(".npy"), allow_pickle=False)
    known = ", ".join(sorted({file.stem for file in Path(folder).glob("*.*")})) or "nothing"
    raise FileNotFoundError(f"Nothing is kept as {name!r}; there is {known}. `make run` writes it.")


def _choose(what: str, value: object, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f"{what} was {value!r}; accepted are {', '.join(map(repr, accepted))}.")


def load(name: str = "digits", split: str = "published", seed: int = 0) -> Split:
    """Load a data set of labelled pictures, split in two parts.

    "digits": 1,797 handwritten digits of 8 x 8 pixels, each a count 0..16 divided by 16; always there.
    "mnist": 70,000 handwritten digits, "fashion_mnist": as many pieces of clothing, of 28 x 28 pixels; fetched once.
    `split="published"` keeps the published parts (digits: first 898 / last 899, mostly other hands; the others:
    60,000 / 10,000); `split="random"` draws stratified halves of the whole set with `seed`.

    Returns: Split with float32 (N, 1, H, W) in [0, 1] and int64 (N,).
    Errors: ValueError for an unknown name or split, DownloadError where a set is not here and cannot be fetched.
    Source: scikit-learn's `load_digits` (UCI, Alpaydin and Kaynak, 1998); LeCun, Cortes and Burges, 1998;
    Xiao, Rasul and Vollgraf, 2017.
    """
    _choose("DATASET", name, NAMES)
    _choose("The split", split, SPLITS)
    parts = _digits() if name == "digits" else _idx_set(name)
    if split == "published":
        return parts
    x, y = torch.cat([parts.train_x, parts.test_x]), torch.cat([parts.train_y, parts.test_y])
    return _stratified(x, y, len(x) - len(x) // 2, seed)


def _digits() -> Split:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.tensor(bunch.images / 16, dtype=torch.float32)[:, None]  # (N, 1, 8, 8)
    y = torch.tensor(bunch.target, dtype=torch.int64)
    half = len(x) // 2
    return Split(x[:half], y[:half], x[half:], y[half:])


def _idx_set(name: str) -> Split:
    folder, parts = fetch(name), []
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        x = idx(folder / f"{part}-images-idx3-ubyte", (count, 28, 28))
        y = idx(folder / f"{part}-labels-idx1-ubyte", (count,))
        parts += [torch.tensor(x[:, None] / np.float32(255)), torch.tensor(y, dtype=torch.int64)]
    return Split(*parts)


def cache() -> Path:
    """Return where fetched data are kept: COURSE_DATA_DIR, from the project's folder if it is relative, or its `data`.

    Errors: ValueError for the home of an unknown user.
    """
    folder, root = os.environ.get("COURSE_DATA_DIR"), Path(__file__).resolve().parent.parent
    try:
        return root / Path(folder or "data").expanduser()
    except RuntimeError:
        raise ValueError(f"COURSE_DATA_DIR was {folder!r}, which names nobody's home; accepted is a folder.") from None


def fetch(name: str) -> Path:
    """Return the folder of a fetched data set, after fetching what is missing there or has other bytes.

    COURSE_DATA_URL, if it is set, replaces the public mirrors: the files are then at COURSE_DATA_URL/mnist/... .

    Errors: ValueError for an unknown name; DownloadError if it is not here and no mirror has it, or cannot be kept.
    """
    from utils import download

    _choose("The data set to fetch", name, tuple(FETCHED))
    known, base = FETCHED[name], os.environ.get("COURSE_DATA_URL")
    if base and not re.match(r"https?://[^/\s]", base):
        raise ValueError(f"COURSE_DATA_URL was {base!r}; accepted is an address that begins with http:// or https://.")
    for file, known_hash in known["files"].items():
        mirrors = [mirror.format(file=file) for mirror in known["mirrors"]]
        if base:
            mirrors = [f"{base.rstrip('/')}/{name}/{mirrors[0].rpartition('/')[2]}"]
        try:
            download.fetch(mirrors, cache() / name / file, known_hash)
        except download.DownloadError as error:
            raise download.DownloadError(
                f"The data set {name!r} is not in {cache()}, and {file} could not be fetched ({error}). "
                f"With a network: python -m utils.data fetch {name}. Without: put {', '.join(known['files'])}, packed "
                f"(.gz) or not, into {cache() / name}, or keep the default, which needs none."
            ) from None
    return cache() / name


def idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read a file of unsigned bytes in the idx format of MNIST: 0, 0, 8, number of axes, their lengths, the bytes.

    Returns: uint8 of the wanted `shape`.
    Errors: ValueError for another magic number, other lengths, or too few or many bytes.
    """
    content = path.read_bytes()
    if content[:4] != bytes([0, 0, 8, len(shape)]):
        raise ValueError(
            f"{path.name} begins with {content[:4].hex(' ')}; an idx file of bytes with {len(shape)} axes begins with "
            f"00 00 08 {len(shape):02x}."
        )
    start = 4 + 4 * len(shape)
    lengths = tuple(int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4))
    if lengths != shape:
        raise ValueError(f"{path.name} says that its shape is {lengths}; wanted is {shape}.")
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path.name} holds {len(content) - start:,} bytes of data; its shape wants {math.prod(shape):,}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


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
    """Load a photograph, scaled down to `height` pixels where one is given; a grey one has three equal channels.

    Returns: float32 (3, H, W) in [0, 1]; at full size 427 x 640 pixels for "china" and "flower".
    Errors: ValueError for an unknown name or a height that is not from 1 to the picture's own.
    Source: scikit-learn's and scikit-image's sample pictures; data/SOURCES.md names their authors.
    """
    _choose("The photograph", name, PHOTOGRAPHS)
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        import skimage.data

        pixels = getattr(skimage.data, name)()  # (H, W) or (H, W, 3), 0 to 255
    picture = torch.tensor(pixels, dtype=torch.float32).reshape(*pixels.shape[:2], -1).permute(2, 0, 1) / 255
    picture = picture.expand(3, -1, -1)  # (3, H, W)
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


def text(name: str = "manual") -> str:
    """Load a text: "manual", the language manual inside Python (always there), or "shakespeare" (fetched once).

    Errors: ValueError for an unknown name, DownloadError where the text is not here and cannot be fetched.
    Source: `english()`; 1,115,394 characters of Shakespeare as collected by Karpathy, 2015.
    """
    _choose("TEXT", name, TEXTS)
    return english() if name == "manual" else (fetch(name) / "input.txt").read_text(encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Fetch data sets, or list what there is and what is here."""
    from utils import download

    parser = argparse.ArgumentParser(prog="python -m utils.data", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="say what there is and what is here")
    names = commands.add_parser("fetch", help="fetch data sets that the lessons accept beside their defaults")
    names.add_argument("names", nargs="+", choices=tuple(FETCHED), metavar="name", help=", ".join(FETCHED))
    options = parser.parse_args(arguments)
    if options.command == "list":
        print("digits: comes with the packages\nmanual: comes with Python")
        for name, known in FETCHED.items():
            try:
                here = all(download.right(cache() / name / file, of) for file, of in known["files"].items())
            except OSError as error:
                print(f"{name}: {cache() / name} cannot be read: {error.strerror}")
                continue
            print(f"{name}: {'in' if here else f'python -m utils.data fetch {name} puts it into'} {cache() / name}")
        return 0
    for name in options.names:
        try:
            print(f"{name}: in {fetch(name)}")
        except (download.DownloadError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no ö is told all the same
    sys.exit(main())
