"""What a test set holds beside its training set: users and items without a history, and what can never be found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyrec.data import Interactions


@dataclass(frozen=True)
class EvaluationCounts:
    """Counts of a test set. *Cold* is who or what has no training interaction, *warm* all others.

    Attributes:
        num_users: Users with test items, whom metrics are averaged over.
        num_cold_users: Those of them without a training interaction.
        num_users_without_test: Users without test items, who take no part.
        num_interactions: Test interactions.
        num_items: Items of the test set.
        num_cold_items: Those of them without a training interaction.
        num_cold_interactions: Test interactions with such an item.
        num_seen_interactions: Test interactions that are in the training set too. Lists leave these items out.
    """

    num_users: int
    num_cold_users: int
    num_users_without_test: int
    num_interactions: int
    num_items: int
    num_cold_items: int
    num_cold_interactions: int
    num_seen_interactions: int

    @property
    def num_warm_users(self) -> int:
        """Users with test items and training interactions."""
        return self.num_users - self.num_cold_users

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a mean over all test users may not expect, a sentence each."""
        notes = []
        if self.num_cold_users:
            notes.append(
                f"{self.num_cold_users:,} of {self.num_users:,} test users are cold: they have no training "
                "interaction, so no list of theirs follows a history"
            )
        if self.num_cold_interactions:
            notes.append(
                f"{self.num_cold_interactions:,} of {self.num_interactions:,} test interactions are with "
                f"{self.num_cold_items:,} cold items of {self.num_items:,}: nobody had "
                "them in training, so a model of interactions finds them by chance alone"
            )
        if self.num_seen_interactions:
            notes.append(
                f"{self.num_seen_interactions:,} of {self.num_interactions:,} test interactions are in the training "
                "set too and count as never found"
            )
        return tuple(notes)


def count_test(train: Interactions, test: Interactions) -> EvaluationCounts:
    """Count what a test set holds beside its training set; both have the same id maps.

    What does not speak for its item is left out on both sides, see `Interactions.is_positive`.
    """
    test = test.positives()
    tested = np.diff(test.indptr) > 0
    num_users = int(tested.sum())
    of_cold_items = test.items[train.popularity[test.items] == 0]
    return EvaluationCounts(
        num_users=num_users,
        num_cold_users=int((tested & (train.activity == 0)).sum()),
        num_users_without_test=test.num_users - num_users,
        num_interactions=len(test),
        num_items=int(np.count_nonzero(test.popularity)),
        num_cold_items=len(np.unique(of_cold_items)),
        num_cold_interactions=len(of_cold_items),
        num_seen_interactions=int(train.has_pairs(test.users, test.items).sum()),
    )
