"""Errors of a fit: in terms of what the caller asked for, and each for what it is."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, eye_array
from small_models import SMALL

from pyrec import LightGCN
from pyrec.data import Interactions, synthetic
from pyrec.errors import DataError
from pyrec.nn.combine import Attention, Weighted
from pyrec.train import epochs
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Softmax
from pyrec.train.trainer import Trainer
from pyrec.tune import Range, Search


@pytest.mark.parametrize("matrix", [csr_array([[1, 1, 0]]), eye_array(30, format="csr")])
def test_a_share_that_cannot_be_held_out_is_told_as_what_asked_for_it(matrix):
    n, users = matrix.nnz, matrix.shape[0]
    none = rf"of the interactions out, but none of {n} can be: each of {users} users keeps one"
    with pytest.raises(
        DataError, match=rf"combine__fit = 'held-out' .*holds 0.1 {none} .*; give .*combine = 'mean'"
    ):
        LightGCN(**SMALL, loss="bpr", combine=Weighted("held-out")).fit(matrix)
    with pytest.raises(
        DataError, match=r"combine__fit = 'held-out' \(None stands for it with a loss such as 'bpr'\) holds"
    ):
        LightGCN(**SMALL, loss="bpr").fit(matrix)
    with pytest.raises(
        DataError, match=rf"stopping__share = 0.2 holds 0.2 {none} to learn from; give more .*leave it out"
    ):
        LightGCN(**SMALL, stopping=EarlyStopping(0.2, k=2)).fit(matrix)
    for way_on in ({"combine": Attention(fit="train")}, {"combine": "mean"}, {"loss": "softmax"}):
        LightGCN(**{**SMALL, "loss": "bpr", **way_on}).fit(matrix)


def test_a_search_speaks_of_its_own_share():
    from pyrec import SVD

    train = Interactions.from_arrays([0, 1, 2], [0, 1, 2])
    search = Search(SVD(1), [Range("embedding_size", values=(1, 2))], train)
    with pytest.raises(DataError, match=r"^share = 0\.\d+ holds .*give more interactions"):
        search.run({"embedding_size": 1})


def test_held_out_pairs_of_users_who_have_everything():
    """One user has all 20 items and one has a single item, which stays; what is held out is of the first."""
    rows = np.vstack([np.ones(20), np.eye(1, 20)])
    with pytest.raises(
        DataError, match=r"who has one of the \d interactions held out has all 20 items; give more"
    ):
        LightGCN(**SMALL, loss="bpr").fit(csr_array(rows))
    with pytest.raises(DataError, match="no user has an item to learn from and one to compare it with"):
        LightGCN(**SMALL, loss="bpr").fit(csr_array(np.ones((3, 20))))  # nothing about held-out pairs


@pytest.mark.parametrize(
    "error",
    [
        DataError("rows had a node twice"),
        RuntimeError("no kernel image"),
        MemoryError(),
        KeyError("x"),
        OSError(5, "I/O"),
    ],
)
def test_only_numbers_that_are_not_finite_are_a_divergence(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(type(error)) as raised:
        LightGCN(**SMALL).fit(synthetic(20, 15, 4.0, 2))
    assert raised.value is error


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize("words", epochs._NOT_FINITE)
def test_whoever_finds_numbers_that_are_not_finite_it_is_a_divergence(words, loss, monkeypatch):
    def fail(*_):
        raise (RuntimeError if words.startswith("returned") else DataError)(f"x {words}")

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(DataError, match=rf"training diverged in epoch 1; lower learning_rate .*{words}"):
        LightGCN(**SMALL, loss=loss, combine="mean").fit(synthetic(20, 15, 4.0, 2))


@pytest.mark.parametrize("loss", [BPR(), Softmax(score="inner")], ids=["bpr", "softmax"])
def test_a_rate_that_is_too_high_diverges(loss):
    """The words are those of the kernels: a rate of 1e30 makes numbers whose sums are infinite."""
    with pytest.raises(DataError, match="training diverged in epoch"):
        LightGCN(**{**SMALL, "epochs": 4}, loss=loss, combine="mean", learning_rate=1e30).fit(
            synthetic(20, 15, 4.0, 2)
        )
    assert torch.is_grad_enabled()
