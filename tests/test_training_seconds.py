"""What a model says its fit will take: the work is counted, not the clock read."""

from typing import Any

import numpy as np
import pytest
from small_models import SMALL

from pyrec import EASE, MF, SVD, EarlyStopping, Fusion, ItemKNN, LightGCN, Popularity, Recommender
from pyrec.data import Interactions, synthetic
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.train import timing
from pyrec.train.timing import epoch_seconds
from pyrec.tune.estimate import in_words


class Steps:
    """A trainer whose steps take seconds of a clock that it moves itself; the first one takes ten times as long."""

    def __init__(self, seconds: float, num_steps: int, clock: list[float]) -> None:
        self.batches = self.graph = self.device = self
        self.type = "cpu"
        self.num_samples, self.batch_size = 10 * num_steps - 3, 10
        self.taken = 0
        self._seconds, self._num_steps, self._clock = seconds, num_steps, clock

    def epoch(self, epoch: int, stop: Any) -> None:  # noqa: ARG002
        for step in range(self._num_steps):
            if stop():
                raise StoppedError("stopped")
            self.taken += 1
            self._clock[0] += self._seconds * (10 if step == 0 else 1)


@pytest.mark.parametrize(
    ("num_steps", "limit", "taken"), [(100, 0.35, 27), (5, 100.0, 5), (100, 0.05, 1), (1, 1.0, 1)]
)
def test_an_epoch_is_told_from_its_first_steps(monkeypatch, num_steps, limit, taken) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing, "_now", lambda _: clock[0])
    trainer = Steps(0.01, num_steps, clock)
    seconds = epoch_seconds(trainer, limit)  # type: ignore[arg-type]
    assert trainer.taken in (taken, taken - 1)  # sums of hundredths are rounded
    assert seconds == pytest.approx((0.01 if taken > 1 else 0.1) * num_steps)


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic(60, 40, interactions_per_user=8, num_groups=4)


MODELS: list[Recommender] = [
    EASE(),
    ItemKNN(neighbors=5),
    MF(**SMALL),
    LightGCN(**SMALL),
    Fusion("graph-filter", LightGCN(**SMALL)),
    LightGCN(**SMALL, loss="bpr", stopping=EarlyStopping(0.2, k=5)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.label)
def test_an_estimate_leaves_the_model_as_it_is(model: Recommender, train: Interactions) -> None:
    before = dict(vars(model))
    seconds = model.training_seconds(train, limit=0.05)
    assert seconds is not None
    assert 0 < seconds < 600
    assert vars(model) == before
    fitted, ids = model.clone().fit(train), model.clone()
    ids.training_seconds(train, limit=0.01)
    for one, other in zip(fitted.recommend([0, 1], n=5), ids.fit(train).recommend([0, 1], n=5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_more_epochs_take_longer(train: Interactions) -> None:
    few, many = (MF(**SMALL | {"epochs": epochs}).training_seconds(train, 0.05) for epochs in (1, 10_000))
    assert many > 100 * few


def test_models_that_cannot_tell(train: Interactions) -> None:
    assert Popularity().training_seconds(train) is None
    assert SVD(4).training_seconds(train) is None


def test_what_cannot_be_fitted_has_no_estimate(train: Interactions, monkeypatch) -> None:
    with pytest.raises(ConfigError, match="epochs = 0"):
        MF(epochs=0).training_seconds(train)
    monkeypatch.setattr("pyrec.models.ease.available_memory", lambda: 10)
    with pytest.raises(DataError, match="EASE needs"):
        EASE().training_seconds(train)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.01, "1 second"),
        (40.4, "40 seconds"),
        (89, "89 seconds"),
        (100, "2 minutes"),
        (3600, "60 minutes"),
        (5400, "1.5 hours"),
        (40_000, "11 hours"),
    ],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
