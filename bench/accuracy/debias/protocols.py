"""Protocols: what a method may learn from, what chooses its settings, and what it is measured on.

- ``splits``: AutoDebias' protocol. The uniform pairs are split by the seed, 5 % to learn from, 5 % to choose with, and
  90 % to measure on; with other ``share``s of training the test part stays the same last 45 %.
- ``held apart``: the protocol of the papers on inverse propensities and doubly robust learning. Every biased pair is
  learned from and every uniform pair is measured on. No uniform label is seen by any method or choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pyrec.data import Interactions, read_with_uniform, shared_pairs, split_uniform
from pyrec.errors import ConfigError

METRICS = ("auc", "user_auc", "ndcg@5", "ndcg_all@5", "log_loss")
HELD_OUT = 0.2
TEST_OF_SHARES = 0.45


@dataclass(frozen=True)
class Part:
    """What one fit learns from.

    Attributes:
        biased: Labelled pairs that users chose or were shown.
        uniform: Labelled uniform pairs with the same id maps; None where the protocol has none to learn from.
        validation: Uniform pairs that choose a method's epoch; None as above.
    """

    biased: Interactions
    uniform: Interactions | None = None
    validation: Interactions | None = None


@dataclass(frozen=True)
class Task:
    """A split of a protocol.

    Attributes:
        protocol: Its name in the YAML file.
        split: The seed of the split.
        part: What the last fit learns from.
        test: What is measured on.
        test_share: Of all uniform pairs; the Nadeau-Bengio correction needs it, and `test_to_train`.
    """

    protocol: str
    split: int
    part: Part
    test: Interactions
    test_share: float

    @property
    def test_to_train(self) -> float:
        """Test pairs by all that are learned from."""
        uniform = 0 if self.part.uniform is None else len(self.part.uniform)
        return len(self.test) / (len(self.part.biased) + uniform)


@dataclass(frozen=True)
class Protocol:
    """An entry of the YAML file.

    Attributes:
        name: What the tables call it.
        data: The folder's name under the data folder.
        positive: The rule that makes a label positive.
        kind: ``splits`` or ``held apart``.
        splits: How many seeds split the uniform pairs; 1 where nothing is split.
        starts: Fits of the chosen setting with other starting values.
        share: Of the uniform pairs, to learn from, with the test part that all shares have; None for AutoDebias' 5 %.
        shared: ``keep`` or ``drop``: what happens to test pairs that are biased pairs, too.
    """

    name: str
    data: str
    positive: str
    kind: str = "splits"
    splits: int = 10
    starts: int = 3
    share: float | None = None
    shared: str = "keep"

    def __post_init__(self) -> None:
        if self.kind not in ("splits", "held apart"):
            raise ConfigError(f"{self.name}: kind = {self.kind!r} is neither 'splits' nor 'held apart'")
        if self.shared not in ("keep", "drop"):
            raise ConfigError(f"{self.name}: shared = {self.shared!r} is neither 'keep' nor 'drop'")

    def tasks(self, folder: Path) -> Iterator[Task]:
        """The splits, in the order of their seeds.

        Raises:
            DataError: If the files cannot be read.
        """
        biased, uniform = self.read(folder)
        if self.kind == "held apart":
            yield Task(self.name, 0, Part(biased), uniform, 1.0)
            return
        for seed in range(self.splits):
            yield self._split(biased, uniform, seed)

    def read(self, folder: Path) -> tuple[Interactions, Interactions]:
        """The biased and the uniform pairs."""
        here = folder / self.data
        biased, uniform = read_with_uniform(here / "user.txt", here / "random.txt", positive=self.positive)
        if self.shared == "drop":
            uniform = uniform.select(~shared_pairs(uniform, biased))
        return biased, uniform

    def _split(self, biased: Interactions, uniform: Interactions, seed: int) -> Task:
        if self.share is None:
            parts = split_uniform(uniform, seed=seed)
            return Task(self.name, seed, Part(biased, parts.train, parts.validation), parts.test, 0.9)
        train, validation, test = shares(uniform, self.share, seed)
        return Task(self.name, seed, Part(biased, train, validation), test, TEST_OF_SHARES)


def shares(uniform: Interactions, share: float, seed: int) -> tuple[Interactions, Interactions, Interactions]:
    """The first ``share`` of a random order to learn from, 5 % to choose with, and the last 45 % to measure on."""
    order = np.random.default_rng(seed).permutation(len(uniform))
    first, end = round(share * len(uniform)), len(uniform) - round(TEST_OF_SHARES * len(uniform))
    choosing = first + round(0.05 * len(uniform))
    if choosing > end:
        raise ConfigError(f"share = {share} leaves less than 5 % to choose with before the last 45 %")
    place = np.empty(len(uniform), dtype=np.int64)
    place[order] = np.arange(len(uniform))
    chosen = (place >= first) & (place < choosing)
    return uniform.select(place < first), uniform.select(chosen), uniform.select(place >= end)


def without(pairs: Interactions, seed: int, share: float = HELD_OUT) -> tuple[Interactions, Interactions]:
    """Pairs without a random share of them, and that share; the id maps stay."""
    held = np.zeros(len(pairs), dtype=bool)
    held[np.random.default_rng(seed).permutation(len(pairs))[: round(share * len(pairs))]] = True
    return pairs.select(~held), pairs.select(held)


def swapped(part: Part) -> Part:
    """The two uniform parts with their roles exchanged."""
    return replace(part, uniform=part.validation, validation=part.uniform)
