from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import make_graph, pairs, random_graph

from pyrec import _core
from pyrec.errors import ConfigError, DataError
from pyrec.ops.sample import Sampler, distinct
from pyrec.reference import sample as reference


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the test vectors published with Random123
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_vectors(counter, key, expected):
    assert list(_core.philox(*counter, *key)) == expected


def user_rows(graph):
    indptr = graph.indptr[: graph.num_users + 1]
    return indptr.numpy(), (graph.indices[: int(indptr[-1])] - graph.num_users).numpy()


@settings(max_examples=40)
@given(
    case=pairs(), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 2**32 - 1), negatives=st.integers(1, 3)
)
def test_same_bits_as_the_reference(device, case, seed, epoch, negatives):
    graph = make_graph(*case)
    if all(degree in (0, graph.num_items) for degree in graph.degree[: graph.num_users].tolist()):
        with pytest.raises(DataError, match="no user has an item to learn from"):
            Sampler(device.put(graph))
        return
    ours = Sampler(device.put(graph)).sample(seed, epoch, num_negatives=negatives)
    expected = reference.triples(*user_rows(graph), graph.num_items, seed, epoch, negatives)
    for mine, theirs in zip(ours, expected, strict=True):
        assert np.array_equal(mine.cpu().numpy(), theirs)


def test_every_set_of_kernels_and_number_of_threads_agree(kernels, threads):
    graph = random_graph(300, 50, 0.2)
    sampler = Sampler(kernels.put(graph))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(sampler.sample(5, 9, num_negatives=2))
    expected = reference.triples(*user_rows(graph), 50, 5, 9, 2)
    for triples in results:
        assert all(np.array_equal(a.cpu().numpy(), b) for a, b in zip(triples, expected, strict=True))


def test_a_cursor_points_to_samples(device):
    graph = device.put(random_graph(60, 40, 0.2))
    sampler = Sampler(graph)
    for epoch, first, count in [(0, 0, 1), (2**32 - 1, 7, 300), (5, sampler.num_samples - 10, 10)]:
        cursor = torch.tensor([epoch, first], device=device.torch)
        ours = sampler.sample_at(cursor, 3, count, 2)
        expected = sampler.sample(3, epoch, first, count, 2)
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_a_cursor_behind_the_end(device):
    graph = device.put(random_graph(60, 40, 0.2))
    sampler = Sampler(graph)
    cursor = torch.tensor([5, sampler.num_samples - 10], device=device.torch)
    if device.name == "cpu":
        with pytest.raises(ConfigError, match=r"first \+ count = .* is outside"):
            sampler.sample_at(cursor, 3, 30)
        return
    users = sampler.sample_at(cursor, 3, 30).users
    assert torch.equal(users[:10], sampler.sample(3, 5, sampler.num_samples - 10).users)
    assert torch.equal(users[10:], sampler.sample(3, 5, 0, 20).users)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_cuda_graph_replays_batch_after_batch():
    graph = random_graph(60, 40, 0.2).to("cuda")
    sampler = Sampler(graph)
    cursor = torch.tensor([1, 0], device="cuda")

    def batch():
        triples = sampler.sample_at(cursor, 3, 64)
        return triples, *distinct(triples.users.long(), graph)

    batch()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        triples, rows, position = batch()
    for first in (0, 64, 128):
        cursor.copy_(torch.tensor([1, first]))
        recorded.replay()
        expected = sampler.sample(3, 1, first, 64)
        assert all(torch.equal(a, b) for a, b in zip(triples, expected, strict=True))
        assert torch.equal(rows[position], triples.users.long())
    graph.check()


def test_an_epoch_is_every_interaction_once_and_negatives_are_new():
    graph = random_graph(100, 60, 0.3)
    owned = set(zip(*(ids.tolist() for ids in dense_pairs(graph)), strict=True))
    triples = Sampler(graph).sample(0, 0)
    positives = list(zip(triples.users.tolist(), triples.positives.tolist(), strict=True))
    assert len(positives) == len(owned)
    assert set(positives) == owned
    assert not owned & set(zip(triples.users.tolist(), triples.negatives[:, 0].tolist(), strict=True))


def dense_pairs(graph):
    indptr, items = user_rows(graph)
    return np.repeat(np.arange(graph.num_users), np.diff(indptr)), items


def test_parts_make_the_whole():
    sampler = Sampler(random_graph(60, 40, 0.2))
    whole = sampler.sample(3, 1)
    parts = [
        sampler.sample(3, 1, first, min(100, sampler.num_samples - first))
        for first in range(0, sampler.num_samples, 100)
    ]
    for at in range(3):
        assert torch.equal(torch.cat([part[at] for part in parts]), whole[at])


def test_full_and_empty_users_are_skipped_and_counted():
    graph = make_graph(4, 3, [(0, 0), (1, 0), (1, 1), (1, 2), (3, 0), (3, 2)])
    sampler = Sampler(graph)
    assert (sampler.num_samples, sampler.full_users, sampler.empty_users) == (3, 1, 1)
    triples = sampler.sample(0, 0)
    assert sorted(triples.users.tolist()) == [0, 3, 3]
    assert set(triples.negatives[triples.users == 3].flatten().tolist()) == {1}


@pytest.mark.parametrize("density", [0.2, 0.9])
def test_positives_of_a_part_and_negatives_of_neither(device, density):
    whole = random_graph(40, 25, density)
    users, items = dense_pairs(whole)
    chosen = np.random.default_rng(1).random(len(users)) < 0.3
    part = make_graph(40, 25, list(zip(users[chosen].tolist(), items[chosen].tolist(), strict=True)))
    sampler = Sampler(device.put(whole), device.put(part))
    triples = sampler.sample(5, 2, num_negatives=8)
    known = set(zip(users.tolist(), items.tolist(), strict=True))
    full = {user for user in range(40) if sum(own == user for own, _ in known) == 25}
    pairs = zip(users[chosen].tolist(), items[chosen].tolist(), strict=True)
    expected = sorted(pair for pair in pairs if pair[0] not in full)
    drawn = zip(triples.users.tolist(), triples.positives.tolist(), strict=True)
    assert sorted(drawn) == expected
    for user, negatives in zip(triples.users.tolist(), triples.negatives.tolist(), strict=True):
        assert not {(user, item) for item in negatives} & known
    counts = torch.bincount(triples.positives.cpu().long(), minlength=25)
    assert torch.equal(sampler.item_counts.cpu(), counts)


def test_positives_that_the_graph_lacks():
    with pytest.raises(DataError, match=r"positives has an interaction that the graph lacks"):
        Sampler(make_graph(2, 3, [(0, 0), (1, 1)]), make_graph(2, 3, [(0, 0), (1, 2)]))
    with pytest.raises(DataError, match=r"positives has 2 users x 3 items, the graph 2 x 4"):
        Sampler(make_graph(2, 4, [(0, 0), (1, 1)]), make_graph(2, 3, [(0, 0)]))


def test_orders_are_uniform():
    """All 120 orders of five interactions, chi-squared over 12,000 epochs."""
    sampler = Sampler(make_graph(5, 2, [(user, 0) for user in range(5)]))
    orders = Counter(tuple(sampler.sample(7, epoch).users.tolist()) for epoch in range(12_000))
    assert len(orders) == 120
    assert stats.chisquare(list(orders.values())).pvalue > 1e-4


def test_negatives_are_uniform():
    sampler = Sampler(make_graph(1, 50, [(0, item) for item in range(0, 50, 7)]))
    drawn = torch.cat(
        [sampler.sample(11, epoch, num_negatives=100).negatives.flatten() for epoch in range(100)]
    )
    counts = torch.bincount(drawn, minlength=50)
    assert (counts[::7] == 0).all()
    assert stats.chisquare(counts[counts > 0].numpy()).pvalue > 1e-4


def test_epochs_and_seeds_differ():
    sampler = Sampler(random_graph(50, 40, 0.2))
    results = [sampler.sample(seed, epoch).users for seed, epoch in [(0, 0), (0, 1), (1, 0), (2**32, 0)]]
    for at, one in enumerate(results):
        assert not any(torch.equal(one, other) for other in results[:at])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"seed": -1}, "seed"),
        ({"epoch": 2**32}, "epoch"),
        ({"first": -1}, "first"),
        ({"first": 1, "count": 10**9}, "count"),
        ({"num_negatives": 0}, "num_negatives"),
    ],
)
def test_numbers_outside_their_range(arguments, name):
    sampler = Sampler(random_graph(5, 5, 0.5))
    with pytest.raises(ConfigError, match=f"{name} = .* is outside"):
        sampler.sample(**({"seed": 0, "epoch": 0} | arguments))


def test_opcheck():
    sampler = Sampler(random_graph(5, 5, 0.5))
    arguments = (sampler.graph.handle, sampler.users, sampler.eligible, 0, 0, 0, 4, 2)
    torch.library.opcheck(torch.ops.pyrec.sample, arguments)


def assert_distinct(device, nodes, num_nodes):
    graph = device.put(make_graph(num_nodes - 1, 1, []))
    rows, position = distinct(nodes.to(device.torch), graph)
    graph.check()
    expected = list(dict.fromkeys(nodes.flatten().tolist()))
    assert torch.equal(rows[position].cpu(), nodes)
    assert rows[: len(expected)].tolist() == expected
    assert (rows[len(expected) :] == -1).all()  # none of them on the CPU
    assert len(rows) == (len(expected) if device.name == "cpu" else nodes.numel())


@given(st.lists(st.integers(0, 9)))
def test_distinct(device, nodes):
    assert_distinct(device, torch.tensor(nodes, dtype=torch.int64), 10)


@pytest.mark.parametrize("num_nodes", [2, 300, 5000])
@pytest.mark.parametrize("shape", [(256,), (257,), (3, 511)])
def test_distinct_of_many(device, shape, num_nodes):
    generator = torch.Generator().manual_seed(0)
    assert_distinct(device, torch.randint(num_nodes, shape, generator=generator), num_nodes)


@pytest.mark.parametrize("bad", [3, -1])
def test_distinct_reports_a_bad_node(device, bad):
    graph = device.put(make_graph(2, 1, []))
    named = rf"nodes\[1\] = {bad}, but there are 3 nodes"
    nodes = torch.tensor([0, bad, 2], device=device.torch)
    if device.name != "cpu":
        distinct(nodes, graph)
        with pytest.raises(DataError, match="rows had a node outside 0 to 2"):
            graph.check()
        return
    with pytest.raises(DataError, match=named):
        distinct(nodes, graph)
