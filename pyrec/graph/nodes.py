"""What a combine may know of the nodes besides their layers: which side they are on, and how active they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyrec.graph.graph import Graph


@dataclass(frozen=True)
class Nodes:
    """Some rows of a graph, described.

    Attributes:
        is_item: (num_rows,) int64, 0 for a user and 1 for an item.
        activity: (num_rows,) float32, log(1 + degree) standardised among the graph's users or items.
        counted: (num_rows,) float32, 1; 0 for padding behind a device's distinct nodes.
        centre: (2,) float32, the mean of log(1 + degree) over users and over items.
        spread: (2,) float32, its standard deviation, 1 where all are alike.
    """

    is_item: Tensor
    activity: Tensor
    counted: Tensor
    centre: Tensor
    spread: Tensor

    @classmethod
    def of(cls, graph: Graph) -> Nodes:
        """All nodes of a graph, users first."""
        log_degree = torch.log1p(graph.degree.float())
        sides = torch.split(log_degree, [graph.num_users, graph.num_items])
        centre = torch.stack([_mean(side) for side in sides])
        spread = torch.stack([_spread(side) for side in sides])
        numbers = torch.arange(graph.num_nodes, dtype=torch.int64, device=log_degree.device)
        is_item = (numbers >= graph.num_users).long()
        activity = (log_degree - centre[is_item]) / spread[is_item]
        return cls(is_item, activity, torch.ones_like(activity), centre, spread)

    def at(self, rows: Tensor) -> Nodes:
        """Those of ``rows`` (num_rows,) int64; -1 is padding on a device, and may be any."""
        there = rows.clamp_min(0)
        counted = self.counted[there] * (rows >= 0)
        return Nodes(self.is_item[there], self.activity[there], counted, self.centre, self.spread)

    def users_alone(self) -> Nodes:
        """The same rows; those of items do not count."""
        return replace(self, counted=self.counted * (1 - self.is_item))

    def new_users(self, degree: Tensor) -> Nodes:
        """Users whom the graph does not know, with ``degree`` (num_rows,) interactions each."""
        activity = (torch.log1p(degree.float()) - self.centre[0]) / self.spread[0]
        is_item = torch.zeros_like(degree, dtype=torch.int64)
        return Nodes(is_item, activity, torch.ones_like(activity), self.centre, self.spread)


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.new_zeros(())


def _spread(values: Tensor) -> Tensor:
    found = values.std(correction=0) if len(values) else values.new_zeros(())
    return torch.where(found > 0, found, 1.0)
