"""Labels and ratings of interactions reach the pointwise loss; other losses refuse them."""

import numpy as np
import pytest
from small_models import LEARNING

from pyrec import MF, AutoDebias, DoublyRobust, WholeMF, evaluate_pairs
from pyrec.data import Dataset, Interactions, synthetic
from pyrec.errors import DataError
from pyrec.train.loss import BPR, Pointwise

USERS, ITEMS = np.divmod(np.arange(30 * 20), 20)
KNOWN = ITEMS != USERS % 20  # who has every item has no negative and is not trained on
LIKED = (USERS % 2 == ITEMS % 2).astype(np.float32)


def labelled(labels: object = None, ratings: object = None) -> Interactions:
    return Interactions.from_arrays(USERS, ITEMS, ratings=ratings, labels=labels).select(KNOWN)


def scores(model: MF) -> np.ndarray:
    return (model.user_vectors_ @ model.item_vectors_.T).numpy()


def fit(loss: Pointwise, data: Interactions) -> np.ndarray:
    options = {"embedding_size": 8, "epochs": 150, "batch_size": 128, "learning_rate": 0.05, "reg": 0.0}
    return scores(MF(loss=loss, **options).fit(data)).ravel()[KNOWN]


@pytest.mark.parametrize("kind", ["logistic", "squared"])
def test_labels_are_learned(kind: str) -> None:
    """Every pair is an interaction, so only the labels tell likes from dislikes."""
    predicted = fit(Pointwise(kind=kind, negatives="none"), labelled(LIKED))
    liked = LIKED[KNOWN] == 1
    assert predicted[liked].min() > predicted[~liked].max()
    if kind == "squared":
        np.testing.assert_allclose(predicted, LIKED[KNOWN], atol=0.1)


def test_ratings_are_learned_where_they_are_the_target() -> None:
    ratings = np.where(LIKED, 4.0, 2.0)
    predicted = fit(Pointwise(kind="squared", negatives="none", target="rating"), labelled(ratings=ratings))
    np.testing.assert_allclose(predicted, ratings[KNOWN], atol=0.2)


def test_negatives_have_the_label_0() -> None:
    data = synthetic(60, 40, 8, num_groups=4)
    model = MF(loss="pointwise", epochs=60, batch_size=64, learning_rate=0.05).fit(data)
    had = np.zeros((60, 40), dtype=bool)
    had[data.users, data.items] = True
    assert scores(model)[had].mean() > 2 + scores(model)[~had].mean()


@pytest.mark.parametrize(
    ("loss", "data", "message"),
    [
        (BPR(), labelled(LIKED), "labels, which the loss 'bpr' does not read"),
        (Pointwise(negatives="none"), labelled(), "every interaction has the label 1"),
        (Pointwise(negatives="none"), labelled(np.ones(600)), "every interaction has the label 1"),
        (Pointwise(), labelled(LIKED * 2), r"labels\[\d+\] = 2, but the logistic loss takes 0 to 1"),
        (Pointwise(target="rating"), labelled(LIKED), "have no ratings"),
    ],
)
def test_labels_that_cannot_be_learned_from_are_refused(
    loss: object, data: Interactions, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        MF(loss=loss).fit(data)


def test_labelled_validation_pairs_choose_the_epoch_by_auc() -> None:
    """Of a loss that reads labels and of one that does not; pairs without a dislike choose it by their lists."""
    data = synthetic(60, 40, interactions_per_user=8, num_groups=4)
    rng = np.random.default_rng(0)
    shown = np.unique(rng.integers(0, 60 * 40, 300))
    labels = rng.integers(0, 2, len(shown))
    ids = {"user_ids": data.user_ids, "item_ids": data.item_ids}
    pairs = Interactions.from_arrays(*np.divmod(shown, 40), labels=labels, **ids)
    pairs = pairs.select(~data.has_pairs(pairs.users, pairs.items))
    for loss in ("bpr", "pointwise"):
        model = MF(**LEARNING | {"epochs": 4}, loss=loss).fit(data, validation=pairs)
        scores = [record["validation_auc"] for record in model.history_]
        assert model.best_epoch_ == 1 + int(np.argmax(scores))
        assert evaluate_pairs(model, pairs, metrics=("auc",))["auc"] == pytest.approx(max(scores), abs=1e-9)
        liked = pairs.select(pairs.labels > 0)
        assert "validation_ndcg@20" in MF(**LEARNING, loss=loss).fit(data, validation=liked).history_[0]


@pytest.mark.parametrize("kind", [AutoDebias, DoublyRobust, WholeMF])
def test_who_only_dislikes_is_known_to_a_model_that_learns_from_dislikes(kind):
    """Users 0 to 3; the last one has no pair at all."""
    users, items = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    labels = np.where((users == 1) | (items < 2), 0, 1).astype(np.float32)
    everything = Interactions.from_codes(
        users.astype(np.int32), items.astype(np.int32), np.arange(4), np.arange(4), labels=labels
    )
    train = everything.select((users < 3) & (items != 3))
    model = kind(embedding_size=2, epochs=1).fit(Dataset(train, uniform=everything.select(items == 3)))
    lists = model.topk(np.arange(4), 1)
    own = [False, False, False, kind is not WholeMF]  # which has learned from the uniform pairs of the last
    assert lists.is_fallback[:, 0].tolist() == own
