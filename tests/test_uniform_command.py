"""train, evaluate and tune beside pairs that were shown at random: what is learned from, chosen by and measured on."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import refuse, run

from pyrec.data import generate_biased, load_data, load_with_uniform, union
from pyrec.data.load import WithUniform
from pyrec.debias.propensities import propensities
from pyrec.evaluate.estimators import propensities_of_split
from pyrec.evaluate.pairs import evaluate_pairs
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EASE, MODELS, LightGCN, Popularity, Recommender
from pyrec.models.uniform import learned_by

SPLIT = ("--uniform-split", "20/30/50", "--shared", "drop")


def loaded(files) -> WithUniform:
    """What the commands load."""
    return load_with_uniform(*files, (0.2, 0.3, 0.5), shared="drop")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A biased log and uniform pairs, with ratings."""
    folder = tmp_path_factory.mktemp("uniform")
    made = generate_biased(60, 40, 800, 400, selection=0.8)
    paths = folder / "user.txt", folder / "random.txt"
    for path, part in zip(paths, (made.interactions, made.uniform), strict=True):
        rows = zip(part.users.tolist(), part.items.tolist(), part.ratings.tolist(), strict=True)
        path.write_text("".join(f"{user},{item},{rating:g}\n" for user, item, rating in rows))
    return paths


def train(capsys, files, *words: object) -> tuple[dict, str]:
    out, err = run(capsys, "train", files[0], "--uniform", files[1], *SPLIT, *words, "--json")
    return json.loads(out), err


def test_pairs_are_measured_as_in_python(capsys, files) -> None:
    metrics, err = train(capsys, files, "--model", "ease")
    found = loaded(files)
    expected = evaluate_pairs(
        EASE().fit(found.interactions), found.uniform.test, calibrate=found.uniform.validation
    )
    assert {name: metrics[name] for name in expected.metrics} == expected.metrics
    popular = evaluate_pairs(Popularity().fit(found.interactions), found.uniform.test)
    assert metrics["pairs_popularity"]["auc"] == popular["auc"]
    assert metrics["num_test_pairs"] == len(found.uniform.test)
    assert metrics["seconds_train"] > 0
    assert 0 <= metrics["lists"]["recall@20"] <= 1
    assert "ease learns nothing from the uniform pairs" in err
    assert "each is a like" not in err


def test_a_run_is_measured_again_and_has_a_card_and_a_report(capsys, files, tmp_path) -> None:
    run_dir, report = tmp_path / "run", tmp_path / "report.html"
    words = ("--model", "lightgcn", "--epochs", 2, "--dim", 8, "--out", run_dir)
    metrics, err = train(capsys, files, *words, "--report", report)
    assert "its loss learns from likes" in err
    again = json.loads(run(capsys, "evaluate", run_dir, "--k", 20, "--json")[0])
    assert again["auc"] == metrics["auc"]
    assert again["lists"]["recall@20"] == metrics["lists"]["recall@20"]
    card = (run_dir / "README.md").read_text()
    assert f"{metrics['num_test_pairs']} pairs shown at random" in card
    assert f"{metrics['auc']:.4f}" in card
    page = report.read_text()
    assert "Pairs shown at random" in page
    assert f"{metrics['auc']:.4f}" in page
    found = metrics["estimates"]["pooled_recall@20"]
    assert f"<td>{found['estimate']:.4f}</td><td>{found['low']:.4f} to {found['high']:.4f}</td>" in page
    shown = run(capsys, "evaluate", run_dir)[0]
    assert "lists of all items" in shown


def test_data_that_changed_are_refused(capsys, files, tmp_path) -> None:
    copies = [tmp_path / path.name for path in files]
    for path, copy in zip(files, copies, strict=True):
        copy.write_text(path.read_text())
    run(
        capsys,
        "train",
        copies[0],
        "--uniform",
        copies[1],
        *SPLIT,
        "--model",
        "ease",
        "--out",
        tmp_path / "run",
    )
    _, *rest = copies[0].read_text().splitlines(keepends=True)
    copies[0].write_text("".join(rest))
    assert "are not those that it was trained on" in refuse(capsys, "evaluate", tmp_path / "run")


def test_tune_chooses_by_the_validation_part(capsys, files) -> None:
    words = ("tune", files[0], "--uniform", files[1], *SPLIT, "--model", "ease", "--trials", 3)
    found = json.loads(run(capsys, *words, "--json")[0])
    trial = found["best"]
    parts = loaded(files)
    model = EASE(**trial["params"]).fit(parts.interactions)
    assert trial["metrics"]["auc"] == evaluate_pairs(model, parts.uniform.validation)["auc"]
    assert trial["metrics"]["auc"] == max(one["metrics"]["auc"] for one in found["trials"])
    assert "--uniform-split 20/30/50" in found["commands"]["train"]
    by_users = json.loads(run(capsys, *words, "--metric", "user_auc", "--json")[0])
    scores = [one["metrics"]["user_auc"] for one in by_users["trials"]]
    assert scores == sorted(scores, reverse=True)
    assert "metric = 'aux' is none by which uniform pairs choose" in refuse(capsys, *words, "--metric", "aux")


@pytest.mark.parametrize(
    "words",
    [
        ("whole-mf", "--epochs", 4),
        ("autodebias", "--epochs", 60),
        ("doubly-robust", "--epochs", 2),
        ("lightgcn", "--epochs", 2, "--dim", 8),
        ("mf", "--loss", "pointwise", "--reweight", "label", "--epochs", 2, "--dim", 8),
    ],
    ids=lambda words: words[0],
)
def test_models_that_train_by_epochs_are_tuned_as_train_trains_them(capsys, files, words) -> None:
    words = (files[0], "--uniform", files[1], *SPLIT, "--model", *words)
    found = json.loads(run(capsys, "tune", *words, "--trials", 2, "--json")[0])
    assert len(found["trials"]) == 2
    best = found["best"]
    trained = json.loads(
        run(capsys, *shlex.split(found["commands"]["train"])[1:], "--no-baseline", "--json")[0]
    )
    assert trained.get("best_epoch") in (None, best["best_epoch"])
    if "validation" in trained:
        assert trained["validation"]["auc"] == pytest.approx(best["metrics"]["auc"], rel=1e-6)


def test_a_share_of_the_interactions_is_not_held_out_beside_a_validation_part(capsys, files) -> None:
    words = ("tune", files[0], "--uniform", files[1], *SPLIT, "--model", "whole-mf", "--validation", 0.1)
    assert "their validation part chooses the epoch" in refuse(capsys, *words)


def test_without_pairs_to_choose_by_nothing_is_tuned(capsys, files) -> None:
    words = ("tune", files[0], "--uniform", files[1], "--uniform-split", "50/0/50", "--model", "ease")
    assert "leaves no pairs to choose by" in refuse(capsys, *words)


def test_a_validation_part_of_one_label_chooses_nothing(capsys, tmp_path) -> None:
    (tmp_path / "user.txt").write_text(
        "".join(f"{u},{i},{1 + (u + i) % 5}\n" for u in range(8) for i in range(6))
    )
    pairs = [(u, 6 + u % 3, 5 if u % 4 == 0 else 1) for u in range(8)] + [(u, 9, 5 - u % 2) for u in range(8)]
    (tmp_path / "random.txt").write_text("".join(f"{u},{i},{r}\n" for u, i, r in pairs))
    words = (
        "train",
        tmp_path / "user.txt",
        "--uniform",
        tmp_path / "random.txt",
        "--uniform-split",
        "50/6.25/43.75",
    )
    _, err = run(capsys, *words, "--model", "whole-mf", "--epochs", 2)
    assert "has one label alone, so it chooses and calibrates nothing" in err


def test_all_pairs_can_be_learned_from(capsys, files) -> None:
    out, _ = run(
        capsys, "train", files[0], "--uniform", files[1], "--uniform-split", "100/0/0", "--model", "ease"
    )
    assert "nothing was measured" in out


def test_ips_weighs_the_interactions(capsys, files) -> None:
    metrics, err = train(capsys, files, "--model", "svd", "--dim", 8, "--ips", "item")
    found = loaded(files)
    train_set = found.interactions
    weights = propensities(train_set, method="item").weights(normalised=True)
    model = MODELS["svd"](embedding_size=8).fit(replace(train_set, weights=weights))
    expected = evaluate_pairs(model, found.uniform.test, calibrate=found.uniform.validation)
    assert metrics["auc"] == expected["auc"]
    assert "inverse propensities by item weigh interactions" in err
    by_label, _ = train(capsys, files, "--model", "whole-mf", "--epochs", 2, "--ips", "naive-bayes")
    assert by_label["auc"] != train(capsys, files, "--model", "whole-mf", "--epochs", 2)[0]["auc"]


def test_ips_by_label_needs_uniform_pairs(capsys, files) -> None:
    words = ("train", files[0], "--positive", "rating>=4", "--model", "svd", "--ips", "naive-bayes")
    assert "needs pairs that were shown at random" in refuse(capsys, *words)


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr"])
def test_a_log_is_corrected_by_propensities(capsys, files, tmp_path, estimator) -> None:
    words = ("train", files[0], "--positive", "rating>=4", "--model", "svd", "--dim", 8, "--split", 0.7)
    run(capsys, *words, "--k", 5, "--out", tmp_path / "run")
    words = ("evaluate", tmp_path / "run", "--k", 5, "--estimator", estimator)
    found = json.loads(run(capsys, *words, "--json")[0])
    parts = load_data(files[0], positive="rating>=4", split=0.7)
    model = Recommender.load(tmp_path / "run")
    chance = propensities(union(parts.train, parts.test), method="item").of(items=parts.test.items)
    chance = propensities_of_split(chance, 1 - 0.7)
    expected = evaluate(model, parts.test, 5, propensities=chance, estimator=estimator)
    told = {name: one["estimate"] for name, one in found["estimates"].items()}
    assert told == pytest.approx(expected.metrics, rel=1e-6)
    assert "95 % interval" in run(capsys, *words)[0]


def test_propensities_are_for_an_estimate(capsys, files, tmp_path) -> None:
    run_dir = tmp_path / "run"
    train(capsys, files, "--model", "svd", "--dim", 4, "--out", run_dir)
    assert "name one: --estimator snips" in refuse(capsys, "evaluate", run_dir, "--propensities", "item")
    told = refuse(capsys, "evaluate", run_dir, "--estimator", "ips")
    assert "pairs shown at random need no correction" in told
    assert "a table of its own" in refuse(
        capsys, "evaluate", run_dir, "--estimator", "ips", "--metrics", "recall"
    )


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if kind.uniform == "needed"])
def test_a_model_that_needs_uniform_pairs_says_so(capsys, files, name) -> None:
    assert "--uniform FILE" in refuse(capsys, "train", files[0], "--model", name)


def test_a_loss_of_likes_gets_likes_and_sees_the_rest(files) -> None:
    found = loaded(files)
    likes = learned_by(LightGCN(), found.interactions, None)
    assert likes.labels is None
    assert np.array_equal(likes.weights > 0, found.interactions.labels > 0)
    assert likes.popularity.tolist() == found.interactions.popularity.tolist()
    labelled: Recommender = LightGCN(loss="pointwise")
    assert learned_by(labelled, found.interactions, None) is found.interactions


def test_a_report_shows_the_weights_that_were_learned(capsys, files, tmp_path) -> None:
    report = tmp_path / "report.html"
    train(capsys, files, "--model", "autodebias", "--epochs", 3, "--least-epochs", 1, "--report", report)
    page = report.read_text()
    assert "What the uniform pairs taught" in page
    assert page.count("How much a pair counts by its label.") == 1
    assert "training users of the item" in page


def test_a_labelled_share_chooses_the_epoch_by_its_auc_and_it_is_told(capsys, files) -> None:
    words = ("--positive", "rating>=4", "--model", "whole-mf", "--dim", 4, "--epochs", 3, "--validation", 0.2)
    err = run(capsys, "train", files[0], *words)[1]
    assert "validation auc 0." in err
    assert ", the best by validation auc\n" in err
    assert "in the graph" not in err
    err = train(capsys, files, *words[2:-2])[1]
    assert "validation auc 0." in err
    assert "the best on the uniform validation part" in err
