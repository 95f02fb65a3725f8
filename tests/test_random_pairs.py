"""Random unseen pairs beside the interactions, and training that propagates over them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import make_network, make_trainer
from strategies import pairs

from pyrec.data import Interactions, synthetic
from pyrec.data.random_pairs import add_random_pairs
from pyrec.errors import ConfigError, DataError
from pyrec.graph import Graph
from pyrec.models import LightGCN
from pyrec.train.augment import ExtraEdges


def as_set(interactions):
    return set(zip(interactions.users.tolist(), interactions.items.tolist(), strict=True))


@given(drawn=pairs(), rate=st.floats(0, 2), seed=st.integers(0, 5))
def test_distinct_unseen_pairs_are_added(drawn, rate, seed):
    num_users, num_items, chosen = drawn
    users, items = np.array(chosen, dtype=np.int32).reshape(-1, 2).T.copy()
    known = Interactions.from_codes(users, items, np.arange(num_users), np.arange(num_items))
    wanted = round(rate * len(known))
    if wanted > num_users * num_items - len(known):
        with pytest.raises(DataError, match=f"is {wanted} pairs, but only"):
            add_random_pairs(known, rate, seed)
        return
    more = add_random_pairs(known, rate, seed)
    assert len(more) == len(as_set(more)) == len(known) + wanted
    assert as_set(known) <= as_set(more)
    assert (more.num_users, more.num_items) == (num_users, num_items)
    assert as_set(add_random_pairs(known, rate, seed)) == as_set(more)


def test_every_unseen_pair_is_as_likely():
    known = Interactions.from_arrays([0, 0, 1, 2], [0, 2, 1, 3], user_ids=range(3), item_ids=range(4))
    counts = dict.fromkeys({(u, i) for u in range(3) for i in range(4)} - as_set(known), 0)
    draws = 4000
    for seed in range(draws):
        for pair in as_set(add_random_pairs(known, 0.5, seed)) - as_set(known):
            counts[pair] += 1
    share = 2 / len(counts)
    deviation = (draws * share * (1 - share)) ** 0.5
    assert all(abs(count - draws * share) < 5 * deviation for count in counts.values())


def test_training_propagates_over_them_and_the_final_vectors_do_not():
    train = synthetic(100, 80, interactions_per_user=10)
    arguments = {"combine": "mean", "loss": "bpr", "embedding_size": 8, "epochs": 2, "seed": 3}
    plain = LightGCN(**arguments).fit(train)
    model = LightGCN(**arguments, augment=ExtraEdges(0.5)).fit(train)
    assert not torch.equal(model.network_.first.embedding, plain.network_.first.embedding)
    vectors = model.network_.all_nodes(Graph.from_interactions(train))
    assert torch.equal(model.user_vectors_, vectors[:100])


def test_they_are_no_positives():
    known = synthetic(100, 80, interactions_per_user=10)
    more = Graph.from_interactions(add_random_pairs(known, 0.5, 0))
    trainer = make_trainer(
        make_network(more, "mean"), more, sampled=Graph.from_interactions(known), batch_size=10**6
    )
    triples = trainer.batches.at(0, 0).triples
    assert set(zip(triples.users.tolist(), triples.positives.tolist(), strict=True)) == as_set(known)


@pytest.mark.parametrize("rate", [-0.1, float("inf")])
def test_bad_rates(rate):
    with pytest.raises(ConfigError, match="augment__number"):
        LightGCN(epochs=1, augment=ExtraEdges(rate)).fit(synthetic(30, 20))
    with pytest.raises(ConfigError, match="rate"):
        add_random_pairs(synthetic(30, 20), rate, 0)
