"""What each round of a log adds to the off-policy estimates, without an array of rounds x items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data.bandit import BanditLog
from pyrec.data.ids import Int32Array
from pyrec.data.ragged import Ragged
from pyrec.evaluate.policies import TopKPolicy
from pyrec.evaluate.reward_models import Floats, RewardModel

_BLOCK = 16_384
"""Rounds at a time."""


@dataclass(frozen=True)
class RoundTerms:
    """The parts of the estimates.

    Attributes:
        rewards: r_t, float64 (n,).
        weights: w_t, the new policy's probability of the round's item over the logging policy's, float64 (n,).
        predicted: q_t, the predicted reward of the round's item, float64 (n,).
        direct: d_t, the predicted reward of what the new policy shows, float64 (n,).
        cell_weights: the share of what the new policy shows that is the round's item at the round's position, over the
            share of the rounds that is, float64 (n,).
        unsupported: Share of what the new policy shows that no round has at any position.
    """

    rewards: Floats
    weights: Floats
    predicted: Floats
    direct: Floats
    cell_weights: Floats
    unsupported: float


@dataclass(frozen=True)
class Numbering:
    """The log's users and items in the model's internal ids.

    Attributes:
        users: int32 (log.num_users,): the model's number, -1 where it knows none.
        items: int32 (log.num_items,): likewise.
        to_log: int32 (model's num_items,): the log's number, -1 where it has none.
        allowed: the log's items in the model's numbers, int32 (A,), ascending.
    """

    users: Int32Array
    items: Int32Array
    to_log: Int32Array
    allowed: torch.Tensor

    @classmethod
    def of(cls, users: Int32Array, items: Int32Array, num_items: int) -> Numbering:
        """Return the numbering of users and items, for a model with ``num_items`` items."""
        known = items >= 0
        to_log = np.full(num_items, -1, dtype=np.int32)
        to_log[items[known]] = np.flatnonzero(known)
        return cls(users, items, to_log, tensor_of(np.flatnonzero(to_log >= 0).astype(np.int32)))


def round_terms(
    log: BanditLog, policy: TopKPolicy, k: int, reward_model: RewardModel, numbering: Numbering
) -> RoundTerms:
    """Return what each round adds.

    Args:
        log: Rounds at positions below k, of users that the model knows.
        policy: Of a model that stays as it is meanwhile.
        k: Length of the model's lists.
        reward_model: What predicts rewards.
        numbering: Of the log's users and items for the model.
    """
    n, num_items = len(log), log.num_items
    cells = (0 if log.positions is None else log.positions.astype(np.int64) * num_items) + log.items
    num_cells = log.num_positions * num_items
    weights, predicted, direct = (np.empty(n) for _ in range(3))
    mass = np.zeros(num_cells)
    order = np.argsort(log.users, kind="stable")  # a user's list is ranked once a block
    for start in range(0, n, _BLOCK):
        rounds = order[start : start + _BLOCK]
        shown, tops = log.items[rounds], cells[rounds] - log.items[rounds]
        items, chances = _support(log, rounds, policy, k, numbering)
        chances *= 1 - policy.explored
        of_shown = (chances * (items == shown[:, None])).sum(axis=1)
        there = np.maximum(items, 0)
        rewards = reward_model.predict(np.repeat(rounds, items.shape[1]), there.ravel()).reshape(items.shape)
        expected = (chances * rewards).sum(axis=1)
        mass += np.bincount((tops[:, None] + there).ravel(), chances.ravel(), num_cells)
        if policy.explored:
            chance, reward, spread = _evenly(log, rounds, tops, reward_model, num_cells)
            of_shown += policy.explored * chance
            expected += policy.explored * reward
            mass += policy.explored * spread
        weights[rounds] = of_shown / log.propensities[rounds]
        predicted[rounds] = reward_model.predict(rounds, shown)
        direct[rounds] = expected
    counts = np.bincount(cells, minlength=num_cells)
    is_absent = counts.reshape(-1, num_items).sum(axis=0) == 0
    of_items = mass.reshape(-1, num_items).sum(axis=0)
    return RoundTerms(
        rewards=log.rewards.astype(np.float64),
        weights=weights,
        predicted=predicted,
        direct=direct,
        cell_weights=(mass / np.maximum(counts, 1))[cells],
        unsupported=float(of_items[is_absent].sum() / max(of_items.sum(), np.finfo(np.float64).tiny)),
    )


def _support(
    log: BanditLog, rounds: NDArray[np.intp], policy: TopKPolicy, k: int, numbering: Numbering
) -> tuple[Int32Array, Floats]:
    """Return what the policy may show in some rounds without exploring, and how probable each item is.

    Args:
        log: All rounds.
        rounds: (m,), a user's one after the other.
        policy: The policy.
        k: Length of the model's lists.
        numbering: Of the log's users and items for the model.

    Returns:
        The log's numbers of items int32 (m, width), -1 for none, and their chances float64 (m, width).
    """
    length = min(policy.list_length(k), len(numbering.allowed))
    users, row_of = log.users[rounds], np.arange(len(rounds))
    limits: dict[str, Any] = {}
    if log.candidates is not None:
        limits["candidates"] = _renumbered(log.candidates[rounds], numbering)
    else:
        users, row_of = np.unique(users, return_inverse=True)
        if len(numbering.allowed) < len(numbering.to_log):
            limits["allowed"] = numbering.allowed
    ids, scores = (
        part.cpu().numpy()
        for part in policy.model.topk(
            numbering.users[users], length, filter_seen=policy.filter_seen, **limits
        )
    )
    items = np.where(ids >= 0, numbering.to_log[ids], -1)
    if policy.is_by_position and log.positions is not None:
        places = log.positions[rounds]
        at_place = np.full(len(rounds), -1, dtype=items.dtype)
        there = places < length
        at_place[there] = items[row_of[there], places[there]]
        return at_place[:, None], (at_place >= 0).astype(np.float64)[:, None]
    return items[row_of], (policy.chances(scores) * (items >= 0))[row_of]


def _renumbered(candidates: Ragged, numbering: Numbering) -> Ragged:
    """Return candidates (m, num_items) of the log in the model's numbers, without those that it does not know."""
    numbers = numbering.items[candidates.indices]
    known = candidates.entries(numbers >= 0)
    return Ragged(known.indptr, numbers[numbers >= 0], len(numbering.to_log))


def _evenly(
    log: BanditLog,
    rounds: NDArray[np.intp],
    tops: NDArray[np.int64],
    reward_model: RewardModel,
    num_cells: int,
) -> tuple[Floats, Floats, Floats]:
    """Return what exploration does in some rounds, where each candidate is as probable as another.

    Args:
        log: All rounds.
        rounds: (m,).
        tops: The first cell of each round's position, (m,).
        reward_model: What predicts rewards.
        num_cells: Positions x items.

    Returns:
        The chance of a round's item (m,), the expected reward (m,), and the expected number of rounds that show an item
        at a position (num_cells,).
    """
    if log.candidates is None:
        per_top = np.bincount(tops // log.num_items, minlength=num_cells // log.num_items) / log.num_items
        return (
            np.full(len(rounds), 1 / log.num_items),
            reward_model.predict_mean(rounds),
            np.repeat(per_top, log.num_items),
        )
    candidates = log.candidates[rounds]
    chance = 1 / candidates.lengths
    rows = candidates.rows
    rewards = reward_model.predict(rounds[rows], candidates.indices)
    spread = np.bincount(tops[rows] + candidates.indices, chance[rows], num_cells).astype(np.float64)
    return chance, np.bincount(rows, rewards, len(rounds)) * chance, spread
