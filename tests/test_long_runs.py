"""``pyrec train``, stopped, killed and gone on with; and the trackers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import children
import numpy as np
import pytest
from command_line import refuse, run
from safetensors import safe_open
from safetensors.numpy import save_file

from pyrec import track
from pyrec.cli import main
from pyrec.data import synthetic
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.interrupt import StopRequest, stop_on_signals
from pyrec.models import LightGCN
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.track import Tracking
from pyrec.train.early_stopping import EarlyStopping

EPOCHS = 6
OPTIONS = ("--dim", "8", "--epochs", str(EPOCHS), "--batch-size", "64", "--validation", "0.2", "--k", "5")
LEARNED = ("--loss", "bpr", "--combine", "attention")
"""In two stages of six epochs of three steps."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    interactions = synthetic(60, 40, interactions_per_user=10, num_groups=4)
    pairs = list(zip(interactions.users.tolist(), interactions.items.tolist(), strict=True))
    for name, part in (("train.csv", slice(None, None, 2)), ("test.csv", slice(1, None, 2))):
        lines = [f"{user},{item}" for user, item in pairs[part]]
        (folder / name).write_text("\n".join(["user,item", *lines]) + "\n")
    return folder


def files(data: Path) -> tuple[object, ...]:
    return ("--train", data / "train.csv", "--test", data / "test.csv")


def learned(folder: Path) -> tuple[bytes, list[dict]]:
    """The model's file, and the history without its times."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    return (folder / "model.safetensors").read_bytes(), [json.loads(line) | {"seconds": 0} for line in lines]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([str(word) for word in ("train", *files(data), *OPTIONS, *LEARNED, "--out", folder)]) == 0
    return folder


def stop_in_step(monkeypatch: pytest.MonkeyPatch, number: int, step: int) -> None:
    """Sends this process a signal in the given training step, counted from 1 over both stages."""
    from pyrec.train.trainer import Trainer

    take, left = Trainer.step, iter(range(step - 1, -1, -1))

    def counted(self, batch):
        if next(left, None) == 0:
            os.kill(os.getpid(), number)
        return take(self, batch)

    monkeypatch.setattr(Trainer, "step", counted)
    monkeypatch.setattr(LightGCN, "training_seconds", lambda *_, **__: None)  # which takes steps, too


@pytest.mark.parametrize(
    ("number", "status", "step", "epoch"),
    [(signal.SIGINT, 130, 2, 1), (signal.SIGINT, 130, 25, 3), (signal.SIGTERM, 143, 33, 5)],
)
def test_a_signal_stops_a_run_that_then_goes_on(
    capsys, data, whole, tmp_path, monkeypatch, number, status, step, epoch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_in_step(patch, number, step)
        words = ("train", *files(data), *OPTIONS, *LEARNED, "--out", folder)
        assert main([str(word) for word in words]) == status
    assert Checkpoints(folder).read_config()["epoch"] == epoch
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(f"nothing is lost: pyrec train --resume {folder} goes on from there")
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]
    assert "holds a run that was stopped; go on with it" in refuse(capsys, "train", "--out", folder)
    out, _ = run(capsys, "train", "--resume", folder, "--json")
    assert learned(folder) == learned(whole)
    assert json.loads(out)["seconds_train"] > sum(
        json.loads(line)["seconds"] for line in (folder / "history.jsonl").read_text().splitlines()
    )
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    assert "holds a run that has ended" in refuse(capsys, "train", "--resume", folder)


@pytest.fixture
def stopped(capsys, data, tmp_path, monkeypatch) -> Path:
    with monkeypatch.context() as patch:
        stop_in_step(patch, signal.SIGINT, 30)
        words = ("train", *files(data), *OPTIONS, *LEARNED, "--out", tmp_path / "run")
        assert main([str(word) for word in words]) == 130
    capsys.readouterr()
    return tmp_path / "run"


def test_a_run_goes_on_with_its_own_options_and_data(capsys, data, whole, stopped, tmp_path) -> None:
    def refused(*words: object) -> str:
        return refuse(capsys, "train", "--resume", stopped, *words)

    assert f"--lr 0.5: the run in {stopped} was started with 0.004; leave" in refused("--lr", "0.5")
    assert "--k 7: the run" in refused("--k", "7")
    assert "--combine mean: the run" in refused("--combine", "mean")
    assert "was started with attention" in refused("--combine", "mean")
    assert "--validation 0.3: the run" in refused("--validation", "0.3")
    assert "--fallback none: the run" in refused("--fallback", "none")
    assert f"--patience 2: the run in {stopped} was started without; leave" in refused("--patience", "2")
    assert f"--temperature 0.2: the run in {stopped} was started without" in refused("--temperature", "0.2")
    assert "--model ease: the run" in refused("--model", "ease")
    assert "a run goes on in its own folder" in refused("--out", tmp_path / "other")
    other = tmp_path / "other.csv"
    other.write_text((data / "train.csv").read_text().replace("\n", "\n0,39\n", 1))
    assert "the train set has" in refused("--train", other, "--test", data / "test.csv")
    other.write_text((data / "test.csv").read_text().rsplit("\n", 2)[0] + "\n")
    assert "the test set is not the one" in refused("--test", other)
    moved = tmp_path / "moved.csv"
    moved.write_bytes((data / "train.csv").read_bytes())
    same = (
        "--train",
        moved,
        "--lr",
        "0.004",
        "--k",
        "5",
        *LEARNED,
        "--checkpoint-every",
        "1",
        "--out",
        stopped,
    )
    run(capsys, "train", "--resume", stopped, *same, "--report", tmp_path / "report.html")
    assert (tmp_path / "report.html").exists()
    assert learned(stopped)[0] == learned(whole)[0]


def test_epochs_of_the_stage_before_are_not_counted(capsys, data, tmp_path, monkeypatch) -> None:
    begun = []
    start = Tracking.start

    def watched(tracking, params, epoch):
        begun.append(epoch)
        start(tracking, params, epoch)

    monkeypatch.setattr(Tracking, "start", watched)
    for step in (10, 33):
        with monkeypatch.context() as patch:
            stop_in_step(patch, signal.SIGINT, step)
            words = ("train", *files(data), *OPTIONS, *LEARNED, "--out", tmp_path / f"run{step}")
            assert main([str(word) for word in words]) == 130
        kept = Checkpoints(tmp_path / f"run{step}").read_config()
        run(capsys, "train", "--resume", tmp_path / f"run{step}")
    assert begun == [1, 1, 1, kept["epoch"]]
    assert kept["stage"] == "model"
    assert kept["epoch"] > 1


def test_a_run_on_everything_goes_on(capsys, data, tmp_path, monkeypatch) -> None:
    words = ("train", *files(data), *OPTIONS, *LEARNED, "--all", "--out")
    run(capsys, *words, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_in_step(patch, signal.SIGINT, 40)
        assert main([str(word) for word in (*words, tmp_path / "run")]) == 130
    capsys.readouterr()
    out, err = run(capsys, "train", "--resume", tmp_path / "run", "--json")
    assert learned(tmp_path / "run") == learned(tmp_path / "whole")
    assert json.loads(out)["measured"] is False
    assert "all to learn from; nothing is left to measure on" in err


def test_a_run_goes_on_with_its_baseline_or_without_it(capsys, stopped: Path) -> None:
    assert Checkpoints(stopped).read_config()["about"]["baseline"] is True
    out, _ = run(capsys, "train", "--resume", stopped, "--no-baseline", "--json", "--quiet")
    assert [name for name in json.loads(out) if name.startswith("baseline")] == [
        "baseline_popularity",
        "baseline_popularity_warm",
    ]


def test_a_run_of_format_1_cannot_go_on(capsys, stopped: Path) -> None:
    path = Checkpoints(stopped).path
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        config = json.loads(file.metadata()["pyrec"])
    flat = {"loss": "bpr", "combine": "attention", "validation": 0.2}
    save_file(arrays, path, {"pyrec": json.dumps(config | {"format": 1, "params": flat})})
    message = refuse(capsys, "train", "--resume", stopped)
    assert (
        "is of a run that an earlier version started (format 1), which cannot go on; start another" in message
    )


def test_what_cannot_be_gone_on_with(capsys, data, tmp_path) -> None:
    assert "holds no run: nothing to go on with" in refuse(capsys, "train", "--resume", tmp_path / "no")
    Checkpoints(tmp_path).path.write_bytes(b"torn")
    assert "is no safetensors file" in refuse(capsys, "train", "--resume", tmp_path)
    kept = Checkpoints(tmp_path / "python")
    LightGCN(embedding_size=8, epochs=1).fit(synthetic(20, 20, interactions_per_user=4), checkpoints=kept)
    assert "go on with it from Python" in refuse(capsys, "train", "--resume", tmp_path / "python")
    assert "--checkpoint-every needs --out" in refuse(
        capsys, "train", *files(data), "--checkpoint-every", "1"
    )


def start(data: Path, folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    options = (*files(data), *OPTIONS, *LEARNED, *words)
    return children.start("-m", "pyrec.cli", "train", *options, "--out", folder)


def test_a_run_that_was_killed_goes_on_to_the_same_bits(capsys, data, whole, tmp_path) -> None:
    """kill -9 at three moments of one run: while weights are learned, in the main stage, and after going on."""
    folder = tmp_path / "run"
    kept = Checkpoints(folder)
    child = start(data, folder, "--checkpoint-every", "1")
    for stage, epoch in (("combine", 2), ("model", 2), ("model", 4)):
        while not (
            kept.exists and (kept.read_config()["stage"], kept.read_config()["epoch"]) >= (stage, epoch)
        ):
            assert child.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        child.kill()
        child.wait()
        if epoch != 4:
            child = children.start("-m", "pyrec.cli", "train", "--resume", folder)
    run(capsys, "train", "--resume", folder)
    assert learned(folder) == learned(whole)


def test_a_second_signal_ends_the_process() -> None:
    text = """
import os, signal, time
from pyrec.interrupt import StopRequest, stop_on_signals
from pyrec.track import Tracking
request = StopRequest()
with stop_on_signals(request) as signals:
    os.kill(os.getpid(), signal.SIGINT)
    print(request.made, signals.received, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    done = children.run("-c", text)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "True 2\n")


def test_a_request_leaves_only_what_may_be_left() -> None:
    request = StopRequest()

    def wait_for_the_signal() -> None:
        with request.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    with stop_on_signals(request) as signals, pytest.raises(StoppedError):
        wait_for_the_signal()
    assert signals.received == signal.SIGTERM
    request.make()
    with pytest.raises(StoppedError), request.at_once():
        raise AssertionError("entered")


# Trackers


class Told:
    """A tracker that only remembers."""

    def __init__(self) -> None:
        self.run_id = None
        self.calls: list[tuple[object, ...]] = []

    def on_start(self, params, epoch) -> None:
        self.calls.append(("start", params["epochs"], epoch))

    def on_epoch(self, epoch, metrics) -> None:
        self.calls.append((epoch, sorted(metrics)))

    def on_end(self, metrics, status) -> None:
        self.calls.append((status, metrics))


def test_a_tracker_is_told_of_a_fit() -> None:
    train = synthetic(30, 20, interactions_per_user=5)
    told = Told()
    with track.Tracking(told) as tracking:
        LightGCN(embedding_size=8, epochs=2, stopping=EarlyStopping(0.2, k=5)).fit(train, callback=tracking)
        tracking.metrics["ndcg@5"] = 0.5
    names = ["loss", "seconds", "validation/ndcg@5", "validation/precision@5", "validation/recall@5"]
    assert told.calls == [("start", 2, 1), (1, names), (2, names), ("finished", {"ndcg@5": 0.5})]


@pytest.mark.parametrize(("error", "status"), [(StoppedError, "stopped"), (ValueError, "failed")])
def test_a_tracker_is_told_how_a_fit_ended(error, status) -> None:
    told = Told()

    def fit() -> None:
        with track.Tracking(told) as tracking:
            tracking.start({"epochs": 1})
            raise error

    with pytest.raises(error):
        fit()
    assert told.calls[-1] == (status, {})


class Failing(Told):
    """A tracker that fails in one of its calls."""

    def __init__(self, call: str) -> None:
        super().__init__()
        setattr(self, call, self.fail)

    def fail(self, *_: object) -> None:
        raise DataError("cannot write")


def tracked(*trackers: Told, error: Exception | None = None) -> None:
    """A run that is tracked, and ends by the error if there is one."""
    with track.Tracking(*trackers) as tracking:
        tracking.start({"epochs": 1})
        if error is not None:
            raise error


def test_only_trackers_that_started_are_ended() -> None:
    before, after = Told(), Told()
    with pytest.raises(DataError, match="cannot write"):
        tracked(before, Failing("on_start"), after)
    assert [call[0] for call in before.calls] == ["start", "failed"]
    assert after.calls == []


def test_an_end_that_fails_hides_no_error_and_no_other_end() -> None:
    told = Told()
    with pytest.raises(ValueError, match="the first"):
        tracked(Failing("on_end"), told, error=ValueError("the first"))
    assert told.calls[-1] == ("failed", {})
    with pytest.raises(DataError, match="cannot write"):
        tracked(Failing("on_end"), told)
    assert told.calls[-1] == ("finished", {})


@pytest.mark.filterwarnings("ignore")
def test_a_tracker_that_cannot_start_is_one_line(capsys, data, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "events"
    words = ("train", *files(data), "--model", "popularity", "--k", "5", "--track", f"tensorboard:{place}")
    assert main([str(word) for word in words]) == 2
    assert f"pyrec: error: cannot write {place}: Not a directory" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("place", ["", "tensorboard", "mlflow:", "wandb:x"])
def test_places_that_are_none(place) -> None:
    with pytest.raises(ConfigError, match=r"is neither tensorboard:DIR nor mlflow:URI"):
        track.open_tracker(place)


@pytest.mark.parametrize("place", ["tensorboard:x", "mlflow:x"])
def test_a_missing_package_is_named(monkeypatch, place) -> None:
    for name in ("mlflow", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[track\]'"):
        track.open_tracker(place)


@pytest.mark.filterwarnings("ignore")  # those of the libraries
def test_tensorboard_gets_each_epoch_once(capsys, data, stopped_with, tmp_path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = stopped_with(f"tensorboard:{tmp_path / 'events'}")
    run(capsys, "train", "--resume", folder)
    events = accumulator.EventAccumulator(str(tmp_path / "events" / "run"))
    events.Reload()
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for name, entry in (("loss", "loss"), ("validation/ndcg@5", "validation_ndcg@5")):
        scalars = [(event.step, event.value) for event in events.Scalars(name)]
        assert scalars == [(record["epoch"], np.float32(record[entry])) for record in history]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert events.Scalars("final/recall@5")[0].value == np.float32(metrics["recall@5"])


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_tells_runs_apart(capsys, data, tmp_path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = tmp_path / "events"
    words = ("train", *files(data), "--model", "popularity", "--k", "5", "--track", f"tensorboard:{events}")
    for out in ((), ("--out", tmp_path / "first"), ()):
        run(capsys, *words, *out)
    named, bare, dated = sorted(events.iterdir(), key=lambda path: (path.name != "first", path.name))
    assert (named.name, bare.name) == ("first", "popularity")
    assert re.fullmatch(r"popularity-\d{8}-\d{6}", dated.name)
    for folder in (named, bare, dated):
        found = accumulator.EventAccumulator(str(folder))
        found.Reload()
        assert len(found.Scalars("final/recall@5")) == 1
    model = LightGCN(embedding_size=8, epochs=2)
    with Tracking(track.TensorBoard(events), track.TensorBoard(events)) as tracking:
        model.fit(synthetic(20, 20, interactions_per_user=4), callback=tracking)
    assert len([path for path in events.iterdir() if path.name.startswith("lightgcn")]) == 2


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_one_run(capsys, data, stopped_with, tmp_path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    folder = stopped_with(f"mlflow:{uri}")
    client = mlflow.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("pyrec").experiment_id
    assert [one.info.status for one in client.search_runs([place])] == ["KILLED"]
    run(capsys, "train", "--resume", folder)
    (kept,) = client.search_runs([place])
    assert kept.info.status == "FINISHED"
    assert kept.data.params["loss"] == "bpr"
    assert kept.data.params["combine"] == "attention"
    assert kept.data.params["stopping__share"] == "0.2"
    assert kept.data.params["loss__negatives__number"] == "1"
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    points = client.get_metric_history(kept.info.run_id, "test/recall_at_5")
    assert [(p.step, p.value) for p in points] == [(r["epoch"], r["test_recall@5"]) for r in history]


@pytest.fixture
def stopped_with(capsys, data, tmp_path, monkeypatch):
    """Starts a run with a tracker and stops it in its fourth epoch; its folder."""

    def begin(place: str) -> Path:
        with monkeypatch.context() as patch:
            stop_in_step(patch, signal.SIGINT, 18 + 11)
            words = ("train", *files(data), *OPTIONS, *LEARNED, "--track", place, "--out", tmp_path / "run")
            words += ("--eval-every", "1")
            assert main([str(word) for word in words]) == 130
        capsys.readouterr()
        return tmp_path / "run"

    return begin
