"""Where things run, and how to run them twice the same: seed, device, threads, progress."""

import os
import random
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm

T = TypeVar("T")
DEVICES = ("cpu", "auto", "cuda", "mps")


def seed(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a fresh CPU generator with the same seed.

    Errors: ValueError if `seed` is not a whole number from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"SEED was {seed!r}; accepted is a whole number from 0 to 2**32 - 1.")
    random.seed(int(seed))
    np.random.seed(int(seed))
    torch.manual_seed(int(seed))
    return torch.Generator().manual_seed(int(seed))


def device(name: str = "cpu") -> torch.device:
    """Return the torch device of that name; "auto" takes a GPU where there is one.

    On a CUDA card convolutions then keep all bits of float32. Torch's default there, TF32, rounds what enters to ten
    bits: convolutions that should agree differed by 0.003.

    Errors: ValueError if the name is unknown or this machine has no such device.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name not in DEVICES:
        raise ValueError(f"DEVICE was {name!r}; accepted are {', '.join(map(repr, DEVICES))}.")
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        here = ", ".join(repr(kind) for kind in present if present[kind])
        raise ValueError(f"DEVICE was {name!r}, which this machine does not have; here are {here} (or 'auto').")
    if name == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return torch.device(name)


def accept(**knobs: tuple[object, ...]) -> None:
    """Hold each knob to what it accepts, given as NAME=(value, lowest, highest) or NAME=(value, [options]).

    Both ends are included. Whole ends want a whole number, an end with a point takes any number, and None as the
    highest means no end: `runtime.accept(EPOCHS=(EPOCHS, 1, None), BETA=(BETA, 0.0, 1000.0), HEADS=(HEADS, [1, 2]))`.

    Errors: ValueError that says what the knob was and what is accepted.
    """
    for name, (value, *accepted) in knobs.items():
        if len(accepted) == 1:
            fits = any(value == option and type(value) is type(option) for option in accepted[0])
            words = ", ".join(map(repr, accepted[0]))
        else:
            low, high = accepted
            whole = isinstance(low, int)
            number = type(value) is int or (not whole and type(value) is float)
            fits = number and low <= value and (high is None or value <= high)
            words = "whole numbers" if whole else "numbers"
            words += f" from {low}" if high is None else f" from {low} to {high}"
        if not fits:
            raise ValueError(f"{name} was {value!r}; accepted are {words}.")


def threads(count: int) -> None:
    """Let torch use `count` threads; at the sizes of this course one is often the fastest.

    Errors: ValueError if `count` is not a whole number of at least 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"The number of threads was {count!r}; accepted is a whole number of at least 1.")
    torch.set_num_threads(count)


def progress(iterable: Iterable[T], label: str = "") -> Iterator[T]:
    """Iterate with a progress bar that removes itself; the environment variable TQDM_DISABLE=1 hides it."""
    hidden = os.environ.get("TQDM_DISABLE", "0") != "0"  # tqdm's notebook bar does not look at it
    return tqdm(iterable, desc=label, leave=False, disable=hidden)
