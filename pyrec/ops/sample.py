"""Training triples: interactions in random order, each with items its user has not.

Every draw is a function of (seed, epoch, position in the epoch), so a seed gives the same triples at any
number of threads and in any size of batch. Random numbers are Philox4x32-10 (Salmon et al., SC 2011); the
order of an epoch is a Feistel permutation (Mitchell et al., ACM TOPC 2022); a negative is picked by its rank
among the items that the user has not, without rejection.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_tensors, require_whole, stream_of
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Graph, check_graph, graph_of
from pyrec.ops.distinct import padded_distinct
from pyrec.ops.operator import Operator


class Triples(NamedTuple):
    """Samples: users (n,), positives (n,) and negatives (n, num_negatives), all int32; items count from 0."""

    users: Tensor
    positives: Tensor
    negatives: Tensor


class Sampler:
    """Draws the triples of an epoch, whole or in parts.

    Args:
        graph: Of all that is known of the users: a negative is an item that its user has not in here.
        positives: The graph of the same nodes whose interactions, some of ``graph``'s, are the positives; None for
            all of them.

    Raises:
        DataError: No user has both an item and one that is missing, or ``graph`` lacks one of the positives.

    Attributes:
        num_samples: Triples in an epoch: the interactions of all users who lack at least one item.
        full_users: Users who own every item; they have no negative and are skipped.
        empty_users: Users without an interaction; they never come up.
    """

    def __init__(self, graph: Graph, positives: Graph | None = None) -> None:
        degree = graph.degree[: graph.num_users]
        self.graph = graph
        users = torch.arange(graph.num_users, dtype=torch.int32, device=graph.device)
        self.users = torch.repeat_interleave(users, degree)
        full = (degree == graph.num_items) & (degree > 0)
        self.full_users = int(full.sum())
        self.empty_users = int((degree == 0).sum())
        chosen = None if positives is None else _positions(positives, graph)
        if self.full_users:
            usable = ~full[self.users.long()]
            chosen = torch.nonzero(usable).flatten() if chosen is None else chosen[usable[chosen]]
        self.eligible = chosen
        self.num_samples = len(self.users if self.eligible is None else self.eligible)
        if self.num_samples == 0:
            raise DataError(
                "no user has an item to learn from and one to compare it with: of "
                f"{graph.num_users} users {self.empty_users} have no interaction and {self.full_users} "
                f"have all {graph.num_items} items"
            )

    @cached_property
    def item_counts(self) -> Tensor:
        """How many samples of an epoch have each item for their positive, (num_items,) int64."""
        items = self.graph.indices[: len(self.users)]
        items = items if self.eligible is None else items[self.eligible]
        return torch.bincount(items.long(), minlength=self.graph.num_nodes)[self.graph.num_users :]

    def sample(
        self, seed: int, epoch: int, first: int = 0, count: int | None = None, num_negatives: int = 1
    ) -> Triples:
        """Samples ``first`` to ``first + count - 1`` of an epoch.

        Args:
            seed: 0 to 2^63 - 1.
            epoch: 0 to 2^32 - 1; each has its own order and negatives.
            first: Position of the first sample.
            count: How many; by default all that are left.
            num_negatives: Negatives of each sample, drawn independently; 1 or more.

        Raises:
            ConfigError: A number outside its range.
        """
        require_whole(first=first)
        count = self.num_samples - first if count is None else count
        _check("epoch", epoch, 0, 2**32 - 1)
        _check("first", first, 0, self.num_samples)
        _check("count", count, 0, self.num_samples - first)
        return self._triples(seed, epoch, first, count, num_negatives, None)

    def sample_at(self, cursor: Tensor, seed: int, count: int, num_negatives: int = 1) -> Triples:
        """The samples that a cursor in memory points to: what a CUDA graph replays for one batch after the other.

        Args:
            cursor: (2,) int64 on the graph's device: the epoch and the position of the first sample. Whoever moves
                it on does so between calls. On a CUDA device it is not looked into: a sample behind the epoch's
                end is one from its start.
            seed: As for `sample`.
            count: How many; 0 to ``num_samples``.
            num_negatives: As for `sample`.

        Raises:
            ConfigError: A number outside its range.
            DataError: Wrong shape, dtype, device or strides of the cursor.
        """
        _check("count", count, 0, self.num_samples)
        require_tensors(cursor=cursor)
        return self._triples(seed, 0, 0, count, num_negatives, cursor)

    def _triples(
        self, seed: int, epoch: int, first: int, count: int, num_negatives: int, cursor: Tensor | None
    ) -> Triples:
        _check("seed", seed, 0, 2**63 - 1)
        _check("num_negatives", num_negatives, 1, 2**16)
        where = (self.graph.handle, self.users, self.eligible)
        return Triples(*_sample(*where, seed, epoch, first, count, num_negatives, cursor))


def _positions(part: Graph, whole: Graph) -> Tensor:
    """Where the interactions of ``part`` are among those of ``whole``, by user and item, int64."""
    if (part.num_users, part.num_items) != (whole.num_users, whole.num_items):
        raise DataError(
            f"positives has {part.num_users} users x {part.num_items} items, the graph {whole.num_users} x "
            f"{whole.num_items}; they have the same nodes"
        )
    wanted, known = _pairs(part), _pairs(whole)
    found = torch.searchsorted(known, wanted)
    if not torch.equal(known[found.clamp_max(max(len(known) - 1, 0))], wanted):
        raise DataError(
            "positives has an interaction that the graph lacks; its interactions are some of these"
        )
    return found


def _pairs(graph: Graph) -> Tensor:
    """A number for each interaction, ascending: its user times the number of nodes, and its item's node."""
    users = torch.arange(graph.num_users, dtype=torch.int64, device=graph.device)
    own = torch.repeat_interleave(users, graph.degree[: graph.num_users])
    return own * graph.num_nodes + graph.indices[: len(own)]


def _check(name: str, value: int, low: int, high: int) -> None:
    require_whole(**{name: value})
    if not low <= value <= high:
        raise ConfigError(f"{name} = {value} is outside {low} to {high}")


@Operator
def _sample(
    graph: int,
    users: Tensor,
    eligible: Tensor | None,
    seed: int,
    epoch: int,
    first: int,
    count: int,
    num_negatives: int,
    cursor: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    triples = (users.new_empty(count), users.new_empty(count), users.new_empty(count, num_negatives))
    arrays = [capsule(array) for array in triples]
    g = graph_of(graph)
    chosen = (capsule(users), capsule(eligible), seed, epoch, first)
    more = {"cursor": capsule(cursor), "stream": stream_of(g.device)}
    _core.sample_triples(g.core, *chosen, *arrays, **more)
    return triples


@_sample.register_fake
def _(
    graph: int,
    users: Tensor,
    eligible: Tensor | None,
    seed: int,
    epoch: int,
    first: int,
    count: int,
    num_negatives: int,
    cursor: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    return users.new_empty(count), users.new_empty(count), users.new_empty(count, num_negatives)


def distinct(nodes: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
    """The distinct nodes of a batch, and where each entry is found among them.

    On a CUDA device their number stays there, so that the program need not wait for it: ``rows`` is as long as
    there are entries, with -1 behind the last distinct node.

    Args:
        nodes: Any shape, int64, on the graph's device, within [0, num_nodes).
        graph: Whose nodes they are.

    Returns:
        ``rows`` (num_rows,) int64 in order of first appearance, and ``position`` of the shape of ``nodes``,
        int64, with ``rows[position] == nodes``.

    Raises:
        DataError: A node is out of range; on a CUDA device `Graph.check` raises it.
    """
    require_tensors(nodes=nodes)
    check_graph(graph)
    if nodes.device != graph.device:
        raise DataError(f"nodes is on {nodes.device}, but the graph is on {graph.device}")
    faults = None if graph.faults is None else graph.faults[1:]
    return padded_distinct("nodes", nodes, graph.num_nodes, faults)[:2]
