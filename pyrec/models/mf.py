"""Matrix factorisation: LightGCN without layers."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.lightgcn import LightGCN


class MF(LightGCN):
    """Matrix factorisation trained like LightGCN: the same losses and sampler, no layers.

    Source: with ``loss="bpr"`` BPR-MF (Rendle et al., UAI 2009).
    """

    model_name: ClassVar[str] = "mf"
    n_layers = 0
    combine = "mean"
    combine_fit = None
    init = "normal"
    attention_size = 1
    attention_kl = 0.0
    n_heads = 1
    contrast = None
    extra_edges = 0.0
    user_from = "embedding"
    edge_dropout = 0.0

    def __init__(
        self,
        embedding_size: int = 64,
        loss: str = "softmax",
        epochs: int = 30,
        batch_size: int = 2048,
        learning_rate: float = 4e-3,
        schedule: str = "linear",
        reg: float = 1e-4,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        score: str | None = None,
        temperature: float = 0.2,
        num_negatives: int | None = None,
        negatives: str = "uniform",
        corrected: bool = False,
        validation: float | None = None,
        patience: int | None = None,
        k: int = 20,
    ) -> None:
        """Store the hyperparameters; `LightGCN` explains each."""
        self.embedding_size = embedding_size
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.reg = reg
        self.seed = seed
        self.device = device
        self.precision = precision
        self.score = score
        self.temperature = temperature
        self.num_negatives = num_negatives
        self.negatives = negatives
        self.corrected = corrected
        self.validation = validation
        self.patience = patience
        self.k = k
