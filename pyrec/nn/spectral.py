"""First embeddings from the graph's leading singular vectors."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec._checks import check_count
from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.nn.singular import leading_singular_vectors, most_vectors


def spectral_embeddings(
    interactions: Interactions, dim: int, std: float, device: torch.device | str = "cpu"
) -> Tensor:
    """What a linear graph filter would keep: leading singular vectors of D_u^-1/2 R D_i^-1/2, by falling value.

    With U S V^T the truncated SVD, users start at U S^1/2 and items at V S^1/2, scaled together. Training goes on
    from there instead of finding the same subspace first. The same data give the same bits. Source: the ideal low-pass
    filter of GF-CF (Shen et al., CIKM 2021), as a start and not as a model.

    Args:
        interactions: What to decompose.
        dim: Numbers in an embedding; below the number of users and of items, or 1.
        std: Of the result's numbers.
        device: Where the products are computed.

    Returns:
        (num_users + num_items, dim) float32 on the CPU, users first; zeros for nodes without interactions. Columns
        beyond the matrix's rank are N(0, std²): a column of zeros would have no gradient.

    Raises:
        ConfigError: ``dim`` is out of range.
    """
    bound = most_vectors(interactions)
    check_count(
        "embedding_size", dim, 1, bound, ConfigError, "one below the users and the items for init='spectral'"
    )
    matrix = _normalised(interactions)
    numbers = np.random.default_rng(0)
    left, values, right, _ = leading_singular_vectors(matrix, dim, 1e-6, device=device)
    vectors = np.concatenate([left, right]) * np.sqrt(values)
    vectors *= std / vectors.std()
    beyond = np.flatnonzero(values == 0)
    there = vectors.any(axis=1, keepdims=True)
    vectors[:, beyond] = std * there * numbers.standard_normal((len(vectors), len(beyond)))
    return tensor_of(vectors.astype(np.float32, copy=False))


def _normalised(interactions: Interactions) -> csr_array:
    ones = np.ones(len(interactions), dtype=np.float32)
    shape = (interactions.num_users, interactions.num_items)
    matrix = csr_array((ones, (interactions.users, interactions.items)), shape=shape)
    scales = [1 / np.sqrt(np.maximum(matrix.sum(axis), 1)) for axis in (1, 0)]
    return (diags_array(scales[0]) @ matrix @ diags_array(scales[1])).tocsr().astype(np.float32)
