"""Counts what a network costs: parameters, multiply-accumulates, bytes, seconds."""

import time
from collections.abc import Sequence
from types import TracebackType

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module) -> int:
    """Count the trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def size_in_bytes(module: nn.Module) -> int:
    """Count the bytes that a module's parameters and buffers take in memory."""
    return sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))


def macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-accumulates of one forward pass (convolutions and matrix products).

    Shapes: `input_shape` includes the batch, as in (1, 1, 8, 8).
    Source: half the floating-point operations of torch's FlopCounterMode, which counts two for each.
    It sees into no fused kernel (a whole LSTM or attention layer in one), so those are switched off meanwhile.
    """
    first = next(module.parameters(), torch.empty(0))
    was_training, mkldnn, mha = module.training, torch.backends.mkldnn, torch.backends.mha
    fused = mkldnn.enabled, mha.get_fastpath_enabled()
    module.eval()
    try:
        mkldnn.enabled = False
        mha.set_fastpath_enabled(False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(torch.zeros(tuple(input_shape), device=first.device, dtype=first.dtype))
    finally:
        mkldnn.enabled = fused[0]
        mha.set_fastpath_enabled(fused[1])
        module.train(was_training)
    return counter.get_total_flops() // 2


class stopwatch:  # noqa: N801 (reads as a verb: `with stopwatch() as watch`)
    """Measure the wall-clock `seconds` of a `with` block."""

    seconds: float = float("nan")

    def __enter__(self) -> "stopwatch":
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
