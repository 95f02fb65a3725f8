"""The command line: what it prints, what it writes, and how it refuses."""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import children
import numpy as np
import pytest
import torch
from command_line import refuse, run

from pyrec import _core
from pyrec.cli import main, run_folder
from pyrec.cli.doctor import _report
from pyrec.cli.self_test import SELF_TESTS, TOLERANCE
from pyrec.cli.sources import Source
from pyrec.data import read_interactions, split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import DataError
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EASE, MODELS, Recommender
from pyrec.ops import propagate
from pyrec.store import saved_model
from pyrec.train.augment import Contrast, ExtraEdges

EPOCHS = ("--model", "lightgcn", "--dim", "8", "--epochs", "3", "--batch-size", "256")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of LightGCN's text files with a small generated graph."""
    folder = tmp_path / "small"
    folder.mkdir()
    interactions = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    lines: dict[str, list[str]] = {"train.txt": [], "test.txt": []}
    for user in range(40):
        items = interactions.items[interactions.users == user].tolist()
        cut = max(1, len(items) * 3 // 4)
        for name, part in (("train.txt", items[:cut]), ("test.txt", items[cut:])):
            if part:
                lines[name].append(" ".join(map(str, [user, *part])))
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def run_dir(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The run folder of an EASE model, with integer ids."""
    assert main(["train", str(data), "--model", "ease", "--reg", "5", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


# The program


def test_help_lists_the_commands(capsys) -> None:
    for arguments in ([], ["--help"]):
        out, _ = run(capsys, *arguments)
        for command in ("train", "tune", "evaluate", "recommend", "data", "doctor"):
            assert command in out


@pytest.mark.parametrize(
    "command", ["train", "tune", "evaluate", "recommend", "doctor", "data stats", "data get", "data list"]
)
def test_every_command_has_help(capsys, command: str) -> None:
    out, _ = run(capsys, *command.split(), "--help")
    assert "Usage: pyrec" in out


def test_the_program_runs_as_a_process() -> None:
    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        return children.run("-W", "error", "-m", "pyrec.cli", *arguments)

    done = process("train", "--model", "svd", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_test_users"] > 0
    failed = process("train", "nothing-here.csv")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("pyrec: error: ")


def test_the_program_survives_a_closed_pipe(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m pyrec.cli data list | true",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=children.environment(),
        check=False,
    )
    assert "Traceback" not in done.stderr


# train


@pytest.mark.parametrize("model", [name for name, kind in MODELS.items() if kind.uniform != "needed"])
def test_train_prints_the_model_beside_popularity(capsys, data: Path, model: str) -> None:
    epochs = ["--epochs", "1"] if model in ("lightgcn", "mf") else []
    small = ["--dim", "8"] if model in ("lightgcn", "mf", "svd") else []
    out, err = run(capsys, "train", data, "--model", model, *epochs, *small, "--k", "5,10")
    header, *rows = out.splitlines()
    assert header.split()[0] == "metric"
    assert header.split()[-1] == "popularity"
    assert {row.split()[0] for row in rows[:20]} >= {"precision@5", "recall@10", "ndcg@10", "coverage@5"}
    assert "test users" in rows[-1]
    assert "small: 40 users x " in err
    assert "nothing kept; --out RUN_DIR" in err


def test_train_without_data_uses_the_built_in_set(capsys) -> None:
    out, err = run(capsys, "train", "--model", "itemknn", "--json")
    metrics = json.loads(out)
    assert metrics["recall@20"] > 1.5 * metrics["baseline_popularity"]["recall@20"]
    assert err.startswith("synthetic: ")


def test_train_prints_json_and_nothing_else(capsys, data: Path) -> None:
    out, _ = run(capsys, "train", data, "--model", "ease", "--k", "7", "--json")
    metrics = json.loads(out)
    assert metrics.keys() >= {
        "precision@7",
        "recall@7",
        "ndcg@7",
        "seconds_train",
        "seconds_evaluate",
        "num_test_users",
    }
    assert metrics["num_epochs"] == 0
    assert metrics["num_users"] == 40


def test_augmentation_is_kept_with_the_run(capsys, data: Path, tmp_path: Path) -> None:
    contrast = ("--contrast", "edges", "--contrast-rate", "0.2", "--contrast-weight", "0.3")
    options = (*contrast, "--contrast-temperature", "0.1", "--extra-edges", "0.05", "--k", "5")
    run(capsys, "train", data, *EPOCHS, *options, "--out", tmp_path / "run")
    params = saved_model.read_config(tmp_path / "run")["params"]
    assert params["augment"] == [
        {"is": "contrast", "views": "edges", "weight": 0.3, "temperature": 0.1, "rate": 0.2},
        {"is": "extra-edges", "number": 0.05},
    ]
    model = Recommender.load(tmp_path / "run")
    assert model.augment == (Contrast("edges", 0.3, 0.1, 0.2), ExtraEdges(0.05))


def test_train_by_epochs_keeps_a_whole_run(capsys, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    options = ("--combine", "attention", "--k", "5", "--eval-every", "1", "--out", folder, "--json")
    out, err = run(capsys, "train", data, *EPOCHS, *options)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "curves.png",
        "history.jsonl",
        "layer_weights.png",
        "metrics.json",
        "model.safetensors",
    ]
    assert (folder / "metrics.json").read_text() == out
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert all(record.keys() >= {"loss", "seconds", "test_recall@5"} for record in history)
    assert json.loads(out)["recall@5"] == history[-1]["test_recall@5"]
    assert json.loads(out)["num_epochs"] == 3
    assert [line.split()[1] for line in err.splitlines() if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    card = (folder / "README.md").read_text()
    assert card.startswith("# lightgcn (attention) on small\n")
    header = run(capsys, "evaluate", folder, "--k", "5")[0].splitlines()[0]
    assert header.split(maxsplit=1) == ["metric", "lightgcn (attention)"]
    for text in ("`embedding_size`", "recall@5", "layer_weights.png", "LightGCN.load"):
        assert text in card
    config = saved_model.read_config(folder)
    assert config["run"]["data"]["data"] == str(data)
    assert config["params"]["combine"] == "attention"
    assert config["params"]["stopping"] is None


@pytest.mark.parametrize(("every", "epochs"), [(0, []), (2, [2, 3]), (5, [3])])
def test_train_records_test_metrics_every_few_epochs(
    capsys, data: Path, tmp_path: Path, every, epochs
) -> None:
    folder = tmp_path / "run"
    run(capsys, "train", data, *EPOCHS, "--k", "5", "--eval-every", every, "--out", folder)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history if "test_ndcg@5" in record] == epochs


def test_a_new_run_replaces_the_old_one_whole(capsys, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(capsys, "train", data, *EPOCHS, "--k", "5", "--out", folder)
    run(capsys, "train", data, "--model", "ease", "--out", folder, "--replace")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]
    assert isinstance(Recommender.load(folder), EASE)


def test_train_without_matplotlib_says_so_and_goes_on(
    capsys, data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(run_folder.plots, "available", lambda: False)
    _, err = run(capsys, "train", data, *EPOCHS, "--k", "5", "--out", tmp_path / "run")
    assert err.count("pip install '.[plots]'") == 1
    assert not (tmp_path / "run" / "curves.png").exists()
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_train_takes_two_files_and_a_rating_bound(capsys, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("a.tsv", 400), ("b.tsv", 100)):
        rows = rng.integers([0, 0, 1], [30, 25, 6], size=(count, 3)).tolist()
        lines = (f"{user}\t{item}\t{rating}\t0\n" for user, item, rating in rows)
        (tmp_path / name).write_text("".join(lines))
    arguments = ("train", "--train", tmp_path / "a.tsv", "--test", tmp_path / "b.tsv", "--min-rating", 4)
    out, err = run(capsys, *arguments, "--model", "popularity", "--json", "--k", 5)
    assert json.loads(out)["num_train"] < 200
    assert "a: " in err
    assert "test interactions are in the training set too" in err


def test_threads_are_set(capsys, data: Path, threads) -> None:
    run(capsys, "train", data, "--model", "popularity", "--threads", "1")
    assert torch.get_num_threads() == 1
    threads(2)


# evaluate


def test_evaluate_repeats_what_train_reported(capsys, run_dir: Path) -> None:
    out, _ = run(capsys, "evaluate", run_dir, "--k", "20", "--json")
    reported = json.loads((run_dir / "metrics.json").read_text())
    found = json.loads(out)
    for name in ("precision@20", "recall@20", "ndcg@20", "gini@20", "num_test_users"):
        assert found[name] == reported[name]
    assert "seconds_evaluate" in found


def test_evaluate_prints_the_metrics_named(capsys, run_dir: Path, data: Path) -> None:
    out, _ = run(capsys, "evaluate", run_dir, data, "--k", "3,5", "--metrics", "recall, gini")
    assert [line.split()[0] for line in out.splitlines()[:5]] == [
        "metric",
        "recall@3",
        "gini@3",
        "recall@5",
        "gini@5",
    ]


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """A file of ratings."""
    interactions = synthetic(40, 30, interactions_per_user=12, num_groups=4)
    pairs = zip(interactions.users.tolist(), interactions.items.tolist(), strict=True)
    lines = [f"{user},{item},{1 + (user + 3 * item) % 5}" for user, item in pairs]
    path = tmp_path / "rated.csv"
    path.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    return path


def test_evaluate_notices_that_the_data_have_changed(capsys, rated: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        run(capsys, "train", rated, "--model", "popularity", "--k", "5", "--out", folder)
    before, _ = run(capsys, "evaluate", one, "--k", "5", "--json")
    lines = rated.read_text().splitlines()
    rated.write_text("\n".join(lines[:-40]) + "\n")
    for words in (("evaluate", one), ("evaluate", "--compare", one, other)):
        message = refuse(capsys, *words, "--k", "5")
        assert f"the data of {one} are not those that it was trained on" in message
    assert "test interactions" in run(capsys, "evaluate", one, rated, "--k", "5")[1]
    rated.write_text("\n".join(lines) + "\n")
    again, _ = run(capsys, "evaluate", one, "--k", "5", "--json")
    assert json.loads(again)["ndcg@5"] == json.loads(before)["ndcg@5"]


def test_evaluate_reads_named_data_as_the_run_did(capsys, rated: Path, tmp_path: Path) -> None:
    options = ("--min-rating", "3", "--split", "0.7", "--split-seed", "4")
    run(capsys, "train", rated, *options, "--model", "popularity", "--k", "5", "--out", tmp_path / "run")
    own, named, all_ratings = (
        json.loads(run(capsys, "evaluate", tmp_path / "run", *words, "--k", "5", "--json")[0])
        for words in ((), (rated,), (rated, "--min-rating", "1"))
    )
    assert own["recall@5"] == named["recall@5"] != all_ratings["recall@5"]


def test_a_split_is_taken_over_as_a_whole(capsys, rated: Path, tmp_path: Path) -> None:
    words = ("--split-seed", "5", "--model", "popularity", "--k", "5", "--out", tmp_path / "run")
    run(capsys, "train", rated, *words)
    timed = tmp_path / "timed.csv"
    rows = (f"{row},{at}\n" for at, row in enumerate(rated.read_text().splitlines()[1:]))
    timed.write_text("".join(["user,item,rating,time\n", *rows]))
    _, err = run(capsys, "evaluate", tmp_path / "run", timed, "--split", "time", "--k", "5")
    assert "timed: " in err
    other = Source(data=str(rated), split="time")
    assert Source(data=str(rated)).or_as(other) == other
    seeded = Source(data=str(rated), split_seed=3)
    assert seeded.or_as(other) == seeded


def test_what_means_nothing_to_other_data_is_not_taken_over(
    capsys, rated: Path, data: Path, tmp_path: Path
) -> None:
    pa, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    pairs = [row.split(",")[:2] for row in rated.read_text().splitlines()[1:]]
    bare, table = tmp_path / "bare.csv", tmp_path / "bare.parquet"
    bare.write_text("".join(f"{user},{item}\n" for user, item in pairs))
    ids = {name: [int(pair[at]) for pair in pairs] for at, name in enumerate(("user", "item"))}
    parquet.write_table(pa.table(ids), table)
    words = ("--min-rating", "1", "--columns", "user=1,item=2", "--id-type", "int")
    run(capsys, "train", rated, *words, "--model", "popularity", "--k", "5", "--out", tmp_path / "run")
    for other in (data, data / "train.txt", bare, table):
        found, _ = run(capsys, "evaluate", tmp_path / "run", other, "--k", "5", "--json")
        assert json.loads(found)["num_test_users"] > 0
    told = Source(min_rating=1, columns={"user": 1, "item": 2}, id_type="int")
    assert Source(data=str(data)).or_as(told) == Source(data=str(data))
    assert Source(data=str(bare)).or_as(told) == replace(told, data=str(bare), min_rating=None)
    assert Source(data=str(table)).or_as(told) == Source(data=str(table), columns=told.columns)
    assert Source(data=str(rated)).or_as(told) == replace(told, data=str(rated))
    pair = {"train": str(rated), "test": str(data / "test.txt")}
    assert Source(**pair).or_as(told) == Source(**pair)
    assert "no ratings" in refuse(capsys, "evaluate", tmp_path / "run", bare, "--min-rating", "3")
    assert "does not exist" in refuse(capsys, "evaluate", tmp_path / "run", tmp_path / "none.csv")


def test_columns_are_chosen_and_kept_with_the_run(capsys, rated: Path, tmp_path: Path) -> None:
    rows = rated.read_text().splitlines()[1:]
    other = tmp_path / "other.csv"
    other.write_text(
        "\n".join(["row,cust,prod,stars", *(f"{at},{row}" for at, row in enumerate(rows))]) + "\n"
    )
    assert "'x' is no list such as user=customer" in refuse(capsys, "train", other, "--columns", "x")
    assert "choose them: columns={'user': 'row'" in refuse(capsys, "data", "stats", other)
    run(capsys, "train", rated, "--model", "popularity", "--k", "5", "--out", tmp_path / "one")
    chosen = ("--columns", "user=cust,item=3,rating=stars")
    run(capsys, "train", other, *chosen, "--model", "popularity", "--k", "5", "--out", tmp_path / "two")
    one, two = (
        json.loads(run(capsys, "evaluate", tmp_path / name, "--k", "5", "--json")[0])["ndcg@5"]
        for name in ("one", "two")
    )
    assert one == two
    assert "columns names 'cust'; the roles are" in refuse(capsys, "train", other, "--columns", "cust=user")


def test_cut_offs_that_nobody_asked_for_fit_the_items(capsys, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    pairs = [(user, (user + step) % 5) for user in range(30) for step in range(3)]
    few.write_text("".join(f"u{user},i{item}\n" for user, item in pairs))
    folder = tmp_path / "run"
    out, _ = run(capsys, "train", few, "--model", "lightgcn", "--epochs", "1", "--out", folder)
    assert "recall@5" in out
    assert "recall@5" in run(capsys, "evaluate", folder)[0]
    assert (
        len(run(capsys, "recommend", folder, "--users", "u3", "--include-seen", "--format", "csv")[0].split())
        == 6
    )
    assert "k = 20 must be at most 5" in refuse(capsys, "train", few, "--model", "ease", "--k", "20")
    assert "n = 10 must be at most 5" in refuse(capsys, "recommend", folder, "--users", "u3", "--n", "10")


def test_a_run_is_replaced_if_asked_to_alone(capsys, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("train", data, *EPOCHS, "--k", "5", "--validation", "0.2", "--out", folder)
    assert "will replace" not in run(capsys, *words)[1]
    before = (folder / "model.safetensors").read_bytes()
    message = refuse(capsys, *words, "--seed", "1")
    assert f"--out {folder} holds a run; put this one in its place with --replace, or name another" in message
    assert (folder / "model.safetensors").read_bytes() == before
    err = run(capsys, *words, "--seed", "1", "--replace")[1]
    assert (folder / "model.safetensors").read_bytes() != before
    assert f"--out {folder} holds a run, which this one will replace when it ends" in err
    kept = json.loads((folder / "metrics.json").read_text())["best_epoch"]
    assert f"kept epoch {kept} of 3, the best by validation ndcg" in err
    assert "validation ndcg@5" in err


def test_a_run_that_was_stopped_is_told_from_none(capsys, data: Path, tmp_path: Path) -> None:
    (tmp_path / saved_model.TRAINING).touch()
    message = refuse(capsys, "evaluate", tmp_path)
    assert f"pyrec train --resume {tmp_path} goes on with the run" in message


@pytest.mark.parametrize(("option", "words"), [("--report", ()), ("--picture", ("--compare", "RUN", "RUN"))])
def test_a_folder_is_no_file_to_write(capsys, run_dir: Path, option: str, words: tuple[str, ...]) -> None:
    filled = [str(run_dir) if word == "RUN" else word for word in words] or [str(run_dir)]
    assert f"Invalid value for '{option}'" in refuse(capsys, "evaluate", *filled, option, ".")


def test_evaluate_maps_ids_of_other_data(capsys, run_dir: Path, tmp_path: Path, data: Path) -> None:
    """Other data number their users anew; the raw ids are what counts."""
    part = tmp_path / "part"
    part.mkdir()
    for name in ("train.txt", "test.txt"):
        rows = (data / name).read_text().splitlines()
        (part / name).write_text("\n".join(row for row in rows if int(row.split()[0]) >= 20) + "\n")
    out, _ = run(capsys, "evaluate", run_dir, part, "--k", "5", "--json")
    assert json.loads(out)["num_test_users"] <= 20
    assert json.loads(out)["recall@5"] > 0


@pytest.fixture
def other_run(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], run_dir: Path) -> Path:
    """The run folder of a model of popularity on the same data as ``run_dir``."""
    assert main(["train", str(data), "--model", "popularity", "--out", str(tmp_path / "other")]) == 0
    capsys.readouterr()
    return tmp_path / "other"


def test_evaluate_compares_two_runs(
    capsys, run_dir: Path, other_run: Path, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("evaluate", "--compare", other_run, run_dir, "--k", "5", "--metrics", "recall,gini")
    out, err = run(capsys, *arguments, "--picture", tmp_path / "gain.png")
    header, recall, gini = (line.split() for line in out.splitlines()[:3])
    assert header == ["metric", "other", "run", "difference", "relative", "p,", "t-test", "p,", "Wilcoxon"]
    means = [
        json.loads(run(capsys, "evaluate", folder, "--k", "5", "--json")[0])["recall@5"]
        for folder in (other_run, run_dir)
    ]
    assert recall[:4] == ["recall@5", *(f"{mean:.4f}" for mean in means), f"{means[1] - means[0]:+.4f}"]
    assert len(gini) == 5
    assert (tmp_path / "gain.png").stat().st_size > 10_000
    assert "gain.png" in err
    named, _ = run(capsys, *arguments, data, "--json")
    found = json.loads(named)
    assert found["metrics"]["recall@5"]["second"] == pytest.approx(means[1])
    assert found["metrics"]["gini@5"]["p_t"] is None
    assert found["num_users"] > 0


def test_runs_on_different_data_are_compared_on_data_that_are_named(
    capsys, run_dir: Path, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    pair = ("--train", data / "train.txt", "--test", data / "test.txt")
    run(capsys, "train", *pair, "--model", "popularity", "--k", "5", "--out", other)
    message = refuse(capsys, "evaluate", "--compare", other, run_dir, "--k", "5")
    assert "were trained on different data" in message
    assert run(capsys, "evaluate", "--compare", other, run_dir, data, "--k", "5")[0].startswith("metric")


def test_train_and_evaluate_write_the_same_report(capsys, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names, report = tmp_path / "names.csv", tmp_path / "report.html"
    names.write_text(
        'item,name\n0,"Nought, the <first>"\n' + "".join(f"{i},Item {i}\n" for i in range(1, 30))
    )
    words = ("--k", "5", "--item-names", names, "--users", "3,1", "--report")
    run(
        capsys,
        "train",
        data,
        *EPOCHS,
        "--eval-every",
        "1",
        *words,
        tmp_path / "first.html",
        "--out",
        tmp_path / "run",
    )
    for chosen in ((), ("--metrics", "recall")):
        out, err = run(capsys, "evaluate", tmp_path / "run", *chosen, *words, report)
        assert out.startswith("metric")
        assert str(report) in err
        assert report.read_bytes() == (tmp_path / "first.html").read_bytes()
    text = report.read_text()
    assert text.count("<img") == 8 + 2 * 2  # curves, layers, activity, items; then two of each named user
    assert text.index("User 3</h3>") < text.index("User 1</h3>")
    assert "Item 1" in text
    assert "It was trained in" in text
    (tmp_path / "run" / "history.jsonl").write_text("{")
    assert "train again" in refuse_after_output(
        capsys, "evaluate", tmp_path / "run", "--k", "5", "--report", report
    )


def test_a_report_that_cannot_be_written_is_refused_before_training(
    capsys, data: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ("--report", tmp_path / "r.html", "--out", tmp_path / "kept")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "jinja2", None)
        assert "a report needs jinja2" in refuse(capsys, "train", data, *report)
    (tmp_path / "names").write_text("9999,Toy Story\n")
    words = ("train", data, *report, "--item-names", tmp_path / "names")
    assert "names none of the" in refuse_after_output(capsys, *words)
    for command in (("train", data, *report), ("evaluate", run_dir, *report[:2])):
        assert "--users: unknown: 77" in refuse_after_output(capsys, *command, "--users", "77")
    assert "--users is for the report" in refuse(capsys, "train", data, "--users", "1")
    assert not (tmp_path / "kept").exists()


def refuse_after_output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that fails after it has printed something; its last line on stderr."""
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 Toy Story\n", r"names:1 has one column, '1 Toy Story'"),
        (b"9999,Toy Story\n", "names none of the 2. items, such as '0'"),
        (b"", "names is empty"),
        (None, "names does not exist"),
    ],
)
def test_names_that_are_none(
    capsys, run_dir: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    names = tmp_path / "names"
    if content is not None:
        names.write_bytes(content)
    report = ("--report", tmp_path / "r.html", "--item-names", names)
    assert re.search(message, refuse_after_output(capsys, "evaluate", run_dir, "--k", "5", *report))
    assert not (tmp_path / "r.html").exists()


# data and doctor


def test_data_stats_of_a_folder_and_a_file(capsys, data: Path) -> None:
    out, _ = run(capsys, "data", "stats", data)
    assert "small, training" in out
    assert "small, test" in out
    assert "density" in out
    out, _ = run(capsys, "data", "stats", data / "train.txt", "--json")
    assert next(iter(json.loads(out).values()))["num_users"] == 40


def test_data_list_names_the_sets(capsys) -> None:
    out, _ = run(capsys, "data", "list")
    assert "gowalla" in out
    assert "Usage" in run(capsys, "data")[0]


def test_data_get_prints_the_path_and_the_terms(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pyrec.cli.data.get_dataset", lambda *_: tmp_path)
    out, err = run(capsys, "data", "get", "gowalla")
    assert out == f"{tmp_path}\n"
    assert "Cite" in err


def test_doctor_reports_and_tests_the_kernels(capsys) -> None:
    out, _ = run(capsys, "doctor")
    for text in (
        "torch",
        torch.__version__,
        "instruction set",
        "caches",
        "threads",
        "OpenMP",
        "CUDA",
        "all kernels agree",
    ):
        assert text in out
    for kernel in SELF_TESTS:
        assert f"\n{kernel} " in out


KERNELS = (
    "add_rows",
    "agreement",
    "als",
    "attend",
    "attend_grad",
    "bpr",
    "candidate",
    "candidate_grad",
    "combine_attention",
    "combine_attention_grad",
    "combine_self_attention",
    "combine_self_attention_grad",
    "combine_weighted",
    "combine_weighted_grad",
    "debias",
    "decayed_counts",
    "distinct_ids",
    "drop",
    "gram",
    "impression_metrics",
    "item_counts",
    "pointwise",
    "pool",
    "pool_grad",
    "product",
    "product_grad",
    "propagate_layer",
    "ranking_metrics",
    "rows_of_nodes",
    "sample_triples",
    "take_rows",
    "topk",
    "weight_gradient",
    "xent",
    "xent_grad",
)


def test_doctor_has_a_case_of_every_kernel(monkeypatch) -> None:
    called = set()

    def counted(name: str, call):
        return lambda *arguments, **more: (called.add(name), call(*arguments, **more))[1]

    for kernel in KERNELS:
        monkeypatch.setattr(_core, kernel, counted(kernel, getattr(_core, kernel)))
    assert max(test() for test in SELF_TESTS.values()) < TOLERANCE
    assert called == set(KERNELS)


@pytest.mark.parametrize("backward", ["_backward_all_rows", "_backward_some_rows"])
def test_doctor_looks_at_gradients(monkeypatch, backward: str) -> None:
    call = getattr(propagate, backward)
    monkeypatch.setattr(propagate, backward, lambda *arguments: 1.001 * call(*arguments))
    assert SELF_TESTS["propagate"]() > TOLERANCE


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (("", "absent", []), "not built, for want of nvcc or by PYREC_CUDA=OFF"),
        (("80 86 89 90", "absent", []), "built for architectures 80 86 89 90, driver absent"),
        (("90", "13.0", []), "built for architectures 90, driver 13.0, no device"),
        (("90", "13.0", ["H100", "A100"]), "built for architectures 90, driver 13.0, H100, A100"),
    ],
)
def test_doctor_says_why_there_is_no_cuda(monkeypatch, info, expected) -> None:
    names = ("architectures", "driver", "devices")
    monkeypatch.setattr(_core, "cuda_info", lambda: dict(zip(names, info, strict=True)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert _report()["CUDA"] == f"{expected}; torch built without CUDA; device='cuda' is not available"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "; torch built for CUDA 13.0 sees no device; " in _report()["CUDA"]


def test_doctor_says_that_a_build_without_nvcc_is_beside_a_torch_with_cuda(capsys, monkeypatch) -> None:
    """On a machine with a GPU that torch sees and uses: what is wanting is pyrec's own build."""
    nothing = {"architectures": "", "driver": "absent", "devices": []}
    monkeypatch.setattr(_core, "cuda_info", lambda: nothing)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    out, _ = run(capsys, "doctor")
    (line,) = (line for line in out.splitlines() if line.startswith("CUDA "))
    assert line.split(maxsplit=1)[1] == (
        "not built, for want of nvcc or by PYREC_CUDA=OFF; torch built for CUDA 13.0 sees H100; "
        "device='cuda' is not available"
    )


def test_doctor_fails_if_a_kernel_is_wrong(capsys, monkeypatch) -> None:
    monkeypatch.setitem(SELF_TESTS, "topk", lambda: float("nan"))
    assert main(["doctor"]) == 2
    assert "wrong answers from topk" in capsys.readouterr().err


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--model", "nosuch"], "'nosuch' is not one of"),
        (["train", "--nosuch"], "--nosuch"),
        (["train", "no/such/file.csv"], "does not exist"),
        (["train", "a", "b"], "unexpected extra argument"),
        (["train", "DATA", "--train", "x", "--test", "y"], "both data and train/test"),
        (["train", "--train", "x"], "train is given without test"),
        (["train", "DATA", "--split", "half"], "neither a fraction"),
        (["train", "DATA", "--split", "0.8"], "split is 0.8, but the folder .* holds both parts"),
        (["tune", "DATA", "--split-seed", "3"], "the split's seed is 3, but the folder .* holds both parts"),
        (
            ["train", "DATA/train.txt", "--split", "time", "--split-seed", "0"],
            "a split by time draws nothing",
        ),
        (["train", "DATA", "--id-type", "str"], "holds lines .user item item .*; leave it out"),
        (["evaluate", "RUN", "--split", "0.8"], "options about the data need the data"),
        (["train", "DATA", "--k", "5,x"], "not a list of whole numbers"),
        (["train", "DATA", "--k", "0"], "k = 0 must be at least 1"),
        (["train", "DATA", "--k", "31"], r"k = 31 must be at most \d+, the number of items"),
        (
            ["train", "DATA", "--model", "ease", "--layers", "3"],
            "--layers is not for ease, which takes --reg",
        ),
        (["train", "DATA", "--model", "mf", "--contrast", "noise"], "--contrast is not for mf"),
        (
            ["train", "DATA", "--contrast", "noise", "--contrast-rate", "0"],
            "augment__rate = 0.0 must be above 0",
        ),
        (["train", "DATA", "--extra-edges", "-1"], "augment__number = -1.0 must be above 0"),
        (["train", "no/such/file.csv", "--lr", "0"], "learning_rate = 0.0 must be above 0"),
        (["train", "no/such/file.csv", "--encoder", "items"], "n_layers = 2 with encoder = 'items'"),
        (["train", "DATA", "--model", "popularity", "--reg", "3"], "which takes no such option"),
        (["train", "DATA", "--model", "ease", "--reg", "-1"], "reg = -1.0 must be above 0"),
        (["train", "DATA", "--model", "ease", "--reg", "much"], "'much' is not a valid float"),
        (["train", "DATA", "--min-rating", "3"], "no ratings"),
        (["train", "DATA", "--threads", "0"], "--threads 0 is outside 1 to"),
        (["train", "DATA", "--eval-every", "-1"], "-1 is not in the range"),
        (["train", "DATA", "--out", "DATA"], "holds files but no run"),
        (["train", "DATA", "--out", "DATA/train.txt"], "is a file; name a folder"),
        (["evaluate", "DATA"], "is .* a saved model"),
        (["evaluate", "RUN", "--metrics", "auc"], "known are precision"),
        (["evaluate", "RUN", "--min-rating", "3"], "options about the data need the data"),
        (["evaluate", "RUN", "--k", "50"], r"k = 50 must be at most \d+, the number of items"),
        (["evaluate"], "Missing argument 'RUN_DIR'"),
        (["evaluate", "RUN", "--picture", "x.png"], "--picture draws a comparison"),
        (["evaluate", "RUN", "--item-names", "x"], "--item-names is for the report"),
        (["train", "--item-names", "x"], "give --out RUN_DIR or --report FILE.html"),
        (["evaluate", "--compare", "RUN", "RUN", "--report", "x"], "--report is about one run"),
        (["evaluate", "--compare", "RUN", "RUN", "a", "b"], "a b is one word too many"),
        (["evaluate", "--compare", "RUN"], "requires 2 arguments"),
        (["evaluate", "--compare", "RUN", "DATA"], "is .* a saved model"),
        (["recommend", "RUN"], "name the users: --users ID,ID, --users-from FILE .* or --all"),
        (
            ["recommend", "RUN", "--users", "1", "--items", "2,99"],
            "--items: 1 of 2 ids unknown: 99; .*--unknown skip",
        ),
        (
            ["recommend", "RUN", "--users", "1", "--exclude", "x"],
            "--exclude: unknown: 'x'; choose among the 2\\d integer ids of this model's items",
        ),
        (["recommend", "RUN", "--users", "1 2"], "unknown: '1 2'; write ids apart by commas"),
        (["recommend", "RUN", "--users", "3;1"], "unknown: '3;1'; write ids apart by commas"),
        (["recommend", "RUN", "--users", "1,99"], "--users: 1 of 2 ids unknown: 99"),
        (["recommend", "RUN", "--users", "1,,2"], "--users: '1,,2' holds an empty id"),
        (["recommend", "RUN", "--users", "1,x"], "1 of 2 ids unknown: 'x'; choose among the 40 integer ids"),
        (["recommend", "RUN", "--users", str(2**70)], f"unknown: '{2**70}'"),
        (["recommend", "RUN", "--users", str(2**63)], f"unknown: '{2**63}'"),
        (["recommend", "RUN", "--users", "9" * 5000], "unknown: '9999"),
        (["recommend", "RUN", "--users=--5"], "unknown: '--5'"),
        (["recommend", "RUN", "--users", "²"], "unknown: '²'"),
        (["recommend", "RUN", "--users", "1_0"], "unknown: '1_0'"),
        (["recommend", "RUN", "--users=-5"], "unknown: -5"),
        (["recommend", "RUN", "--users", "1", "--n", "0"], "n = 0 must be at least 1"),
        (["recommend", "RUN", "--users", "1", "--format", "xml"], "'xml' is not one of"),
        (["data", "get", "nosuch"], "no data set is named 'nosuch'"),
        (["data", "stats", "no/such"], "does not exist"),
    ],
)
def test_refusals_are_one_line(capsys, data: Path, run_dir: Path, arguments: list[str], message: str) -> None:
    filled = [word.replace("DATA", str(data)).replace("RUN", str(run_dir)) for word in arguments]
    capsys.readouterr()
    assert re.search(message, refuse(capsys, *filled))


def test_a_run_keeps_the_split_that_holds_and_not_who_gave_it(tmp_path: Path) -> None:
    told = Source(data="log.csv", split=0.5).as_json()
    assert told == Source(data="log.csv", split=0.5, split_seed=0).as_json()
    assert (told["split"], told["split_seed"]) == (0.5, 0)
    assert Source.from_json(told, "here") == Source(data="log.csv", split=0.5)
    folder = Source(data=str(tmp_path))
    assert folder.as_json()["split"] == 0.8
    assert Source.from_json(folder.as_json(), "here") == folder


def test_a_run_whose_data_are_not_told(capsys, run_dir: Path) -> None:
    EASE().fit(synthetic()).save(run_dir)
    message = refuse(capsys, "evaluate", run_dir)
    assert f"{run_dir} does not say what it was trained on; name what to measure on: DATA, or" in message


def test_what_a_model_had_in_training_is_left_out_of_data_that_are_named(
    capsys, rated: Path, tmp_path: Path
) -> None:
    everything = read_interactions(rated)
    train, test = split_random(everything, 0.7, 3)
    model = EASE().fit(train)
    model.save(tmp_path / "run")
    expected = evaluate(model, test, 5)
    out, err = run(capsys, "evaluate", tmp_path / "run", "--test", rated, "--k", "5", "--json")
    assert json.loads(out)["ndcg@5"] == expected["ndcg@5"]
    assert json.loads(out)["num_seen_interactions"] == 0
    told = f"of {len(everything):,} test interactions {tmp_path / 'run'} had {len(train):,} in training"
    assert f"note: {told}; left out" in err
    EASE().fit(everything).save(tmp_path / "all")
    message = refuse(capsys, "evaluate", tmp_path / "all", rated, "--k", "5")
    assert "in training, and none is left to measure on; name others, DATA or --test FILE" in message


def test_a_folder_that_cannot_be_written(capsys, data: Path) -> None:
    line = refuse(capsys, "train", data, "--model", "ease", "--out", data / "train.txt" / "run")
    assert "Not a directory" in line
    with pytest.raises(DataError, match=r"cannot write .*run: Not a directory"):
        run_folder.check_folder(data / "train.txt" / "run", replace=False)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"cannot write .*: Permission denied"):
        run_folder.check_folder(tmp_path, replace=False)


@pytest.mark.parametrize("option", ["--out", "--report"])
def test_what_cannot_be_written_is_refused_before_training(
    capsys, monkeypatch, data: Path, tmp_path: Path, option: str
) -> None:
    def refuse_file(_: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse_file)
    monkeypatch.setattr(EASE, "fit", lambda *_: pytest.fail("it trained"))
    line = refuse(capsys, "train", data, "--model", "ease", option, tmp_path / "new" / "place")
    assert "cannot write" in line
    assert "Read-only file system" in line


def test_a_model_without_room_where_it_was_to_be_is_kept_elsewhere(
    capsys, monkeypatch, data: Path, tmp_path: Path
) -> None:
    def full(arrays: object, path: Path, *more: object, save=saved_model.save_arrays) -> None:
        if tmp_path / "run" in path.parents or everywhere:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(arrays, path, *more)

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(saved_model, "save_arrays", full)
    words = ("train", data, "--model", "ease", "--reg", "5", "--out", tmp_path / "run")
    everywhere = False
    line = refuse_after_output(capsys, *words)
    assert "next.safetensors: No space left on device; the trained model is in" in line
    (kept,) = (tmp_path / "elsewhere").iterdir()
    assert line.endswith(str(kept))
    assert Recommender.load(kept).reg == 5
    everywhere = True
    assert "nor could the model be kept elsewhere: cannot write" in refuse_after_output(capsys, *words)
    assert list((tmp_path / "elsewhere").iterdir()) == [kept]


def test_an_earlier_runs_file_that_cannot_be_removed(capsys, data: Path, run_dir: Path) -> None:
    (run_dir / run_folder.HISTORY).mkdir()
    line = refuse_after_output(
        capsys, "train", data, "--model", "popularity", "--k", "5", "--out", run_dir, "--replace"
    )
    assert f"cannot write {run_dir}: Is a directory" in line


def test_interruption(capsys, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrec.cli.sources.Source.load", interrupt)
    assert main(["train", "--model", "ease"]) == 130
    assert capsys.readouterr().err.strip() == "pyrec: interrupted"


def test_what_reading_decided_is_noted_once(capsys, rated: Path) -> None:
    rated.write_text(rated.read_text() + rated.read_text().splitlines()[1] + "\n")
    (told,) = json.loads(run(capsys, "data", "stats", rated, "--json")[0]).values()
    (merged,) = told["notes"]
    assert merged.startswith("1 of ")
    assert f"\nnote: {merged}\n" in run(capsys, "data", "stats", rated)[0]
    for command in ("train", "tune"):
        words = ("--model", "itemknn", *(("--trials", "1") if command == "tune" else ()))
        assert run(capsys, command, rated, *words)[1].splitlines().count(f"note: {merged}") == 1


def test_how_a_file_is_read_is_chosen_and_kept_with_the_run(capsys, rated: Path, tmp_path: Path) -> None:
    rows = [row.split(",") for row in rated.read_text().splitlines()[1:]]
    path = tmp_path / "log.txt"
    path.write_text("".join(f"{u} {i} {r} {1 + at % 28:02d}/02/2018\n" for at, (u, i, r) in enumerate(rows)))
    words = ("--sep", " ", "--no-header", "--format", "delimited", "--time-format", "%d/%m/%Y")
    run(capsys, "train", path, *words, "--split", "time", *EASE_TIMES, "--out", tmp_path / "run")
    saved = saved_model.read_config(tmp_path / "run")["run"]["data"]
    assert {name: saved[name] for name in ("sep", "header", "format", "time_format")} == {
        "sep": " ",
        "header": False,
        "format": "delimited",
        "time_format": "%d/%m/%Y",
    }
    own, named = (
        json.loads(run(capsys, "evaluate", tmp_path / "run", *words, "--k", "5", "--json")[0])
        for words in ((), (path,))
    )
    assert own["recall@5"] == named["recall@5"]
    _, err = run(
        capsys, "evaluate", tmp_path / "run", rated, "--split", "0.5", "--split-seed", "1", "--k", "5"
    )
    assert "rated: 40 users" in err


EASE_TIMES = ("--model", "ease", "--k", "5")


def test_how_lists_and_pipes_are_read_is_taken_over(rated: Path, data: Path, tmp_path: Path) -> None:
    even = tmp_path / "even.txt"
    even.write_text("".join(f"{row.replace(',', ' ')}\n" for row in rated.read_text().splitlines()[1:]))
    lists = Source(format="lists")
    assert Source(data=str(even)).or_as(lists) == replace(lists, data=str(even))
    told = Source(sep=" ", columns={"user": 1, "item": 2})
    assert Source(data=str(even)).or_as(told) == replace(told, data=str(even))
    assert Source(data=str(data / "train.txt")).or_as(told) == Source(data=str(data / "train.txt"))
    assert Source(data=str(rated)).or_as(Source(sep=" ", header=False, time_format="%d")) == Source(
        data=str(rated)
    )
    os.mkfifo(tmp_path / "pipe")  # which nobody opens to look at it
    assert Source(data=str(tmp_path / "pipe")).or_as(told) == replace(told, data=str(tmp_path / "pipe"))
    assert Source(data=str(tmp_path / "pipe")).as_json()["data"] == "-"


def test_words_of_a_source_are_its_options(capsys, rated: Path) -> None:
    source = Source(
        data=str(rated),
        columns={"user": 1, "item": 2, "rating": None},
        header=True,
        sep="\t",
        time_format="%d",
    )
    assert source.arguments() == [
        str(rated),
        *("--columns", "user=1,item=2,rating="),
        "--header",
        *("--sep", "\t"),
        *("--time-format", "%d"),
    ]
    _, err = run(capsys, "train", rated, "--columns", "rating=", "--header", *EASE_TIMES)
    assert "rated: 40 users" in err
    assert "columns['user'] is None" in refuse(capsys, "data", "stats", rated, "--columns", "user=")


def test_descriptions_of_older_runs_are_read() -> None:
    new = {"columns", "header", "sep", "format", "time_format", "everything"}
    told = {
        name: value for name, value in Source(data="log.csv", split=0.5).as_json().items() if name not in new
    }
    assert Source.from_json(told, "here") == Source(data="log.csv", split=0.5)
    assert Source.from_json(told | {"columns": {"user": 1, "item": 2}}, "here").columns == {
        "user": 1,
        "item": 2,
    }
    for broken in (told | {"more": 1}, {name: told[name] for name in told if name != "split"}):
        with pytest.raises(DataError, match="does not say what it was trained on"):
            Source.from_json(broken, "here")
