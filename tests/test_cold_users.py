"""Users and items without a training interaction, as the commands and what they write tell of them."""

import json
import re
import warnings
from pathlib import Path

import pytest
from command_line import refuse, run

from pyrec.cli.run_folder import read_metrics

ROWS = [  # in the order of time; of ten the first eight are trained on
    *("a,p", "a,q", "b,p", "b,r", "c,q", "c,p", "d,r", "d,p"),
    *("a,r", "n,s"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log whose split by time leaves one test user with a history, and one without who has an item nobody had."""
    path = tmp_path / "log.csv"
    lines = [f"{row},{at}" for at, row in enumerate(ROWS)]
    path.write_text("\n".join(["user,item,time", *lines]) + "\n")
    return path


@pytest.fixture
def runs(capsys, log: Path, tmp_path: Path) -> list[Path]:
    """Two runs on the log."""
    folders = [tmp_path / name for name in ("popularity", "itemknn")]
    for folder in folders:
        run(capsys, "train", log, "--split", "time", "--model", folder.name, "--k", "1", "--out", folder)
    return folders


def test_train_tells_of_cold_users_and_gives_both_means(capsys, log: Path, tmp_path: Path) -> None:
    words = ("train", log, "--split", "time", "--model", "popularity", "--k", "1", "--out", tmp_path / "run")
    out, err = run(capsys, *words)
    assert "note: 1 of 2 test users are cold" in err
    assert "note: 1 of 2 test interactions are with 1 cold items" in err
    header, _, recall = (line.split() for line in out.splitlines()[:3])
    assert header == ["metric", "popularity", "popularity,", "warm"]
    assert recall == ["recall@1", "0.5000", "1.0000"]  # a's list is r, n's is p
    counts = "2 test users, 1 of them cold, 1 of 2 test items cold"
    assert f"{counts}; warm: over the users with training interactions alone, 1" in out
    kept = read_metrics(tmp_path / "run")
    assert (kept["recall@1"], kept["warm"]["recall@1"]) == (0.5, 1.0)
    assert (kept["num_test_users"], kept["num_cold_users"]) == (2, 1)
    assert (kept["num_cold_items"], kept["num_cold_interactions"], kept["num_seen_interactions"]) == (1, 1, 0)
    assert kept["baseline_popularity_warm"]["recall@1"] == 1.0
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| recall@1 | 0.5000 | 1.0000 |" in card
    assert "1 of 2 test users are cold" in card
    printed = json.loads(run(capsys, "evaluate", tmp_path / "run", "--k", "1", "--json")[0])
    counts = [name for name in kept if name.startswith("num_") and name in printed]
    assert {"num_cold_users", "num_short_lists"} <= set(counts)
    for name in ("recall@1", "warm", *counts):
        assert printed[name] == kept[name]


def test_a_split_that_leaves_nobody_cold_has_one_column(capsys, log: Path) -> None:
    out, err = run(capsys, "train", log, "--split", "0.5", "--model", "popularity", "--k", "1")
    assert "warm" not in out
    assert "test users are cold" not in err


def test_if_all_test_users_are_cold_json_has_no_mean_over_none(capsys, log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text().replace("a,r,8", "m,r,8"))
    words = ("train", log, "--split", "time", "--model", "popularity", "--k", "1")
    found = json.loads(run(capsys, *words, "--json")[0])
    assert found["warm"] is None
    assert found["num_cold_users"] == 2
    out, err = run(capsys, *words)
    assert "2 of 2 test users are cold" in err
    assert "warm" not in out


def test_two_runs_are_compared_over_all_users_and_over_the_warm_ones(capsys, runs: list[Path]) -> None:
    words = ("evaluate", "--compare", *runs, "--k", "1", "--metrics", "recall,coverage")
    out, _ = run(capsys, *words)
    recalls = [line.split()[1:3] for line in out.splitlines() if line.startswith("recall@1")]
    assert recalls == [["0.5000", "0.5000"], ["1.0000", "1.0000"]]
    assert "over the 1 users with training interactions of both runs" in out
    assert "above over all 2 test users, below over the 1 warm ones" in out
    found = json.loads(run(capsys, *words, "--json")[0])
    assert (found["num_users"], found["num_warm_users"]) == (2, 1)
    assert found["metrics"]["recall@1"]["num_users"] == 2
    assert found["warm"]["recall@1"]["num_users"] == 1
    assert found["warm"]["recall@1"]["first"] == 1.0


def test_a_report_has_both_means_and_says_who_is_cold(capsys, runs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    run(capsys, "evaluate", runs[1], "--k", "1", "--report", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "1 of 2 test users are cold" in page
    assert "1 items recommended, all 2 test users" in page
    assert "1 items recommended, the 1 warm users" in page
    assert "Nothing: a cold user." in page


def test_a_run_folder_from_before_there_were_two_means_is_read(capsys, runs: list[Path]) -> None:
    path = runs[0] / "metrics.json"
    old = {name: value for name, value in json.loads(path.read_text()).items() if "cold" not in name}
    for name in ("warm", "baseline_popularity_warm", "num_short_lists", "num_seen_interactions"):
        del old[name]
    path.write_text(json.dumps(old))
    out, _ = run(capsys, "evaluate", runs[0], "--k", "1")
    assert "popularity, warm" in out


def test_an_export_tells_both_means(capsys, runs: list[Path], tmp_path: Path) -> None:
    run(capsys, "export", runs[0], "--to", tmp_path / "vectors")
    card = (tmp_path / "vectors" / "README.md").read_text()
    assert "means over all test users and, warm, over those with training interactions" in card
    assert "- recall@1: 0.5000" in card
    assert "- recall@1, warm: 1.0000" in card


# What is measured on


def test_a_test_file_alone_is_measured_on_as_a_whole(
    capsys, log: Path, runs: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "more.csv"
    path.write_text("user,item\na,r\nb,q\nc,r\nd,q\n")
    found = json.loads(run(capsys, "evaluate", runs[0], "--test", path, "--k", "1", "--json")[0])
    assert found["num_test_users"] == 4
    assert found["recall@1"] == 1.0  # p, q, r by popularity, and each has had two of them
    path.write_text("user,item\na,r\na,s\nb,q\nb,s\n")
    _, err = run(capsys, "evaluate", runs[0], path, "--split", "0.5", "--k", "1")
    measured = re.search(
        r"note: more is split, and ([12]) of its 4 interactions are measured on; --test (.*) meas", err
    )
    assert measured is not None
    assert measured[2] == str(path)
    assert "nothing is split" in refuse(capsys, "evaluate", runs[0], "--test", path, "--split", "0.5")
    assert "note: log is split" not in run(capsys, "evaluate", runs[0], "--k", "1")[1]


def test_what_a_model_does_not_know_is_counted_and_can_be_left_out(
    capsys, runs: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "more.csv"
    path.write_text("user,item\na,r\nb,new\nx,p\ny,q\nc,r\n")
    words = ("evaluate", runs[0], "--test", path, "--k", "1")
    told = "3 of 5 test interactions are with 2 users ('x', 'y') or 1 items ('new') that"
    assert f"{told} {runs[0]} does not know; leave them out with --unknown skip" in refuse(capsys, *words)
    out, err = run(capsys, *words, "--unknown", "skip", "--json")
    assert json.loads(out)["num_test_users"] == 2
    assert f"note: {told}" in err
    path.write_text("user,item\nx,p\n")
    message = refuse(capsys, *words, "--unknown", "skip")
    assert (
        "none is left; its users are 'a', 'b', 'c', ..., its items 'p', 'q', 'r', ...: name data with"
        in message
    )


def test_two_runs_are_compared_on_what_both_know_and_neither_had_in_training(
    capsys, runs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_text("user,item\na,p\nb,q\nc,r\na,s\n")
    pair = ("--train", tmp_path / "train.csv", "--test", tmp_path / "train.csv")
    run(capsys, "train", *pair, "--model", "popularity", "--k", "1", "--out", tmp_path / "other")
    (tmp_path / "test.csv").write_text("user,item\na,r\nb,r\nc,r\nd,q\n")  # d is unknown to the other run
    words = (
        "evaluate",
        "--compare",
        runs[0],
        tmp_path / "other",
        "--test",
        tmp_path / "test.csv",
        "--k",
        "1",
    )
    message = refuse(capsys, *words)
    assert "1 of 4 test interactions are with 1 users ('d') that" in message
    out, err = run(capsys, *words, "--unknown", "skip", "--json")
    assert json.loads(out)["num_users"] == 1
    told = (
        f"note: of 3 test interactions {runs[0]} had 1 and {tmp_path / 'other'} had 1 in training; left out"
    )
    assert told in err
    (tmp_path / "test.csv").write_text("user,item\nc,r\n")
    assert "in training, and none is left to measure on; name others" in refuse(capsys, *words)


def test_curves_of_a_run_by_epochs_have_both_means(capsys, log: Path, tmp_path: Path) -> None:
    model = ("--model", "lightgcn", "--dim", "4", "--epochs", "2", "--k", "1", "--eval-every", "1")
    _, err = run(capsys, "train", log, "--split", "time", *model, "--out", tmp_path / "run")
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    metrics = read_metrics(tmp_path / "run")
    assert history[-1]["test_recall@1"] == metrics["recall@1"]
    assert history[-1]["test_warm_recall@1"] == metrics["warm"]["recall@1"]
    assert "test" not in [line for line in err.splitlines() if line.startswith("epoch")][-1]
    _, err = run(capsys, "train", log, "--split", "0.5", *model, "--out", tmp_path / "other")
    assert "warm" not in (tmp_path / "other" / "history.jsonl").read_text() + err


def test_cold_users_get_popular_items_unless_there_is_no_fallback(capsys, log: Path, tmp_path: Path) -> None:
    model = ("--model", "ease", "--reg", "1", "--k", "1")
    words = ("train", log, "--split", "time", *model, "--out", tmp_path / "run")
    _, err = run(capsys, *words)
    assert (
        "note: the lists of 1 cold users are the popular items; with fallback 'none' the model ranks" in err
    )
    assert read_metrics(tmp_path / "run")["num_fallback_lists"] == 1
    for command in (words, ("evaluate", tmp_path / "run", "--k", "1")):
        again = ("--replace",) if command is words else ()
        _, err = run(capsys, *command, "--fallback", "none", *again)
        assert "popular items" not in err
        assert "note: 1 of 2 test users are cold" in err
    assert (
        json.loads(run(capsys, "evaluate", tmp_path / "run", "--k", "1", "--json")[0])["num_fallback_lists"]
        == 1
    )
    assert read_metrics(tmp_path / "run")["num_fallback_lists"] == 0  # of the second training
    ask = ("recommend", tmp_path / "run", "--users", "n", "--n", "1", "--format", "csv")
    out, err = run(capsys, *ask)
    assert out.splitlines()[1].startswith("n,1,p,4")  # four users had it
    assert "note: 1 of 1 users have no history to go by and get popular items" in err
    _, err = run(capsys, *ask, "--fallback", "none")
    assert "their lists follow no history" in err
    assert "is not one of 'popularity', 'none'" in refuse(capsys, *ask, "--fallback", "ease")


def test_a_comparison_goes_by_the_fallback(capsys, log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text().replace(",p,", ",z,"))  # the most popular one is no longer the first
    runs = [tmp_path / name for name in ("popularity", "itemknn")]
    for folder in runs:
        run(capsys, "train", log, "--split", "time", "--model", folder.name, "--k", "1", "--out", folder)
    words = ("evaluate", "--compare", *runs, "--k", "1", "--metrics", "popularity", "--json")
    with_it, without = (
        json.loads(run(capsys, *words, *more)[0])["metrics"]["popularity@1"]["second"]
        for more in ((), ("--fallback", "none"))
    )
    assert (with_it, without) == ((2 + 4) / 2, (2 + 2) / 2)  # a gets r, n gets z or the first


def test_the_command_line_tells_of_seen_pairs_in_a_note_and_warns_not(
    capsys, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "test.csv").write_text("user,item\na,p\nb,q\nc,q\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words = ("train", "--train", log, "--test", tmp_path / "test.csv", "--model", "itemknn", "--k", "1")
        _, err = run(capsys, *words)
    assert "note: 2 of 3 test interactions are in the training set too and count as never found" in err
    assert not caught
    assert "Warning" not in err
