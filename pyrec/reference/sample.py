"""Sampling in NumPy: the same random numbers as the kernel's, and LightGCN-PyTorch's way beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
LOW = np.uint64(0xFFFFFFFF)
SHUFFLE_ROUNDS = 12


def _halves(product: Words) -> tuple[Words, Words]:
    return product >> np.uint64(32), product & LOW


def philox(counter: list[Words], key: tuple[int, int]) -> list[Words]:
    """Philox4x32-10 of arrays of counters; every word is 32 bits wide in a uint64."""
    key0, key1 = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(10):
        high0, low0 = _halves(np.uint64(0xD2511F53) * counter[0])
        high1, low1 = _halves(np.uint64(0xCD9E8D57) * counter[2])
        counter = [high1 ^ counter[1] ^ key0, low1, high0 ^ counter[3] ^ key1, low0]
        key0, key1 = (key0 + np.uint64(0x9E3779B9)) & LOW, (key1 + np.uint64(0xBB67AE85)) & LOW
    return counter


def _seed_key(seed: int) -> tuple[int, int]:
    return seed & 0xFFFFFFFF, seed >> 32


def _constant(value: int, like: Words) -> Words:
    return np.full_like(like, value)


def _mix(value: Words, key: np.uint64) -> Words:
    high, low = _halves(np.uint64(0xD2511F53) * (value ^ key))
    return high ^ low


def shuffle(index: Words, count: int, seed: int, epoch: int) -> Words:
    """Where each position of an epoch's order points: a permutation of [0, count)."""
    bits = max(10, int(count).bit_length())
    left_bits = np.uint64(bits // 2)
    right_bits = np.uint64(bits - bits // 2)
    one = np.uint64(1)
    left_mask, right_mask = (one << left_bits) - one, (one << right_bits) - one
    rounds = np.arange(SHUFFLE_ROUNDS, dtype=np.uint64)
    full = _constant(0xFFFFFFFF, rounds)
    keys = philox([rounds, full, _constant(epoch, rounds), full], _seed_key(seed))[0]
    index = index.copy()
    outside = np.ones(len(index), dtype=bool)
    while outside.any():
        left, right = index[outside] >> right_bits, index[outside] & right_mask
        for r in range(0, SHUFFLE_ROUNDS, 2):
            left = left ^ (_mix(right, keys[r]) & left_mask)
            right = right ^ (_mix(left, keys[r + 1]) & right_mask)
        index[outside] = left << right_bits | right
        outside = index >= count
    return index


def _scaled(random_low: Words, random_high: Words, bound: Words) -> Words:
    """The high 64 bits of (64 random bits) * bound, for a bound below 2^32."""
    scaled: Words = (random_high * bound + (random_low * bound >> np.uint64(32))) >> np.uint64(32)
    return scaled


def triples(
    indptr: NDArray[np.int64],
    items: NDArray[np.int32],
    num_items: int,
    seed: int,
    epoch: int,
    num_negatives: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """An epoch's triples, bit for bit those of `pyrec.ops.sample`.

    Args:
        indptr: (num_users + 1,) row pointers of the users' items.
        items: (n,) their items, ascending for each user.
        num_items: Number of items.
        seed: As for the kernel.
        epoch: As for the kernel.
        num_negatives: Negatives of each sample.

    Returns:
        users (m,), positives (m,), negatives (m, num_negatives).
    """
    degree = np.diff(indptr)
    owner = np.repeat(np.arange(len(degree)), degree)
    eligible = np.flatnonzero(degree[owner] < num_items)
    samples = np.arange(len(eligible), dtype=np.uint64)
    chosen = eligible[shuffle(samples, len(eligible), seed, epoch).astype(np.int64)]
    users = owner[chosen]
    negatives = np.empty((len(users), num_negatives), dtype=np.int64)
    for n in range(num_negatives):
        counter = [samples & LOW, samples >> np.uint64(32), _constant(epoch, samples), _constant(n, samples)]
        low, high = philox(counter, _seed_key(seed))[:2]
        ranks = _scaled(low, high, (num_items - degree[users]).astype(np.uint64)).astype(np.int64)
        for row, (user, rank) in enumerate(zip(users, ranks, strict=True)):
            owned = set(items[indptr[user] : indptr[user + 1]].tolist())
            negatives[row, n] = [item for item in range(num_items) if item not in owned][rank]
    return users, items[chosen].astype(np.int64), negatives


def uniform_users(
    indptr: NDArray[np.int64],
    items: NDArray[np.int32],
    num_items: int,
    generator: np.random.Generator,
    count: int | None = None,
) -> NDArray[np.int64]:
    """An epoch in LightGCN-PyTorch's way: a random user, a random item of theirs, items until one is new.

    Args:
        indptr: (num_users + 1,) row pointers of the users' items.
        items: (n,) their items.
        num_items: Number of items.
        generator: Random numbers.
        count: Users to draw; by default n, which makes an epoch.

    Returns:
        (m, 3): user, positive, negative; users without items are left out.
    """
    drawn = []
    owned: dict[int, set[int]] = {}
    for user in generator.integers(0, len(indptr) - 1, len(items) if count is None else count).tolist():
        row = items[indptr[user] : indptr[user + 1]]
        if len(row) == 0:
            continue
        if user not in owned:
            owned[user] = set(row.tolist())
        negative = int(generator.integers(0, num_items))
        while negative in owned[user]:
            negative = int(generator.integers(0, num_items))
        drawn.append((user, row[generator.integers(0, len(row))], negative))
    return np.array(drawn, dtype=np.int64)
