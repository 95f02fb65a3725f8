"""Truncated SVD: the same bits at each call, right where singular values are equal or 0."""

import hashlib

import children
import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array, eye_array

from pyrec import SVD, DataError, LightGCN
from pyrec.nn import singular
from pyrec.nn.encoder import Table
from pyrec.nn.singular import leading_singular_vectors

BLOCKS = [(3, 3), (4, 1), (2, 2)]
"""Of ones: an a x b block has one singular value, sqrt(a b), with the item vector 1 / sqrt(b)."""


def blocks(sizes=BLOCKS) -> csr_array:
    return csr_array(block_diag([np.ones(size) for size in sizes]))


def holey_groups(groups: int, seed: int = 5) -> csr_array:
    """Groups of 12 users x 8 items that are copies of one another: each singular value is there ``groups`` times."""
    block = (np.random.default_rng(seed).random((12, 8)) < 0.5).astype(np.float32)
    block[:, 0] = 1
    return csr_array(block_diag([block] * groups))


def spectral(matrix: csr_array, dim: int) -> LightGCN:
    return LightGCN(dim, epochs=1, encoder=Table("spectral"), combine="mean", loss="bpr").fit(matrix)


MATRICES = {
    "rank 3": blocks,
    "all ones": lambda: csr_array(np.ones((9, 7))),
    "identity": lambda: eye_array(25, format="csr"),
    "users twice": lambda: csr_array(np.tile(holey_groups(2).toarray(), (2, 1))),
    "equal groups": lambda: holey_groups(4),
    "one user": lambda: csr_array(np.ones((1, 6))),
    "one item": lambda: csr_array(np.ones((6, 1))),
    "pairs and a part": lambda: csr_array(block_diag([holey_groups(1), np.eye(30)])),
}


@pytest.mark.parametrize("transposed", [False, True])
def test_equal_values_and_zeros_are_found_as_often_as_they_are_there(transposed):
    matrix = blocks().T.tocsr() if transposed else blocks()
    users, values, items = leading_singular_vectors(matrix, 5, np.linspace(0.5, 1.5, 6), 1e-12)
    if transposed:
        users, items = items, users
    assert np.allclose(values, [3, 2, 2, 0, 0], atol=1e-12)
    assert np.array_equal(values[3:], [0, 0])
    assert not users[:, 3:].any()
    assert not items[:, 3:].any()
    # The projection on the item vectors does not depend on a basis: ones / b in each block.
    assert np.allclose(items @ items.T, block_diag([np.full((b, b), 1 / b) for _, b in BLOCKS]).toarray())
    assert np.allclose(users * values @ items.T, blocks().toarray())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_truncated_svd_where_an_iteration_has_to_restart(dtype):
    rng = np.random.default_rng(3)
    dense = (rng.random((400, 300)) < 0.1).astype(dtype)
    u, s, v = leading_singular_vectors(
        csr_array(dense), 12, np.ones(300), 1e-12 if dtype == np.float64 else 1e-6
    )
    left, values, right = np.linalg.svd(dense.astype(float))
    error = 1e-5 if dtype == np.float32 else 1e-11
    assert u.dtype == s.dtype == v.dtype == dtype
    assert np.allclose(s, values[:12], rtol=error)
    assert np.allclose(np.abs((left[:, :12] * u).sum(0)), 1, atol=error)
    assert np.allclose(np.abs((right[:12].T * v).sum(0)), 1, atol=error)


@pytest.mark.parametrize("groups", [5, 40])
def test_copies_that_one_krylov_space_cannot_tell_apart_are_found(groups):
    """A start that is the same in each group never leaves what the groups have in common."""
    matrix = holey_groups(groups).astype(np.float64)
    start = np.ones(8 * groups)
    _, values, items = leading_singular_vectors(matrix, 5, start, 1e-12)
    assert np.allclose(values, np.linalg.norm(holey_groups(1).toarray(), 2))
    assert np.allclose(items.T @ items, np.eye(5))


def test_an_iteration_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(singular, "_MOST_CYCLES", 1)
    dense = np.random.default_rng(3).random((200, 200))
    with pytest.raises(
        DataError, match="8 leading singular vectors were not found in 1 cycles; ask for fewer"
    ):
        leading_singular_vectors(csr_array(dense), 8, np.ones(200), 1e-12)


def digests(matrix: csr_array) -> list[str]:
    dim = max(min(min(matrix.shape) - 1, 12), 1)
    arrays = [SVD(dim).fit(matrix).item_factors_]
    if min(matrix.shape) > 1 and matrix.nnz < np.prod(matrix.shape):
        arrays.append(spectral(matrix, dim).item_vectors_.numpy())
    assert all(np.isfinite(array).all() for array in arrays)
    return [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]


def test_degenerate_matrices_give_the_same_bits_in_any_process():
    here = {name: digests(make()) for name, make in MATRICES.items()}
    assert here == {name: digests(make()) for name, make in reversed(MATRICES.items())}
    code = "import test_singular as t; print({name: t.digests(make()) for name, make in t.MATRICES.items()})"
    there = children.run("-c", code)
    assert there.stdout.strip() == str(here), there.stderr


@pytest.mark.parametrize("dim", [4, 7, 15])
@pytest.mark.parametrize("fit", [lambda matrix, dim: SVD(dim).fit(matrix), spectral], ids=["svd", "spectral"])
def test_users_get_the_items_of_their_group(fit, dim):
    matrix = holey_groups(4)
    users = np.arange(48)
    ids, scores = fit(matrix, dim).recommend(users, 8, filter_seen=False)
    assert (ids[:, :3] // 8 == users[:, None] // 12).all()
    assert (scores[:, 0] > 0).all()


def test_what_a_matrix_of_low_rank_does_not_have_is_zero():
    """Three groups of two items: rank 3, whatever is asked for; items of a group are alike, others are not."""
    model = SVD(5).fit(blocks([(4, 2)] * 3))
    assert not model.item_factors_[:, 3:].any()
    near, likeness = model.similar_items(np.arange(6), 1)
    assert near.ravel().tolist() == [1, 0, 3, 2, 5, 4]
    assert np.allclose(likeness, 1)


def test_a_spectral_start_can_learn_beyond_the_rank():
    model = spectral(blocks([(4, 2)] * 3), 5)
    start = model.network_.first.embedding.detach().numpy()
    assert (np.abs(start).max(axis=0) > 0).all()


def test_one_user_or_one_item_has_one_factor():
    for shape in ((1, 6), (6, 1)):
        model = SVD(1).fit(csr_array(np.ones(shape)))
        assert np.allclose(model.item_factors_, shape[1] ** -0.5)
