"""Models that were saved with flat hyperparameters: they load as the objects say, and recommend the same bits."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_models import SMALL

from pyrec import EASE, DataError, Recommender
from pyrec.data import Interactions, synthetic
from pyrec.models import MF, MODELS, LightGCN
from pyrec.models.format_1 import from_flat
from pyrec.nn.combine import Attention, Mean, SelfAttention, Weighted
from pyrec.nn.encoder import FromItems, Table
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Hard, InBatch, Uniform

FEW, MANY = 100, 10_000
"""Items: so few that the softmax loss compares with all of them, and more than that."""

FLAT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {}),
    "paper": (
        {"n_layers": 3, "combine": "mean", "loss": "bpr", "schedule": "constant", "score": None},
        {"n_layers": 3, "combine": Mean(), "loss": BPR(), "schedule": "constant"},
    ),
    "bpr": (
        {"loss": "bpr", "temperature": 0.7, "attention_kl": 10.0, "attention_size": 16},
        {"loss": BPR(), "combine": Attention()},
    ),
    "bpr, weights of the training data": (
        {"loss": "bpr", "combine_fit": "train", "attention_size": 8, "attention_kl": 3.0, "num_negatives": 3},
        {"loss": BPR(negatives=Uniform(3)), "combine": Attention(8, 3.0, "train")},
    ),
    "hard negatives by cosine": (
        {"loss": "bpr", "negatives": "hard", "score": "cosine", "combine": "weighted"},
        {"loss": BPR("cosine", Hard()), "combine": Weighted()},
    ),
    "held out": (
        {"combine": "weighted", "combine_fit": "held-out", "temperature": 0.1},
        {"combine": Weighted("held-out"), "loss": Softmax(0.1)},
    ),
    "sampled": (
        {"num_negatives": 4, "corrected": True, "score": "inner"},
        {"loss": Softmax(score="inner", negatives=Uniform(4, corrected=True))},
    ),
    "in the batch": (
        {"negatives": "batch", "corrected": True},
        {"loss": Softmax(negatives=InBatch(corrected=True))},
    ),
    "self-attention, spectral": (
        {"combine": "self-attention", "n_heads": 4, "init": "spectral"},
        {"combine": SelfAttention(4), "encoder": Table("spectral")},
    ),
    "users from items": (
        {"user_from": "items", "n_layers": 3, "edge_dropout": 0.3, "precision": "bf16"},
        {"encoder": FromItems(), "n_layers": 3, "augment": (EdgeDropout(0.3),), "precision": "bf16"},
    ),
    "one layer of users, of which nothing is combined": (
        {"user_from": "items", "n_layers": 1, "combine": "attention", "precision": "bf16"},
        {"encoder": FromItems(), "n_layers": 1, "combine": Mean()},
    ),
    "no layers": ({"n_layers": 0, "attention_size": 4}, {"n_layers": 0, "combine": Mean()}),
    "augmented": (
        {
            "extra_edges": 0.2,
            "edge_dropout": 0.1,
            "contrast": "noise",
            "contrast_rate": 0.4,
            "contrast_weight": 1.0,
        },
        {"augment": (ExtraEdges(0.2), EdgeDropout(0.1), Contrast("noise", weight=1.0, rate=0.4))},
    ),
    "no contrast, whatever its weight": ({"contrast": None, "contrast_weight": 5.0, "edge_dropout": 0.0}, {}),
    "early stopping": ({"validation": 0.2, "k": 5}, {"stopping": EarlyStopping(0.2, k=5)}),
    "patience on a set of one's own": (
        {"validation": None, "patience": 2, "k": 10},
        {"stopping": EarlyStopping(None, 2, 10)},
    ),
}
FLAT_OF_MF: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {}),
    "bpr": (
        {"loss": "bpr", "num_negatives": 2, "validation": 0.1, "precision": "fp32", "init": "normal"},
        {"loss": BPR(negatives=Uniform(2)), "stopping": EarlyStopping(0.1)},
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_flat_hyperparameters_are_these_objects(name: str) -> None:
    flat, expected = FLAT[name]
    for num_items in (FEW, MANY):
        found = LightGCN(**from_flat("lightgcn", flat, num_items))
        assert found.flat_params() == LightGCN(**expected).flat_params()


@pytest.mark.parametrize("name", FLAT_OF_MF)
def test_those_of_matrix_factorisation_have_no_layers(name: str) -> None:
    flat, expected = FLAT_OF_MF[name]
    assert MF(**from_flat("mf", flat, FEW)).flat_params() == MF(**expected).flat_params()


def test_corrected_negatives_of_few_items_were_all_items() -> None:
    for num_items, negatives in ((FEW, "auto"), (MANY, Uniform(corrected=True))):
        found = from_flat("lightgcn", {"corrected": True}, num_items)["loss"]
        assert found == Softmax(negatives=negatives)


@pytest.fixture(scope="module")
def train() -> Interactions:
    return synthetic(60, 40, interactions_per_user=8, num_groups=4)


def rewrite(folder: Path, flat: dict[str, Any], **changes: np.ndarray) -> None:
    """Make a saved model one of format 1: flat hyperparameters, and the embeddings by their name of then."""
    arrays = load_file(folder / "model.safetensors")
    arrays |= {name.replace("__", "."): array for name, array in changes.items()}
    if "model.first.embedding" in arrays:
        arrays["model.embedding"] = arrays.pop("model.first.embedding")
    save_file(arrays, folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": 1, "params": flat, "sha256": digest}))


def lists(model: Recommender, train: Interactions) -> list[bytes]:
    users = model.recommend(train.user_ids, 5)
    new = model.recommend_for_items([train.item_ids[:3], train.item_ids[5:6]], 5)
    why = json.dumps(model.explain(train.user_ids.tolist()[3]).as_dict()).encode()
    return [why, *(array.tobytes() for array in (*users, *new))]


@pytest.mark.parametrize("name", FLAT)
def test_a_saved_model_of_format_1_recommends_the_same_bits(
    name: str, train: Interactions, tmp_path: Path
) -> None:
    flat, given = FLAT[name]
    if "stopping" in given and given["stopping"].share is None:
        given = {**given, "stopping": None}  # which needs a validation set
    model = LightGCN(**{**SMALL, **given}).fit(train)
    model.save(tmp_path)
    rewrite(tmp_path, {**SMALL, **flat})
    for loaded in (LightGCN.load(tmp_path), Recommender.load(tmp_path)):
        assert lists(loaded, train) == lists(model, train)
    loaded.save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["format"] == 2
    assert lists(LightGCN.load(tmp_path / "again"), train) == lists(model, train)


@pytest.mark.parametrize("name", FLAT_OF_MF)
def test_a_matrix_factorisation_of_format_1(name: str, train: Interactions, tmp_path: Path) -> None:
    flat, given = FLAT_OF_MF[name]
    model = MF(**{**SMALL, **given}).fit(train)
    model.save(tmp_path)
    rewrite(tmp_path, {**SMALL, **flat})
    assert lists(MF.load(tmp_path), train) == lists(model, train)


@pytest.mark.parametrize("width", [4, 16, 40])
def test_the_width_of_an_attention_that_was_held_out_acts_on_nothing(
    width: int, train: Interactions, tmp_path: Path
) -> None:
    model = LightGCN(**SMALL, loss="bpr").fit(train)
    model.save(tmp_path)
    rng = np.random.default_rng(0)
    shapes = {"weight": (width, SMALL["embedding_size"]), "bias": (width,)}
    drawn = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    drawn["vector"] = np.zeros(width, dtype=np.float32)
    rewrite(
        tmp_path,
        {**SMALL, "loss": "bpr", "attention_size": width},
        **{f"model__combine__{name}": array for name, array in drawn.items()},
    )
    assert lists(LightGCN.load(tmp_path), train) == lists(model, train)


def test_models_without_components_have_the_same_hyperparameters_in_both_formats(
    train: Interactions, tmp_path: Path
) -> None:
    model = EASE(reg=7.0).fit(train)
    model.save(tmp_path)
    rewrite(tmp_path, {"reg": 7.0})
    assert lists(Recommender.load(tmp_path), train) == lists(model, train)
    assert set(MODELS) > {"ease", "lightgcn", "mf"}


def test_flat_hyperparameters_are_of_format_1_alone(train: Interactions, tmp_path: Path) -> None:
    LightGCN(**SMALL).fit(train).save(tmp_path)
    rewrite(tmp_path, {**SMALL, "temperature": 0.3})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": 2}))
    with pytest.raises(DataError, match=r"params do not fit LightGCN: .*'temperature'"):
        LightGCN.load(tmp_path)
