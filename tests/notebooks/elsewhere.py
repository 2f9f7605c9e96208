"""A pretend device: its tensors say that they are elsewhere, and hold real numbers on the CPU.

`begin()` in a kernel gives every lesson this device; `pretend()` gives it within a `with`. What fails on a graphics
card fails here too: tensors of two devices in one operation, `.numpy()`, a CPU generator. The numbers are the CPU's.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch._decomp import decompositions
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from utils import runtime

_setup_privateuseone_for_python_backend("elsewhere")  # at once: the first backward pass of a process counts devices
CPU, DEVICE = torch.device("cpu"), torch.device("privateuseone", 0)  # the kind that torch leaves free
aten = torch.ops.aten
TRAVELS = {aten.copy_.default, aten._to_copy.default}  # they may read on one device and write on another
INDEXES = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
TAKES_A_NUMBER = {aten.fill_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor, *INDEXES}
counted = 0  # tensors that have been on the device


class Elsewhere(torch.Tensor):
    """A tensor on the pretend device; the real one is inside."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Elsewhere":
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, held.shape, **layout, dtype=held.dtype, device=DEVICE)

    def __init__(self, held: torch.Tensor) -> None:
        global counted
        if held.dtype == torch.float64:
            raise TypeError(f"Cannot convert a tensor to float64 on {DEVICE}, as on MPS; use float32 there.")
        counted += 1
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def __repr__(self) -> str:
        return f"{self.held!r} elsewhere"

    # torch's own methods of these names know no subclass
    def __format__(self, spec: str) -> str:
        return format(repr(self) if self.ndim else self.item(), spec)

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        if not force:
            raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")
        return self.held.numpy()


@torch.library.impl("aten::_local_scalar_dense", "privateuseone")
def number(tensor: Elsewhere) -> float:
    """Read one number where torch calls no subclass, as `torch.tensor` does for a list of tensors."""
    return tensor.held.item()


class Factories(TorchDispatchMode):
    """Sees also the operations that name the device, and so make a tensor there from none that is."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        there = Elsewhere in types or (kwargs or {}).get("device") == DEVICE
        return computed(func, args, kwargs or {}) if there else func(*args, **(kwargs or {}))


def inside(value: Any) -> Any:
    """Return the real tensor of one elsewhere, in lists too; anything else as it is."""
    if isinstance(value, list | tuple):
        return [inside(part) for part in value]
    return value.held if isinstance(value, Elsewhere) else value


def sent(value: Any) -> Any:
    """Return a real tensor as one elsewhere, in lists and tuples too; anything else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(sent, value))
    return Elsewhere(value) if isinstance(value, torch.Tensor) else value


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the arguments of an operation, and those in lists one by one."""
    for value in values:
        yield from flat(value) if isinstance(value, list | tuple) else (value,)


def computed(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Compute with the real tensors; what comes out is on the device that the operation names, or else on this one."""
    refuse(func, args, kwargs)
    real = {name: inside(value) for name, value in kwargs.items()}
    if "device" in kwargs:
        real["device"] = CPU
    out = func(*inside(args), **real)
    out = sent(out) if (kwargs.get("device") or DEVICE) == DEVICE else out
    return return_and_correct_aliasing(func, args, kwargs, out)


def refuse(func: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError where a graphics card does: a CPU generator, a CPU tensor that is more than a number."""
    values = [*flat(args), *flat(kwargs.values())]
    if any(isinstance(value, torch.Generator) for value in values):
        raise RuntimeError(f"Expected a '{DEVICE.type}' device type for generator but found 'cpu'")
    if func in TRAVELS:
        return
    if func in INDEXES and isinstance(args[0], Elsewhere):
        values = [*flat(args[2:])]  # the places may be on the CPU, the values not
    takes_a_number = torch.Tag.pointwise in func.tags or func in TAKES_A_NUMBER
    for value in values:
        if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere):
            written = func._schema.is_mutable and value is args[0]
            if value.ndim or written or not takes_a_number:
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but found {DEVICE} and cpu, in {func}"
                )


def recurrent(func: Any, in_steps: Callable[..., Any]) -> Callable[..., Any]:
    """Return a recurrent layer for this device, where torch's own has no backward pass; without one it is quicker."""
    return lambda *args: in_steps(*args) if torch.is_grad_enabled() else computed(func, args, {})


@contextlib.contextmanager
def pretend() -> Iterator[None]:
    """Let `runtime.device` return this device, whatever is asked for, and let tensors be on it."""
    before = torch._C._only_lift_cpu_tensors(), torch.__future__.get_swap_module_params_on_conversion()
    torch._C._set_only_lift_cpu_tensors(True)  # let torch.tensor read its data on the CPU, then send it
    torch.__future__.set_swap_module_params_on_conversion(True)  # let a module that moves keep its parameters
    try:
        with (
            mock.patch.object(runtime, "device", lambda name="cpu": DEVICE),
            mock.patch.object(torch._VF, "gru", recurrent(aten.gru.input, decompositions.gru_impl)),
            mock.patch.object(torch._VF, "lstm", recurrent(aten.lstm.input, decompositions.lstm_impl)),
            Factories(),
        ):
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before[0])
        torch.__future__.set_swap_module_params_on_conversion(before[1])


ending = contextlib.ExitStack()


def begin() -> None:
    """Let everything after this be within `pretend()`."""
    ending.enter_context(pretend())
