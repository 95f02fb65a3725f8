"""Truncated SVD: the same bits at each call, right where singular values are equal or 0."""

import hashlib

import children
import numpy as np
import pytest
import torch
from scipy.sparse import block_diag, csr_array, eye_array

from pyrec import SVD, DataError, LightGCN
from pyrec.nn import subspace
from pyrec.nn.encoder import Table
from pyrec.nn.gram import COLUMNS, Gram
from pyrec.nn.singular import leading_singular_vectors
from pyrec.nn.subspace import leading_eigenpairs

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
    users, values, items, _ = leading_singular_vectors(matrix, 5, 1e-12)
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
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    u, s, v, residuals = leading_singular_vectors(csr_array(dense), 12, tolerance)
    left, values, right = np.linalg.svd(dense.astype(float))
    error = 1e-5 if dtype == np.float32 else 1e-11
    assert u.dtype == s.dtype == v.dtype == dtype
    assert residuals.dtype == np.float64
    assert (residuals <= max(tolerance, 16 * np.finfo(dtype).eps)).all()
    assert np.allclose(s, values[:12], rtol=error)
    assert np.allclose(np.abs((left[:, :12] * u).sum(0)), 1, atol=error)
    assert np.allclose(np.abs((right[:12].T * v).sum(0)), 1, atol=error)


@pytest.mark.parametrize("groups", [5, 40])
def test_copies_that_one_krylov_space_cannot_tell_apart_are_found(groups):
    """A start that is the same in each group never leaves what the groups have in common."""
    matrix = holey_groups(groups).astype(np.float64)
    _, values, items, _ = leading_singular_vectors(matrix, 5, 1e-12)
    assert np.allclose(values, np.linalg.norm(holey_groups(1).toarray(), 2))
    assert np.allclose(items.T @ items, np.eye(5))


def test_a_value_that_is_there_more_often_than_a_block_has_vectors():
    copies = COLUMNS + 20
    matrix = holey_groups(copies).astype(np.float64)
    _, values, items, _ = leading_singular_vectors(matrix, copies, 1e-12)
    assert np.allclose(values, np.linalg.norm(holey_groups(1).toarray(), 2))
    assert np.allclose(items.T @ items, np.eye(copies))


@pytest.mark.parametrize("shape", [(700, 500), (450, 900)])
def test_more_vectors_than_a_block(shape):
    """Orthonormal on both sides, and the largest ones, through several cycles."""
    count = 2 * COLUMNS + 5
    dense = (np.random.default_rng(4).random(shape) < 0.05).astype(np.float32)
    left, values, right, _ = leading_singular_vectors(csr_array(dense), count, 1e-6)
    assert np.allclose(values, np.linalg.svd(dense.astype(float), compute_uv=False)[:count], rtol=1e-5)
    for vectors in (left, right):
        assert np.allclose(vectors.T.astype(float) @ vectors, np.eye(count), atol=2e-5)
    assert np.allclose(dense @ right, left * values, atol=1e-4)


def test_numbers_that_float32_does_not_hold():
    """They are multiplied by SciPy, the others by the kernel."""
    dense = np.random.default_rng(5).random((60, 90)) * (np.random.default_rng(6).random((60, 90)) < 0.3)
    held = dense.astype(np.float32).astype(np.float64)
    found = [leading_singular_vectors(csr_array(one), 4, 1e-12) for one in (dense, held)]
    for one, (left, values, right, _) in zip((dense, held), found, strict=True):
        expected = np.linalg.svd(one)
        assert np.allclose(values, expected.S[:4], rtol=1e-12)
        truncated = expected.U[:, :4] * expected.S[:4] @ expected.Vh[:4]
        assert np.allclose(left * values @ right.T, truncated, atol=1e-9)
    assert not np.array_equal(found[0][1], found[1][1])


def test_the_same_bits_at_any_number_of_threads():
    dense = (np.random.default_rng(4).random((3000, 400)) < 0.05).astype(np.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(leading_singular_vectors(csr_array(dense), 80, 1e-6))
    finally:
        torch.set_num_threads(before)
    for one in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(one, found[0], strict=True))


@pytest.mark.parametrize("seed", range(24))
def test_random_matrices(seed):
    """Of few rows and many, beside blocks and bases of any width: what is outside a basis may be rounding alone."""
    rng = np.random.default_rng(seed)
    sizes = [5, 17, COLUMNS - 1, COLUMNS, COLUMNS + 1, 129, 190, 200, 260]
    rows, columns = int(rng.choice(sizes)), int(rng.choice(sizes))
    matrix = (rng.random((rows, columns)) < rng.choice([0.05, 0.3, 0.9])).astype(np.float64)
    if seed % 3 == 1:
        matrix = np.kron(np.eye(4), matrix)[: 2 * rows, : 2 * columns]
    if seed % 3 == 2:
        matrix = matrix * rng.random(matrix.shape)
    size = min(matrix.shape)
    count = int(rng.integers(1, min(size, 100)))
    left, values, right, _ = leading_singular_vectors(csr_array(matrix), count, 1e-12)
    expected = np.linalg.svd(matrix, compute_uv=False)[:count]
    assert np.allclose(values, expected, rtol=1e-9, atol=2e-7 * expected[0])
    known = values > 0
    for vectors in (left[:, known], right[:, known]):
        assert np.allclose(vectors.T @ vectors, np.eye(known.sum()), atol=1e-5)
    assert np.allclose(matrix @ right, left * values, atol=1e-7 * expected[0])


def test_an_iteration_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(subspace, "_MOST_ROUNDS", 1)
    dense = np.random.default_rng(3).random((400, 400))
    with pytest.raises(
        DataError, match="8 leading singular vectors were not found in 1 rounds; ask for fewer"
    ):
        leading_singular_vectors(csr_array(dense), 8, 1e-12)


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


def _orthogonal(size: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(size).standard_normal((size, size)))[0]


LARGER = {
    "uniform": lambda rng: rng.random((300, 340)),
    "rank 40": lambda rng: (rng.random((310, 40)) < 0.2) * 1.0 @ (rng.random((40, 300)) < 0.2),
    "all ones": lambda _: np.ones((320, 300)),
    "identity": lambda _: np.eye(300),
    "30 copies": lambda rng: np.kron(np.eye(30), rng.random((12, 10)) < 0.4) * 1.0,
    "popular items": lambda rng: (rng.random((300, 350)) < np.minimum(0.9, 5 / np.arange(1, 351))) * 1.0,
    "falling by half": lambda _: _orthogonal(300) * 0.5 ** np.arange(300) @ _orthogonal(300),
    "staircase": lambda _: np.diag(np.repeat(np.arange(1.0, 31), 10)),
    "one entry": lambda _: np.diag(np.eye(300)[3]),
    "star": lambda _: np.vstack([np.ones((1, 400)), np.eye(300, 400)]),
    "tiny numbers": lambda rng: (rng.random((330, 300)) < 0.05) * 1e-12,
    "large numbers": lambda rng: (rng.random((330, 300)) < 0.05) * 1e9,
}


@pytest.mark.parametrize("count", [3, 90])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LARGER)
def test_matrices_that_are_iterated_on(name, dtype, count):
    """Low rank, equal values, values far apart: the largest ones within rounding, and zeros below it."""
    matrix = LARGER[name](np.random.default_rng(9)).astype(dtype)
    left, values, right, residuals = leading_singular_vectors(csr_array(matrix), count, 1e-6)
    expected = np.linalg.svd(matrix.astype(float), compute_uv=False)[:count]
    rounding = np.finfo(dtype).eps
    assert (
        np.abs(values.astype(float) ** 2 - expected**2).max() <= max(2e-6, 100 * rounding) * expected[0] ** 2
    )
    assert (expected[values == 0] <= (100 * rounding) ** 0.5 * expected[0]).all()
    assert np.abs(matrix @ right - left * values).max() <= 20 * rounding**0.5 * expected[0]
    assert residuals.max() < 1e-4
    known = values[values > 0].astype(float)
    for vectors in (left[:, values > 0], right[:, values > 0]):
        beside = np.abs(vectors.T.astype(float) @ vectors - np.eye(len(known)))
        assert (beside <= 1e-4 + 4 * residuals.max() * known[0] ** 2 / np.outer(known, known)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_iteration_on_each_device(device, weighted):
    rng = np.random.default_rng(2)
    dense = (rng.random((300, 500)) < 0.05) * (rng.random((300, 500)) if weighted else 1)
    gram = Gram(csr_array(dense.astype(np.float32)), device.torch)
    gram._graph = device.put(gram._graph)
    pairs = leading_eigenpairs(gram, 40, 1e-6, seed=0)
    far = gram.across(pairs.vectors)
    expected = np.linalg.svd(dense, compute_uv=False)[:40]
    vectors = pairs.vectors.cpu().double()
    assert np.allclose(pairs.values.sqrt(), expected, rtol=1e-5)
    assert np.allclose(vectors.T @ vectors, np.eye(40), atol=1e-5)
    assert np.allclose(far.cpu(), dense.T @ vectors.numpy(), atol=1e-4)
    assert far.device.type == device.torch.type
