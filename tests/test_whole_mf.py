"""WholeMF against a dense computation in float64, and what it promises of its sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyrec import Checkpoints, EarlyStopping, WholeMF, evaluate, evaluate_pairs
from pyrec.data import Dataset, Interactions, split_random, synthetic
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.models import Recommender

USERS, ITEMS = 40, 30
SMALL: dict[str, Any] = {"embedding_size": 6, "epochs": 4}


def labelled(seed: int = 0, count: int = 300, weights: bool = False) -> Interactions:
    """Pairs with likes and dislikes, of which liked pairs share a taste."""
    draw = np.random.default_rng(seed)
    cells = draw.choice(USERS * ITEMS, count, replace=False)
    users, items = cells // ITEMS, cells % ITEMS
    taste = np.cos(users * 1.7) * np.sin(items * 2.3) + 0.3 * np.cos(items)
    labels = np.where(taste + 0.3 * draw.normal(size=count) > 0.1, 1.0, -1.0)
    given = draw.uniform(0.2, 3, count) if weights else None
    ids = {"user_ids": np.arange(USERS), "item_ids": np.arange(ITEMS)}
    return Interactions.from_arrays(users, items, labels=labels, weights=given, **ids)


def uniform() -> Interactions:
    return labelled(seed=7, count=60)


def parts() -> tuple[Interactions, Interactions]:
    """Pairs to learn from and others to choose the epoch by."""
    train, validation = split_random(labelled(count=500), 0.6)
    return train, validation


def plain() -> Interactions:
    return synthetic(USERS, ITEMS, interactions_per_user=6, num_groups=4)


class Dense:
    """The objective by a weight and a target for each pair, in float64, and its sweeps."""

    def __init__(self, model: WholeMF, train: Interactions, shown: Interactions | None = None) -> None:
        self.biases, self.dim = model.biases_, model.embedding_size
        counts = np.bincount(train.items, minlength=ITEMS).astype(np.float64)
        beta = counts**model.item_exponent
        beta /= beta.mean()
        labels = np.ones(len(train)) if train.labels is None else np.where(train.labels > 0, 1.0, -1.0)
        told = labels if shown is None else np.where(shown.labels > 0, 1.0, -1.0)
        mean = told.mean() if min(told.min(), labels.min()) < 0 else 0.0
        self.prior = mean if model.prior is None else model.prior
        self.whole = model.unobserved * np.broadcast_to(beta, (USERS, ITEMS))
        self.weight = np.zeros((USERS, ITEMS))
        weight = np.where(labels > 0, model.positive_weight, model.negative_weight)
        self.weight[train.users, train.items] = weight * (1 if train.weights is None else train.weights)
        self.target = np.zeros((USERS, ITEMS))
        self.target[train.users, train.items] = labels
        self.uniform = np.zeros((USERS, ITEMS))
        self.shown = np.zeros((USERS, ITEMS))
        if shown is not None:
            self.uniform[shown.users, shown.items] = model.uniform_weight
            self.shown[shown.users, shown.items] = told
        total = self.weight + self.uniform + self.whole
        self.of_user, self.of_item = (
            model.reg_ * np.where(sums > 0, sums, 1) ** model.reg_exponent
            for sums in (total.sum(axis=1), total.sum(axis=0))
        )

    def objective(self, users: np.ndarray, items: np.ndarray) -> float:
        scores = self.scores(users, items)
        observed = self.weight * (scores - self.target) ** 2 + self.uniform * (scores - self.shown) ** 2
        penalty = self.of_user @ (users**2).sum(axis=1) + self.of_item @ (items**2).sum(axis=1)
        return float((observed + self.whole * (scores - self.prior) ** 2).sum() + penalty)

    def scores(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        if not self.biases:
            return users @ items.T
        return users[:, :-1] @ items[:, :-1].T + users[:, -1:] + items[:, -1]

    def solve(self, against: np.ndarray, by_user: bool) -> np.ndarray:
        """The exact solution of one side."""
        fixed, offset = against, np.zeros(len(against))
        if self.biases:
            fixed, offset = np.hstack([against[:, :-1], np.ones((len(against), 1))]), against[:, -1]
        penalty = self.of_user if by_user else self.of_item
        rows = []
        for row, reg in enumerate(penalty):
            at = (row, slice(None)) if by_user else (slice(None), row)
            weight = self.weight[at] + self.uniform[at] + self.whole[at]
            right = self.weight[at] * self.target[at] + self.uniform[at] * self.shown[at]
            right = right + self.whole[at] * self.prior - weight * offset
            matrix = (fixed * weight[:, None]).T @ fixed + reg * np.eye(fixed.shape[1])
            rows.append(np.linalg.solve(matrix, fixed.T @ right))
        return np.array(rows)


def tables(model: WholeMF) -> tuple[np.ndarray, np.ndarray]:
    """The learned users and items, (num, dim) and their bias, float64."""
    users, items = (one.double().numpy() for one in (model.user_vectors_, model.item_vectors_))
    if not model.biases_:
        return users, items
    assert (users[:, -1] == 1).all()
    assert (items[:, -2] == 1).all()
    return users[:, :-1], np.delete(items, -2, axis=1)


KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "biases": {"biases": True, "reg": 0.06},
    "implicit ALS": {"biases": False},
    "its own prior, no biases": {"biases": False, "prior": -0.4, "reg_exponent": 0, "reg": 2.0},
    "weights": {
        "positive_weight": 5.8,
        "negative_weight": 0.6,
        "unobserved": 0.4,
        "prior": -0.925,
        "reg": 3.0,
        "reg_exponent": 0.5,
    },
    "item exponent": {"item_exponent": 0.5, "prior": 0.2},
    "nothing of all pairs": {"unobserved": 0.0},
}
DATA = {"labels": labelled, "weights and labels": lambda: labelled(weights=True), "no labels": plain}


@pytest.mark.parametrize("shown", [None, uniform], ids=["alone", "uniform"])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_are_those_of_a_dense_computation(kind: str, data: str, shown: Any) -> None:
    train, pairs = DATA[data](), None if shown is None else shown()
    model = WholeMF(**SMALL, uniform_weight=4.0).set_params(**KINDS[kind])
    model.fit(train, uniform=pairs)
    dense = Dense(model, train, pairs)
    assert model.prior_ == pytest.approx(dense.prior)
    users, items = tables(model)
    assert model.loss_[-1] == pytest.approx(dense.objective(users, items), rel=1e-5)
    np.testing.assert_allclose(users, dense.solve(items, by_user=True), rtol=0, atol=2e-4)
    longer = model.clone().set_params(epochs=model.epochs + 1).fit(train, uniform=pairs)
    expected = dense.solve(users, by_user=False)
    np.testing.assert_allclose(tables(longer)[1], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("block", [None, 16])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sweep_lowers_the_objective(kind: str, data: str, block: int | None) -> None:
    size = 6 if block is None else 24
    model = WholeMF(size, epochs=12, block=block).set_params(**KINDS[kind]).fit(DATA[data]())
    assert model.loss_.shape == (12,)
    assert model.loss_.dtype == np.float64
    falls = np.diff(model.loss_)
    assert (falls <= 2e-6 * model.loss_[:-1]).all()
    assert model.loss_[-1] < 0.999 * model.loss_[0]
    mean = [record["loss"] * len(DATA[data]()) for record in model.history_]
    np.testing.assert_allclose(mean, model.loss_)


def test_blocks_reach_the_objective_of_all_columns() -> None:
    train = labelled()
    whole, blocks = (WholeMF(32, epochs=60, block=block).fit(train) for block in (None, 16))
    assert blocks.loss_[-1] == pytest.approx(whole.loss_[-1], rel=1e-3)


def test_the_same_bits_at_any_number_of_threads(threads: Any) -> None:
    found = []
    for number in (1, 2, 3):
        threads(number)
        model = WholeMF(**SMALL).fit(labelled(), uniform=uniform())
        found.append((model.user_vectors_, model.item_vectors_, torch.tensor(model.loss_)))
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


def test_what_is_not_given_goes_by_whether_there_are_negatives() -> None:
    found = WholeMF(**SMALL).fit(labelled())
    assert (found.biases_, found.reg_, found.user_vectors_.shape) == (True, 0.1, (USERS, 8))
    assert found.prior_ == pytest.approx(labelled().labels.mean())
    found = WholeMF(**SMALL).fit(plain())
    assert (found.biases_, found.reg_, found.prior_, found.user_vectors_.shape) == (
        False,
        0.03,
        0.0,
        (USERS, 6),
    )
    likes = labelled().select(labelled().labels > 0)
    assert not WholeMF(**SMALL).fit(likes).biases_
    assert WholeMF(**SMALL).fit(likes, uniform=uniform()).biases_
    played = plain()
    weights = np.arange(len(played)) % 3
    heard = Interactions.from_arrays(played.users, played.items, weights=weights)
    assert WholeMF(**SMALL).fit(heard).prior_ == 0.0


def test_scores_are_of_the_vectors_with_the_biases_built_in() -> None:
    model = WholeMF(**SMALL).fit(labelled())
    users, items = tables(model)
    scores = Dense(model, labelled()).scores(users, items)
    pairs = np.array([0, 3, 39]), np.array([29, 2, 0])
    np.testing.assert_allclose(model.pair_scores(*pairs), scores[pairs], rtol=1e-5, atol=1e-6)


def test_likeness_of_items_leaves_the_biases_out() -> None:
    model = WholeMF(**SMALL).fit(labelled())
    q = model.item_vectors_[:, :6].double().numpy()
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    _, scores = model.similar_items([4], n=5)
    np.testing.assert_allclose(scores[0], np.sort(np.delete(q @ q[4], 4))[::-1][:5], atol=1e-6)


def test_a_new_user_is_the_solution_of_the_history() -> None:
    model = WholeMF(**SMALL).fit(plain())
    known, known_scores = model.recommend(np.arange(USERS), n=6)
    histories = [plain().items[plain().users == user] for user in range(USERS)]
    new, new_scores = model.recommend_for_items(histories, n=6)
    np.testing.assert_allclose(new_scores, known_scores, rtol=1e-4, atol=1e-5)
    assert (known == new).mean() > 0.95


# What it says of a score


@pytest.mark.parametrize("biases", [True, False])
def test_the_parts_of_a_score_are_the_pairs_it_is_solved_from(biases: bool) -> None:
    train, shown = labelled(), uniform()
    model = WholeMF(**SMALL, biases=biases).fit(train, uniform=shown)
    told = model.explain(3, 11)
    assert told.kind == "exact"
    assert sum(part.value for part in told.parts) + told.remainder == pytest.approx(told.score, abs=1e-6)
    dense, (_, items) = Dense(model, train, shown), tables(model)
    for part in told.parts:
        dense.target[3, part.item] = 0.0  # its share of the right-hand side alone
        without = dense.scores(dense.solve(items, by_user=True), items)[3, 11]
        dense.target[3, part.item] = 1.0
        offset = items[part.item, -1] if biases else 0.0
        assert part.value / (1 - offset) == pytest.approx(told.score - without, abs=1e-5)
    assert {part.item for part in told.parts} == set(train.items[(train.users == 3) & (train.labels > 0)])


def test_an_item_of_both_sets_is_one_part() -> None:
    train = labelled()
    user = int(train.users[train.labels > 0][0])
    mine = (train.users == user) & (train.labels > 0)
    shown = train.select(mine | (train.users == 39))
    model = WholeMF(**SMALL).fit(train, uniform=shown)
    told = model.explain(user, 11)
    assert sorted(part.item for part in told.parts) == sorted(train.items[mine])
    assert sum(part.value for part in told.parts) + told.remainder == pytest.approx(told.score, abs=1e-6)
    dense, (_, items) = Dense(model, train, shown), tables(model)
    first = told.parts[0]
    for targets in (dense.target, dense.shown):
        targets[user, first.item] = items[first.item, -1]  # the offset: it adds nothing
    without = dense.scores(dense.solve(items, by_user=True), items)[user, 11]
    assert first.value == pytest.approx(told.score - without, abs=1e-5)


def test_the_parts_of_a_new_users_score() -> None:
    model = WholeMF(**SMALL).fit(plain())
    told = model.explain_for_items([1, 5, 7], 12)
    assert told.kind == "exact"
    assert len(told.parts) == 3
    assert sum(part.value for part in told.parts) + told.remainder == pytest.approx(told.score, abs=1e-6)


# The uniform set


def test_a_uniform_set_comes_by_name_or_in_a_data_set() -> None:
    train, shown = labelled(), uniform()
    by_name = WholeMF(**SMALL).fit(train, uniform=shown)
    in_set = WholeMF(**SMALL).fit(Dataset(train, uniform=shown))
    without = WholeMF(**SMALL).fit(train)
    assert torch.equal(by_name.item_vectors_, in_set.item_vectors_)
    assert not torch.equal(by_name.item_vectors_, without.item_vectors_)
    with pytest.raises(ConfigError, match="uniform is given twice"):
        WholeMF(**SMALL).fit(Dataset(train, uniform=shown), uniform=shown)
    with pytest.raises(DataError, match="uniform"):
        WholeMF(**SMALL).fit(train, uniform=synthetic(USERS + 1, ITEMS))


def test_uniform_pairs_have_their_weight() -> None:
    train, shown = labelled(), uniform()
    errors = []
    for weight in (0.0, 1.0, 30.0):
        model = WholeMF(**SMALL, uniform_weight=weight, prior=0.0).fit(train, uniform=shown)
        errors.append(float(((model.pair_scores(shown.users, shown.items) - shown.signs) ** 2).mean()))
    assert errors[0] > errors[1] > errors[2]
    nothing = WholeMF(**SMALL, prior=0.0).fit(train)
    zero = WholeMF(**SMALL, uniform_weight=0.0, prior=0.0).fit(train, uniform=shown)
    assert torch.equal(nothing.item_vectors_, zero.item_vectors_)


def test_a_user_of_uniform_pairs_alone_is_known() -> None:
    train = labelled().select(labelled().users != 5)
    model = WholeMF(**SMALL).fit(train, uniform=uniform())
    assert 5 in uniform().users
    assert not model.recommend([5], n=3).is_fallback.any()
    assert WholeMF(**SMALL).fit(train).recommend([5], n=3).is_fallback.all()


def test_a_saved_model_keeps_the_uniform_pairs(tmp_path: Path) -> None:
    model = WholeMF(**SMALL).fit(labelled(), uniform=uniform())
    model.save(tmp_path)
    loaded = Recommender.load(tmp_path)
    assert torch.equal(loaded.item_vectors_, model.item_vectors_)
    assert loaded.prior_ == model.prior_
    assert loaded.explain(3, 11) == model.explain(3, 11)


# Training


def test_weights_multiply() -> None:
    train = labelled()
    doubled = Interactions.from_arrays(
        train.users,
        train.items,
        labels=train.labels,
        weights=np.full(len(train), 2.0),
        user_ids=train.user_ids,
        item_ids=train.item_ids,
    )
    heavier = WholeMF(**SMALL, positive_weight=2.0, negative_weight=2.0).fit(train)
    np.testing.assert_allclose(
        WholeMF(**SMALL).fit(doubled).item_vectors_, heavier.item_vectors_, rtol=1e-4, atol=1e-5
    )


def test_labelled_validation_chooses_the_epoch_by_auc() -> None:
    train, validation = parts()
    model = WholeMF(16, epochs=15, reg=0.003).fit(train, validation=validation)
    aucs = [record["validation_auc"] for record in model.history_]
    assert model.best_epoch_ == int(np.argmax(aucs)) + 1
    assert evaluate_pairs(model, validation, metrics=("auc",)).metrics["auc"] == pytest.approx(max(aucs))
    assert model.best_epoch_ < 15


def test_plain_validation_chooses_by_lists() -> None:
    train, validation = split_random(plain(), 0.7)
    model = WholeMF(8, epochs=8, stopping=EarlyStopping(share=None, k=5, metric="recall")).fit(
        train, validation=validation
    )
    recalls = [record["validation_recall@5"] for record in model.history_]
    assert model.best_epoch_ == int(np.argmax(recalls)) + 1
    assert evaluate(model, validation, 5, ["recall"]).metrics["recall@5"] == pytest.approx(max(recalls))


def test_users_are_solved_by_the_share_that_chose_the_epoch_as_well() -> None:
    train = plain()
    model = WholeMF(**SMALL, stopping=EarlyStopping(share=0.3, k=5)).fit(train)
    users, items = tables(model)
    np.testing.assert_allclose(users, Dense(model, train).solve(items, by_user=True), rtol=0, atol=2e-4)


def test_patience_ends_it() -> None:
    train, validation = parts()
    stopping = EarlyStopping(share=None, patience=2, k=5)
    model = WholeMF(16, epochs=50, reg=0.003, stopping=stopping).fit(train, validation=validation)
    assert len(model.history_) == model.best_epoch_ + 2


@pytest.mark.parametrize("halves", [0, 1, 2, 5])
def test_a_stopped_fit_goes_on_to_the_same_bits(halves: int, tmp_path: Path) -> None:
    train, validation = parts()
    whole = WholeMF(**SMALL).fit(train, uniform=uniform(), validation=validation)
    kept = Checkpoints(tmp_path, every=1)
    count = 0

    class Asked:
        """A stop that is found made after so many questions."""

        @property
        def made(self) -> bool:
            nonlocal count
            count += 1
            return count > halves

    kept.stop.__class__ = type("Stop", (type(kept.stop),), {"made": property(lambda _: Asked().made)})
    model = WholeMF(**SMALL)
    with pytest.raises(StoppedError):
        model.fit(train, uniform=uniform(), validation=validation, checkpoints=kept)
    assert not hasattr(model, "train_")
    model.fit(train, uniform=uniform(), validation=validation, checkpoints=Checkpoints(tmp_path), resume=True)
    assert torch.equal(model.user_vectors_, whole.user_vectors_)
    assert torch.equal(model.item_vectors_, whole.item_vectors_)
    assert model.best_epoch_ == whole.best_epoch_
    np.testing.assert_array_equal(model.loss_, whole.loss_)


def test_other_uniform_pairs_do_not_go_on(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, every=1)

    def stop(_model: Recommender, record: dict[str, Any]) -> None:
        if record["epoch"] == 2:
            kept.stop.make()

    with pytest.raises(StoppedError):
        WholeMF(**SMALL).fit(labelled(), uniform=uniform(), callback=stop, checkpoints=kept)
    with pytest.raises(DataError):
        WholeMF(**SMALL).fit(labelled(), checkpoints=Checkpoints(tmp_path), resume=True)


def test_a_penalty_that_is_too_small_is_told() -> None:
    with pytest.raises(ConfigError, match="reg is too small for a user"):
        WholeMF(16, reg=0.0, unobserved=0.0, epochs=1).fit(labelled(count=100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_size": 0}, "embedding_size = 0 must be at least 1"),
        ({"embedding_size": 501}, "embedding_size = 501 must be at most 500"),
        ({"positive_weight": 0.0}, "positive_weight = 0.0 must be above 0"),
        ({"negative_weight": -1.0}, "negative_weight = -1.0 must be at least 0"),
        ({"unobserved": -0.1}, "unobserved = -0.1 must be at least 0"),
        ({"prior": float("nan")}, "prior = nan must be a finite number"),
        ({"reg": -1}, "reg = -1.0 must be at least 0"),
        ({"block": 24}, "block = 24 must be a multiple of 16"),
        ({"block": 8}, "block = 8 must be at least 16"),
        ({"epochs": 0}, "epochs = 0 must be at least 1"),
        ({"device": "tpu"}, "device = 'tpu'"),
    ],
)
def test_bad_hyperparameters_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WholeMF(**{**SMALL, **change}).fit(labelled())


def test_seconds_and_bytes_are_told_beforehand() -> None:
    model = WholeMF(**SMALL)
    assert 0 < model.training_seconds(labelled(), 0.1) < 60
    assert model.training_bytes(labelled()) < model.training_bytes(labelled(), validated=True)
    assert not hasattr(model, "train_")
