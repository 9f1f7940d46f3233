"""Exact memory accounting without data: run real code on tensors that have no values, and count their bytes.

A :class:`Ghost` is a CPU tensor of which only shape, strides and type exist. Under :class:`GhostMode` every
operator that autograd, a module or an optimiser calls on ghosts gives ghosts, and a :class:`Ledger` keeps
what their storages would hold: each storage once, from its allocation to the death of its last tensor.

What an operator returns is asked of PyTorch's meta tensors, once for each combination of inputs; where it
depends on the device, of its fake tensors. These are private to PyTorch: where they are missing, convolutions
keep the layout of their input, and attention is taken to be of the kind that CPUs choose.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

try:
    from torch._subclasses.fake_tensor import FakeTensorMode
except ImportError:  # pragma: no cover - of another PyTorch
    FakeTensorMode = None  # type: ignore[assignment, misc]

aten = torch.ops.aten
CPU = torch.device("cpu")
FLASH_ATTENTION = 1  # as torch.nn.attention.SDPBackend numbers it
OF_THE_DEVICE = {  # operators whose result depends on the device: the layout, or the kind of attention
    aten.convolution.default,
    aten.convolution_backward.default,
    aten._fused_sdp_choice.default,
}


class Ledger:
    """The allocations and their ends, in order.

    Attributes:
        events: (storage, bytes), the storages numbered as they appear; negative bytes are a release.
        alive: bytes now.
        peak: the most bytes at one time.
    """

    def __init__(self) -> None:
        self.events: list[tuple[int, int]] = []
        self.alive = self.peak = self.storages = 0

    def allocate(self, size: int) -> int:
        """Note new memory; returns the number of its storage."""
        self.storages += 1
        self.events.append((self.storages, size))
        self.alive += size
        if self.alive > self.peak:
            self.peak = self.alive
        return self.storages

    def release(self, storage: int, size: int) -> None:
        """Note the end of a storage."""
        self.events.append((storage, -size))
        self.alive -= size

    def peak_beside(self, storages: set[int]) -> int:
        """The most bytes at one time, some storages left out."""
        alive = peak = 0
        for storage, size in self.events:
            if storage not in storages:
                alive += size
                peak = max(peak, alive)
        return peak


class Storage:
    """The memory behind ghosts; it lives as long as one of them."""

    __slots__ = ("ledger", "number", "size")

    def __init__(self, size: int, ledger: Ledger) -> None:
        self.size, self.ledger = size, ledger
        self.number = ledger.allocate(size)

    def __del__(self) -> None:
        self.ledger.release(self.number, self.size)


class Layout(NamedTuple):
    """All there is to know of a tensor without values."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    offset: int


class Ghost(Tensor):
    """A CPU tensor without values, made and handled by :class:`GhostMode`."""

    layout_: Layout
    storage_: Storage

    __torch_function__: Any = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise RuntimeError(f"{func} was called on a tensor without values outside of GhostMode")

    def __deepcopy__(self, memo: Any) -> Tensor:
        copy = self.detach().clone()
        return nn.Parameter(copy, self.requires_grad) if isinstance(self, nn.Parameter) else copy


class Output(NamedTuple):
    """How to make one output of an operator.

    Attributes:
        source: "input" (one of them, changed in place), "view" of an input, "part" of an earlier output's
            memory, "new" memory, or "value" (not a tensor).
        detail: the number of the input or output, the bytes of new memory, or the value.
        layout: of a tensor.
    """

    source: str
    detail: Any
    layout: Layout | None = None


class Recipe(NamedTuple):
    """How to make what an operator returns: one output (``sequence`` is None) or a sequence of them."""

    sequence: type | None
    outputs: list[Output]


class GhostMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operators on ghosts give ghosts; on tensors with values they run as ever, and are counted as well.

    Inside ``with``, tensors made from nothing (``torch.zeros``) are ghosts; those made from numbers
    (``torch.tensor``) have values. A ghost that is asked for a value answers True, or zero.

    Args:
        fake: ask PyTorch's fake tensors where the device matters.

    Attributes:
        ledger: where allocations are written.
    """

    def __init__(self, fake: bool = FakeTensorMode is not None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger = Ledger()
        self._fake = FakeTensorMode() if fake else None
        self._layouts: dict[Layout, Layout] = {}
        self._recipes: dict[Any, Recipe] = {}
        self._held: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._sole_use = 0
        self._find_sole_use()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the wrapper costs more than the accounting

    def start(self) -> Ledger:
        """Begin a new ledger; what lives already is not in it."""
        self.ledger, self._held = Ledger(), {}
        return self.ledger

    def ghosts_of(self, module: nn.Module) -> None:
        """Put ghosts in place of a module's parameters and buffers, whatever device they are on."""
        with self:
            for part in module.modules():
                for name, parameter in part.named_parameters(recurse=False):
                    setattr(part, name, nn.Parameter(self.ghost(parameter), parameter.requires_grad))
                for name, buffer in part.named_buffers(recurse=False):
                    setattr(part, name, self.ghost(buffer))

    def ghost(self, tensor: Tensor) -> Tensor:
        """A ghost of its own with the layout of ``tensor``."""
        return _make(self._layout_of(tensor), Storage(tensor.untyped_storage().nbytes(), self.ledger))

    def storage_of(self, tensor: Tensor) -> tuple[int, int]:
        """Number and bytes of a ghost's storage."""
        assert isinstance(tensor, Ghost)
        return tensor.storage_.number, tensor.storage_.size

    def _hold(self, tensor: Tensor) -> None:
        """Count a tensor with values."""
        storage, ledger = tensor.untyped_storage(), self.ledger
        key, size = storage._cdata, storage.nbytes()
        if key not in self._held or self._held[key]() is None:
            number = ledger.allocate(size)
            self._held[key] = weakref.ref(storage, lambda _: ledger.release(number, size))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors: list[Any] = []
        key = (func, self._key(args, tensors), self._key(tuple(kwargs.items()), tensors) if kwargs else ())
        if Ghost not in map(type, tensors) and (tensors or func.namespace != "aten"):
            return self._run(func, args, kwargs or {})
        if func is aten.add.Tensor and self._accumulates(tensors[0]):
            return tensors[0]
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipes[key] = self._infer(func, args, kwargs or {}, tensors)
        made: list[Any] = []
        for source, detail, layout in recipe.outputs:
            if source == "new":
                made.append(_make(layout, Storage(detail, self.ledger)))
            elif source == "view":
                made.append(_make(layout, tensors[detail].storage_))
            elif source == "input":
                made.append(tensors[detail])
            elif source == "part":
                made.append(_make(layout, made[detail].storage_))
            else:
                made.append(detail)
        return made[0] if recipe.sequence is None else recipe.sequence(made)

    def _key(self, value: Any, tensors: list[Any]) -> Any:
        """The meaning of an argument for the outputs; its tensors are collected on the way."""
        kind = type(value)
        if kind is Ghost:
            tensors.append(value)
            return id(value.layout_)
        if kind is tuple or kind is list:
            return tuple([self._key(item, tensors) for item in value])
        if isinstance(value, Tensor):
            tensors.append(value)
            return id(self._layout_of(value))
        if kind is torch.Generator:
            return kind
        return kind, value  # 1, 1.0 and True are equal

    def _layout_of(self, tensor: Tensor) -> Layout:
        """One object for all layouts that are equal: then an identity says it all."""
        layout = Layout(tuple(tensor.shape), tensor.stride(), tensor.dtype, int(tensor.storage_offset()))
        return self._layouts.setdefault(layout, layout)

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        for item in result if isinstance(result, tuple | list) else (result,):
            if isinstance(item, Tensor):
                self._hold(item)
        return result

    def _infer(self, func: Any, args: Any, kwargs: Any, tensors: list[Any]) -> Recipe:
        """Run an operator on stand-ins for its tensors, and see what it returns."""
        if func is aten._local_scalar_dense.default:
            dtype = tensors[0].dtype
            real = 1e-9 if dtype.is_floating_point else 0  # small as an error is, and not none, as noise is
            return Recipe(None, [Output("value", True if dtype == torch.bool else real)])
        if func is aten.equal.default:
            return Recipe(None, [Output("value", True)])
        if self._fake is None and func is aten._fused_sdp_choice.default:
            return Recipe(None, [Output("value", FLASH_ATTENTION)])
        fake = self._fake if func in OF_THE_DEVICE else None
        device = torch.device("meta") if fake is None else CPU
        with fake or nullcontext():
            stand_ins = [_stand_in(tensor, device) for tensor in tensors]
            if any(argument.name == "device" for argument in func._schema.arguments):
                kwargs = {**kwargs, "device": device}
            replaced = iter(stand_ins)
            result = func(*_replace(args, replaced), **_replace(kwargs, replaced))
        sequence = type(result) if isinstance(result, tuple | list) else None
        outputs: list[Output] = []
        known = {tensor.untyped_storage()._cdata: ("view", index) for index, tensor in enumerate(stand_ins)}
        for number, item in enumerate(result if sequence else (result,)):
            if not isinstance(item, Tensor):
                outputs.append(Output("value", item))
                continue
            storage = item.untyped_storage()
            same = [index for index, stand_in in enumerate(stand_ins) if stand_in is item]
            if same:
                outputs.append(Output("input", same[0]))
            elif storage._cdata in known:
                outputs.append(Output(*known[storage._cdata], self._layout_of(item)))
            else:
                known[storage._cdata] = ("part", number)
                outputs.append(Output("new", storage.nbytes(), self._layout_of(item)))
        return Recipe(sequence, outputs)

    def _accumulates(self, first: Any) -> bool:
        """Whether this sum is autograd's own, of gradients that meet at one place, and goes into the first of them.

        It does so where the first fills its memory and nothing else refers to it, but never under a mode like this.
        """
        if torch.is_grad_enabled() or sys._getframe(2).f_code.co_name != "_engine_run_backward":
            return False
        if getattr(first, "storage_", None) is None or not _is_dense(first.layout_):
            return False
        if self._sole_use == 0:
            self._sole_use = first._use_count()
        return first._use_count() == self._sole_use and sys.getrefcount(first.storage_) == 2

    def _find_sole_use(self) -> None:
        """How many references autograd holds to a gradient that is nobody else's, by an example."""
        with self:
            x = torch.zeros(1, requires_grad=True)
            (2 * x + 3 * x).sum().backward()  # type: ignore[no-untyped-call]


def _make(layout: Any, storage: Storage) -> Ghost:
    shape, strides, dtype, offset = layout
    ghost: Ghost = torch.Tensor._make_wrapper_subclass(Ghost, shape, strides, offset, dtype=dtype, device=CPU)
    ghost.layout_, ghost.storage_ = layout, storage
    return ghost


def _is_dense(layout: Layout) -> bool:
    """Whether the values fill a stretch of memory, each in a place of its own."""
    filled = 1
    for stride, size in sorted(zip(layout.strides, layout.shape, strict=True)):
        if size != 1 and stride != filled:
            return False
        filled *= size
    return True


def _stand_in(tensor: Any, device: torch.device) -> Tensor:
    size = tensor.storage_.size if isinstance(tensor, Ghost) else tensor.untyped_storage().nbytes()
    memory = torch.empty(size // tensor.itemsize, dtype=tensor.dtype, device=device)
    return memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def _replace(value: Any, stand_ins: Iterator[Tensor]) -> Any:
    """An argument with stand-ins for its tensors, in the order in which they are found."""
    if isinstance(value, Tensor):
        return next(stand_ins)
    if isinstance(value, dict):
        return {name: _replace(item, stand_ins) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_replace(item, stand_ins) for item in value)
    return value
