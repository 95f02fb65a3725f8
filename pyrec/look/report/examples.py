"""Users to look at: what they had, what they are recommended, and what of it is in their test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyrec.look.report.data import ReportData

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
SHOWN_HISTORY = 15
SHOWN_LIST = 10


@dataclass(frozen=True)
class Item:
    """An item as the page shows it.

    Attributes:
        label: Its name, or its raw id.
        id: Its raw id.
        num_users: Its training users.
        hit: Whether it is in the user's test set.
    """

    label: str
    id: str
    num_users: str
    hit: bool


@dataclass(frozen=True)
class Example:
    """A user.

    Attributes:
        user: The raw id.
        place: The share of the test users with a smaller value, in words; empty for a user without test items.
        score: The user's own value, or that there is none.
        history: Some of what the user had in training.
        history_order: How these were chosen.
        hidden: Training items that are not shown.
        recommended: The list, best first.
        hits: How many of the list are in the test set.
        num_test: Items in the user's test set.
    """

    user: str
    place: str
    score: str
    history: list[Item]
    history_order: str
    hidden: int
    recommended: list[Item]
    hits: int
    num_test: int


def examples(data: ReportData) -> list[Example]:
    """Return the users at the quantiles .1, .3, .5, .7 and .9 by ndcg; equal ones in the order of their ids."""
    values = data.evaluation.per_user[f"ndcg@{data.k}"]
    order = np.argsort(values, kind="stable")
    chosen = dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in QUANTILES)
    return [example(data, int(data.users[at]), data.evaluation.lists[at][:SHOWN_LIST]) for at in chosen]


def example(data: ReportData, user: int, listed: NDArray[np.integer]) -> Example:
    """Return what to show of a user.

    Args:
        data: What the page is made from.
        user: The internal id.
        listed: Internal ids of the items that the user is recommended, best first, -1 behind their end.
    """
    tested = _items_of(data.test.indptr, data.test.items, user)
    listed = listed[listed >= 0]
    history, order = _history(data, user)
    place, score = _standing(data, user)
    return Example(
        user=str(data.train.user_ids[user]),
        place=place,
        score=score,
        history=[_item(data, item, False) for item in history[:SHOWN_HISTORY].tolist()],
        history_order=order,
        hidden=max(len(history) - SHOWN_HISTORY, 0),
        recommended=[_item(data, item, bool(np.isin(item, tested))) for item in listed.tolist()],
        hits=int(np.isin(listed, tested).sum()),
        num_test=len(tested),
    )


def _standing(data: ReportData, user: int) -> tuple[str, str]:
    """Where a user is among the test users by ndcg, and the value."""
    at = int(np.searchsorted(data.users, user))
    if at == len(data.users) or data.users[at] != user:
        return "", "no test items"
    name = f"ndcg@{data.k}"
    values = data.evaluation.per_user[name]
    less = float((values < values[at]).mean())
    return f"{less:.0%} of the users have less", f"{name} = {values[at]:.3f}"


def _history(data: ReportData, user: int) -> tuple[NDArray[np.int32], str]:
    """The user's training items: the latest first where times are known, else the most popular."""
    train = data.train
    items = _items_of(train.indptr, train.items, user)
    if train.times is not None:
        own = train.times[train.indptr[user] : train.indptr[user + 1]]
        return items[np.argsort(-own, kind="stable")], "latest first"
    return items[np.argsort(-data.users_of_items[items], kind="stable")], "most popular first"


def _items_of(indptr: NDArray[np.int64], items: NDArray[np.int32], user: int) -> NDArray[np.int32]:
    return items[indptr[user] : indptr[user + 1]]


def _item(data: ReportData, item: int, hit: bool) -> Item:
    raw = data.train.item_ids[item : item + 1].tolist()[0]
    label = data.item_names.get(raw, str(raw))
    return Item(label, str(raw), f"{int(data.users_of_items[item]):,}", hit)
