"""AutoDebias as an estimator: what it learns of explicit, implicit and list feedback, bounds, files, going on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pyrec
from pyrec.data import Dataset, generate_biased, read_with_uniform, split_uniform
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.evaluate.pair_metrics import auc
from pyrec.models.autodebias import LARGEST_RATE
from pyrec.ops.debias import PARTS

QUICK = {"epochs": 12, "weights_from": 3, "least_epochs": 2, "embedding_size": 6}


def biased(positions=False, implicit=False, seed=0):
    """A log of users who rate what they like, and uniform pairs, with the same id maps."""
    log = generate_biased(
        num_users=90, num_items=80, num_interactions=1500, num_uniform=300, selection=1.0, seed=seed
    )
    train = log.interactions
    if positions:
        draw = np.random.default_rng(0)
        train = replace(train, positions=draw.integers(5, size=len(train)).astype(np.int32))
    return (train.positives() if implicit else train), log.uniform


def arrays(model):
    return {
        name: value for name, value in vars(model).items() if isinstance(value, np.ndarray | torch.Tensor)
    }


def same(one, other):
    ours, theirs = arrays(one), arrays(other)
    assert ours.keys() == theirs.keys()
    return all(np.array_equal(np.asarray(ours[name]), np.asarray(theirs[name])) for name in ours)


def test_coat_by_the_published_protocol(data_dir):
    """Published: AUC .766, NDCG@5 .522, log loss .512; splits move the AUC by .015."""
    folder = data_dir / "coat"
    train, uniform = read_with_uniform(folder / "user.txt", folder / "random.txt", positive="rating>=4")
    parts = split_uniform(uniform, seed=0)
    model = pyrec.AutoDebias().fit(train, uniform=parts.train, validation=parts.validation)
    with pytest.warns(pyrec.DataWarning, match="training pairs, too"):
        metrics = pyrec.evaluate_pairs(model, parts.test).metrics
    assert metrics["auc"] > 0.745
    assert metrics["ndcg@5"] > 0.49
    assert metrics["log_loss"] < 0.53
    assert model.best_epoch_ > 50
    assert len(model.history_) == min(500, model.best_epoch_ + 60)
    assert model.label_weights_[1] > model.label_weights_[0]  # what is liked says more than what is not
    assert model.imputed_[0] < -0.8  # what nobody chose to rate is not liked


def test_a_data_set_may_hold_the_uniform_pairs():
    train, uniform = biased()
    beside = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    inside = pyrec.AutoDebias(**QUICK).fit(Dataset(train, uniform=uniform))
    assert same(beside, inside)
    with pytest.raises(ConfigError, match="uniform is given twice"):
        pyrec.AutoDebias(**QUICK).fit(Dataset(train, uniform=uniform), uniform=uniform)


def test_without_uniform_pairs_it_says_how_to_give_some():
    train, _ = biased()
    with pytest.raises(
        DataError, match=r"autodebias learns from pairs that were shown .*fit\(train, uniform="
    ):
        pyrec.AutoDebias(**QUICK).fit(train)


def test_uniform_pairs_with_weights_are_refused():
    train, uniform = biased()
    weights = np.ones(len(uniform), dtype=np.float32)
    even = pyrec.AutoDebias(**QUICK).fit(train, uniform=replace(uniform, weights=weights))
    assert same(even, pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform))
    weights[0] = 2
    with pytest.raises(DataError, match="uniform has weights, but with base = 'mf'"):
        pyrec.AutoDebias(**QUICK).fit(train, uniform=replace(uniform, weights=weights))


def test_imputed_labels_learn_from_the_start_and_weights_later():
    train, uniform = biased()
    early = pyrec.AutoDebias(**{**QUICK, "epochs": 3}).fit(train, uniform=uniform)
    late = pyrec.AutoDebias(**{**QUICK, "epochs": 4}).fit(train, uniform=uniform)
    start = pyrec.AutoDebias(**{**QUICK, "epochs": 1, "imputed_rate": 0.0}).fit(train, uniform=uniform)
    assert np.array_equal(early.user_weights_, start.user_weights_)
    assert not np.array_equal(early.imputed_, start.imputed_)
    assert not np.array_equal(late.user_weights_, start.user_weights_)
    assert not np.array_equal(late.whole_item_weights_, start.whole_item_weights_)


def test_implicit_feedback_has_no_weight_of_labels():
    train, uniform = biased(implicit=True)
    model = pyrec.AutoDebias(**QUICK).fit(replace(train, labels=None), uniform=uniform)
    explicit = pyrec.AutoDebias(**QUICK).fit(biased()[0], uniform=uniform)
    start = pyrec.AutoDebias(**{**QUICK, "epochs": 1}).fit(train, uniform=uniform)
    assert np.array_equal(model.label_weights_, start.label_weights_)
    assert not np.array_equal(explicit.label_weights_, start.label_weights_)
    assert not np.array_equal(model.user_weights_, start.user_weights_)


def test_positions_have_weights():
    train, uniform = biased(positions=True)
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    without = pyrec.AutoDebias(**QUICK).fit(replace(train, positions=None), uniform=uniform)
    assert model.position_weights_.shape == (5,)
    assert len(set(model.position_weights_.tolist())) == 5
    assert without.position_weights_.shape == (0,)


def test_weights_by_label_alone():
    train, uniform = biased(positions=True)
    model = pyrec.AutoDebias(**QUICK, weights="label").fit(train, uniform=uniform)
    for weights in (
        model.user_weights_,
        model.item_weights_,
        model.whole_user_weights_,
        model.whole_item_weights_,
    ):
        assert (weights == 1).all()
    assert not (model.label_weights_ == 1).any()
    assert not (model.whole_observed_weights_ == 1).any()
    assert not (model.position_weights_ == 1).any()


def test_each_factor_of_a_weight_is_bounded():
    train, uniform = biased()
    fast = {"pair_rate": 3.0, "whole_rate": 3.0, "largest_weight": 1.5, "learning_rate": 1e-4}
    model = pyrec.AutoDebias(**QUICK, **fast).fit(train, uniform=uniform)
    for weights in (
        model.user_weights_,
        model.label_weights_,
        model.whole_observed_weights_,
        model.item_weights_,
    ):
        assert weights.max() <= 1.5 * (1 + 1e-6)
        assert weights.min() >= (1 - 1e-6) / 1.5
    assert model.label_weights_.max() == pytest.approx(1.5, rel=1e-5)


def test_divergence_is_an_error_that_says_what_to_change():
    train, uniform = biased()
    model = pyrec.AutoDebias(**{**QUICK, "epochs": 200}, learning_rate=0.5)
    with pytest.raises(DataError, match=r"training diverged in epoch .*lower learning_rate"):
        model.fit(train, uniform=uniform)
    assert not hasattr(model, "train_")


def test_the_default_rate_is_lower_where_rows_are_long():
    train, _ = biased()
    model = pyrec.AutoDebias()
    assert model._rates(train, 64, 64).eta == LARGEST_RATE
    assert pyrec.AutoDebias(unobserved=100)._rates(train, 90, 80).eta < 1e-4
    assert pyrec.AutoDebias(learning_rate=0.25)._rates(train, 64, 64).eta == 0.25


def test_given_weights_count():
    train, uniform = biased()
    ones, half = (np.full(len(train), weight, np.float32) for weight in (1, 0.5))
    plain = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    assert same(pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform, sample_weight=ones), plain)
    less = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform, sample_weight=half)
    assert not torch.equal(less.user_vectors_, plain.user_vectors_)


def test_a_validation_set_chooses_the_epoch():
    train, uniform = biased()
    parts = split_uniform(uniform, (0.5, 0.4, 0.1))
    model = pyrec.AutoDebias(**{**QUICK, "epochs": 30}).fit(
        train, uniform=parts.train, validation=parts.validation
    )
    values = [record["validation_auc"] for record in model.history_]
    assert model.best_epoch_ == 3 + int(np.argmax(values[2:]))
    scores = model.pair_scores(parts.validation.users, parts.validation.items)
    assert auc(scores, parts.validation.signs) == pytest.approx(max(values[2:]), abs=1e-6)
    short = pyrec.AutoDebias(**{**QUICK, "epochs": model.best_epoch_}).fit(train, uniform=parts.train)
    assert torch.equal(short.item_vectors_, model.item_vectors_)


def test_a_share_may_be_held_out():
    train, uniform = biased()
    stopping = pyrec.EarlyStopping(share=0.2, patience=3)
    model = pyrec.AutoDebias(**{**QUICK, "epochs": 40}, stopping=stopping).fit(train, uniform=uniform)
    assert "validation_auc" in model.history_[0]
    assert len(model.history_) <= 40


SIZES = [(None, None), (20, 30), (90, 80)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_going_on_gives_the_same_bits(tmp_path, sizes, monkeypatch):
    sizes = dict(zip(("users_per_block", "items_per_block"), sizes, strict=True))
    monkeypatch.setattr("pyrec.train.debias.PAIRS_A_CALL", 100)
    train, uniform = biased(positions=True)
    whole = pyrec.AutoDebias(**QUICK, **sizes).fit(train, uniform=uniform)
    checkpoints = pyrec.Checkpoints(tmp_path, every=0)

    def stop(model, record):
        if record["epoch"] == 5:
            checkpoints.stop.make()

    with pytest.raises(StoppedError):
        pyrec.AutoDebias(**QUICK, **sizes).fit(train, uniform=uniform, checkpoints=checkpoints, callback=stop)
    again = pyrec.Checkpoints(tmp_path, every=0)
    resumed = pyrec.AutoDebias(**QUICK, **sizes).fit(train, uniform=uniform, checkpoints=again, resume=True)
    assert same(whole, resumed)
    assert [record["loss"] for record in whole.history_] == [record["loss"] for record in resumed.history_]
    third = pyrec.Checkpoints(tmp_path, every=0)
    with pytest.raises(DataError, match="train"):
        pyrec.AutoDebias(**QUICK, **sizes).fit(
            train, uniform=biased(seed=1)[1], checkpoints=third, resume=True
        )


def test_same_bits_at_any_number_of_threads(threads):
    train, uniform = biased()
    fitted = []
    for count in (1, 2, 5):
        threads(count)
        fitted.append(pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform))
    assert same(fitted[0], fitted[1])
    assert same(fitted[0], fitted[2])


def test_a_saved_model_knows_its_weights(tmp_path):
    train, uniform = biased(positions=True)
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    model.save(tmp_path)
    loaded = pyrec.Recommender.load(tmp_path)
    assert same(model, loaded)
    users = np.arange(5)
    assert torch.equal(loaded.topk(users, 4)[0], model.topk(users, 4)[0])


def test_scores_are_those_of_vectors_and_biases():
    train, uniform = biased()
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    users, items = train.users[:50], train.items[:50]
    a, c = model.user_vectors_.numpy()[users], model.item_vectors_.numpy()[items]
    assert (a[:, -1] == 1).all()
    assert (c[:, -2] == 1).all()
    right = (a[:, :-2] * c[:, :-2]).sum(1) + a[:, -2] + c[:, -1]
    np.testing.assert_allclose(model.pair_scores(users, items), right, rtol=1e-5, atol=1e-6)


def test_a_new_user_lowers_the_loss_of_the_history():
    train, uniform = biased()
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    history = [3, 11, 20]
    ids = [train.item_ids[history].tolist()]
    ranked, scores = model.recommend_for_items(ids, n=train.num_items, filter_seen=False)
    items = model.item_vectors_.double()
    x = torch.zeros(model.embedding_size + 1, dtype=torch.float64, requires_grad=True)

    def loss():
        score = items[:, :-2] @ x[:-1] + x[-1] + items[:, -1]
        seen = torch.zeros(len(items), dtype=torch.bool)
        seen[history] = True
        of_item = torch.from_numpy(model.item_weights_).double() * float(model.label_weights_[1])
        beta = torch.from_numpy(model.whole_item_weights_).double()
        missing, observed = (float(weight) for weight in model.whole_observed_weights_)
        total = (of_item * (score - 1) ** 2)[seen].sum()
        total = total + 0.05 * (observed * beta * (score - float(model.imputed_[2])) ** 2)[seen].sum()
        total = total + 0.05 * (missing * beta * (score - float(model.imputed_[0])) ** 2)[~seen].sum()
        return total + 2 * 0.5 * (x[:-1] ** 2).sum()  # 80 items are two blocks

    optimizer = torch.optim.LBFGS([x], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    right = (items[:, :-2] @ x[:-1] + x[-1] + items[:, -1]).detach().numpy()
    have = scores[0][np.argsort(train.encode_items(ranked[0]))]
    np.testing.assert_allclose(have, right, atol=1e-4)


def test_similar_items_are_by_their_vectors_without_biases():
    train, uniform = biased()
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    q = torch.nn.functional.normalize(model.item_vectors_[:, :-2], dim=1)
    likeness = (q @ q[4]).numpy()
    likeness[4] = -np.inf
    ids, _ = model.similar_items([train.item_ids[4]], n=3)
    assert train.encode_items(ids[0]).tolist() == np.argsort(-likeness)[:3].tolist()


def test_bytes_and_seconds_are_told():
    train, uniform = biased()
    data = Dataset(train, uniform=uniform)
    model = pyrec.AutoDebias(**QUICK)
    assert model.training_bytes(data, validated=True) > model.training_bytes(data) > 16 * len(train)
    assert 0 < model.training_seconds(data, 0.05) < 60
    with pytest.raises(DataError, match="uniform set"):
        model.training_seconds(train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "ren"}, "weights = 'ren' is not for base = 'mf'"),
        ({"unobserved": -1}, "unobserved = -1.0 must be at least 0"),
        ({"largest_weight": 1.0}, "largest_weight = 1.0 must be above 1"),
        ({"users_per_block": 0}, "users_per_block = 0 must be at least 1"),
        ({"weights_from": -1}, "weights_from = -1 must be at least 0"),
        ({"learning_rate": 0}, "learning_rate = 0.0 must be above 0"),
    ],
)
def test_bad_hyperparameters_are_named(change, message):
    train, uniform = biased()
    with pytest.raises(ConfigError, match=message):
        pyrec.AutoDebias(**change).fit(train, uniform=uniform)


def test_the_parts_are_attributes():
    train, uniform = biased()
    model = pyrec.AutoDebias(**QUICK).fit(train, uniform=uniform)
    assert set(model._weight_arrays()) == set(PARTS)
    assert model.user_weights_.shape == (90,)
    assert model.imputed_.shape == (3,)
    assert (np.abs(model.imputed_) <= 1).all()
