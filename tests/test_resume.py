"""A fit that goes on ends in the bits of one that was never stopped, and refuses what it cannot go on with."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from small_models import SMALL

from pyrec.data import Interactions, split_random, synthetic
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.models import MF, LightGCN
from pyrec.nn.combine import Attention, Weighted
from pyrec.nn.encoder import Table
from pyrec.store.interactions import fingerprint
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.adapt import UserTemperatures
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import Softmax
from pyrec.train.trainer import Trainer

OPTIONS = SMALL | {"epochs": 4, "learning_rate": 1e-2, "seed": 5}
"""Six steps an epoch, five where a fifth is held out."""


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic(60, 40, interactions_per_user=10, num_groups=4)


def bits(model: LightGCN) -> dict[str, bytes]:
    vectors = {"users": model.user_vectors_, "items": model.item_vectors_}
    tensors = {**model.network_.state_dict(), **vectors}
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def timeless(history: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


def assert_same(one: LightGCN, other: LightGCN) -> None:
    assert bits(one) == bits(other)
    assert timeless(one.history_) == timeless(other.history_)
    assert one.best_epoch_ == other.best_epoch_


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch):
    """Makes the request of some checkpoints in the given training step, counted from 1 over all stages."""
    step = Trainer.step

    def arrange(checkpoints: Checkpoints, steps: int) -> None:
        left = iter(range(steps - 1, -1, -1))

        def counted(self, batch):
            if next(left, None) == 0:
                checkpoints.stop.make()
            return step(self, batch)

        monkeypatch.setattr(Trainer, "step", counted)

    return arrange


ARGUMENTS = [
    {},
    {"combine": "mean", "loss": "bpr", "schedule": "constant"},
    {"combine": "self-attention", "encoder": Table("spectral")},
    {"combine": "attention", "loss": "bpr"},
    {"combine": Weighted("held-out"), "stopping": EarlyStopping(0.2)},
    {
        "stopping": EarlyStopping(0.2, patience=1),
        "epochs": 30,
        "learning_rate": 0.1,
        "combine": Attention(kl=0.0),
    },
    {"augment": "contrast"},
    {"loss": Softmax(adapt=UserTemperatures(2))},
    {"augment": (Contrast("noise"), ExtraEdges(0.1)), "precision": "bf16"},
    {"encoder": "items", "n_layers": 3, "augment": EdgeDropout(0.5)},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_going_on_gives_the_bits_of_a_fit_that_was_never_stopped(train, tmp_path, stop_after, arguments):
    """Stopped in the middle of an epoch, at an epoch's end, and once more after going on."""
    whole = LightGCN(**OPTIONS | arguments).fit(train)
    for number, steps in enumerate((1, 6, 10)):
        kept = Checkpoints(tmp_path / str(number), every=0)
        model, stopped = None, 0
        while model is None:
            stop_after(kept, steps if stopped < 2 else 10**9)
            kept.stop.made = False
            try:
                model = LightGCN(**OPTIONS | arguments).fit(train, checkpoints=kept, resume=kept.exists)
            except StoppedError:
                stopped += 1
        assert_same(model, whole)
        assert stopped == 2


def test_the_last_checkpoint_is_gone_on_from_after_a_crash(train, tmp_path):
    whole = LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(train)
    kept = Checkpoints(tmp_path, every=2)

    def crash(model, record):
        if record["epoch"] == 4:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(train, callback=crash, checkpoints=kept)
    assert (kept.read_config()["epoch"], len(kept.read_config()["history"])) == (3, 2)
    seen = []
    model = LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(
        train, callback=lambda _, record: seen.append(record["epoch"]), checkpoints=kept, resume=True
    )
    assert seen == [3, 4]
    assert_same(model, whole)


def test_a_stop_during_an_evaluation_repeats_it(train, tmp_path):
    """A request from a signal leaves a callback at once; the epoch's training is not repeated."""
    whole = LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(train)
    kept = Checkpoints(tmp_path, every=0)

    def stop(model, record):
        if record["epoch"] == 2:
            kept.stop.make()
            raise AssertionError("not left")

    with pytest.raises(StoppedError):
        LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(train, callback=stop, checkpoints=kept)
    config = kept.read_config()
    assert (config["epoch"], len(config["history"])) == (2, 1)
    assert config["seconds"] > 0
    kept.stop.made = False
    seen = []
    model = LightGCN(**OPTIONS, stopping=EarlyStopping(0.2)).fit(
        train, callback=lambda _, record: seen.append(record["epoch"]), checkpoints=kept, resume=True
    )
    assert seen == [2, 3, 4]
    assert model.history_[1]["seconds"] == config["seconds"]
    assert_same(model, whole)


def test_a_trained_models_checkpoint_gives_it_again(train, tmp_path):
    kept = Checkpoints(tmp_path, every=1)
    whole = MF(**OPTIONS).fit(train, checkpoints=kept)
    again = MF(**OPTIONS).fit(train, checkpoints=kept, resume=True)
    assert_same(again, whole)
    kept.remove()
    kept.remove()
    assert not kept.exists


def test_checkpoints_change_no_bit(train, tmp_path):
    assert_same(
        LightGCN(**OPTIONS).fit(train, checkpoints=Checkpoints(tmp_path, every=1)),
        LightGCN(**OPTIONS).fit(train),
    )


@pytest.fixture
def kept(train, tmp_path: Path) -> Checkpoints:
    kept = Checkpoints(tmp_path, every=3)
    LightGCN(**OPTIONS).fit(train, checkpoints=kept)
    return kept


def test_other_hyperparameters_are_named(train, kept):
    with pytest.raises(
        ConfigError, match=r"n_layers = 1, 2 in the checkpoint; reg = 0\.5, 0\.0001 in"
    ) as error:
        LightGCN(**OPTIONS, reg=0.5, n_layers=1).fit(train, checkpoints=kept, resume=True)
    assert "embedding_size" not in str(error.value)
    with pytest.raises(ConfigError, match="of model 'lightgcn', not of 'mf'"):
        MF(**OPTIONS).fit(train, checkpoints=kept, resume=True)


def test_a_checkpoint_from_before_an_option_goes_on_with_its_default(train, tmp_path):
    def without(saved):
        return saved | {
            "stopping": {name: saved["stopping"][name] for name in ("is", "share", "patience", "k")}
        }

    options = {**OPTIONS, "stopping": EarlyStopping(0.2, k=5)}
    kept = Checkpoints(tmp_path, every=1)
    whole = MF(**options).fit(train, checkpoints=kept)
    rewrite(kept, {"params": without(kept.read_config()["params"])})
    assert "metric" not in kept.read_config()["params"]["stopping"]
    assert_same(MF(**options).fit(train, checkpoints=kept, resume=True), whole)
    other = {**options, "stopping": EarlyStopping(0.2, k=5, metric="map")}
    with pytest.raises(ConfigError, match=r"stopping = .*'map'.*'ndcg'.* in the checkpoint"):
        MF(**other).fit(train, checkpoints=kept, resume=True)


def test_other_data_are_named(train, kept):
    fewer, rest = split_random(train, 0.9)
    with pytest.raises(DataError, match=rf"the train set has {len(fewer)} interactions, {len(train)} in the"):
        LightGCN(**OPTIONS).fit(fewer, checkpoints=kept, resume=True)
    others = Interactions.from_codes(train.users, train.items, train.user_ids + 1, train.item_ids)
    with pytest.raises(DataError, match="as many, but other interactions, ratings, ids or features"):
        LightGCN(**OPTIONS).fit(others, checkpoints=kept, resume=True)
    with pytest.raises(DataError, match="it was not given a validation set, and this fit is"):
        LightGCN(**OPTIONS).fit(train, validation=rest, checkpoints=kept, resume=True)


def test_fingerprints_tell_what_differs():
    one = Interactions.from_arrays(["a", "b"], [1, 2])
    assert fingerprint(one) == fingerprint(Interactions.from_arrays(["a", "b"], [1, 2]))
    assert fingerprint(one) != fingerprint(Interactions.from_arrays(["a", "b"], [1, 3]))
    one, other = (Interactions.from_arrays(ids, [1, 2]) for ids in (["a", "bc"], ["ab", "c"]))
    assert fingerprint(one) != fingerprint(other)


def test_neither_a_new_fit_over_a_checkpoint_nor_going_on_without_one(train, kept, tmp_path):
    with pytest.raises(
        ConfigError, match="is a checkpoint of another fit: go on with it by resume = True, or remove it"
    ):
        LightGCN(**OPTIONS).fit(train, checkpoints=kept)
    with pytest.raises(ConfigError, match="needs checkpoints"):
        LightGCN(**OPTIONS).fit(train, resume=True)
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        LightGCN(**OPTIONS).fit(train, checkpoints=Checkpoints(tmp_path / "none"), resume=True)
    with pytest.raises(ConfigError, match="every = -1"):
        Checkpoints(tmp_path, every=-1)


def rewrite(kept: Checkpoints, config: dict[str, object], **changes: object) -> None:
    """Change entries and arrays of a checkpoint (None removes an array), and make the hash fit again."""
    from pyrec.store.arrays import digest

    with safe_open(kept.path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for key, value in changes.items():
        name = key.replace("__", ".")
        arrays[name] = np.asarray(value)
        if value is None:
            del arrays[name]
    config = kept.read_config() | {"sha256": digest(arrays)} | config
    save_file(arrays, kept.path, {"pyrec": json.dumps(config)})


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        ({"format": 3}, {}, "is not in the format 2 that this version reads"),
        ({"epoch": "3"}, {}, "'epoch' is missing or not a int"),
        ({"epoch": 0}, {}, "no place to go on from"),
        ({"stage": "nosuch"}, {}, "no place to go on from"),
        ({"sha256": "0"}, {}, "is damaged"),
        ({}, {"trainer__network__first__embedding": None}, r"array 'first.embedding' is missing"),
        (
            {},
            {"trainer__network__first__embedding": np.zeros((100, 4), np.float32)},
            r"first.embedding is float32 \(100, 4\)",
        ),
        ({}, {"trainer__first__steps": -1}, "steps = -1 is outside 0"),
        ({}, {"trainer__taken": 13}, "taken = 13 is inside a batch of 64"),
        ({}, {"trainer__total": np.nan}, "total.* is not finite"),
        ({}, {"trainer__optimizer__0__exp_avg": np.zeros(3, np.float32)}, r"0\.exp_avg is float32 \(3,\)"),
    ],
)
def test_checkpoints_that_do_not_fit(train, kept, config, changes, message):
    rewrite(kept, config, **changes)
    with pytest.raises(DataError, match=message):
        LightGCN(**OPTIONS).fit(train, checkpoints=kept, resume=True)


def test_files_that_are_no_checkpoint(train, kept, tmp_path):
    content = kept.path.read_bytes()
    for wrong, message in (
        (b"", "no safetensors file"),
        (content[:-4], "no safetensors file"),
        (b"\xff" * 99, "no safetensors file"),
        (content[:-1] + bytes([content[-1] ^ 1]), "is damaged"),
    ):
        kept.path.write_bytes(wrong)
        with pytest.raises(DataError, match=message):
            LightGCN(**OPTIONS).fit(train, checkpoints=kept, resume=True)
    MF(**OPTIONS).fit(train).save(tmp_path / "model")
    shutil.copy(tmp_path / "model" / "model.safetensors", kept.path)
    with pytest.raises(DataError, match="is no checkpoint of a training run"):
        LightGCN(**OPTIONS).fit(train, checkpoints=kept, resume=True)


@pytest.mark.parametrize("text", ["", "[" * 200_000, '{"format": ' + "9" * 5000 + "}"])
def test_what_a_checkpoint_says_of_itself_is_no_json(kept, text):
    save_file({"a": np.zeros(1)}, kept.path, {"pyrec": text})
    with pytest.raises(DataError, match=r"is no JSON that can be read: .*; start another run"):
        kept.read_config()


def test_a_pipe_is_no_checkpoint(kept):
    kept.path.unlink()
    os.mkfifo(kept.path)
    with pytest.raises(DataError, match="is no regular file"):
        kept.read_config()


def test_what_json_cannot_hold_leaves_the_checkpoint_before(train, tmp_path):
    kept = Checkpoints(tmp_path, every=1)

    def spoil(model, record):
        record["picture"] = object() if record["epoch"] == 2 else 1

    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        LightGCN(**OPTIONS).fit(train, callback=spoil, checkpoints=kept)
    assert kept.read_config()["epoch"] == 2
    model = LightGCN(**OPTIONS).fit(train, checkpoints=kept, resume=True)
    assert torch.equal(model.user_vectors_, LightGCN(**OPTIONS).fit(train).user_vectors_)
