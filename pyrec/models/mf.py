"""Matrix factorisation."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.graph_recommender import GraphRecommender
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import Loss
from pyrec.train.reweight import Reweight


class MF(GraphRecommender):
    """Matrix factorisation trained like LightGCN: the same losses and sampler, no layers.

    Source: with ``loss="bpr"`` BPR-MF (Rendle et al., UAI 2009).
    """

    model_name: ClassVar[str] = "mf"

    def __init__(
        self,
        embedding_size: int = 64,
        loss: Loss | str = "softmax",
        stopping: EarlyStopping | str | None = None,
        epochs: int = 30,
        batch_size: int = 2048,
        learning_rate: float = 4e-3,
        schedule: str = "linear",
        reg: float = 1e-4,
        seed: int = 0,
        device: str = "cpu",
        reweight: Reweight | str | None = None,
    ) -> None:
        """Store the hyperparameters; `LightGCN` explains each."""
        self.embedding_size = embedding_size
        self.loss = loss
        self.stopping = stopping
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.reg = reg
        self.seed = seed
        self.device = device
        self.reweight = reweight
