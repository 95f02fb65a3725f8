"""Models and their hyperparameters side by side: what is measured on what, what is chosen, and when it ends."""

import sys
from typing import Any

import numpy as np
import pytest
from small_models import SMALL

from pyrec import EASE, MF, SVD, EarlyStopping, Evaluation, ItemKNN, LightGCN, Popularity, evaluate
from pyrec.data import Interactions, split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate import compare as comparing
from pyrec.evaluate.metric_name import MetricName, read_metric
from pyrec.models import Recommender
from pyrec.tune import Comparison, Tried, Watcher, compare_models
from pyrec.tune.budget import Budget, OutOfTimeError

VALIDATED = SMALL | {"epochs": 4, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def data() -> Interactions:
    return synthetic(80, 50, interactions_per_user=10, num_groups=4)


@pytest.fixture(scope="module")
def train(data: Interactions) -> Interactions:
    return split_random(data)[0]


@pytest.fixture(scope="module")
def test(data: Interactions) -> Interactions:
    return split_random(data)[1]


def measured(model: Recommender, learned: Interactions, held_out: Interactions) -> Evaluation:
    return evaluate(model.fit(learned), held_out, 5, ["recall"])


# What is measured


def test_all_models_are_measured_on_the_same_held_out_share(train: Interactions) -> None:
    models = {"ease": EASE(10), "popular": Popularity(), "knn": ItemKNN(5)}
    found = compare_models(train, models, "recall@5", trials=0, share=0.3, seed=4)
    learned, held_out = split_random(train, 0.7, 4)
    expected = {name: measured(model.clone(), learned, held_out) for name, model in models.items()}
    assert {one.label: one.best.score for one in found.models} == {
        name: one["recall@5"] for name, one in expected.items()
    }
    scores = [one.best.score for one in found.models]
    assert scores == sorted(scores, reverse=True)
    assert found.num_users == expected["ease"].num_users
    for one in found.models[1:]:
        (difference,) = comparing.compare(expected[found.best_label], expected[one.label])
        assert one.difference == difference
    assert found.models[0].difference is None


def test_a_model_with_epochs_keeps_the_best_on_that_share(train: Interactions) -> None:
    found = compare_models(train, [MF(**VALIDATED)], "map@5", trials=0, seed=1)
    learned, held_out = split_random(train, 0.9, 1)
    model = MF(**VALIDATED, stopping=EarlyStopping(None, 10, 5, "map")).fit(learned, validation=held_out)
    best = max(record["validation_map@5"] for record in model.history_)
    (one,) = found.models
    assert one.best.score == pytest.approx(best, rel=1e-12)
    assert one.best.best_epoch == model.best_epoch_
    assert found.best.get_params() == MF(**VALIDATED | {"epochs": model.best_epoch_}).get_params()
    found.best.fit(train)


def test_a_models_own_patience_holds(train: Interactions) -> None:
    model = MF(**VALIDATED | {"epochs": 100, "learning_rate": 1.0}, stopping=EarlyStopping(0.5, patience=1))
    tried: list[Tried] = []
    watcher = Watcher(tried=lambda _, one, __: tried.append(one))
    compare_models(train, [model], "recall@5", trials=0, watcher=watcher)
    assert tried[0].model.stopping == EarlyStopping(None, 1, 5, "recall")
    assert model.stopping == EarlyStopping(0.5, patience=1)


def test_the_test_part_is_measured_by_the_best_and_chooses_nothing(
    train: Interactions, test: Interactions
) -> None:
    models = [EASE(), MF(**VALIDATED)]
    found = compare_models(train, models, "recall@5", trials=2, test=test)
    without = compare_models(train, models, "recall@5", trials=2)
    assert [one.best.score for one in found.models] == [one.best.score for one in without.models]
    for one in found.models:
        assert one.test is not None
        expected = measured(one.best.for_everything(), train, test)
        assert one.test.metrics == expected.metrics
    assert {one.test for one in without.models} == {None}
    assert "test recall@5" in found.table()
    assert "test recall@5" not in without.table()


# The search


def test_each_model_has_its_trials(train: Interactions) -> None:
    pytest.importorskip("optuna")
    tried: list[tuple[str, Tried, bool]] = []
    watcher = Watcher(tried=lambda *one: tried.append(one))
    models = [Popularity(), EASE(), ItemKNN(), SVD(4)]
    found = compare_models(train, models, "recall@5", trials=3, watcher=watcher)
    by_label = {one.label: one for one in found.models}
    assert {label: one.num_trials for label, one in by_label.items()} == {
        "popularity": 0,
        "ease": 3,
        "itemknn": 3,
        "svd": 3,
    }
    for label, one in by_label.items():
        own = [each for name, each, _ in tried if name == label]
        assert one.untuned is own[0]
        assert one.best.score == max(each.score for each in own)
        assert one.seconds >= sum(each.seconds for each in own) * 0.99
        best = [each for name, each, is_best in tried if name == label and is_best]
        assert best[-1].score == one.best.score
        assert [each.score for each in best] == sorted(each.score for each in best)
    assert {label for label, *_ in tried[:4]} == set(by_label), "each model as it is comes before any trial"
    assert len({each.model.reg for name, each, _ in tried if name == "ease"}) == 4


def test_the_same_seed_searches_the_same(train: Interactions) -> None:
    pytest.importorskip("optuna")
    first, again, other = (
        compare_models(train, [EASE(), SVD(4)], "recall@5", trials=3, seed=seed).as_dict()
        for seed in (1, 1, 2)
    )
    for one in (*first["models"], *again["models"], *other["models"]):
        del one["seconds"], one["seconds_all"]
    assert first == again
    assert first != other


def test_trials_that_fail_are_told_and_left_out(train: Interactions) -> None:
    pytest.importorskip("optuna")

    class Brittle(EASE):
        def fit(self, interactions: Any, y: Any = None) -> Any:
            if self.reg != 400.0:
                raise DataError("not today")
            return super().fit(interactions, y)

    failed: list[tuple[str, int, str]] = []
    watcher = Watcher(failed=lambda *one: failed.append(one))
    found = compare_models(train, {"brittle": Brittle()}, "recall@5", trials=3, watcher=watcher)
    assert failed == [("brittle", number, "not today") for number in (1, 2, 3)]
    assert (found.models[0].num_trials, found.models[0].num_failed) == (0, 3)
    assert found.best.reg == 400.0


def test_without_optuna_models_are_compared_as_they_are(train: Interactions, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    found = compare_models(train, [EASE(), ItemKNN()], "recall@5")
    assert [one.num_trials for one in found.models] == [0, 0]


# Time and memory


def test_models_that_take_too_long_are_left_out(train: Interactions, monkeypatch) -> None:
    monkeypatch.setattr(LightGCN, "training_seconds", lambda *_: 1500.0)
    estimated: list[dict[str, float | None]] = []
    failed: list[tuple[str, int, str]] = []
    watcher = Watcher(estimated=estimated.append, failed=lambda *one: failed.append(one))
    models = [LightGCN(**VALIDATED), Popularity(), EASE()]
    found = compare_models(train, models, "recall@5", minutes=10, trials=0, watcher=watcher)
    label = "lightgcn (attention)"
    assert found.left_out.keys() == {label}
    assert "untuned it takes about 25 minutes, and of 10 minutes 10 minutes are left" in found.left_out[label]
    assert failed == [(label, 0, found.left_out[label])]
    assert list(estimated[0]) == ["popularity", "ease", label], "the quickest first"
    assert compare_models(train, models, "recall@5", minutes=None, trials=0).left_out == {}


def test_nothing_that_fits_in_the_time_is_an_error(train: Interactions, monkeypatch) -> None:
    monkeypatch.setattr(MF, "training_seconds", lambda *_: 1500.0)
    with pytest.raises(
        DataError, match=r"no model could be measured: mf: untuned it takes about 25 .* give more minutes"
    ):
        compare_models(train, [MF(**VALIDATED)], "recall@5", minutes=1, trials=0)


def test_models_without_the_memory_are_left_out(train: Interactions, monkeypatch) -> None:
    monkeypatch.setattr("pyrec.models.ease.available_memory", lambda: 10)
    found = compare_models(train, [EASE(), ItemKNN()], "recall@5", trials=0)
    assert "EASE needs" in found.left_out["ease"]
    assert found.best_label == "itemknn"


def test_training_by_epochs_ends_when_the_time_is_over(train: Interactions, monkeypatch) -> None:
    monkeypatch.setattr(Budget, "left_with_grace", -1.0)
    found = compare_models(train, [Popularity(), MF(**VALIDATED)], "recall@5", minutes=2, trials=0)
    assert found.left_out == {"mf": "ended after epoch 1 of at most 4, as the 2 minutes were over"}
    Budget(1.0).check(4, 4)
    with pytest.raises(OutOfTimeError):
        Budget(1.0).check(3, 4)


def test_the_line_that_moves_knows_the_epochs_and_the_time(train: Interactions) -> None:
    pytest.importorskip("optuna")
    told: list[Any] = []
    compare_models(
        train, [EASE(), MF(**VALIDATED)], "recall@5", minutes=5, trials=1, watcher=Watcher(watch=told.append)
    )
    own = [(one.trial, one.epoch) for one in told if one.label == "mf"]
    assert own == [(trial, epoch) for trial in (0, 1) for epoch in range(5)]
    assert told[0].best is None
    assert told[-1].best is not None
    assert all(0 <= one.left <= 300 for one in told)


# Ctrl-C


def after(number: int) -> Watcher:
    """Presses Ctrl-C when so many models have been tried."""
    tried: list[Tried] = []

    def press(_: str, one: Tried, __: bool) -> None:
        tried.append(one)
        if len(tried) == number:
            raise KeyboardInterrupt

    return Watcher(tried=press)


def test_ctrl_c_gives_what_was_found(train: Interactions, test: Interactions) -> None:
    models = [Popularity(), EASE(), ItemKNN(), SVD(4)]
    found = compare_models(train, models, "recall@5", test=test, watcher=after(2))
    assert found.interrupted
    assert len(found.models) == 2
    assert found.models[0].test is None


def test_ctrl_c_before_anything_was_found_goes_on(train: Interactions, monkeypatch) -> None:
    def press(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EASE, "fit", press)
    with pytest.raises(KeyboardInterrupt):
        compare_models(train, [EASE()], "recall@5")


# What is shown


def test_a_comparison_shows_itself(train: Interactions) -> None:
    found = compare_models(train, [EASE(10), Popularity()], "recall@5", trials=0)
    assert isinstance(found, Comparison)
    header, *rows = found.table().splitlines()
    assert header.split("  ")[0] == "model"
    assert [row.split()[0] for row in rows] == [found.best_label, found.models[1].label]
    assert str(found) == found.table()
    first, second = found.models
    assert repr(found) == (
        f"Comparison(recall@5 of {found.num_users} users: {first.label} {first.best.score:.4f}, "
        f"{second.label} {second.best.score:.4f})"
    )
    told_apart = second.difference.difference + second.difference.half < 0
    assert found.as_good == ([] if told_apart else [second.label])


# What is refused


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"metric": "recal@10"}, ConfigError, r"'recal@10' is no metric .*; did you mean recall\?"),
        (
            {"metric": "coverage@10"},
            ConfigError,
            "is of the items, and models are compared by metrics of users",
        ),
        ({"metric": "recall@"}, ConfigError, "has no cut-off behind the @; write recall@10"),
        ({"metric": "recall@x"}, ConfigError, "has no cut-off"),
        ({"metric": 7}, ConfigError, "metric = 7 is no metric"),
        ({"metric": "recall@0"}, ConfigError, "k = 0 must be at least 1"),
        ({"metric": "recall@51"}, DataError, "k = 51 must be at most 50, the number of items"),
        (
            {"models": ["eese"]},
            ConfigError,
            r"'eese' is no model; known are lightgcn, .*; did you mean ease\?",
        ),
        ({"models": ["ease", "ease"]}, ConfigError, "models has 'ease' twice"),
        ({"models": 7}, ConfigError, "models = 7 must be a list, such as"),
        ({"models": []}, ConfigError, "models is empty; name some of lightgcn"),
        (
            {"models": [EASE]},
            ConfigError,
            "is a type, but a model is needed|is a ABCMeta, but a model is needed",
        ),
        ({"minutes": 0}, ConfigError, "minutes = 0.0 must be above 0"),
        ({"minutes": "ten"}, ConfigError, "minutes = 'ten' must be a finite number"),
        ({"trials": -1}, ConfigError, "trials = -1 must be at least 0"),
        ({"share": 1}, ConfigError, "share = 1.0 is a share of the interactions"),
        ({"share": 0}, ConfigError, "share = 0.0 must be above 0"),
        ({"seed": -1}, ConfigError, "seed = -1 must be at least 0"),
    ],
)
def test_bad_arguments_are_refused(train: Interactions, given, error, message) -> None:
    with pytest.raises(error, match=message):
        compare_models(train, **{"models": ["popularity"], "metric": "recall@5"} | given)


def test_data_of_which_nothing_can_be_held_out_are_refused() -> None:
    single = Interactions.from_arrays(np.arange(5), np.arange(5))
    with pytest.raises(DataError, match=r"share = 0.1 holds 0.1 .* out, but none .* can be"):
        compare_models(single, ["popularity"])


def test_a_test_part_of_others_is_refused(train: Interactions) -> None:
    with pytest.raises(DataError, match="test has 5 users"):
        compare_models(train, ["popularity"], test=Interactions.from_arrays(np.arange(5), np.arange(5)))


def test_names_of_metrics() -> None:
    assert read_metric("recall@10") == MetricName("recall", 10)
    assert read_metric("mrr") == MetricName("mrr", None)
    assert (read_metric("mrr").at(7), read_metric("mrr").at(100)) == (7, 20)
