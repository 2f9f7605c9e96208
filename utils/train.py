"""The plain supervised loop, for lessons after 10_cnn, which shows it in full."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils import runtime

PORTION = 2000  # rows that are judged at a time, so that 60,000 pictures fit into memory
Augment = Callable[[Tensor, torch.Generator], Tensor]


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epochs: int,
    *,
    learning_rate: float = 3e-3,
    batch: int = 64,
    weight_decay: float = 0.01,
    augment: Augment | None = None,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Train a classifier in place with AdamW, a one-cycle learning rate and cross-entropy.

    Shapes: x (N, ...), y (N,) class numbers; `augment(pictures, generator)` returns pictures of the same shape.
    Returns: the mean loss of each epoch. The model is left in evaluation mode.
    Errors: ValueError if x and y differ in length, or epochs or batch is not a whole number of at least 1.
    """
    _check_shapes(x, y)
    if not all(isinstance(count, int) and count >= 1 for count in (epochs, batch)):
        raise ValueError(f"epochs and batch were {epochs!r} and {batch!r}; accepted are whole numbers of at least 1.")
    device = next(model.parameters()).device
    x, y = x.to(device), y.to(device)
    generator = generator or torch.Generator().manual_seed(torch.initial_seed() % 2**32)
    steps = -(-len(x) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    losses = []
    model.train()
    for _ in runtime.progress(range(epochs), "training"):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            rows = rows.to(device)
            pictures = augment(x[rows], generator) if augment else x[rows]
            loss = F.cross_entropy(model(pictures), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
    model.eval()
    return losses


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of rows that the model, in evaluation mode, puts into the right class.

    Shapes: x (N, ...), y (N,).
    Errors: ValueError if x and y differ in length.
    """
    _check_shapes(x, y)
    was_training = model.training
    model.eval()
    device = next(model.parameters(), x).device  # a model without parameters stays where the data is
    parts = zip(x.split(PORTION), y.split(PORTION), strict=True)
    right = sum((model(x.to(device)).argmax(1) == y.to(device)).sum().item() for x, y in parts)
    model.train(was_training)
    return right / len(y)


def _check_shapes(x: Tensor, y: Tensor) -> None:
    if y.ndim != 1 or len(x) != len(y) or not len(y):  # y of shape (N, 1) would be compared with every row
        raise ValueError(f"x and y must be (N, ...) and (N,), N >= 1; they are {tuple(x.shape)} and {tuple(y.shape)}.")
