"""``pyrec train``: the first result, estimates and progress, quiet runs, and folders that are not left behind."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from command_line import refuse, run

from pyrec.cli import baselines, fitting, progress
from pyrec.cli.progress import EpochProgress
from pyrec.data import load_data, synthetic
from pyrec.errors import DataError
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EASE, ItemKNN, LightGCN
from pyrec.models.validation import chosen_by
from pyrec.train.early_stopping import EarlyStopping

EPOCHS = ("--model", "lightgcn", "--dim", "8", "--epochs", "2", "--batch-size", "256", "--k", "5")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    interactions = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    pairs = zip(interactions.users.tolist(), interactions.items.tolist(), strict=True)
    path = tmp_path / "log.csv"
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    return path


# The first result.


def test_something_quick_is_measured_before_training(capsys, data: Path, tmp_path: Path) -> None:
    out, err = run(capsys, "train", data, *EPOCHS, "--out", tmp_path / "run")
    assert out.splitlines()[0].split("  ")[-1].strip() == "popularity"
    assert out.splitlines()[0].split()[1:4] == ["lightgcn", "(attention)", "ease"]
    split = load_data(data)
    expected = evaluate(EASE().fit(split.train), split.test, 5)
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert kept["baseline_ease"] == pytest.approx(expected.metrics)
    lines = err.splitlines()
    (first,) = [at for at, line in enumerate(lines) if line.endswith("now lightgcn (attention)")]
    assert f"ease recall@5 {expected['recall@5']:.4f}, ndcg@5 {expected['ndcg@5']:.4f} (" in lines[first]
    assert lines[first].startswith(f"popularity recall@5 {kept['baseline_popularity']['recall@5']:.4f}")
    assert first < min(at for at, line in enumerate(lines) if line.startswith("epoch 1/2"))
    assert "| metric | lightgcn (attention) | ease | popularity |" in (tmp_path / "run/README.md").read_text()


def test_nothing_quick_where_it_is_not_wanted(capsys, data: Path) -> None:
    for words in ((*EPOCHS, "--no-baseline"), ("--model", "svd", "--dim", "8"), ("--model", "ease")):
        out, err = run(capsys, "train", data, *words, "--json")
        assert [name for name in json.loads(out) if name.startswith("baseline")] == [
            "baseline_popularity",
            "baseline_popularity_warm",
        ]
        assert "now " not in err


def test_what_is_quick_is_told_from_the_size(monkeypatch) -> None:
    train = test = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    assert isinstance(baselines.quick_model(train, test), EASE)
    monkeypatch.setattr(baselines, "EASE_ITEMS", 29)
    assert isinstance(baselines.quick_model(train, test), ItemKNN)
    pairs = sum(count**2 for count in train.indptr[1:] - train.indptr[:-1])
    monkeypatch.setattr(baselines, "KNN_PAIRS", pairs)
    assert isinstance(baselines.quick_model(train, test), ItemKNN)
    monkeypatch.setattr(baselines, "KNN_PAIRS", pairs - 1)
    assert baselines.quick_model(train, test) is None
    monkeypatch.undo()
    monkeypatch.setattr(baselines, "SCORES", 40 * 30 - 1)
    assert baselines.quick_model(train, test) is None


# Time.


@pytest.mark.parametrize(
    ("seconds", "words", "line"),
    [
        (400.0, (), "lightgcn (attention) takes about 7 minutes, 2 epochs"),
        (
            40.0,
            ("--validation", "0.2", "--patience", "1"),
            "lightgcn (attention) takes at most about 40 seconds, 2 epochs",
        ),
        (9.0, (), None),
        (None, (), None),
    ],
)
def test_the_time_is_told_beforehand(capsys, monkeypatch, data: Path, seconds, words, line) -> None:
    monkeypatch.setattr(LightGCN, "training_seconds", lambda *_, **__: seconds)
    lines = run(capsys, "train", data, *EPOCHS, *words)[1].splitlines()
    told = [at for at, text in enumerate(lines) if " takes " in text]
    assert [lines[at] for at in told] == ([] if line is None else [line])
    assert all(at < min(i for i, text in enumerate(lines) if text.startswith("epoch")) for at in told)


def test_a_quiet_run_is_not_timed_beforehand(capsys, monkeypatch, data: Path) -> None:
    monkeypatch.setattr(fitting, "in_words", lambda _: pytest.fail("it was told"))
    monkeypatch.setattr(LightGCN, "training_seconds", lambda *_, **__: 1e6)
    run(capsys, "train", data, *EPOCHS, "--quiet")


class Clock:
    """Tells times that tests set."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def shown(capsys, monkeypatch, model: LightGCN, seconds_an_epoch: float, done: int = 0) -> list[str]:
    """The lines of a run whose epochs take that long."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    stopping = model.stopping or EarlyStopping()
    report = EpochProgress(
        model.epochs, done, stopping.patience is not None, partial(chosen_by, stopping=stopping)
    )
    for epoch in range(done + 1, model.epochs + 1):
        clock.now += seconds_an_epoch
        report(model, {"epoch": epoch, "loss": 0.5, "seconds": seconds_an_epoch, "validation_ndcg@20": 0.25})
    return capsys.readouterr().err.splitlines()


def test_lines_say_what_is_left(capsys, monkeypatch) -> None:
    lines = shown(capsys, monkeypatch, LightGCN(epochs=4), 60.0)
    assert lines == [
        "epoch 1/4  loss 0.5000  validation ndcg@20 0.2500  60.00 s, 3 minutes left",
        "epoch 2/4  loss 0.5000  validation ndcg@20 0.2500  60.00 s, 2 minutes left",
        "epoch 3/4  loss 0.5000  validation ndcg@20 0.2500  60.00 s, 60 seconds left",
        "epoch 4/4  loss 0.5000  validation ndcg@20 0.2500  60.00 s",
    ]
    stopping = EarlyStopping(share=0.1, patience=2)
    (_, second, _) = shown(capsys, monkeypatch, LightGCN(epochs=5, stopping=stopping), 120.0, done=2)
    assert second == "epoch 4/5  loss 0.5000  validation ndcg@20 0.2500  120.00 s, at most 2 minutes left"


def test_of_many_epochs_some_have_a_line(capsys, monkeypatch) -> None:
    lines = shown(capsys, monkeypatch, LightGCN(epochs=300), 1.0)
    assert [int(re.match(r"epoch (\d+)/", line)[1]) for line in lines] == [1, *range(11, 300, 10), 300]
    assert lines[1].endswith("1.00 s, 5 minutes left")


# Quiet.


def test_a_quiet_command_prints_its_result_alone(capsys, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    out, err = run(capsys, "train", data, *EPOCHS, "--out", folder, "--quiet")
    assert err == ""
    assert out.startswith("metric")
    for words in (("evaluate", folder, "--k", "5"), ("recommend", folder, "--users", "1", "--n", "3")):
        out, err = run(capsys, *words, "--quiet")
        assert err == ""
        assert out.splitlines()[:4] == run(capsys, *words)[0].splitlines()[:4]
    pytest.importorskip("optuna")
    out, err = run(
        capsys, "tune", data, "--model", "itemknn", "--trials", "2", "--metric", "ndcg@5", "--quiet"
    )
    assert (out.split()[0], err) == ("trial", "")
    assert "holds a run" in refuse(capsys, "train", data, *EPOCHS, "--out", folder, "--quiet")
    assert run(capsys, "train", data, *EPOCHS)[1] != ""


# Folders.


@pytest.mark.parametrize(
    "words",
    [
        ("train", "none.csv", "--model", "ease"),
        ("train", "log.csv", "--model", "ease", "--k", "5000"),
        ("train", "log.csv", "--min-rating", "4"),
        ("train", "log.csv", *EPOCHS[:-2], "--k", "5", "--device", "cuda"),
    ],
)
def test_a_refused_run_leaves_no_folder(capsys, data: Path, tmp_path: Path, monkeypatch, words) -> None:
    monkeypatch.chdir(tmp_path)
    if torch.cuda.is_available() and "cuda" in words:
        pytest.skip("there is a device")
    places = ("--out", "new/run", "--report", "reports/one.html", "--track", "tensorboard:events")
    refuse(capsys, *words, *places)
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_a_run_that_fails_leaves_no_folder(capsys, data: Path, tmp_path: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise DataError("there is nothing to learn")

    monkeypatch.setattr(EASE, "fit", fail)
    words = (
        "--model",
        "ease",
        "--k",
        "5",
        "--out",
        tmp_path / "new" / "run",
        "--report",
        tmp_path / "deep" / "r.html",
    )
    assert refuse(capsys, "train", data, *words) == "there is nothing to learn"
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_a_refused_list_leaves_no_folder(capsys, data: Path, tmp_path: Path) -> None:
    run(capsys, "train", data, *EPOCHS, "--out", tmp_path / "run")
    before = sorted(tmp_path.iterdir())
    lists = tmp_path / "new" / "deep" / "lists.csv"
    refuse(capsys, "recommend", tmp_path / "run", "--users", "1", "--n", "5000", "--out", lists)
    run(capsys, "train", data, "--model", "ease", "--k", "5", "--out", tmp_path / "ease")
    refuse(capsys, "export", tmp_path / "ease", "--to", tmp_path / "vectors" / "new")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "ease"])
