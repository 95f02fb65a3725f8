"""The K best items of each user without those already seen: ours and the rivals'.

Each takes a `Problem` and returns a call whose answer is ids and scores, (num_users, K) both. FAISS and usearch
know no items to leave out for each user, so they fetch K more than the user has seen, users of like number
together, and the seen ones are filtered out behind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from pyrec.ops.topk import topk, topk_scores

Lists = tuple[Tensor, Tensor]


class Problem(NamedTuple):
    """Users (Q, d), items (M, d), the seen items as a CSR (Q + 1,), and the length of the lists."""

    queries: Tensor
    items: Tensor
    indptr: Tensor
    seen: Tensor
    k: int


class Scores(NamedTuple):
    """Finished scores (Q, M), the seen items as a CSR (Q + 1,), and the length of the lists."""

    scores: Tensor
    indptr: Tensor
    seen: Tensor
    k: int


def pyrec_scores(p: Scores) -> Callable[[], Lists]:
    return lambda: topk_scores(p.scores, p.k, seen_indptr=p.indptr, seen_indices=p.seen)


def torch_scores(p: Scores) -> Callable[[], Lists]:
    """Seen scores put to -inf where they lie, and torch.topk; ties fall as they may."""
    users = torch.repeat_interleave(torch.arange(len(p.scores)), p.indptr.diff())
    scores, seen = p.scores.clone(), p.seen.long()

    def run() -> Lists:
        scores[users, seen] = -torch.inf
        best = scores.topk(p.k)
        return best.indices, best.values

    return run


def pyrec(p: Problem) -> Callable[[], Lists]:
    return lambda: topk(p.queries, p.items, p.k, seen_indptr=p.indptr, seen_indices=p.seen)


def torch_batches(p: Problem, batch_size: int = 1_024) -> Callable[[], Lists]:
    """Matrix product, mask and torch.topk, a batch of users at a time; ties fall as they may."""
    seen = p.seen.long()

    def run() -> Lists:
        lists = []
        for start in range(0, len(p.queries), batch_size):
            rows = p.indptr[start : start + batch_size + 1]
            scores = p.queries[start : start + batch_size] @ p.items.T
            users = torch.repeat_interleave(torch.arange(len(scores)), rows.diff())
            scores[users, seen[rows[0] : rows[-1]]] = -torch.inf
            lists.append(scores.topk(p.k))
        return torch.cat([best.indices for best in lists]), torch.cat([best.values for best in lists])

    return run


class BlockedProducts:
    """OPTIMUS' BMM (Abuzaid et al., ICDE 2019): sgemm by blocks, and a compare with each user's k-th best so far.

    A block of users by items stays in the last-level cache; the first block's best fill the lists, and of each other
    block the few scores above the worst of a list are merged into it. Where the seen items lie in a block is worked
    out beforehand. Ties fall as they may.
    """

    USERS, ITEMS = 1_024, 8_192

    def __init__(self, p: Problem) -> None:
        self.p = p
        self.room = torch.empty(self.USERS * self.ITEMS)
        self.columns = range(0, len(p.items), self.ITEMS)
        users = torch.repeat_interleave(torch.arange(len(p.queries)), p.indptr.diff())
        self.seen = {
            first: [self._places(users, p.seen.long(), first, column) for column in self.columns]
            for first in range(0, len(p.queries), self.USERS)
        }

    def _places(self, users: Tensor, items: Tensor, first: int, column: int) -> Tensor:
        """Where the seen pairs of a block lie in its scores."""
        width = min(self.ITEMS, len(self.p.items) - column)
        low, high = (int(self.p.indptr[min(at, len(self.p.queries))]) for at in (first, first + self.USERS))
        row, item = users[low:high] - first, items[low:high] - column
        there = (item >= 0) & (item < width)
        return row[there] * width + item[there]

    def __call__(self) -> Lists:
        """The lists of all users."""
        blocks = [self._block(first) for first in self.seen]
        return torch.cat([ids for ids, _ in blocks]), torch.cat([scores for _, scores in blocks])

    def _block(self, first: int) -> Lists:
        queries, k = self.p.queries[first : first + self.USERS], self.p.k
        ids = best = torch.empty(0)
        for at, column in enumerate(self.columns):
            items = self.p.items[column : column + self.ITEMS]
            scores = self.room[: len(queries) * len(items)].view(len(queries), len(items))
            torch.mm(queries, items.T, out=scores)
            scores.view(-1)[self.seen[first][at]] = -torch.inf
            if at == 0:
                best, ids = scores.topk(min(k, len(items)))
            else:
                ids, best = self._merged(ids, best, scores, column)
        return ids, best

    @staticmethod
    def _merged(ids: Tensor, best: Tensor, scores: Tensor, column: int) -> Lists:
        row, place = (scores > best[:, -1:]).nonzero().unbind(1)
        if len(row) == 0:
            return ids, best
        number = torch.bincount(row, minlength=len(best))
        position = torch.arange(len(row)) - (number.cumsum(0) - number)[row]
        more = best.new_full((len(best), int(number.max())), -torch.inf)
        which = ids.new_zeros(more.shape)
        more[row, position] = scores[row, place]
        which[row, position] = place + column
        best, order = torch.cat([best, more], 1).topk(best.shape[1])
        return torch.cat([ids, which], 1).gather(1, order), best


def implicit(p: Problem) -> Callable[[], Lists]:
    library = pytest.importorskip(
        "implicit.cpu.topk", reason="implicit is not installed", exc_type=ImportError
    )
    shape = (len(p.queries), len(p.items))
    parts = (np.ones(len(p.seen), np.float32), p.seen.numpy(), p.indptr.numpy().astype(np.int32))
    seen, queries, items = csr_matrix(parts, shape=shape), p.queries.numpy(), p.items.numpy()

    def run() -> Lists:
        threads = torch.get_num_threads()
        ids, scores = library.topk(items, queries, p.k, filter_query_items=seen, num_threads=threads)
        return torch.from_numpy(ids), torch.from_numpy(scores)

    return run


def faiss(p: Problem) -> Callable[[], Lists]:
    library = pytest.importorskip("faiss", reason="faiss-cpu is not installed", exc_type=ImportError)
    library.omp_set_num_threads(torch.get_num_threads())
    index = library.IndexFlatIP(p.items.shape[1])
    index.add(p.items.numpy())

    def search(queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores, ids = index.search(queries, count)
        return ids, scores

    return partial(_over_fetch, p, search)


def usearch(p: Problem) -> Callable[[], Lists]:
    library = pytest.importorskip("usearch.index", reason="usearch is not installed", exc_type=ImportError)
    items, threads = p.items.numpy(), torch.get_num_threads()

    def search(queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        metric = library.MetricKind.IP
        found = library.search(items, queries, count, metric, exact=True, threads=threads)
        return found.keys.astype(np.int64), 1 - found.distances

    return partial(_over_fetch, p, search)


Search = Callable[[NDArray[np.float32], int], tuple[NDArray[np.int64], NDArray[np.float32]]]


def _over_fetch(p: Problem, search: Search) -> Lists:
    degree, num_items = p.indptr.diff().numpy(), len(p.items)
    keys = np.repeat(np.arange(len(degree)), degree) * num_items + p.seen.numpy()
    ids = np.empty((len(degree), p.k), np.int64)
    scores = np.empty((len(degree), p.k), np.float32)
    queries = p.queries.numpy()
    power = np.ceil(np.log2(np.maximum(degree, 8))).astype(np.int64)
    for group in np.unique(power):
        users = np.flatnonzero(power == group)
        count = min(p.k + int(degree[users].max()), num_items)
        found, values = search(queries[users], count)
        wanted = users[:, None] * num_items + found
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        first = np.argsort(keys[place] == wanted, axis=1, kind="stable")[:, : p.k]  # the unseen ones in order
        ids[users] = np.take_along_axis(found, first, 1)
        scores[users] = np.take_along_axis(values, first, 1)
    return torch.from_numpy(ids), torch.from_numpy(scores)


SCORE_SEARCHES = {"pyrec": pyrec_scores, "torch": torch_scores}
SEARCHES = {
    "pyrec": pyrec,
    "FAISS flat": faiss,
    "implicit": implicit,
    "usearch exact": usearch,
    "blocked sgemm": BlockedProducts,
    "torch": torch_batches,
}


def same_lists(theirs: Lists, ours: Lists) -> None:
    """Equal scores within rounding, and equal items but for swaps within it."""
    torch.testing.assert_close(theirs[1], ours[1], rtol=1e-4, atol=1e-5)
    share = float((theirs[0] == ours[0]).double().mean())
    assert share > 0.999, f"only {share:.4%} of the items are the same"
