"""AutoDebias of a model that learns by samples: that model, under the same contract."""

import numpy as np
import pytest
import torch
from small_models import NUM_ITEMS, NUM_USERS, fit_data, texts

from pyrec import AutoDebias, LightGCN, Recommender
from pyrec.data import Dataset, Interactions
from pyrec.errors import ConfigError, StoppedError
from pyrec.models.debias_base import Propagated
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.loss import Pointwise
from pyrec.train.negatives import Uniform
from pyrec.train.reweight import LabelWeights, LinearWeights, MetaWeightNet, Ren

SMALL = {"embedding_size": 8, "epochs": 3, "learning_rate": 0.05}
BASE = Propagated(n_layers=1, number=2, batch_size=64)
LEARNED = {"rate": 1e-3, "decay": 1e-4}
REWEIGHTS = {
    "linear": LinearWeights(unobserved=0.05, **LEARNED),
    "label": LabelWeights(unobserved=0.05, **LEARNED),
    "meta-weight-net": MetaWeightNet(unobserved=0.05, **LEARNED),
    "ren": Ren(unobserved=0.05),
}


def data() -> Dataset:
    found: Dataset = fit_data("autodebias", texts())
    return found


def model(weights: str = "linear", **options) -> AutoDebias:
    return AutoDebias(**SMALL | {"base": BASE, "weights": weights} | options)


@pytest.mark.parametrize("weights", REWEIGHTS)
def test_it_is_the_base_with_weights_that_are_learned(weights):
    debiased = model(weights).fit(data())
    loss = Pointwise("squared", target="sign", negatives=Uniform(2))
    base = LightGCN(
        **SMALL, n_layers=1, combine="mean", batch_size=64, loss=loss, reweight=REWEIGHTS[weights]
    ).fit(data())
    assert torch.equal(debiased.user_vectors_, base.user_vectors_)
    assert torch.equal(debiased.item_vectors_, base.item_vectors_)
    without = base.clone().set_params(reweight=None).fit(data())
    assert not torch.equal(debiased.user_vectors_, without.user_vectors_)
    assert [record["loss"] for record in debiased.history_] == [record["loss"] for record in base.history_]
    assert debiased.sampled_.get_params(deep=False) == base.get_params(deep=False)


def test_it_saves_loads_and_knows_new_users(tmp_path):
    debiased = model("ren").fit(data())
    debiased.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert isinstance(loaded, AutoDebias)
    assert loaded.get_params(deep=False) == debiased.get_params(deep=False)
    users, history = np.arange(NUM_USERS), [[f"i{item}" for item in (0, 3, 5)]]
    assert torch.equal(loaded.topk(users, 5)[0], debiased.topk(users, 5)[0])
    expected = debiased.sampled_.recommend_for_items(history, 5)
    for one in (debiased, loaded):
        for have, wanted in zip(one.recommend_for_items(history, 5), expected, strict=True):
            np.testing.assert_array_equal(have, wanted)
    similar = debiased.similar_items(["i0"], 5), debiased.sampled_.similar_items(["i0"], 5)
    for have, wanted in zip(*similar, strict=True):
        np.testing.assert_array_equal(have, wanted)


def test_it_goes_on_to_the_same_bits_and_tells_of_its_epochs(tmp_path):
    whole, kept, told = model().fit(data()), Checkpoints(tmp_path, every=1), []

    def stop(trained, record):
        told.append((type(trained), trained.topk(np.arange(3), 5)[0].shape))
        if record["epoch"] == 2:
            kept.stop.make()

    with pytest.raises(StoppedError):
        model().fit(data(), callback=stop, checkpoints=kept)
    kept.stop.made = False
    assert told == [(AutoDebias, (3, 5))] * 2
    assert kept.read_config()["model"] == "autodebias"
    assert kept.read_config()["params"]["weights"] == model().weights
    with pytest.raises(ConfigError, match="seed = 7, 0 in the checkpoint"):
        model(seed=7).fit(data(), checkpoints=kept, resume=True)
    again = model().fit(data(), checkpoints=kept, resume=True)
    assert torch.equal(again.user_vectors_, whole.user_vectors_)
    assert again.best_epoch_ == whole.best_epoch_ == 3


def test_labelled_pairs_choose_its_epoch():
    users, items = np.nonzero(np.ones((NUM_USERS, NUM_ITEMS)))
    ids = texts().user_ids, texts().item_ids
    labels = (np.random.default_rng(0).random(len(users)) < 0.5).astype(np.float32)
    validation = Interactions.from_codes(users.astype(np.int32), items.astype(np.int32), *ids, labels=labels)
    fitted = model(epochs=8).fit(data(), validation=validation)
    found = [record["validation_auc"] for record in fitted.history_]
    assert fitted.best_epoch_ == int(np.argmax(found)) + 1


def test_the_base_is_a_hyperparameter_like_others():
    one = AutoDebias(base="lightgcn").set_params(base__n_layers=0, base__number=7)
    assert one.base == Propagated(n_layers=0, number=7)
    assert one.clone().get_params()["base__number"] == 7
    assert one.fit(data()).sampled_.n_layers == 0
    assert AutoDebias().training_bytes(data()) != AutoDebias(base="lightgcn").training_bytes(data()) > 0
    assert model().training_seconds(data(), limit=0.1) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "mf", "weights": "ren"}, "weights = 'ren' is not for base = 'mf'"),
        ({"base": "mf", "weights": "meta-weight-net"}, "weights = 'meta-weight-net' is not for base = 'mf'"),
        ({"whole_rate": 0.5}, "whole_rate = 0.5 acts on nothing with base = 'lightgcn'"),
        ({"users_per_block": 5}, "users_per_block = 5 acts on nothing"),
        ({"unobserved": 0.0}, "unobserved = 0 is not for base = 'lightgcn'"),
        ({"base": "ease"}, "base = 'ease' must be one of 'mf', 'lightgcn'"),
        ({"base": Propagated(n_layers=17)}, "base__n_layers = 17 must be at most 16"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        model(**options).fit(data())


def test_a_fit_of_the_closed_form_forgets_the_base_before(tmp_path):
    debiased = model().fit(data())
    debiased.set_params(base="mf", learning_rate=None).fit(data())
    assert debiased.sampled_ is None
    debiased.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    assert torch.equal(loaded.item_vectors_, debiased.item_vectors_)
    assert debiased.item_vectors_.shape == (NUM_ITEMS, SMALL["embedding_size"] + 2)


def test_what_acts_on_blocks_alone_is_not_searched_for_it():
    train = data().interactions
    assert {"reg", "unobserved"} <= AutoDebias().search_options(train).keys()
    found = model().search_options(train)
    assert "reg" not in found
    assert {"unobserved", "base__n_layers"} <= found.keys()
