"""Least squares of many rows against the same fixed vectors: a half-step of alternating least squares.

Source: implicit ALS, Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; its
blocks, Rendle et al., "iALS++: speeding up matrix factorization with subspace optimization", RecSys 2022.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import (
    capsule,
    optional_tensors,
    require_contiguous,
    require_tensors,
    require_whole,
    stream_of,
)
from pyrec.errors import DataError

PADDING: Final = 16
"""Rows of vectors are padded to a multiple of so many columns; a block below all columns is one, too."""
MAX_COLUMNS: Final = 512
_DEVICE_BYTES: Final = 256 * 2**20
_DEVICE_BLOCKS: Final = 2048


def gram(vectors: Tensor, weight: Tensor | None = None) -> Tensor:
    """The Gram matrix Σ_i c_i f_i f_iᵀ of the rows of ``vectors``, in float64; the same bits at any number of threads.

    Args:
        vectors: (num_rows, dim) float32 or float64, contiguous; dim is 1 to 512. Where dim is a multiple of 16 they are
            taken as they are, else copied.
        weight: (num_rows,) c, of the vectors' dtype, contiguous; None for 1.

    Returns:
        (dim, dim) float64, symmetric. float32 rows are multiplied in float32, and added in float64 from 256 rows on.

    Raises:
        DataError: Wrong shape, dtype, device or strides.
        ConfigError: dim is outside 1 to 512.
    """
    require_contiguous(vectors=vectors)
    optional_tensors(weight=weight)
    _require_matrix("vectors", vectors)
    out = torch.empty(vectors.shape[1], vectors.shape[1], dtype=torch.float64, device=vectors.device)
    padded = pad_columns(vectors)
    size = _core.gram_scratch(capsule(padded))
    scratch = torch.empty(size, dtype=torch.uint8, device=vectors.device)
    _core.gram(
        capsule(padded),
        weight=capsule(weight),
        out=capsule(out),
        scratch=capsule(scratch),
        stream=stream_of(vectors.device),
    )
    return out


def als(
    x: Tensor,
    vectors: Tensor,
    indptr: Tensor,
    indices: Tensor,
    weight: Tensor,
    target: Tensor,
    reg: Tensor,
    *,
    gram: Tensor | None = None,
    linear: Tensor | None = None,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    penalty: Tensor | None = None,
    block: int | None = None,
) -> Tensor:
    """Solve the least squares of each row, in place.

    Row r has the entries k of ``indptr[r]`` to ``indptr[r + 1]``, each with f_k and o_k, the vector and the offset that
    its index names, a weight w_k and a target y_k. With the matrix G and the vector g of all fixed rows it minimises

        s_r (xᵀ G x / 2 - g · x) + Σ_k w_k (f_k · x + o_k - y_k)² / 2 + reg_r Σ_c penalty_c x_c² / 2,

    that is (s_r G + Σ_k w_k f_k f_kᵀ + reg_r diag(penalty)) x = s_r g + Σ_k w_k (y_k - o_k) f_k. A column of x that is
    not free, such as the 1 that the other side's bias meets, is no column here: what it adds to a score is the offset.

    Each system is solved by Cholesky for the change from x as it is. With ``block`` the columns are solved for block
    after block, each with the others held: a round of block coordinate descent, as in iALS++, at O(dim block) instead
    of O(dim²) an entry. The same bits at any number of threads.

    Args:
        x: (num_rows, dim) float32 or float64, contiguous; dim is 1 to 512. Changed in place, but for rows that fail.
        vectors: (num_fixed, dim) f, of x's dtype, contiguous; or (num_fixed, stride), padded with zeros to a multiple
            of 16 columns, which saves a copy.
        indptr: (num_rows + 1,) int64.
        indices: (n,) int32, rows of ``vectors``; a row may have one twice.
        weight: (n,) w, of x's dtype. They may be negative as long as each matrix is positive definite.
        target: (n,) y, of x's dtype.
        reg: (num_rows,) of x's dtype.
        gram: (dim, dim) G, symmetric, of x's dtype; None for 0.
        linear: (dim,) g, of x's dtype; None for 0.
        offset: (num_fixed,) o, of x's dtype; None for 0.
        scale: (num_rows,) s, of x's dtype; None for 1.
        penalty: (dim,) factors of ``reg``, of x's dtype; None for 1.
        block: Columns of a block: a multiple of 16, or at least dim; None for all columns.

    Returns:
        (num_rows,) float64: Σ_k w_k (f_k · x + o_k - y_k)² of each row, after it was solved.

    Raises:
        DataError: Wrong shape, dtype, device or strides; an index out of range; a matrix that is not positive definite,
            or a number that is not finite: the message names the row.
        ConfigError: dim is outside 1 to 512; another ``block``.
    """
    require_contiguous(x=x, vectors=vectors)
    require_tensors(indptr=indptr, indices=indices, weight=weight, target=target, reg=reg)
    optional_tensors(gram=gram, linear=linear, offset=offset, scale=scale, penalty=penalty)
    _require_matrix("x", x)
    _require_matrix("vectors", vectors)
    if vectors.shape[1] not in (x.shape[1], padded_columns(x.shape[1])):
        raise DataError(
            f"vectors has shape {tuple(vectors.shape)}, but (num_fixed, {x.shape[1]}) is needed, or padded with zeros "
            f"(num_fixed, {padded_columns(x.shape[1])})"
        )
    if gram is not None:
        _require_matrix("gram", gram)
        if tuple(gram.shape) != (x.shape[1], x.shape[1]):
            raise DataError(f"gram has shape {tuple(gram.shape)}, but {(x.shape[1], x.shape[1])} is needed")
        gram = pad_columns(gram)
    columns = x.shape[1] if block is None else block
    require_whole(block=columns)
    error = torch.empty_like(weight)
    loss = torch.empty(len(x), dtype=torch.float64, device=x.device)
    status = torch.empty(2, dtype=torch.int64, device=x.device)
    size = _core.als_scratch(capsule(x), columns)
    scratch = torch.empty(_workers(x.device, size), size, dtype=torch.uint8, device=x.device)
    _core.als(
        capsule(x),
        capsule(pad_columns(vectors)),
        capsule(indptr),
        capsule(indices),
        capsule(weight),
        capsule(target),
        capsule(reg),
        columns,
        gram=capsule(gram),
        linear=capsule(linear),
        offset=capsule(offset),
        scale=capsule(scale),
        penalty=capsule(penalty),
        error=capsule(error),
        loss=capsule(loss),
        status=capsule(status),
        scratch=capsule(scratch),
        stream=stream_of(x.device),
    )
    _check(status, len(x))
    return loss


def padded_columns(dim: int) -> int:
    """``dim``, rounded up to a multiple of 16."""
    return -(-dim // PADDING) * PADDING


def pad_columns(rows: Tensor) -> Tensor:
    """The rows with zeros behind them, to a multiple of 16 columns; themselves if they have as many."""
    more = padded_columns(rows.shape[1]) - rows.shape[1]
    return torch.nn.functional.pad(rows, (0, more)) if more else rows


def _require_matrix(name: str, array: Tensor) -> None:
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(
            f"{name} has shape {tuple(array.shape)}, but rows of 1 to {MAX_COLUMNS} columns are needed"
        )


def _workers(device: torch.device, size: int) -> int:
    """Threads of the CPU, or blocks of a device whose scratch stays within bounds."""
    if device.type != "cpu":
        return max(1, min(_DEVICE_BLOCKS, _DEVICE_BYTES // max(1, size)))
    return _core.num_threads()


def _check(status: Tensor, num_rows: int) -> None:
    """Tells of rows that failed; on a device it waits for the kernel."""
    not_definite, not_finite = status.tolist()
    if not_finite < num_rows:
        raise DataError(
            f"row {not_finite} has numbers that are not finite, or an index that is out of range; check vectors, "
            "weight and target"
        )
    if not_definite < num_rows:
        raise DataError(
            f"the matrix of row {not_definite} is not positive definite; raise reg, or check that weights are not "
            "negative"
        )
