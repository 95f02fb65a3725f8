"""A training step against plain torch, and the same bits whatever the threads."""

import hashlib
import weakref

import pytest
import torch
from networks import (
    BATCH_SIZE,
    N_LAYERS,
    OPTIMISATION,
    REFERENCES,
    REG,
    make_batches,
    make_network,
    make_trainer,
)
from strategies import random_graph
from torch.nn import functional

from pyrec.data import synthetic
from pyrec.models import LightGCN
from pyrec.nn.encoder import FromItems
from pyrec.ops.propagate import propagate
from pyrec.reference import bpr as reference_bpr
from pyrec.reference import train as reference_train
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train.adapt import UserTemperatures
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.loss import BPR, Softmax, cross_entropy
from pyrec.train.negatives import Hard, InBatch, Uniform
from pyrec.train.optimisation import Optimisation


def restricted_loss(trainer, batch):
    network = trainer.network
    layers = propagate(network.first(), trainer.batches.graph, network.n_layers, batch.rows)
    nodes = trainer.nodes and trainer.nodes.at(batch.rows)
    ranking = trainer.loss(batch, network.combine(layers, nodes))
    return ranking + trainer.optimisation.reg * penalty(batch, layers[0])


def penalty(batch, ego):
    counts = torch.bincount(batch.position).float()
    return 0.5 * (ego.square().sum(1) * counts).sum() / batch.size


def whole_loss(trainer, batch):
    """The same loss from the vectors of all nodes."""
    network, graph = trainer.network, trainer.batches.graph
    layers = propagate(network.first(), graph, N_LAYERS)
    vectors = network.combine(layers, network.nodes(graph))[batch.rows]
    ego = layers[0][batch.rows]
    users, positives, negatives = batch.positions()
    ranking = reference_bpr.bpr(vectors, users, positives, negatives[:, None])
    return ranking + REG * penalty(batch, ego)


@pytest.mark.parametrize("ours", [restricted_loss, whole_loss])
@pytest.mark.parametrize("kind", list(REFERENCES))
def test_a_step_equals_plain_torch(kind, ours):
    """Loss and every gradient, to 1e-5 of the largest, against autograd in float64."""
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(make_network(graph, kind), graph)
    batch = trainer.batches.at(0, 0)
    total = ours(trainer, batch)
    total.backward()

    wide = make_network(graph, kind).double()
    triples = tuple(ids.flatten().long() for ids in batch.triples)
    adjacency = normalised_adjacency(graph, torch.float64)
    expected = reference_train.loss(
        wide.first.embedding,
        adjacency,
        N_LAYERS,
        lambda layers: REFERENCES[kind](wide.combine, layers, graph),
        triples,
        graph.num_users,
        REG,
    )
    expected.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, mine), theirs in zip(trainer.network.named_parameters(), wide.parameters(), strict=True):
        limit = 1e-5 * float(theirs.grad.abs().max())
        assert limit > 0, name
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=0, atol=limit, msg=name)


@torch.no_grad()
def with_hardest(triples, wide, kind, adjacency, graph):
    """Of each sample's negatives the one whose product with its user is largest."""
    users, positives, candidates = triples
    layers = [wide.first.embedding]
    for _ in range(N_LAYERS):
        layers.append(adjacency @ layers[-1])
    vectors = REFERENCES[kind](wide.combine, layers, graph)
    products = (vectors[users][:, None] * vectors[candidates + graph.num_users]).sum(2)
    return users, positives, candidates.gather(1, products.argmax(1, keepdim=True)).flatten()


@pytest.mark.parametrize("negatives", [Uniform(), Hard(5)], ids=["uniform", "hard"])
@pytest.mark.parametrize("kind", list(REFERENCES))
def test_steps_equal_plain_torch_on_each_device(device, kind, negatives):
    """Losses and parameters of some steps, to rounding, against autograd and torch.optim.Adam in float64."""
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(
        make_network(graph, kind).to(device.torch), device.put(graph), BPR(negatives=negatives)
    )
    wide = make_network(graph, kind).double()
    optimizer = torch.optim.Adam(wide.parameters(), lr=OPTIMISATION.learning_rate)
    adjacency = normalised_adjacency(graph, torch.float64)
    for first in range(0, 5 * BATCH_SIZE, BATCH_SIZE):
        batch = trainer.batches.at(0, first)
        triples = tuple(ids.squeeze(-1).long().cpu() for ids in batch.triples)
        if isinstance(negatives, Hard):
            triples = with_hardest(triples, wide, kind, adjacency, graph)
        expected = reference_train.loss(
            wide.first.embedding,
            adjacency,
            N_LAYERS,
            lambda layers: REFERENCES[kind](wide.combine, layers, graph),
            triples,
            graph.num_users,
            REG,
        )
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert trainer.step(batch).item() == pytest.approx(expected.item(), rel=1e-4)
    trainer.batches.graph.check()
    for mine, theirs in zip(trainer.network.parameters(), wide.parameters(), strict=True):
        torch.testing.assert_close(mine.cpu().double(), theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("kind", list(REFERENCES))
def test_steps_equal_those_of_torchs_adam(isa, kind, n_layers):
    """The same steps with autograd down to the embeddings and torch.optim.Adam."""
    graph = random_graph(60, 50, 0.15)
    ours, theirs = (make_trainer(make_network(graph, kind, n_layers), graph) for _ in range(2))
    optimizer = torch.optim.Adam(theirs.network.parameters(), lr=OPTIMISATION.learning_rate)
    for first in range(0, 5 * BATCH_SIZE, BATCH_SIZE):
        batch = ours.batches.at(0, first)
        expected = restricted_loss(theirs, batch)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert ours.step(batch).item() == pytest.approx(expected.item(), rel=1e-4)
    for mine, other in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("score", ["inner", "cosine"])
def test_the_softmax_loss_is_the_cross_entropy_over_all_items(score):
    graph = random_graph(30, 20, 0.2)
    loss = Softmax(score=score)
    trainer = make_trainer(
        make_network(graph, "mean"), graph, loss, optimisation=Optimisation(1e-2), batch_size=32
    )
    batch = trainer.batches.at(0, 0)
    assert batch.all_items
    vectors = trainer.network.all_nodes(graph)
    if score == "cosine":
        vectors = functional.normalize(vectors, dim=1)
    logits = vectors[batch.triples.users.long()] @ vectors[graph.num_users :].T / loss.temperature
    expected = functional.cross_entropy(logits, batch.triples.positives.long())
    assert restricted_loss(trainer, batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_hardest_negative_is_the_one_that_the_user_is_most_like():
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(make_network(graph, "mean"), graph, BPR(negatives=Hard(5)))
    batch = trainer.batches.at(0, 0)
    vectors = trainer.network.all_nodes(graph)
    users, candidates = batch.triples.users.long(), batch.triples.negatives.long() + graph.num_users
    products = (vectors[users][:, None] * vectors[candidates]).sum(2)
    expected = candidates[torch.arange(64), products.argmax(1)]
    chosen, where = trainer.batches.negatives.refine(batch, lambda: vectors[batch.rows], graph)
    assert torch.equal(chosen.rows[chosen.positions()[2]], expected)
    assert torch.equal(chosen.rows, batch.rows[where])
    assert len(chosen.rows) == len(set(chosen.rows.tolist())) < len(batch.rows)
    positives = (vectors[users] * vectors[batch.triples.positives.long() + graph.num_users]).sum(1)
    loss_of_the_hardest = functional.softplus(products.amax(1) - positives).mean()
    penalised = trainer.network.first.embedding[chosen.rows[chosen.position]]
    expected_loss = loss_of_the_hardest + REG * 0.5 * (penalised**2).sum() / 64
    assert trainer.step(batch).item() == pytest.approx(expected_loss.item(), rel=1e-4)


@pytest.mark.parametrize("corrected", [False, True])
def test_the_sampled_softmax_has_the_gradient_of_the_formula(corrected):
    torch.manual_seed(0)
    users, positives, pool = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (5, 5, 7))
    own, ids = torch.randint(3, (5,)), torch.randint(3, (7,))
    log_expected = torch.randn(7, dtype=torch.float64) if corrected else None

    def value(users, positives, pool):
        return cross_entropy.sampled_softmax(users, positives, pool, own, ids, 0.5, log_expected)

    assert torch.autograd.gradcheck(value, (users, positives, pool))


def test_a_pool_without_negatives_has_no_loss_and_no_gradient():
    users, items = (torch.randn(2, 4, requires_grad=True) for _ in range(2))
    same = torch.zeros(2, dtype=torch.int64)
    result = cross_entropy.sampled_softmax(users, items, items, same, same, 0.5)
    result.backward()
    assert result.item() == 0
    assert not users.grad.any()


def test_the_sampled_softmax_leaves_out_ones_own_positive():
    users, items = (
        functional.normalize(torch.randn(2, 4), dim=1),
        functional.normalize(torch.randn(3, 4), dim=1),
    )
    own, ids = torch.tensor([1, 7]), torch.arange(3)
    result = cross_entropy.sampled_softmax(users, items[1:], items, own, ids, 0.5)
    first = torch.logsumexp(users[0] @ items[[1, 0, 2]].T / 0.5, 0) - users[0] @ items[1] / 0.5
    second = torch.logsumexp(users[1] @ items[[2, 0, 1, 2]].T / 0.5, 0) - users[1] @ items[2] / 0.5
    assert result.item() == pytest.approx(float(first + second) / 2, rel=1e-5)


def test_a_corrected_pool_counts_as_often_as_it_stands_for_others():
    users, items = (functional.normalize(torch.randn(n, 4), dim=1) for n in (2, 3))
    none, ids = torch.full((2,), -1), torch.arange(3)
    log_expected = torch.tensor([0.5, 0.1, 2.0]).log()
    result = cross_entropy.sampled_softmax(users, items[1:], items, none, ids, 0.5, log_expected)
    positive = (users * items[1:]).sum(1) / 0.5
    total = positive.exp() + ((users @ items.T / 0.5).exp() / torch.tensor([0.5, 0.1, 2.0])).sum(1)
    assert result.item() == pytest.approx(float((total.log() - positive).mean()), rel=1e-5)


@pytest.mark.parametrize(
    "source", [Uniform(corrected=True), InBatch(corrected=True)], ids=["uniform", "batch"]
)
@pytest.mark.parametrize("sampled", [False, True])
def test_the_expected_counts_are_those_of_many_pools(source, sampled):
    graph = random_graph(60, 30, 0.15)
    more = random_graph(60, 30, 0.5) if sampled else graph  # as with random extra edges
    batches = make_batches(more, Softmax(negatives=source), sampled=graph)
    counts, pools = torch.zeros(graph.num_items), 300
    for epoch in range(pools):
        others = source.others(batches.at(epoch, 0).triples, graph.num_items)
        counts += torch.bincount(others, minlength=graph.num_items)
    items = torch.arange(graph.num_items)
    expected = source.log_expected(items, batches.sampler).exp() * BATCH_SIZE / graph.num_items
    if isinstance(source, InBatch):
        torch.testing.assert_close(counts / pools, expected, rtol=0.15, atol=0.05)
    assert float((counts / pools).sum()) == pytest.approx(float(expected.sum()), rel=1e-5)


def test_the_batchs_positives_are_the_negatives_of_others():
    graph = random_graph(60, 50, 0.15)
    loss = Softmax(negatives="batch")
    trainer = make_trainer(make_network(graph, "mean"), graph, loss, optimisation=Optimisation(1e-2))
    batch = trainer.batches.at(0, 0)
    vectors = functional.normalize(trainer.network.all_nodes(graph), dim=1)
    users, items = batch.triples.users.long(), batch.triples.positives.long()
    logits = vectors[users] @ vectors[graph.num_users + items].T / loss.temperature
    same = items[:, None] == items[None, :]
    expected = functional.cross_entropy(
        logits.masked_fill(same & ~torch.eye(64, dtype=torch.bool), -torch.inf), torch.arange(64)
    )
    assert restricted_loss(trainer, batch).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"combine": "mean"},
        {"combine": "attention"},
        {"combine": "self-attention"},
        {"combine": "weighted", "loss": "softmax"},
        {"loss": Softmax(negatives=Uniform(2))},
        {"loss": Softmax(negatives=InBatch(corrected=True))},
        {"loss": Softmax(adapt=UserTemperatures(1))},
        {"augment": Contrast("noise")},
        {"augment": Contrast("edges"), "combine": "attention"},
        {"augment": ExtraEdges(0.1)},
        {"encoder": FromItems(), "n_layers": 3, "augment": EdgeDropout(0.5), "loss": "softmax"},
    ],
)
def test_the_same_seed_gives_the_same_bits_at_any_number_of_threads(threads, arguments):
    train = synthetic(400, 300, interactions_per_user=15)
    digests = set()
    for count in (1, 2, 3, 7):
        threads(count)
        model = LightGCN(embedding_size=32, epochs=2, learning_rate=1e-2, seed=4, **arguments).fit(train)
        parameters = [value.numpy().tobytes() for value in model.network_.state_dict().values()]
        vectors = model.user_vectors_.numpy().tobytes() + model.item_vectors_.numpy().tobytes()
        digests.add(hashlib.sha256(b"".join(parameters) + vectors).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("arguments", [{}, {"loss": "bpr", "combine": "attention"}], ids=["softmax", "bpr"])
def test_each_of_three_seeds_gives_its_own_bits_at_any_number_of_threads(threads, arguments):
    train, digests = synthetic(200, 150, interactions_per_user=10), set()
    for seed in (0, 1, 2):
        of_seed = set()
        for count in (1, 2, 3, 7):
            threads(count)
            model = LightGCN(embedding_size=16, epochs=2, seed=seed, **arguments).fit(train)
            of_seed.add(hashlib.sha256(model.user_vectors_.numpy().tobytes()).hexdigest())
        assert len(of_seed) == 1
        digests |= of_seed
    assert len(digests) == 3


def test_a_trainer_that_is_done_with_is_gone_at_once():
    """No cycle keeps its moments, or a device's recording, until the next garbage collection."""
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(make_network(graph, "attention"), graph)
    trainer.epoch(0)
    gone = weakref.ref(trainer)
    del trainer
    assert gone() is None


def test_another_seed_gives_other_bits():
    train = synthetic(100, 80, interactions_per_user=10)
    one, other = (LightGCN(embedding_size=8, epochs=1, seed=seed).fit(train) for seed in (0, 1))
    assert not torch.equal(one.user_vectors_, other.user_vectors_)


def test_a_linear_rate_falls_in_equal_parts(device):
    graph = random_graph(60, 50, 0.15)
    network = make_network(graph, "attention").to(device.torch)
    falling = Optimisation(OPTIMISATION.learning_rate, epochs=4, schedule="linear")
    trainer = make_trainer(network, device.put(graph), optimisation=falling)
    for epoch, share in enumerate((1.0, 0.75, 0.5, 0.25)):
        trainer.epoch(epoch)
        step, steps = (
            network.first.adam.next_step(),
            (epoch + 1) * (1 + -(-trainer.batches.num_samples // BATCH_SIZE)),
        )
        size = step.step_size if step.numbers is None else step.numbers[0].item()
        assert size == pytest.approx(share * OPTIMISATION.learning_rate / (1 - 0.9**steps), rel=1e-6)
        assert float(trainer.optimizer.param_groups[0]["lr"]) == pytest.approx(
            share * OPTIMISATION.learning_rate
        )
