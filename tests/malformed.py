"""Malformed arguments, class by class: what a test passes in place of a sound one.

Each class says what it can be made of and how. `CLASSES` is the table of them; docs/reliability.md counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.dlpack import to_dlpack


@dataclass(frozen=True)
class Malformed:
    """A class of malformed arguments.

    Attributes:
        applies: Whether it can be made of this sound argument.
        make: The malformed one; it does not change the sound one.
    """

    applies: Callable[[Any], bool]
    make: Callable[[Any], Any]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _some(value: Any) -> bool:
    return _is_tensor(value) and value.numel() > 0


def _floats(value: Any) -> bool:
    return _some(value) and value.is_floating_point()


def _integers(value: Any) -> bool:
    return _some(value) and value.dtype in (torch.int32, torch.int64)


def _matrix(value: Any) -> bool:
    return _some(value) and value.ndim == 2


def _vector(value: Any) -> bool:
    return _integers(value) and value.ndim == 1 and len(value) > 1


def _list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


def _set(at: int, what: Any) -> Callable[[Tensor], Tensor]:
    """One entry of a copy replaced."""

    def make(value: Tensor) -> Tensor:
        copy = value.clone()
        copy.view(-1)[at] = what
        return copy

    return make


def _limit(low: bool) -> Callable[[Tensor], Tensor]:
    def make(value: Tensor) -> Tensor:
        info = torch.iinfo(value.dtype)
        return _set(0, info.min if low else info.max)(value)

    return make


def _other_float(value: Tensor) -> Tensor:
    return value.double() if value.dtype == torch.float32 else value.float()


def _other_integer(value: Tensor) -> Tensor:
    return value.long() if value.dtype == torch.int32 else value.int()


def _strided(value: Tensor) -> Tensor:
    """The same numbers, each followed by one that does not belong."""
    wide = torch.zeros(*value.shape, 2, dtype=value.dtype)
    wide[..., 0] = value
    return wide[..., 0]


def _read_only(value: Tensor) -> Any:
    array = value.detach().numpy().copy()
    array.setflags(write=False)
    return array


def _used_capsule(value: Tensor) -> Any:
    capsule = to_dlpack(value.detach().clone())
    torch.from_dlpack(capsule)
    return capsule


def _swapped(value: Tensor) -> Any:
    array = value.detach().numpy()
    return array.astype(array.dtype.newbyteorder(">"))


class LyingArray:
    """Says that it has ``__dlpack__``, and gives what is none."""

    def __dlpack__(self, **_: Any) -> Any:
        return 17


class RaisingArray:
    """Cannot give what it promises."""

    def __dlpack__(self, **_: Any) -> Any:
        raise ValueError("this array cannot be exported")


def _as_numpy(change: Callable[[Any], Any]) -> Callable[[Tensor], Any]:
    return lambda value: change(value.detach().numpy().copy())


def _constant(what: Any) -> Malformed:
    return Malformed(lambda _: True, lambda _: what)


def _number(what: Any) -> Malformed:
    return Malformed(lambda value: isinstance(value, int | float), lambda _: what)


CLASSES: dict[str, Malformed] = {
    # What any argument can be instead.
    "None": _constant(None),
    "text": _constant("seven"),
    "bytes": _constant(b"\0\xff"),
    "empty list": _constant([]),
    "nested list": _constant([[1, 2], [3]]),
    "dictionary": _constant({"indices": 1}),
    "object": _constant(object()),
    "type": _constant(int),
    "list of None": _constant([None, None]),
    "array-like that gives no capsule": _constant(LyingArray()),
    "array-like that raises": _constant(RaisingArray()),
    "array of objects": _constant(np.array([1, "a", None], dtype=object)),
    "array of text": _constant(np.array(["a", "b"])),
    "array of records": _constant(np.zeros(3, dtype=[("a", "i4"), ("b", "f4")])),
    "array of dates": _constant(np.array(["2020-01-01", "NaT"], dtype="datetime64[D]")),
    "masked array": _constant(np.ma.masked_array([1, 2, 3], [True, False, False])),
    "scalar array": _constant(np.array(3)),
    "SciPy matrix": _constant(sparse.csr_array(np.eye(3, dtype=np.float32))),
    # Arrays of another kind.
    "wrong float": Malformed(_floats, _other_float),
    "half": Malformed(_floats, lambda value: value.half()),
    "bfloat16": Malformed(_floats, lambda value: value.bfloat16()),
    "complex": Malformed(_floats, lambda value: torch.complex(value, value)),
    "conjugated": Malformed(_floats, lambda value: torch.complex(value, value).conj()),
    "negated view": Malformed(_floats, lambda value: torch.complex(value, value).conj().imag),
    "integers for floats": Malformed(_floats, lambda value: value.int()),
    "floats for integers": Malformed(_integers, lambda value: value.float()),
    "wrong integer": Malformed(_integers, _other_integer),
    "int8": Malformed(_is_tensor, lambda value: value.to(torch.int8)),
    "uint8": Malformed(_is_tensor, lambda value: value.to(torch.uint8)),
    "bool": Malformed(_is_tensor, lambda value: value.bool()),
    "other byte order": Malformed(_is_tensor, _swapped),
    "meta device": Malformed(_is_tensor, lambda value: value.to("meta")),
    "sparse tensor": Malformed(_matrix, lambda value: value.to_sparse()),
    "wants a gradient": Malformed(_floats, lambda value: value.clone().requires_grad_()),
    "used capsule": Malformed(_is_tensor, _used_capsule),
    "read-only": Malformed(_is_tensor, _read_only),
    # Arrays of another shape or other strides.
    "rank 0": Malformed(_some, lambda value: value.view(-1)[0].clone()),
    "one rank more": Malformed(_is_tensor, lambda value: value[None].clone()),
    "rank 9": Malformed(_is_tensor, lambda value: value.clone()[(None,) * 8]),
    "one rank less": Malformed(_matrix, lambda value: value.reshape(-1).clone()),
    "empty": Malformed(_is_tensor, lambda value: torch.empty(0, dtype=value.dtype)),
    "empty, of this rank": Malformed(_some, lambda value: value[..., :0].clone() if value.ndim else value),
    "no rows": Malformed(_matrix, lambda value: value[:0].clone()),
    "one row less": Malformed(_some, lambda value: value[:-1].clone() if value.ndim else value),
    "one row more": Malformed(_some, lambda value: torch.cat([value, value[-1:]]) if value.ndim else value),
    "one column less": Malformed(_matrix, lambda value: value[:, :-1].clone()),
    "transposed": Malformed(_matrix, lambda value: value.t()),
    "not contiguous": Malformed(_is_tensor, _strided),
    "backwards in memory": Malformed(_some, _as_numpy(lambda array: array[::-1] if array.ndim else array)),
    "Fortran order": Malformed(_matrix, _as_numpy(np.asfortranarray)),
    "stride 0": Malformed(_some, lambda value: value.view(-1)[0].expand(value.shape)),
    "enormous, stride 0": Malformed(_some, lambda value: value.view(-1)[:1].expand(2**40)),
    "enormous matrix, stride 0": Malformed(_some, lambda value: value.view(-1)[:1].expand(2**31, 2**31)),
    # Numbers out of range.
    "NaN": Malformed(_floats, _set(-1, float("nan"))),
    "infinity": Malformed(_floats, _set(0, float("inf"))),
    "minus infinity": Malformed(_floats, _set(0, float("-inf"))),
    "largest float": Malformed(_floats, lambda value: torch.full_like(value, torch.finfo(value.dtype).max)),
    "least float": Malformed(
        _floats, lambda value: torch.full_like(value, torch.finfo(value.dtype).tiny / 8)
    ),
    "all zero": Malformed(_some, torch.zeros_like),
    "-1": Malformed(_integers, _set(0, -1)),
    "-2": Malformed(_integers, _set(-1, -2)),
    "one too large": Malformed(_integers, lambda value: _set(-1, int(value.max()) + 1)(value)),
    "thousand": Malformed(_integers, _set(0, 1000)),
    "largest integer": Malformed(_integers, _limit(low=False)),
    "least integer": Malformed(_integers, _limit(low=True)),
    # Order and repetition.
    "backwards": Malformed(_vector, lambda value: value.flip(0)),
    "twice the same": Malformed(_vector, lambda value: _set(1, value[0].item())(value)),
    "all the same": Malformed(_vector, lambda value: torch.full_like(value, value[-1].item())),
    "rises too far": Malformed(_vector, lambda value: _set(-1, int(value[-1]) + 7)(value)),
    "falls in the middle": Malformed(_vector, lambda value: _set(len(value) // 2, 0)(value)),
    "rises in the middle": Malformed(_vector, lambda value: _set(len(value) // 2, 10**6)(value)),
    # Lists of arrays.
    "one array less": Malformed(_list, lambda value: value[:-1]),
    "one array more": Malformed(_list, lambda value: [*value, value[0]]),
    "65 arrays": Malformed(_list, lambda value: value[:1] * 65),
    "array among None": Malformed(_list, lambda value: [*value[:-1], None]),
    "array of another shape": Malformed(
        lambda value: _list(value) and _matrix(value[-1]), lambda value: [*value[:-1], value[-1][:, :-1]]
    ),
    "array of another dtype": Malformed(
        lambda value: _list(value) and _floats(value[-1]),
        lambda value: [*value[:-1], _other_float(value[-1])],
    ),
    # Single numbers.
    "number -1": _number(-1),
    "number 0": _number(0),
    "number 2^31": _number(2**31),
    "number 2^40": _number(2**40),
    "number 2^63 - 1": _number(2**63 - 1),
    "number -2^63": _number(-(2**63)),
    "number 2^64": _number(2**64),
    "number 10^30": _number(10**30),
    "number True": _number(True),
    "number 1.5": _number(1.5),
    "number NaN": _number(float("nan")),
    "number infinity": _number(float("inf")),
    "number as text": _number("3"),
    "NumPy's -5": _number(np.int64(-5)),
    "NumPy's NaN": _number(np.float32("nan")),
    "number in a list": _number([1]),
}
