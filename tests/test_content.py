"""Items made of their features by a module of one's own: the same trainer, files and checkpoints as for a table."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from networks import BATCH_SIZE, DIM, OPTIMISATION, REG, make_trainer
from own_kinds import listed, unlisted
from small_models import LEARNING, SMALL
from torch import Tensor, nn

from pyrec import LightGCN, Recommender
from pyrec.data import Dataset, Features, Interactions, split_random
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.graph import Graph
from pyrec.models import Popularity
from pyrec.nn.combine import CombineModule, Mean
from pyrec.nn.content import Content
from pyrec.nn.embedding_table import first_embeddings
from pyrec.nn.encoder import Encoder, Inputs
from pyrec.nn.network import Network
from pyrec.options import Count, Options
from pyrec.reference import train as reference_train
from pyrec.reference.propagate import normalised_adjacency
from pyrec.store.arrays import State
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR
from pyrec.train.negatives import Uniform
from pyrec.train.trainer import Trainer

GROUPS, WIDTH = 5, 12


class Towers(nn.Module):
    """Users from a table, items from two layers over their features."""

    features: Tensor

    def __init__(
        self, num_users: int, features: Tensor, dim: int, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.users = nn.Parameter(first_embeddings(num_users, dim, generator))
        self.first = nn.Parameter(torch.randn(features.shape[1], width, generator=generator))
        self.last = nn.Parameter(0.1 * torch.randn(width, dim, generator=generator))
        self.register_buffer("features", features, persistent=False)

    def forward(self, rows: Tensor | None) -> Tensor:
        """See `Content.module`."""
        if rows is None:
            return torch.cat([self.users, self._items(self.features)])
        num_users = len(self.users)
        items = self._items(self.features[(rows - num_users).clamp_min(0)])
        is_item = (rows >= num_users)[:, None]
        return torch.where(is_item, items, self.users[rows.clamp_max(num_users - 1)])

    def _items(self, features: Tensor) -> Tensor:
        return torch.tanh(features @ self.first) @ self.last


@unlisted
@dataclass(frozen=True, repr=False)
class TwoTowers(Encoder):
    """The encoder of `Towers`.

    Args:
        width: Of the hidden layer.
    """

    name: ClassVar[str] = "towers"
    options: ClassVar[Options] = {"width": Count(low=1, help="Width of the hidden layer.")}

    width: int = WIDTH

    def features(self, dataset: Dataset) -> dict[str, np.ndarray]:
        """See `Encoder.features`: the column ``text`` of the items."""
        if dataset.items is None:
            raise DataError("encoder = 'towers' needs features of the items")
        return {"text": dataset.items.columns["text"].values}

    def make(
        self,
        inputs: Inputs,
        n_layers: int,
        combine: CombineModule,
        generator: torch.Generator,
        precision: str,
    ) -> Network:
        """See `Encoder.make`."""
        text = torch.from_numpy(inputs.features.array("text", np.float32, (inputs.num_items, None)))
        towers = Towers(inputs.num_users, text, inputs.dim, self.width, generator)
        return Network(Content(towers), combine, n_layers, precision)

    def parameter_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.parameter_bytes`."""
        features = inputs.features.arrays["text"].shape[1]
        return 4 * (inputs.num_users * inputs.dim + self.width * (features + inputs.dim))

    def training_bytes(self, inputs: Inputs) -> int:
        """See `Encoder.training_bytes`: X_0 and its gradient, the features, parameters, gradients and moments."""
        stored = 8 * inputs.num_nodes * inputs.dim + inputs.features.arrays["text"].nbytes
        return stored + 4 * self.parameter_bytes(inputs)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(TwoTowers, monkeypatch)


def dataset(interactions: Interactions, seed: int = 0) -> Dataset:
    """Features of the items that tell their groups, item by item, and noise."""
    rng = np.random.default_rng(seed)
    group = np.arange(interactions.num_items) % GROUPS
    text = np.eye(GROUPS)[group] + 0.1 * rng.normal(size=(interactions.num_items, GROUPS))
    items = Features.from_columns(interactions.item_ids, {"text": text.astype(np.float32)})
    return Dataset(interactions, items=items)


def grouped(num_users: int = 60, num_items: int = 50) -> Interactions:
    """Users of one group, item by item modulo the number of groups, like most of its items."""
    rng = np.random.default_rng(1)
    likes = np.arange(num_users)[:, None] % GROUPS == np.arange(num_items) % GROUPS
    users, items = np.nonzero(rng.random(likes.shape) < np.where(likes, 0.8, 0.05))
    return Interactions.from_arrays(
        users, items, user_ids=np.arange(num_users), item_ids=np.arange(num_items)
    )


@pytest.fixture(scope="module")
def train() -> Interactions:
    return grouped()


def make_network(train: Interactions, n_layers: int) -> Network:
    encoder, generator = TwoTowers(), torch.Generator().manual_seed(0)
    inputs = Inputs(train, DIM, _state(encoder, dataset(train)))
    return encoder.make(inputs, n_layers, Mean().make(n_layers, DIM), generator, "fp32")


def _state(encoder: Encoder, data: Dataset) -> State:
    return State("dataset", encoder.features(data))


@pytest.mark.parametrize("n_layers", [0, 2])
def test_steps_equal_plain_torch(train: Interactions, n_layers: int) -> None:
    """Losses, gradients and parameters of some steps against autograd through a dense matrix, in float64."""
    graph = Graph.from_interactions(train)
    network, wide = make_network(train, n_layers), make_network(train, n_layers).double()
    trainer = make_trainer(network, graph)
    optimizer = torch.optim.Adam(wide.parameters(), lr=OPTIMISATION.learning_rate)
    adjacency = normalised_adjacency(graph, torch.float64)
    for first in range(0, 4 * BATCH_SIZE, BATCH_SIZE):
        batch = trainer.batches.at(0, first)
        triples = tuple(ids.flatten().long() for ids in batch.triples)
        expected = reference_train.loss(
            wide.first.module(None), adjacency, n_layers, reference_train.mean, triples, graph.num_users, REG
        )
        optimizer.zero_grad()
        expected.backward()
        assert trainer.step(batch).item() == pytest.approx(expected.item(), rel=1e-5)
        for (name, mine), theirs in zip(network.named_parameters(), wide.parameters(), strict=True):
            limit = 1e-5 * float(theirs.grad.abs().max())
            assert limit > 0, name
            torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=0, atol=limit, msg=name)
        optimizer.step()
        wide.load_state_dict(network.state_dict())  # so that rounding does not add up
    assert len(list(network.parameters())) == 3


OPTIONS = LEARNING | {"encoder": TwoTowers(), "combine": "mean", "epochs": 15}


@pytest.mark.parametrize("n_layers", [0, 2])
def test_it_learns(n_layers: int) -> None:
    train, test = split_random(grouped(), 0.8)
    model = LightGCN(**OPTIONS, n_layers=n_layers).fit(dataset(train))
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < 0.95 * losses[0]
    assert model.score(test) > 1.5 * Popularity().fit(train).score(test)


def lists(model: Recommender, train: Interactions) -> list[bytes]:
    users = model.recommend(train.user_ids, 5)
    new = model.recommend_for_items([train.item_ids[:3]], 5)
    return [array.tobytes() for array in (*users, *new)]


@pytest.mark.parametrize("n_layers", [0, 2])
def test_a_saved_model_needs_no_features_to_load(train: Interactions, n_layers: int, tmp_path) -> None:
    model = LightGCN(**{**SMALL, **OPTIONS, "epochs": 2}, n_layers=n_layers).fit(dataset(train))
    model.save(tmp_path)
    for kind in (LightGCN, Recommender):
        loaded = kind.load(tmp_path)
        assert loaded.encoder == TwoTowers()
        assert lists(loaded, train) == lists(model, train)
    loaded.save(tmp_path / "again")
    assert lists(LightGCN.load(tmp_path / "again"), train) == lists(model, train)


def test_a_saved_model_of_a_kind_that_is_not_known_says_what_to_do(train, monkeypatch, tmp_path) -> None:
    LightGCN(**SMALL, encoder=TwoTowers()).fit(dataset(train)).save(tmp_path)
    monkeypatch.delitem(Encoder.kinds, "towers")
    with pytest.raises(
        DataError, match=r"has encoder 'towers', but known are .*; import the module that defines it"
    ):
        LightGCN.load(tmp_path)


@pytest.mark.parametrize("n_layers", [0, 2])
@pytest.mark.parametrize("after", [1, 4, 9])
def test_going_on_gives_the_bits_of_a_fit_that_was_never_stopped(
    train, tmp_path, n_layers, after, monkeypatch
):
    options = {**SMALL, "encoder": TwoTowers(), "combine": "mean", "n_layers": n_layers, "epochs": 3}
    whole = LightGCN(**options).fit(dataset(train))
    kept, step, steps = Checkpoints(tmp_path, every=0), Trainer.step, iter(range(10**6))

    def counted(self, batch):
        if next(steps) == after:
            kept.stop.make()
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", counted)
    with pytest.raises(StoppedError):
        LightGCN(**options).fit(dataset(train), checkpoints=kept)
    kept.stop.made = False
    with pytest.raises(DataError, match="as many, but other interactions, ratings, ids or features"):
        LightGCN(**options).fit(dataset(train, seed=1), checkpoints=kept, resume=True)
    model = LightGCN(**options).fit(dataset(train), checkpoints=kept, resume=True)
    assert lists(model, train) == lists(whole, train)
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(value, model.network_.state_dict()[name]), name


def test_the_features_make_a_difference(train: Interactions) -> None:
    one, other = (LightGCN(**SMALL, encoder="towers").fit(dataset(train, seed)) for seed in (0, 1))
    assert not torch.equal(one.item_vectors_, other.item_vectors_)


def test_its_memory_counts(train: Interactions) -> None:
    data = dataset(train)
    assert LightGCN(encoder=TwoTowers(8)).training_bytes(data) < LightGCN(
        encoder=TwoTowers(512)
    ).training_bytes(data)


def test_what_is_missing_is_an_error(train: Interactions) -> None:
    with pytest.raises(DataError, match="needs features of the items"):
        LightGCN(**SMALL, encoder="towers").fit(train)
    with pytest.raises(ConfigError, match="encoder__width = 0 must be at least 1"):
        LightGCN(**SMALL, encoder=TwoTowers(0)).fit(dataset(train))


def test_held_out_layer_weights_and_the_best_epoch(train: Interactions) -> None:
    """Two stages, an early stop and weights of layers: what is made for a table is so for any module."""
    options = {**SMALL, "epochs": 6, "encoder": TwoTowers(), "loss": BPR(negatives=Uniform(2))}
    model = LightGCN(**options, combine="weighted", stopping=EarlyStopping(0.2)).fit(dataset(train))
    scores = [record["validation_ndcg@20"] for record in model.history_]
    assert model.best_epoch_ == int(np.argmax(scores)) + 1
    assert np.ptp(model.layer_weights_) > 0
