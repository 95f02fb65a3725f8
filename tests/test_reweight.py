"""Weights of samples that a uniform set teaches, against autograd through the step that they look past."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from networks import make_network
from torch import Tensor, nn
from torch.nn import functional

from pyrec.data import Dataset, Interactions
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.evaluate.pair_metrics import auc
from pyrec.graph import Graph
from pyrec.models import MF, LightGCN
from pyrec.nn.content import Content
from pyrec.nn.network import Network
from pyrec.ops.sample import Sampler
from pyrec.reference.propagate import normalised_adjacency
from pyrec.reference.propagate import propagate as reference_propagate
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.agreement import Agreement
from pyrec.train.batch import Batch
from pyrec.train.batches import Batches
from pyrec.train.loss import BPR, Loss, Pointwise, Softmax
from pyrec.train.negatives import Observed, Uniform
from pyrec.train.optimisation import Optimisation
from pyrec.train.pair_batches import PairBatches
from pyrec.train.reweight import (
    Bridge,
    LabelWeights,
    LinearWeights,
    MetaWeightNet,
    Pairs,
    Ren,
    Reweight,
    imputes,
)
from pyrec.train.reweight.base import Known
from pyrec.train.sample_weights import SampleWeights, Task, _of_agreement, uniform_loss
from pyrec.train.samples import Samples
from pyrec.train.teacher_labels import Teacher, TeacherLabels
from pyrec.train.training_pairs import TrainingPairs

USERS, ITEMS, RATE, REG, BATCH, LAMBDA, PRIOR = 12, 9, 0.3, 0.05, 24, 0.2, 0.3
NODES = USERS + ITEMS
LEARNED = {"linear": LinearWeights, "label": LabelWeights, "meta-weight-net": MetaWeightNet}
LOSSES: dict[str, Loss] = {
    "logistic": Pointwise(negatives=Uniform(2)),
    "squared": Pointwise("squared", negatives=Uniform(2), target="sign"),
    "without negatives": Pointwise(negatives=Observed()),
    "bpr": BPR(negatives=Uniform(2)),
    "softmax": Softmax(temperature=0.5),
}
SHAPES = {"mf": ("mean", 0), "lightgcn": ("mean", 2), "attention": ("attention", 2)}


def labelled(seed: int, share: float) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((USERS, ITEMS)) < share)
    return Interactions.from_arrays(
        users,
        items,
        user_ids=np.arange(USERS),
        item_ids=np.arange(ITEMS),
        labels=(rng.random(len(users)) < 0.5).astype(np.float32),
        weights=rng.uniform(0.5, 2, len(users)).astype(np.float32),
    )


@dataclass
class Case:
    """A learner of weights in float64, and a batch that it is to weigh."""

    learner: SampleWeights
    batch: Batch
    network: Network
    loss: Loss


def double(batch: Batch) -> Batch:
    given = {name: getattr(batch, name) for name in ("weight", "label")}
    return replace(batch, **{name: None if one is None else one.double() for name, one in given.items()})


def make(
    device, how: Reweight, loss: Loss, shape: str = "mf", steps: int = 0, module: nn.Module | None = None
) -> Case:
    train, uniform = labelled(0, 0.5), labelled(1, 0.3)
    if not isinstance(loss, Pointwise):
        train = replace(train, labels=None)
    graph = device.put(Graph.from_interactions(train))
    network = make_network(Graph.from_interactions(train), *SHAPES[shape]).double().to(device.torch)
    if module is not None:
        network.first = Content(module.double())
    if hasattr(network.combine, "uniform"):
        network.combine.uniform.fill_(1 / len(network.combine.uniform))  # more digits than float32 had
    samples = Samples.of_interactions(train, loss.labels(train), graph.device)
    batches = Batches(graph, Sampler(graph), loss.source(ITEMS), BATCH, 1, samples)
    second = uniform_loss(loss)
    pairs = PairBatches.of(uniform, second.labels(uniform), graph, seed=2)
    pairs = replace(pairs, label=pairs.label.double(), weight=pairs.weight.double())
    low = -1.0 if getattr(loss, "target", "") == "sign" else 0.0
    network.first.begin(RATE, count_on_device=False)
    task = Task(network, graph, train, loss, (low, 1.0), pairs, second, Optimisation(RATE, reg=REG), 3)
    learner = SampleWeights(task, how)
    if learner.weigher is not None:
        generator = torch.Generator().manual_seed(4)
        for parameter in learner.weigher.double().parameters():
            parameter.data = (parameter.cpu() + torch.randn(parameter.shape, generator=generator)).to(
                device.torch
            )
    if learner.imputed is not None:
        learner.imputed.double()
    learner._optimizers = learner._make_optimizers()
    exact = torch.from_numpy(missing_items(train)).to(device.torch)
    torch.testing.assert_close(learner._known_pairs.missing, exact.float())
    learner._known_pairs = replace(learner._known_pairs, missing=exact)
    if steps:
        state = network.first.adam
        generator = torch.Generator().manual_seed(5)
        for moment in (state.first_moment, state.second_moment):
            moment.copy_(torch.rand(moment.shape, generator=generator, dtype=torch.float64) * 0.1)
        state._count.set_steps(steps)
    return Case(learner, double(batches.at(0, 0)), network, loss)


def missing_items(train: Interactions) -> np.ndarray:
    """The items that each user has not, over those that it has."""
    had = np.bincount(train.users, minlength=USERS)
    return (ITEMS - had) / had


class CPU:
    """The device without its fixture, for what launches nothing."""

    torch = torch.device("cpu")

    @staticmethod
    def put(graph: Graph) -> Graph:
        return graph


class ByHand:
    """The same in plain torch on whole matrices: what θ's step does to the uniform loss, to be differentiated."""

    def __init__(self, case: Case) -> None:
        self.case = case
        task = case.learner._task
        host = task.graph._host or task.graph
        self.adjacency = normalised_adjacency(host, torch.float64)
        self.network = case.network.cpu() if task.graph.device.type == "cuda" else case.network
        self.nodes = self.network.nodes(host)
        self.start = self.network.first().detach().cpu().clone().requires_grad_()
        users, items = np.asarray(task.learned.users, np.int64), np.asarray(task.learned.items, np.int64)
        self.at = {pair: at for at, pair in enumerate(zip(users.tolist(), items.tolist(), strict=True))}
        batch = case.batch
        self.users = batch.triples.users.long().cpu()
        self.items = batch.triples.positives.long().cpu()
        self.others = batch.triples.negatives.long().cpu()
        self.missing = torch.from_numpy(missing_items(task.learned))

    @property
    def imputes(self) -> bool:
        return self.case.learner.imputed is not None

    def vectors(self, x: Tensor) -> Tensor:
        return self.network.new_users(
            reference_propagate(x, self.adjacency, self.network.n_layers), self.nodes
        )

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Users and items of the samples, then of the negatives, where these have a weight of their own."""
        if not self.imputes:
            return self.users, self.items
        each = self.others.shape[1]
        return (
            torch.cat([self.users, self.users.repeat_interleave(each)]),
            torch.cat([self.items, self.others.flatten()]),
        )

    def labels(self, imputed: Tensor | None) -> Tensor:
        label = self.case.batch.label.cpu()
        return label if imputed is None else torch.cat([label, imputed.expand(self.others.numel())])

    def given(self) -> Tensor:
        """What the data and the numbers of missing items make of each pair's weight."""
        weight = self.case.batch.weight.cpu()
        if not self.imputes:
            return weight
        each = self.others.shape[1]
        return torch.cat([weight, (LAMBDA * self.missing[self.users] / each).repeat_interleave(each)])

    def losses(self, x: Tensor, imputed: Tensor | None) -> Tensor:
        vectors = self.vectors(x)
        own, positive = vectors[self.users], vectors[USERS + self.items]
        negative = vectors[USERS + self.others]
        if isinstance(self.case.loss, BPR):
            margin = (own[:, None] * (negative - positive[:, None])).sum(2)
            return functional.softplus(margin).mean(1)
        users, items = self.pairs()
        score = (vectors[users] * vectors[USERS + items]).sum(1)
        return pointwise(score, self.labels(imputed), self.case.loss.kind)

    def behind(self, factor: Tensor, imputed: Tensor | None, steps: int = 0) -> Tensor:
        """X_0 after the step with factors of the pairs' weights, differentiable in them."""
        weight = factor * self.given()
        x = self.start
        loss = (weight * self.losses(x, imputed)).sum() / weight.sum()
        named = torch.cat([self.users, USERS + self.items, USERS + self.others.flatten()])
        if self.case.loss.negatives == Observed():
            named = named[: 2 * len(self.users)]
        loss = loss + REG * 0.5 * x[named].square().sum() / len(self.users)
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        if self.case.learner._how.inner == "sgd":
            return x - RATE * gradient
        adam = self.network.first.adam
        first = 0.9 * adam.first_moment.cpu() + 0.1 * gradient
        second = 0.999 * adam.second_moment.cpu() + 0.001 * gradient.detach() ** 2
        first, second = first / (1 - 0.9 ** (steps + 1)), second / (1 - 0.999 ** (steps + 1))
        return x - RATE * first / (second.sqrt() + 1e-8)

    def uniform(self, x: Tensor) -> Tensor:
        pairs, vectors = self.case.learner._task.uniform, self.vectors(x)
        users, items = pairs.users.long().cpu(), pairs.items.long().cpu()
        score = (vectors[users] * vectors[USERS + items]).sum(1)
        kind = getattr(self.case.loss, "kind", "logistic")
        weight = pairs.weight.cpu()
        return (weight * pointwise(score, pairs.label.cpu(), kind)).sum() / weight.sum()


def pointwise(score: Tensor, label: Tensor, kind: str) -> Tensor:
    return (score - label).square() / 2 if kind == "squared" else functional.softplus(score) - label * score


def weights_by_hand(case: Case, hand: ByHand, imputed: Tensor | None) -> Tensor:
    """The factors of the pairs, from the parameters by their formulas."""
    weigher, task = case.learner.weigher.cpu(), case.learner._task
    users, items = hand.pairs()
    unobserved = torch.arange(len(users)) >= len(hand.users)
    labels = task.learned.labels
    likes = [
        labels is None or labels[hand.at[pair]] > 0
        for pair in zip(users.tolist(), items.tolist(), strict=False)
        if pair in hand.at
    ]
    kind = torch.cat([torch.tensor(likes).long(), torch.full((int(unobserved.sum()),), 2)])
    if isinstance(case.learner._how, LabelWeights):
        return (weigher.kind[kind, 0] / 5).exp()
    if isinstance(case.learner._how, LinearWeights):
        user = weigher.user.view(2, USERS)[unobserved.long(), users]
        item = weigher.item.view(2, ITEMS)[unobserved.long(), items]
        return ((user + item + weigher.kind[kind, 0]) / 5).exp()
    losses = hand.losses(hand.start, imputed).detach()
    hidden = torch.relu(losses[:, None] * weigher.slope + weigher.bias)
    return torch.sigmoid((hidden @ weigher.vector.T + weigher.offset)[:, 0])


def near(have: Tensor, expected: Tensor) -> None:
    assert expected.abs().max() > 1e-9
    torch.testing.assert_close(have.cpu(), expected, rtol=1e-9, atol=1e-11 * float(expected.abs().max()))


@pytest.mark.parametrize("inner", ["sgd", "adam"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        *((kind, loss) for kind in LEARNED for loss in ("logistic", "squared", "without negatives")),
        ("linear", "bpr"),
        ("meta-weight-net", "bpr"),
    ],
)
def test_the_slopes_are_those_of_autograd_through_the_step(device, kind, shape, inner, loss):
    loss = LOSSES[loss]
    pairs = {"unobserved": LAMBDA, "prior": PRIOR, "prior_rate": 1e-12} if imputes(loss) else {}
    case = make(device, LEARNED[kind](inner=inner, rate=1e-9, decay=0.0, **pairs), loss, shape, steps=5)
    hand = ByHand(case)
    imputed = None
    if hand.imputes:
        imputed = case.learner.imputed.cpu()().detach().clone().requires_grad_()
    parameters = list(case.learner.weigher.cpu().parameters())
    factor = weights_by_hand(case, hand, imputed)
    value = hand.uniform(hand.behind(factor, imputed, steps=5))
    expected = torch.autograd.grad(value, [*parameters, *([] if imputed is None else [imputed])])
    case.learner.weigher.to(device.torch)
    case.learner.before(case.batch)
    have = [parameter.grad.flatten() for parameter in case.learner.weigher.parameters()]
    near(torch.cat(have), torch.cat([gradient.flatten() for gradient in expected[: len(have)]]))
    if imputed is not None:
        chi = case.learner.imputed.chi
        low = case.learner._task.labels[0]
        by_chi = (1 - low) / 2 * (1 - torch.tanh(chi.detach().double()) ** 2)
        near(chi.grad, expected[-1] * by_chi)


@pytest.mark.parametrize("loss", ["logistic", "squared", "bpr"])
@pytest.mark.parametrize("shape", ["mf", "lightgcn"])
def test_rens_weights_are_what_no_weight_at_all_would_gain(device, shape, loss):
    """max(0, -dL_U/dw_k) at w = 0, of the sum of losses; where a label is imputed, it learns with these weights."""
    loss = LOSSES[loss]
    pairs = {"unobserved": LAMBDA, "prior": PRIOR, "prior_rate": 1e-12} if imputes(loss) else {}
    case = make(device, Ren(**pairs), loss, shape)
    hand = ByHand(case)
    imputed = case.learner.imputed.cpu()().detach() if hand.imputes else None
    weight = torch.zeros(len(hand.pairs()[0]), dtype=torch.float64, requires_grad=True)
    total = (weight * hand.losses(hand.start, imputed)).sum()
    (gradient,) = torch.autograd.grad(total, hand.start, create_graph=True)
    (slope,) = torch.autograd.grad(hand.uniform(hand.start - RATE * gradient), weight)
    expected = (-slope).clamp_min(0) * hand.given()
    assert 0 < int((expected > 0).sum()) < len(expected)
    given = case.learner.before(case.batch)
    have = given.weight if given.other_weight is None else torch.cat([given.weight, given.other_weight])
    near(have / have.sum(), expected / expected.sum())


class Encoder(nn.Module):
    """Vectors of nodes from what is known of them, as an encoder of text makes them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.register_buffer("known", torch.randn(NODES, 6, generator=generator))
        self.layer = nn.Linear(6, 16)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(16, 6, generator=generator))

    def forward(self, nodes: Tensor | None) -> Tensor:
        return torch.tanh(self.layer(self.known if nodes is None else self.known[nodes]))


@pytest.mark.parametrize("shape", ["mf", "lightgcn"])
@pytest.mark.parametrize("kind", LEARNED)
def test_an_encoder_is_held_and_its_vectors_are_what_moves(kind, shape):
    how = LEARNED[kind](inner="sgd", rate=1e-9, decay=0.0, unobserved=LAMBDA, prior_rate=1e-12)
    case = make(CPU, how, LOSSES["logistic"], shape, module=Encoder())
    hand = ByHand(case)
    imputed = case.learner.imputed().detach()
    parameters = list(case.learner.weigher.parameters())
    value = hand.uniform(hand.behind(weights_by_hand(case, hand, imputed), imputed))
    expected = torch.autograd.grad(value, parameters)
    before = {name: one.clone() for name, one in case.network.state_dict().items()}
    case.learner.before(case.batch)
    near(
        torch.cat([one.grad.flatten() for one in parameters]), torch.cat([one.flatten() for one in expected])
    )
    for name, one in case.network.state_dict().items():
        assert torch.equal(one, before[name]), name
    with pytest.raises(
        ConfigError, match=r"reweight__inner = 'adam' of reweight = '.*' needs a table of embeddings"
    ):
        make(CPU, LEARNED[kind](), LOSSES["logistic"], shape, module=Encoder())


def test_where_no_pair_lowers_the_uniform_loss_all_count_the_same():
    agreement = Agreement(torch.tensor([-1.0, -2.0]), torch.tensor([0.0]))
    assert _of_agreement(agreement).tolist() == [1, 1, 1]
    assert _of_agreement(Agreement(torch.tensor([-1.0, 2.0]))).tolist() == [0, 2]


@pytest.mark.launches_nothing
@pytest.mark.parametrize("number", [1, 3])
def test_pairs_that_are_drawn_stand_for_all_that_are_missing(number):
    """Over epochs their weights sum, for each user, to the weight of a missing pair times how many there are."""
    train = labelled(0, 0.5)
    loss = Pointwise(negatives=Uniform(number))
    graph = Graph.from_interactions(train)
    network = make_network(graph, "mean", 0)
    network.first.begin(RATE, count_on_device=False)
    samples = Samples.of_interactions(train, loss.labels(train), graph.device)
    batches = Batches(graph, Sampler(graph), loss.source(ITEMS), 1000, 1, samples)
    second = uniform_loss(loss)
    pairs = PairBatches.of(labelled(1, 0.3), second.labels(labelled(1, 0.3)), graph)
    task = Task(network, graph, train, loss, (0.0, 1.0), pairs, second, Optimisation(RATE), 3)
    learner = SampleWeights(task, LabelWeights(unobserved=LAMBDA, prior=PRIOR))
    total, epochs = np.zeros((USERS, ITEMS)), 400
    for epoch in range(epochs):
        batch = batches.at(epoch, 0)
        weighed = learner._weighed(batch, torch.ones(batch.size * (1 + number)), learner.imputed())
        assert weighed.other_label.tolist() == pytest.approx([PRIOR] * batch.size * number)
        users = batch.triples.users.numpy().repeat(number)
        np.add.at(total, (users, batch.triples.negatives.numpy().ravel()), weighed.other_weight.numpy())
    missing = train.to_csr().toarray() == 0
    np.testing.assert_allclose(total.sum(1) / epochs, LAMBDA * missing.sum(1), rtol=1e-4)
    assert (total[~missing] == 0).all()
    deviations = (total / epochs - LAMBDA)[missing] / LAMBDA
    assert abs(deviations).max() < 0.3
    assert abs(deviations.mean()) < 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_and_agreements_of_samples_are_those_of_each_by_itself(device, name):
    case = make(device, LinearWeights(), LOSSES[name])
    batch, loss = replace(case.batch, weight=None), case.loss
    generator = torch.Generator().manual_seed(6)
    vectors, direction = (
        torch.randn(len(batch.rows), 5, generator=generator, dtype=torch.float64).to(device.torch)
        for _ in range(2)
    )

    def of_each(x: Tensor) -> Tensor:
        found = []
        for at in range(batch.size):
            alone = torch.zeros(batch.size, dtype=torch.float64, device=x.device)
            alone[at] = 1
            others = {} if not imputes(loss) else {"other_weight": torch.zeros(2 * batch.size).to(alone)}
            found.append(loss(replace(batch, weight=alone, **others), x))
        return torch.stack(found)

    near(loss.each(batch, vectors).samples, of_each(vectors).cpu())
    step = 1e-6
    slope = (of_each(vectors + step * direction) - of_each(vectors - step * direction)) / (2 * step)
    have = loss.agreement(batch, vectors, direction).samples
    torch.testing.assert_close(have, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("score", ["inner", "cosine"])
@pytest.mark.parametrize("kind", ["logistic", "squared"])
def test_a_pointwise_losss_others_have_losses_and_agreements_of_their_own(device, kind, score):
    loss = Pointwise(kind, score, negatives=Uniform(2))
    batch = make(device, LinearWeights(), loss).batch
    batch = replace(batch, other_label=torch.full((2 * batch.size,), 0.25).double().to(device.torch))
    generator = torch.Generator().manual_seed(6)
    vectors, direction = (
        torch.randn(len(batch.rows), 5, generator=generator, dtype=torch.float64).to(device.torch)
        for _ in range(2)
    )
    users, _, others = (one.cpu() for one in batch.positions())

    def scores(x: Tensor) -> Tensor:
        x = x.cpu() if score == "inner" else functional.normalize(x.cpu(), dim=1)
        return (x[users.repeat_interleave(2)] * x[others]).sum(1)

    near(loss.each(batch, vectors).others, pointwise(scores(vectors), torch.tensor(0.25).double(), kind))
    x = vectors.cpu().requires_grad_()
    losses = pointwise(scores(x), torch.tensor(0.25).double(), kind)
    have = loss.agreement(batch, vectors, direction)
    for found, values in ((have.others, losses), (have.scores, scores(x))):
        gradients = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in values]
        near(found, torch.stack([(one * direction.cpu()).sum() for one in gradients]))


# A teacher.


def test_a_teacher_gives_drawn_pairs_their_labels():
    """A score of -1 is the least label, 1 the largest; scores beyond are these."""
    train, loss = labelled(0, 0.5), Pointwise("squared", negatives=Uniform(2), target="sign")
    graph = Graph.from_interactions(train)
    batch = Batches(graph, Sampler(graph), loss.source(ITEMS), BATCH, 1).at(0, 0)
    generator = torch.Generator().manual_seed(8)
    users, items = (torch.randn(count, 3, generator=generator) for count in (USERS, ITEMS))
    pairs = TrainingPairs.of(train, graph.device)
    for low in (-1.0, 0.0):
        given = TeacherLabels(Teacher(users, items), pairs, (low, 1.0), LAMBDA).before(batch)
        own = batch.triples.users.long()
        scores = (users[own][:, None] * items[batch.triples.negatives.long()]).sum(2).numpy()
        assert scores.min() < -1 < 1 < scores.max()
        expected = np.interp(scores, [-1, 1], [low, 1]).ravel()
        np.testing.assert_allclose(given.other_label, expected, rtol=0, atol=1e-6)
        weights = (LAMBDA * missing_items(train)[own] / 2).repeat(2)
        np.testing.assert_allclose(given.other_weight, weights, rtol=1e-6)
        assert given.weight is batch.weight


def test_what_the_uniform_set_dislikes_falls_by_the_bridge():
    """Pairs of items that it dislikes alone: a teacher of 0 for all of their pairs."""
    train = labelled(0, 0.5)
    users, items = np.nonzero(np.ones((USERS, ITEMS)))
    liked = items % 2
    uniform = Interactions.from_arrays(users, items, labels=liked.astype(np.float32))
    options = FIT | {"epochs": 60, "loss": Pointwise(), "reg": 0.0}
    model = MF(**options, reweight=Bridge(unobserved=3.0)).fit(train, uniform=uniform)
    unseen = train.to_csr().toarray() == 0
    scores = model.pair_scores(users, items).reshape(USERS, ITEMS)
    odd = np.tile(np.arange(ITEMS) % 2 == 1, (USERS, 1))
    assert scores[unseen & odd].mean() > 0.8
    assert scores[unseen & ~odd].mean() < -0.8


# Fits.

FIT = {"embedding_size": 8, "epochs": 2, "batch_size": 32, "learning_rate": 0.05}
HOW = {
    "linear": LinearWeights(),
    "label": LabelWeights(),
    "ren": Ren(),
    "meta-weight-net": MetaWeightNet(hidden=5),
}
MODELS = {
    "mf": lambda **options: MF(**FIT, **options),
    "lightgcn": lambda **options: LightGCN(**FIT, combine="mean", **options),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_a_fit_goes_on_to_the_same_bits(name, how, tmp_path):
    train, uniform = labelled(0, 0.5), labelled(1, 0.3)
    model = MODELS[name](loss=Pointwise(), reweight=how)
    whole = model.clone().fit(train, uniform=uniform)
    other = model.clone().set_params(reweight=None).fit(train)
    assert not torch.equal(whole.user_vectors_, other.user_vectors_)
    kept = Checkpoints(tmp_path, every=1)

    def stop(_, record):
        if record["epoch"] == 1:
            kept.stop.make()

    with pytest.raises(StoppedError):
        model.clone().fit(train, uniform=uniform, callback=stop, checkpoints=kept)
    kept.stop.made = False
    again = model.clone().fit(Dataset(train, uniform=uniform), checkpoints=kept, resume=True)
    assert torch.equal(again.user_vectors_, whole.user_vectors_)
    with pytest.raises(DataError, match="other data"):
        model.clone().fit(train, uniform=labelled(3, 0.3), checkpoints=kept, resume=True)


def test_what_was_learned_is_told():
    """Half of the users say the opposite of what the uniform set says of the items: they come to count less."""
    given = labelled(0, 0.8)
    liars, truth = given.users % 2 == 1, given.items % 2 == 1
    train = replace(given, weights=None, labels=(truth != liars).astype(np.float32))
    users, items = np.nonzero(np.ones((USERS, ITEMS)))
    uniform = Interactions.from_arrays(users, items, labels=(items % 2).astype(np.float32))
    options = FIT | {"epochs": 30, "loss": Pointwise()}
    model = MF(**options, reweight=LinearWeights(rate=0.3, decay=0.0)).fit(train, uniform=uniform)
    weights, likes = model.sample_weights_, train.labels > 0
    assert weights.dtype == np.float32
    assert weights.shape == (len(train),)
    assert weights[liars].mean() < 0.3 * weights[~liars].mean()
    assert 0 < model.imputed_label_ < 1
    by_label = MF(**options, reweight=LabelWeights(rate=0.3)).fit(train, uniform=uniform).sample_weights_
    assert len(set(by_label[likes].tolist())) == len(set(by_label[~likes].tolist())) == 1
    for how in ("ren", "meta-weight-net", None):
        assert MF(**options, reweight=how).fit(train, uniform=uniform).sample_weights_ is None


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_the_same_bits_at_any_number_of_threads(how, threads):
    """Of a batch with more pairs than torch adds up in one piece."""
    rng = np.random.default_rng(0)
    shape = (400, 300)
    pairs = [np.nonzero(rng.random(shape) < share) for share in (0.2, 0.02)]
    train, uniform = (
        Interactions.from_arrays(
            users,
            items,
            user_ids=np.arange(400),
            item_ids=np.arange(300),
            labels=(rng.random(len(users)) < 0.5).astype(np.float32),
        )
        for users, items in pairs
    )
    model = LightGCN(
        embedding_size=16,
        epochs=1,
        batch_size=16384,
        n_layers=1,
        combine="mean",
        reweight=how,
        loss=Pointwise(negatives=3),
    )
    vectors = []
    for number in (1, 2, 3):
        threads(number)
        vectors.append(model.fit(train, uniform=uniform).user_vectors_)
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[0], vectors[2])


@pytest.mark.parametrize("loss", ["pointwise", "bpr"])
def test_labelled_pairs_choose_the_epoch_by_their_auc(loss):
    train, validation = labelled(0, 0.5), labelled(3, 0.5)
    if loss == "bpr":
        train = replace(train, labels=None)
    model = MF(**FIT | {"epochs": 12}, loss=loss)
    found = []
    model.fit(
        train,
        validation=validation,
        callback=lambda one, _: found.append(one.pair_scores(validation.users, validation.items)),
    )
    recorded = [record["validation_auc"] for record in model.history_]
    assert recorded == [auc(scores, validation.labels) for scores in found]
    assert model.best_epoch_ == int(np.argmax(recorded)) + 1 < 12
    np.testing.assert_array_equal(
        model.pair_scores(validation.users, validation.items), found[model.best_epoch_ - 1]
    )


def test_a_model_that_learns_weights_needs_uniform_pairs_with_labels():
    train = labelled(0, 0.5)
    model = MF(**FIT, loss="pointwise", reweight="ren")
    with pytest.raises(
        DataError, match="reweight = 'ren' learns from pairs that were shown at random, and there are none"
    ):
        model.fit(train)
    with pytest.raises(DataError, match="uniform"):
        model.fit(train, uniform=replace(train, labels=None))


@pytest.mark.parametrize("places", [[0, 1, 2, 0, 4], [-1, 3, -1, -1, 3]])
def test_a_position_has_a_weight_of_its_own_and_no_position_has_none(places):
    weigher = LinearWeights().make(Known(5, 5, max(places) + 1), torch.Generator())
    generator = torch.Generator().manual_seed(9)
    for parameter in weigher.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    users, items, kinds = (torch.tensor(one) for one in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 1, 0, 1]))
    position = torch.tensor(places)
    shown = torch.where(position >= 0, weigher.position[position.clamp_min(0), 0], 0.0)
    expected = weigher.user[users, 0] + weigher.item[items, 0] + weigher.kind[kinds, 0] + shown
    have = weigher(Pairs(users, items, kinds, torch.zeros(5), position))
    torch.testing.assert_close(have, (expected / 5).exp())


def test_positions_of_a_list_are_learned():
    """At every other place users like what they did not: such places come to count less."""
    given = labelled(0, 0.8)
    places = np.arange(len(given)) % 4
    lie, truth = places % 2 == 1, given.items % 2 == 1
    train = replace(
        given, weights=None, labels=(truth != lie).astype(np.float32), positions=places.astype(np.int32)
    )
    users, items = np.nonzero(np.ones((USERS, ITEMS)))
    uniform = Interactions.from_arrays(users, items, labels=(items % 2).astype(np.float32))
    how = LinearWeights(rate=0.3, decay=0.0)
    weights = (
        MF(**FIT | {"epochs": 30}, loss=Pointwise(), reweight=how).fit(train, uniform=uniform).sample_weights_
    )
    assert weights[lie].mean() < 0.3 * weights[~lie].mean()
