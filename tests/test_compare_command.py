"""``pyrec compare``: the table, the picture and the command that it prints, and what it refuses."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import children
import pytest
from command_line import refuse, run

from pyrec import EASE, MF, SVD, Popularity, Recommender, evaluate
from pyrec.cli import main, moving_line
from pyrec.cli.moving_line import MovingLine, in_a_line
from pyrec.data import load_data, split_random
from pyrec.data.synthetic import synthetic
from pyrec.tune import contender
from pyrec.tune.budget import Progress

QUICK = ("--models", "popularity,ease,itemknn", "--metric", "recall@5", "--trials", 0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Interactions as one file."""
    data = synthetic(90, 70, interactions_per_user=10, num_groups=4)
    path = tmp_path / "log.tsv"
    path.write_text("".join(f"{u}\t{i}\n" for u, i in zip(data.users, data.items, strict=True)))
    return path


def test_a_table_and_a_command(capsys, log: Path) -> None:
    out, err = run(capsys, "compare", log, *QUICK)
    table, about, command = out.split("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == [
        *("model", "recall@5", "difference", "95", "%", "untuned", "trials", "seconds", "test", "recall@5")
    ]
    assert {row.split()[0] for row in rows} == {"popularity", "ease", "itemknn"}
    assert "log: 90 users x 70 items" in err
    _, train, test = load_data(log)
    learned, held_out = split_random(train, 0.9, 0)
    for row in rows:
        label, score = row.split()[:2]
        model = {"popularity": Popularity(), "ease": EASE()}.get(label)
        if model is not None:
            assert score == f"{evaluate(model.fit(learned), held_out, 5)['recall@5']:.4f}"
            assert row.split()[-1] == f"{evaluate(model.fit(train), test, 5)['recall@5']:.4f}"
    best = rows[0].split()[0]
    assert rows[0].split()[2] == "best"
    assert command.startswith(f"Train {best} on everything:\npyrec train {log} --all --model {best}")
    assert "measured once in the end" in about


def test_the_command_trains_the_winner_on_everything(capsys, log: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = (
        "--split",
        0.7,
        "--split-seed",
        3,
        "--models",
        "mf",
        "--trials",
        0,
        "--seed",
        2,
        "--metric",
        "mrr@5",
    )
    printed = json.loads(run(capsys, "compare", log, *given, "--json")[0])
    program, *words = shlex.split(printed["command"])
    assert program == "pyrec"
    assert "--split" not in words
    run(capsys, *words)
    model = Recommender.load("final")
    (best,) = printed["models"]
    assert model.get_params() == MF(epochs=best["best_epoch"], seed=2).get_params()
    assert len(model.train_) == len(log.read_text().splitlines())


def test_a_best_epoch_that_was_the_last_is_told(capsys, log: Path, monkeypatch) -> None:
    options = ("--models", "mf", "--trials", 0, "--metric", "mrr@5")
    told = "the last epoch of mf was its best"
    for epoch in (7, 30):
        monkeypatch.setattr(MF, "best_epoch_", property(lambda _, epoch=epoch: epoch, lambda *_: None), False)
        assert (told in run(capsys, "compare", log, *options)[0]) == (epoch == 30)


def test_json_is_all_that_is_printed(capsys, log: Path) -> None:
    pytest.importorskip("optuna")
    options = ("--models", "popularity,ease", "--metric", "ndcg@5", "--trials", 2, "--json")
    printed = json.loads(run(capsys, "compare", log, *options)[0])
    assert printed["metric"] == "ndcg@5"
    assert printed["best"] == printed["models"][0]["label"]
    by_label = {one["label"]: one for one in printed["models"]}
    assert {label: one["num_trials"] for label, one in by_label.items()} == {"popularity": 0, "ease": 2}
    assert all(one["test"] is not None for one in by_label.values())
    assert printed["command"].startswith("pyrec train ")
    assert printed["left_out"] == {}


def test_a_test_file_is_left_alone_if_asked(capsys, log: Path, tmp_path: Path) -> None:
    files = ("--train", log, "--test", tmp_path / "absent")
    out, _ = run(capsys, "compare", *files, *QUICK, "--no-test")
    assert "test recall@5" not in out
    assert f"--train {log} --test {tmp_path / 'absent'} --all" in out
    assert "absent" in refuse(capsys, "compare", *files, *QUICK)


def test_a_picture(capsys, log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    _, err = run(capsys, "compare", log, *QUICK, "--picture", tmp_path / "models.png")
    assert f"drawn in {tmp_path / 'models.png'}" in err
    assert (tmp_path / "models.png").read_bytes()[:4] == b"\x89PNG"


def test_a_picture_that_cannot_be_drawn_is_refused_at_once(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setattr("pyrec.look.plots.available", lambda: False)
    message = refuse(capsys, "compare", log, *QUICK, "--picture", "models.png")
    assert message == "--picture needs matplotlib: pip install '.[plots]'"
    monkeypatch.undo()
    assert "cannot write" in refuse(capsys, "compare", log, *QUICK, "--picture", log / "models.png")


def test_models_that_are_large_for_the_memory_are_left_out(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setattr("pyrec.models.ease.available_memory", lambda: 10)
    out, err = run(capsys, "compare", log, *QUICK)
    assert "ease left out: EASE needs" in err
    assert "\nnot measured: ease, as EASE needs" in out
    assert "ease" not in out.split("\n\n")[0]


def test_estimates_of_more_than_a_minute_are_told(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setattr(EASE, "training_seconds", lambda *_: 100.0)
    monkeypatch.setattr(SVD, "training_seconds", lambda *_: 10_000.0)
    options = ("--models", "ease,svd", "--metric", "recall@5", "--trials", 0, "--minutes", 60)
    _, err = run(capsys, "compare", log, *options)
    assert "the models as they are take about 2.8 hours (ease 2 minutes, svd 2.8 hours); what does not" in err
    assert "svd left out: untuned it takes about 2.8 hours" in err
    assert "take about" not in run(capsys, "compare", log, *QUICK[:1], "itemknn", *QUICK[2:])[1]


def test_ctrl_c_prints_what_was_found(capsys, log: Path, monkeypatch) -> None:
    fit, fitted = contender._fit, []

    def press(model: Recommender, *others: Any) -> Recommender:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(model)
        return fit(model, *others)

    monkeypatch.setattr(contender, "_fit", press)
    assert main(["compare", str(log), *map(str, QUICK)]) == 130
    captured = capsys.readouterr()
    assert len(captured.out.split("\n\n")[0].splitlines()) == 3
    assert "Ctrl-C ended the search; this is what was found so far" in captured.err


def test_a_real_ctrl_c(log: Path) -> None:
    words = ("compare", log, "--models", "popularity,mf", "--metric", "recall@5", "--trials", 10_000)
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell that runs the tests in the background has its children ignore the signal.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with children.start("-m", "pyrec.cli", *words, "--minutes", 60, **options) as process:
        try:
            assert process.stderr is not None
            while not process.stderr.readline().startswith("mf  recall@5"):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Ctrl-C ended the search" in err
    assert "Traceback" not in err
    assert {row.split()[0] for row in out.split("\n\n")[0].splitlines()[1:]} == {"popularity", "mf"}
    assert "pyrec train" in out


def test_without_optuna_it_says_what_that_would_add(capsys, log: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    options = ("--models", "ease", "--metric", "recall@5")
    out, err = run(capsys, "compare", log, *options)
    assert (
        "models are compared as they are; with Optuna, pip install '.[tune]', their hyperparameters too"
        in err
    )
    assert "ease" in out
    assert "Optuna" not in run(capsys, "compare", log, *options, "--trials", 0)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "recal@10"], "is no metric such as recall@10"),
        (["--metric", "recall@71"], "k = 71 must be at most 70, the number of items"),
        (["--models", "ease,eese"], "'eese' is no model"),
        (["--models", "ease,ease"], "models has 'ease' twice"),
        (["--models", ""], "'' is no model"),
        (["--minutes", "0"], "minutes = 0.0 must be above 0"),
        (["--minutes", "nan"], "minutes = nan must be a finite number"),
        (["--trials", "-1"], "-1 is not in the range"),
        (["--validation", "1"], "share = 1.0 is a share"),
        (["--picture", "/dev/null/x.png"], "cannot write /dev/null"),
        (["--layers", "2"], "No such option"),
    ],
)
def test_refusals_are_one_line(capsys, log: Path, arguments, message) -> None:
    assert message in refuse(capsys, "compare", log, *arguments)


def test_users_with_one_item_leave_nothing_to_compare_on(capsys, tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text("".join(f"{user}\t{user % 7}\n" for user in range(30)))
    message = refuse(capsys, "compare", "--train", path, "--test", path, "--no-test")
    assert "share = 0.1 holds 0.1 of the interactions out, but none of 30 can be" in message


# The line that moves


def test_a_line_says_what_goes_on() -> None:
    progress = Progress("mf", 2, 12, 30, 0.1234, "ease", 200.0)
    expected = "mf, trial 2  epoch 12/30  best recall@10 0.1234 by ease  about 3 minutes left"
    assert in_a_line(progress, "recall@10") == expected
    assert in_a_line(Progress("ease", 0, 0, 0, None, "", None), "recall@10") == "ease, trial 0"
    own = Progress("ease", 1, 0, 0, 0.5, "ease", None)
    assert in_a_line(own, "recall@10") == "ease, trial 1  best recall@10 0.5000"


def test_where_nobody_watches_a_line_comes_now_and_then(capsys, monkeypatch) -> None:
    progress = Progress("mf", 0, 1, 30, None, "", None)
    with MovingLine("recall@10") as line:
        line.show(progress)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(moving_line, "TOLD", 0.0)
        line.show(progress)
        line.note("done")
    assert capsys.readouterr().err == "mf, trial 0  epoch 1/30\ndone\n"


def test_on_a_terminal_one_line_is_written_anew(capsys, monkeypatch) -> None:
    monkeypatch.setattr(moving_line, "is_watched", lambda: True)
    monkeypatch.setattr(moving_line, "REDRAWN", 0.0)
    with MovingLine("recall@10") as line:
        for epoch in (1, 2):
            line.show(Progress("mf", 0, epoch, 30, None, "", None))
        line.show(Progress("m" * 200, 0, 1, 30, None, "", None))
        line.note("stays")
    err = capsys.readouterr().err
    assert "\rmf, trial 0  epoch 1/30" in err
    assert not any(len(part) > 79 for part in err.replace("\n", "\r").split("\r"))
    assert "\rmf, trial 0  epoch 2/30" in err
    assert "\n" not in err.partition("stays")[0]
    assert "stays\n" in err
