"""What was known of candidates' popularity, as it stands among the candidates of its impression."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data.impressions import Impressions
from pyrec.nn.counters import NUM_COUNTERS, NUM_INPUTS
from pyrec.nn.news import NewsBatch


@dataclass(frozen=True)
class CountedCandidates:
    """The inputs of a popularity term, for each candidate of some impressions.

    Attributes:
        inputs: (num_candidates, NUM_INPUTS) float32: counters, what they are above the mean of the impression, the
            share of its candidates that are below (of those alike half), and the logarithm of their number.
    """

    inputs: NDArray[np.float32]

    @classmethod
    def of(cls, counters: NDArray[np.float32], impressions: Impressions) -> CountedCandidates:
        """The inputs.

        Args:
            counters: (num_candidates, NUM_COUNTERS).
            impressions: Whose candidates they are of.
        """
        lengths = impressions.candidates.lengths
        rows = impressions.candidates.rows
        inputs = np.empty((len(counters), NUM_INPUTS), np.float32)
        inputs[:, :NUM_COUNTERS] = counters
        inputs[:, NUM_COUNTERS : 2 * NUM_COUNTERS] = counters - _means(counters, impressions)[rows]
        for column in range(NUM_COUNTERS):
            inputs[:, 2 * NUM_COUNTERS + column] = _below(
                np.ascontiguousarray(counters[:, column]), rows, lengths
            )
        inputs[:, -1] = np.log(lengths[rows])
        return cls(inputs)

    def added(self, batch: NewsBatch, candidates: NDArray[np.int64]) -> NewsBatch:
        """The batch with the inputs of its candidates.

        Args:
            batch: Without.
            candidates: (num_candidates,), which candidates they are.
        """
        return replace(batch, counters=tensor_of(self.inputs[candidates]))

    def moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each input, the latter 1 where an input never differs."""
        mean = self.inputs.mean(axis=0, dtype=np.float64)
        deviation = self.inputs.std(axis=0, dtype=np.float64)
        return mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)


def _means(values: NDArray[np.float32], impressions: Impressions) -> NDArray[np.float32]:
    means = np.zeros((len(impressions), values.shape[1]), np.float32)
    there = impressions.candidates.lengths > 0
    if there.any():
        sums = np.add.reduceat(values, impressions.candidates.indptr[:-1][there], axis=0)
        means[there] = sums / impressions.candidates.lengths[there, None]
    return means


def _below(
    values: NDArray[np.float32], rows: NDArray[np.int32], lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The share of an impression's candidates whose value is below, half of those alike included.

    Values are at least 0, so that their bits are ordered as they are: one sort of whole numbers does it.
    """
    keys = (rows.astype(np.int64) << 32) | values.view(np.uint32)
    order = np.argsort(keys)
    first = np.append(np.diff(keys[order], prepend=-1) != 0, True)
    starts = np.flatnonzero(first)
    rank = np.repeat((starts[:-1] + starts[1:]) / 2, np.diff(starts))
    begin = np.cumsum(lengths) - lengths
    out = np.empty(len(values), np.float32)
    out[order] = (rank - begin[rows[order]]) / lengths[rows[order]]
    return out
