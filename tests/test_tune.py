"""The search for hyperparameters: what is tried, on what, and what `pyrec tune` prints."""

import json
import shlex
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna")
import optuna
from command_line import run
from small_models import SMALL

from pyrec import evaluate
from pyrec.cli import main
from pyrec.data import Interactions, load_training, split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.models import EASE, MF, SVD, ItemKNN, LightGCN, Popularity
from pyrec.nn.combine import Weighted
from pyrec.train.augment import EdgeDropout
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Hard
from pyrec.tune import Search, tune
from pyrec.tune.budget import Budget
from pyrec.tune.space import Range, default_space

VALIDATED = SMALL | {"epochs": 3, "batch_size": 128, "stopping": EarlyStopping(0.2)}
OF_SOFTMAX = ("loss__temperature", "loss__exponent")
OPTIONS = ("--dim", "8", "--epochs", "3", "--batch-size", "128")


@pytest.fixture
def train() -> Interactions:
    return synthetic(60, 40, interactions_per_user=8, num_groups=4)


@pytest.fixture
def log(tmp_path: Path, train: Interactions) -> Path:
    """The interactions as one file."""
    path = tmp_path / "log.tsv"
    path.write_text("".join(f"{u}\t{i}\n" for u, i in zip(train.users, train.items, strict=True)))
    return path


# Ranges


@pytest.mark.parametrize(
    ("combine", "layers"), [("mean", (1, 3)), ("attention", (3, 5)), (Weighted(), (3, 5))]
)
def test_users_made_of_their_items_have_odd_layers(train: Interactions, combine, layers) -> None:
    model = LightGCN(encoder="items", n_layers=3, combine=combine)
    assert Range("n_layers", values=layers) in default_space(model, train)
    for number in layers:
        model.set_params(n_layers=number).check_params()


def test_numbers_are_rounded_and_stay_inside() -> None:
    trial = optuna.trial.FixedTrial({"reg": 0.123456, "n_layers": 3, "combine": "mean"})
    assert Range("reg", 0.1, 0.2).suggest(trial) == 0.123
    assert Range("reg", 0.1, 0.12345678).suggest(optuna.trial.FixedTrial({"reg": 0.1234567})) == 0.123
    assert Range("reg", 0.1239, 0.2).suggest(optuna.trial.FixedTrial({"reg": 0.12391})) == 0.124
    assert Range("reg", 0.12345, 0.2).suggest(optuna.trial.FixedTrial({"reg": 0.12345})) == 0.12345
    assert Range("n_layers", 1, 4, whole=True).suggest(trial) == 3
    assert Range("combine", values=("mean", "attention")).suggest(trial) == "mean"


def test_wide_ranges_are_searched_by_logarithm() -> None:
    assert Range("reg", 1e-4, 1e-3).log
    assert not Range("reg", 1e-4, 9e-4).log
    assert not Range("reg", 0, 1).log


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((2, 1), "the range of reg, 2 to 1, is none"),
        ((1, 1), "the range of reg, 1 to 1, is none"),
        ((0, float("inf")), "the range of reg: high = inf must be a finite number"),
        ((float("-inf"), 1), "the range of reg: low = -inf must be a finite number"),
        ((float("nan"), 1), "the range of reg: low = nan must be a finite number"),
        (("0", 1), "the range of reg: low = '0' must be a finite number"),
        ((0.5, 10, True), "the range of reg, 0.5 to 10, needs whole bounds"),
        ((1, 9.5, True), "the range of reg, 1 to 9.5, needs whole bounds"),
    ],
)
def test_bad_ranges_are_refused(bounds, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Range("reg", *bounds)


def test_each_model_has_a_space_with_its_default(train) -> None:
    for model in (LightGCN(), LightGCN(loss="bpr"), MF(), EASE(), ItemKNN(), SVD(embedding_size=30)):
        names = {one.name for one in default_space(model, train)}
        params = model.get_params()
        assert ("loss__temperature" in names) == (params.get("loss") == "softmax")
        assert ("n_layers" in names) == isinstance(model, LightGCN)
        assert all(params[one.name] in one for one in default_space(model, train))
    with pytest.raises(ConfigError, match="popularity has nothing to tune"):
        default_space(Popularity(), train)


# The search


def test_trials_are_measured_on_what_is_held_out(train) -> None:
    found = tune(
        Search(EASE(), [Range("reg", 0.5, 500)], train, share=0.3, seed=4, metric="ndcg@5"), trials=4
    )
    learned, held_out = split_random(train, 0.7, 4)
    for trial in found:
        expected = evaluate(EASE(**trial.params).fit(learned), held_out, 5, ["ndcg", "recall", "precision"])
        assert trial.metrics == expected.metrics
    scores = [trial.metrics["ndcg@5"] for trial in found]
    assert scores == sorted(scores, reverse=True)
    assert sorted(trial.number for trial in found) == [0, 1, 2, 3]
    assert next(trial for trial in found if trial.number == 0).params == {"reg": 400}


def test_a_model_with_epochs_counts_with_its_best(train) -> None:
    model = LightGCN(**VALIDATED | {"stopping": EarlyStopping(0.2, 2, k=5)})
    found = tune(Search(model, [Range("learning_rate", 0.01, 0.1)], train, metric="ndcg@5"), trials=2)
    for trial in found:
        history = model.clone().set_params(**trial.params).fit(train).history_
        best = max(record["validation_ndcg@5"] for record in history)
        assert trial.metrics["ndcg@5"] == best == history[trial.best_epoch - 1]["validation_ndcg@5"]


def test_components_are_searched_and_kept(train, tmp_path: Path) -> None:
    losses = (BPR(negatives=Hard(4)), Softmax(0.1), "softmax")
    model = LightGCN(**VALIDATED, loss=losses[0])
    search = Search(model, [Range("loss", values=losses)], train)
    found = tune(search, 6, storage=tmp_path / "trials.db")
    assert {str(trial.params["loss"]) for trial in found} <= set(map(str, losses))
    assert next(trial for trial in found if trial.number == 0).params == {"loss": losses[0]}
    assert tune(search, 6, storage=tmp_path / "trials.db") == found
    best = found[0]
    history = search.with_params(best.params).fit(train).history_
    assert max(record["validation_ndcg@20"] for record in history) == best.metrics["ndcg@20"]
    other = replace(search, space=[Range("loss", values=(losses[0], Softmax(0.2), "softmax"))])
    with pytest.raises(ConfigError, match="holds another search"):
        tune(other, 7, storage=tmp_path / "trials.db")


def test_hyperparameters_of_components_are_searched_by_their_paths(train) -> None:
    model = LightGCN(**VALIDATED, augment=EdgeDropout(0.2))
    space = [Range("loss__temperature", 0.05, 0.5), Range("augment__edge_dropout__share", 0.1, 0.3)]
    for trial in tune(Search(model, space, train), 3):
        assert set(trial.params) == {"loss__temperature", "augment__edge_dropout__share"}
        history = Search(model, space, train).with_params(trial.params).fit(train).history_
        assert history[trial.best_epoch - 1]["validation_ndcg@20"] == trial.metrics["ndcg@20"]
    assert model.augment == EdgeDropout(0.2)


@pytest.mark.parametrize("metric", ["recall@5", "map@3", "hit"])
def test_any_metric_of_users_is_searched_by(train, metric) -> None:
    name, _, k = metric.partition("@")
    cutoff = int(k or 20)
    found = tune(Search(EASE(), [Range("reg", 0.5, 500)], train, metric=metric), trials=4)
    learned, held_out = split_random(train, 0.9, 0)
    scores = [
        evaluate(EASE(**one.params).fit(learned), held_out, cutoff)[f"{name}@{cutoff}"] for one in found
    ]
    assert [one.metrics[f"{name}@{cutoff}"] for one in found] == scores == sorted(scores, reverse=True)
    assert found.best is found[0]


def test_an_epoch_is_kept_by_the_metric_that_is_searched_by(train) -> None:
    stopping = EarlyStopping(0.2, k=5, metric="precision")
    model = LightGCN(**VALIDATED | {"stopping": stopping, "epochs": 6})
    found = tune(Search(model, [Range("learning_rate", 0.01, 0.1)], train, metric="precision@5"), trials=2)
    for trial in found:
        history = model.clone().set_params(**trial.params).fit(train).history_
        values = [record["validation_precision@5"] for record in history]
        assert trial.metrics["precision@5"] == max(values)
        assert trial.best_epoch == values.index(max(values)) + 1


def test_ctrl_c_gives_the_trials_so_far(train) -> None:
    search, reported = Search(EASE(), [Range("reg", 0.5, 500)], train), []

    def press(trial) -> None:
        reported.append(trial)
        if len(reported) == 2:
            raise KeyboardInterrupt

    found = tune(search, 5, report=press)
    assert found.interrupted
    assert sorted(trial.number for trial in found) == [0, 1]
    assert not tune(search, 2).interrupted

    def press_at_once(_) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(search, 5, watch=press_at_once)


def test_training_by_epochs_ends_with_the_time(train, monkeypatch) -> None:
    monkeypatch.setattr(Budget, "left_with_grace", -1.0)
    search = Search(LightGCN(**VALIDATED), [Range("learning_rate", 0.01, 0.1)], train)
    with pytest.raises(
        DataError,
        match=r"no trial succeeded of 1; the first: ended after epoch 1 of at most 3, as the 50 sec",
    ):
        tune(search, 1, timeout=50)


def test_a_trial_that_does_not_fit_in_the_time_is_not_started(train, monkeypatch) -> None:
    monkeypatch.setattr(Budget, "left", 0.5)
    monkeypatch.setattr("pyrec.tune.search._UnderWay._expected", 0.0)
    search = Search(EASE(), [Range("reg", 0.5, 500)], train)
    assert len(tune(search, 3, timeout=10)) == 3
    monkeypatch.setattr("pyrec.tune.search._UnderWay._expected", 0.6)
    with pytest.raises(DataError, match="no trial was started within timeout"):
        tune(search, 3, timeout=10)


def test_who_watches_is_told_of_trials_and_epochs(train) -> None:
    told = []
    search = Search(LightGCN(**VALIDATED), [Range("learning_rate", 0.01, 0.1)], train)
    found = tune(search, 2, timeout=600, watch=told.append)
    assert [(one.trial, one.epoch) for one in told] == [
        (trial, epoch) for trial in (0, 1) for epoch in range(4)
    ]
    assert {one.epochs for one in told} == {3}
    assert [one.best for one in told[:4]] == [None] * 4
    first = next(trial for trial in found if trial.number == 0)
    assert {one.best for one in told[4:]} == {first.metrics["ndcg@20"]}
    assert all(0 <= one.left <= 600 for one in told[4:])


def test_the_same_seed_searches_the_same(train) -> None:
    first, again, other = (
        tune(Search(EASE(), [Range("reg", 0.5, 50)], train, seed=seed, metric="ndcg@5"), trials=3)
        for seed in (1, 1, 2)
    )
    assert [trial.params for trial in first] == [trial.params for trial in again]
    assert {trial.params["reg"] for trial in first} != {trial.params["reg"] for trial in other}


def test_a_search_is_resumed(train, tmp_path: Path) -> None:
    storage, search = tmp_path / "trials.db", Search(EASE(), [Range("reg", 0.5, 500)], train, metric="ndcg@5")
    reported = []
    first = tune(search, 2, storage=storage, report=reported.append)
    both = tune(search, 5, storage=storage, report=reported.append)
    assert [trial.number for trial in reported] == [0, 1, 2, 3, 4]
    assert {trial.number: trial for trial in both}.items() >= {trial.number: trial for trial in first}.items()
    assert len({trial.params["reg"] for trial in both}) == 5
    assert tune(search, 5, storage=storage, report=reported.append) == both
    assert len(reported) == 5
    with pytest.raises(ConfigError, match="holds another search"):
        tune(Search(EASE(), [Range("reg", 1, 500)], train, metric="ndcg@5"), 5, storage=storage)


def test_trials_on_another_held_out_share_are_another_search(train, tmp_path: Path) -> None:
    storage, search = tmp_path / "trials.db", Search(EASE(), [Range("reg", 0.5, 500)], train, metric="ndcg@5")
    tune(search, 1, storage=storage)
    other_items = (train.items + 1) % train.num_items
    as_many = Interactions.from_arrays(train.users, other_items)
    assert [as_many.num_users, as_many.num_items, len(as_many)] == [
        train.num_users,
        train.num_items,
        len(train),
    ]
    for other in (replace(search, seed=1), replace(search, train=as_many)):
        with pytest.raises(ConfigError, match="holds another search: model, data, ranges or seed differ"):
            tune(other, 2, storage=storage)


def test_hyperparameters_of_numpy(train, tmp_path: Path) -> None:
    model = LightGCN(**{**VALIDATED, "embedding_size": np.int64(8), "n_layers": np.int64(2), "epochs": 1})
    space = [Range("n_layers", values=(np.int64(1), np.int64(2)))]
    (found,) = tune(Search(model, space, train), 1, storage=tmp_path / "trials.db")
    assert found.params == {"n_layers": 2}


def test_trials_that_diverge_are_passed_over(train) -> None:
    search = Search(LightGCN(**VALIDATED), [Range("learning_rate", values=(1e-2, 1e30))], train)
    found = tune(search, trials=8)
    assert {trial.params["learning_rate"] for trial in found} == {1e-2}
    assert len(found) < 8
    with pytest.raises(DataError, match=r"no trial succeeded of 2; the first: .*learning_rate"):
        tune(Search(LightGCN(**VALIDATED), [Range("learning_rate", values=(1e30,))], train), trials=2)


def test_parameters_that_do_not_go_together_are_passed_over(train) -> None:
    model, failed = LightGCN(**VALIDATED, combine="self-attention"), []
    search = Search(model, [Range("combine__heads", values=(1, 3))], train)
    found = tune(search, trials=8, report_failure=lambda *why: failed.append(why))
    assert {trial.params["combine__heads"] for trial in found} == {1}
    assert len(found) + len(failed) == 8
    assert not {trial.number for trial in found} & {number for number, _ in failed}
    assert {reason for _, reason in failed} == {failed[0][1]}
    assert "n_heads = 3" in failed[0][1]
    with pytest.raises(DataError, match=r"no trial succeeded of 2; the first: .*n_heads = 3"):
        tune(Search(model, [Range("combine__heads", values=(3,))], train), trials=2)


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (EASE(), {"trials": 0}, ConfigError, "trials = 0 must be at least 1"),
        (EASE(), {"timeout": 0}, ConfigError, "timeout = 0.0 must be above 0"),
        (EASE(), {"timeout": 1e-9}, DataError, "no trial was started within timeout"),
        (EASE(), {"storage": Path("/no/such/folder/trials.db")}, DataError, "cannot keep trials in"),
        (MF(), {}, ConfigError, "stopping = None leaves nothing to score trials on"),
        (MF(stopping=EarlyStopping(None)), {}, ConfigError, "stopping__share = None leaves nothing"),
        (
            MF(stopping=EarlyStopping("0.1")),
            {},
            ConfigError,
            "stopping__share = '0.1' must be a finite number",
        ),
        (
            MF(stopping=EarlyStopping(0.2, k=7)),
            {},
            ConfigError,
            "metric = ndcg@20, but the model.s stopping keeps the epoch by ndcg@7",
        ),
    ],
)
def test_bad_searches_are_refused(train, model, arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        tune(Search(model, [Range("reg", 0.5, 50)], train), **arguments)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([Range("learning_rat", 1, 2)], "lightgcn has no learning_rat to search; it has embedding_size, "),
        (
            [Range("stopping__share", 0.05, 0.5)],
            "the range of stopping__share: trials are compared at one stopping__share",
        ),
        ([Range("stopping", values=("early",))], "the range of stopping: trials are compared at one"),
        ([Range("seed", 0, 99, whole=True)], "the range of seed: trials are compared at one seed"),
        ([Range("stopping__k", values=(5, 10))], "the range of stopping__k: trials are compared at one"),
        ([Range("reg", 0, 1), Range("reg", 1, 2)], "reg has more than one range"),
    ],
)
def test_what_cannot_be_searched_is_refused(train, space, message) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(Search(LightGCN(**VALIDATED), space, train), trials=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 1}, r"share = 1.0 is a share of the interactions; it must be below 1"),
        ({"share": None}, "share = None leaves nothing to score trials on"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
    ],
)
def test_bad_settings_of_a_search_are_refused(train, given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        tune(Search(EASE(), [Range("reg", 0.5, 50)], train, **given), trials=1)


def test_numbers_for_a_hyperparameter_of_words_fail_by_trial(train) -> None:
    search = Search(LightGCN(**VALIDATED), [Range("combine", 0, 1)], train)
    with pytest.raises(DataError, match=r"no trial succeeded of 1; the first: combine = 0\."):
        tune(search, trials=1)


# Training data alone


def test_training_parts_are_those_of_load_data(log: Path, tmp_path: Path, train) -> None:
    name, whole = load_training(log, split=0.7, seed=3)
    expected = split_random(train, 0.7, 3)[0]
    assert name == "log"
    np.testing.assert_array_equal(whole.users, expected.users)
    np.testing.assert_array_equal(whole.items, expected.items)
    assert load_training(train=log, test=tmp_path / "absent")[0] == "log"
    with pytest.raises(ConfigError, match="train is given without test"):
        load_training(train=log)


def test_a_test_file_is_never_opened(capsys, tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.txt").write_text("".join(f"{user} {user % 7} {7 + user % 5}\n" for user in range(30)))
    (folder / "test.txt").write_text("not interactions")
    ease = ("--model", "ease", "--trials", 1, "--metric", "ndcg@5")
    run(capsys, "tune", folder, *ease)
    out, _ = run(capsys, "tune", "--train", log, "--test", tmp_path / "absent", *ease)
    assert f"--train {log} --test {tmp_path / 'absent'} --model ease --k 5" in out


# The command line


def test_the_command_printed_repeats_the_best_trial(capsys, log: Path, tmp_path: Path) -> None:
    arguments = (
        "--combine",
        "attention",
        "--loss",
        "softmax",
        "--seed",
        3,
        "--split",
        0.7,
        "--split-seed",
        2,
    )
    text, err = run(capsys, "tune", log, *OPTIONS, *arguments, "--trials", 3, "--metric", "ndcg@5", "--json")
    printed = json.loads(text)
    best = printed["best"]
    assert set(best["params"]) == {"learning_rate", "reg", "n_layers", *OF_SOFTMAX}
    assert best["metrics"]["ndcg@5"] == max(trial["metrics"]["ndcg@5"] for trial in printed["trials"])
    assert err.count("\ntrial ") == 3
    program, *words = shlex.split(printed["commands"]["train"])
    assert program == "pyrec"
    run(capsys, *words, "--out", tmp_path / "run")
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert history[best["best_epoch"] - 1]["validation_ndcg@5"] == best["metrics"]["ndcg@5"]
    shutil.rmtree(tmp_path / "run")
    run(capsys, *shlex.split(printed["commands"]["train_on_all"])[1:], "--out", tmp_path / "run")
    history = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert len(history) == best["best_epoch"]
    assert "validation" not in history[0]


def test_a_table_of_the_best_trials(capsys, log: Path) -> None:
    out, err = run(
        capsys, "tune", log, "--model", "itemknn", "--trials", 12, "--metric", "ndcg@5", "--validation", 0.3
    )
    header, *rows = out.split("\n\n")[0].splitlines()
    searched = ["neighbors", "shrinkage", "user-exponent", "beta"]
    expected = ["trial", "ndcg@5", "recall@5", "precision@5", *searched, "epoch", "seconds"]
    assert header.split() == expected
    assert len(rows) == 10
    assert float(rows[0].split()[1]) >= float(rows[-1].split()[1])
    assert "on held-out training interactions:\npyrec train " in out
    assert "on all training interactions" not in out
    assert "log: 60 users x 40 items" in err


def test_another_metric_on_the_command_line(capsys, log: Path) -> None:
    out, err = run(capsys, "tune", log, *OPTIONS, "--metric", "recall@5", "--trials", 2)
    header = out.splitlines()[0].split()
    assert header[:4] == ["trial", "recall@5", "ndcg@5", "precision@5"]
    assert "--stop-by recall" in out
    assert "--k 5" in out
    assert "trial 0  recall@5" in err
    out, _ = run(capsys, "tune", log, "--model", "ease", "--metric", "mrr@5", "--trials", 2)
    assert out.splitlines()[0].split()[:3] == ["trial", "mrr@5", "ndcg@5"]
    assert "--stop-by" not in out


def test_ctrl_c_prints_the_trials_so_far(capsys, log: Path, monkeypatch) -> None:
    run_trial, tried = Search.run, []

    def press(search, params, *others):
        tried.append(params)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return run_trial(search, params, *others)

    monkeypatch.setattr(Search, "run", press)
    assert main(["tune", str(log), "--model", "ease", "--trials", "5"]) == 130
    captured = capsys.readouterr()
    assert "Ctrl-C ended the search after 2 of 5 trials" in captured.err
    assert len(captured.out.split("\n\n")[0].splitlines()) == 3
    assert "pyrec train" in captured.out


def test_long_searches_say_so_beforehand(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setattr(EASE, "training_seconds", lambda *_: 100.0)
    _, err = run(capsys, "tune", log, "--model", "ease", "--trials", 2, "--timeout", 90)
    assert (
        "a trial takes about 2 minutes, 2 trials 3 minutes; --timeout ends the search after 2 minutes" in err
    )
    monkeypatch.setattr(EASE, "training_seconds", lambda *_: 1.0)
    assert "a trial takes" not in run(capsys, "tune", log, "--model", "ease", "--trials", 2)[1]


def test_ranges_replace_the_space(capsys, log: Path) -> None:
    arguments = ("--range", "lr=0.01:0.1", "--range", "layers=1:2", "--range", "combine=mean,weighted")
    out, _ = run(capsys, "tune", log, *OPTIONS, *arguments, "--trials", 4, "--metric", "ndcg@5", "--json")
    for trial in json.loads(out)["trials"]:
        assert 0.01 <= trial["params"]["learning_rate"] <= 0.1
        assert trial["params"]["n_layers"] in (1, 2)
        assert trial["params"]["combine"] in ("mean", "weighted")


def test_a_component_is_tried_with_what_is_given_of_it(capsys, log: Path) -> None:
    arguments = ("--range", "loss=bpr,softmax", "--temperature", "0.1", "--score", "inner")
    out, err = run(capsys, "tune", log, *OPTIONS, *arguments, "--trials", 5, "--metric", "ndcg@5", "--json")
    printed = json.loads(out)
    assert {trial["params"]["loss"] for trial in printed["trials"]} == {"bpr", "softmax"}
    assert "loss softmax" in err
    words = shlex.split(printed["commands"]["train"])
    given = dict(pairwise(words))
    if printed["best"]["params"]["loss"] == "softmax":
        assert (given["--temperature"], given["--score"]) == ("0.1", "inner")
    else:
        assert given["--loss"] == "bpr"
        assert "--temperature" not in given
    table, _ = run(capsys, "tune", log, *OPTIONS, *arguments, "--trials", 1, "--metric", "ndcg@5")
    assert "--temperature 0.1" in table


def test_a_range_brings_the_component_that_it_is_of(capsys, log: Path) -> None:
    arguments = ("--range", "edge-dropout=0.1:0.3", "--range", "temperature=0.1,0.2", "--validation", "0.2")
    out, _ = run(capsys, "tune", log, *OPTIONS, *arguments, "--trials", 2, "--metric", "ndcg@5", "--json")
    printed = json.loads(out)
    assert set(printed["best"]["params"]) == {"augment__edge_dropout__share", "loss__temperature"}
    share = printed["best"]["params"]["augment__edge_dropout__share"]
    assert 0.1 <= share <= 0.3
    assert f"--edge-dropout {share}" in printed["commands"]["train"]


def test_failed_trials_are_told_and_counted(capsys, log: Path) -> None:
    arguments = ("--combine", "self-attention", "--range", "heads=1,3", "--trials", 8, "--metric", "ndcg@5")
    out, err = run(capsys, "tune", log, *OPTIONS, *arguments)
    told = [line for line in err.splitlines() if "failed: " in line]
    assert told
    assert f"{len(told)} of 8 trials failed and are left out" in err
    assert len(out.split("\n\n")[0].splitlines()) == 1 + 8 - len(told)


def test_an_option_given_is_not_searched(capsys, log: Path) -> None:
    out, _ = run(capsys, "tune", log, *OPTIONS, "--lr", 0.01, "--trials", 1, "--metric", "ndcg@5", "--json")
    assert set(json.loads(out)["best"]["params"]) == {"reg", "n_layers", *OF_SOFTMAX}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--range", "speed=1:2"], "'speed' is no hyperparameter; did you mean seed?"),
        (["--range", "neighbors=1:2"], "--neighbors is not for lightgcn, which takes --dim"),
        (["--range", "validation=0.05:0.5"], "the range of stopping__share: trials are compared at one"),
        (["--range", "seed=0:99"], "the range of seed: trials are compared at one"),
        (["--range", "reg=0:1", "--range", "reg=1:2"], "reg has more than one range"),
        (["--range", "lr=1:2", "--lr", "0.1"], "lr is given and has a --range"),
        (["--range", "lr=low:high"], "is neither NAME=LOW:HIGH"),
        (["--range", "lr"], "is neither NAME=LOW:HIGH"),
        (["--range", "layers=1.5:2"], "is neither NAME=LOW:HIGH"),
        (["--range", "combine=mean:max"], "is neither NAME=LOW:HIGH"),
        (["--range", "combine=median"], "values that --combine takes"),
        (["--range", "temperature=.1:.2", "--loss", "bpr"], "--temperature is not for the loss bpr"),
        (["--range", "contrast-rate=.1:.2"], "--contrast-rate is of --contrast, which is not given"),
        (["--range", "lr=2:1"], "the range of learning_rate, 2 to 1, is none"),
        (["--range", "lr=-2:-1"], "learning_rate = -1"),
        (
            ["--lr", "0.1", "--reg", "0", "--layers", "1", "--temperature", "1", "--exponent", "1"],
            "every hyperparameter of the space is given",
        ),
        (["--model", "popularity"], "popularity has nothing to tune"),
        (["--trials", "0"], "0 is not in the range"),
        (["--metric", "recal@10"], "is no metric such as recall@10"),
        (["--metric", "recall@41"], "k = 41 must be at most 40, the number of items"),
        (["--stop-by", "recall"], "--stop-by recall, but trials are compared by ndcg; give --metric alone"),
        (["--timeout", "-1"], "timeout = -1.0 must be above 0"),
        (["--model", "ease", "--layers", "2"], "--layers is not for ease"),
        (["--validation", "1"], "stopping__share = 1.0 is a share of the interactions; it must be below 1"),
    ],
)
def test_refusals_are_one_line(capsys, log: Path, arguments, message) -> None:
    assert main(["tune", str(log), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]


def test_without_optuna(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", str(log)]) == 2
    assert capsys.readouterr().err == "pyrec: error: tuning needs Optuna: pip install '.[tune]'\n"
