"""LightGCN (He et al., SIGIR 2020), with the mean or a learned combination of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pyrec.models.graph_recommender import GraphRecommender
from pyrec.nn.combine import Combine
from pyrec.nn.encoder import Encoder
from pyrec.train.augment import Augment
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import Loss
from pyrec.train.reweight import Reweight


class LightGCN(GraphRecommender):
    """Graph collaborative filtering: embeddings averaged over neighbours, layer by layer.

    Hyperparameters that mean something only beside another one are attributes of it: ``Softmax(temperature=0.1)``.
    A name, such as ``"softmax"``, stands for such an object with its defaults.
    """

    model_name: ClassVar[str] = "lightgcn"

    def __init__(
        self,
        embedding_size: int = 64,
        n_layers: int = 2,
        combine: Combine | str = "attention",
        loss: Loss | str = "softmax",
        encoder: Encoder | str = "table",
        augment: Sequence[Augment | str] | Augment | str = (),
        stopping: EarlyStopping | str | None = None,
        epochs: int = 30,
        batch_size: int = 2048,
        learning_rate: float = 4e-3,
        schedule: str = "linear",
        reg: float = 1e-4,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        weighted_edges: bool = False,
        reweight: Reweight | str | None = None,
    ) -> None:
        """Store the hyperparameters; `fit` checks them.

        Softmax with attention did best on two data sets of `bench/accuracy` and is the default, with a smaller
        dimension and fewer epochs than there. LightGCN as published is
        ``LightGCN(n_layers=3, combine="mean", loss="bpr", epochs=1000, learning_rate=1e-3, schedule="constant")``.

        Args:
            embedding_size: Dimension of an embedding, 1 to 512; multiples of 16 are fast.
            n_layers: Propagation layers K, 0 to 16.
            combine: How the K + 1 layers become one vector: `Mean`, `Weighted`, `Attention` or `SelfAttention`.
            loss: `BPR`, `Softmax`, `Pointwise` or `CCL`. It has its score and its negatives.
            encoder: Where embeddings come from: `Table`, or `FromItems`, whose users are made of their items.
            augment: Any of `EdgeDropout`, `ExtraEdges` and `Contrast`.
            stopping: `EarlyStopping`, which keeps the best epoch; None keeps the last one.
            epochs: Passes over the interactions.
            batch_size: Interactions in a training step.
            learning_rate: Adam's.
            schedule: ``constant``, or ``linear`` for a rate that falls to 1 / epochs of it in the last epoch.
            reg: Weight of the L2 penalty on the first embeddings X_0 of a batch.
            seed: Of the first embeddings and of all sampling, 0 to 2**63 - 1.
            device: ``cpu`` or ``cuda``: where to train and rank. A loaded model ranks on the CPU.
            precision: ``fp32``, or ``bf16`` to store whole layers as bfloat16, forward and backward: faster, for 8 bits
                of fraction. Parameters and sums stay float32.
            weighted_edges: Propagate by ``w_ui / sqrt(d_u d_i)`` with d the sum of a node's weights, where the
                interactions have weights. The loss counts by the weights in any case.
            reweight: How samples are weighed so that the loss on uniform pairs falls: `LinearWeights`, `LabelWeights`,
                `Ren` or `MetaWeightNet`; None where they are not.
        """
        self.embedding_size = embedding_size
        self.n_layers = n_layers
        self.combine = combine
        self.loss = loss
        self.encoder = encoder
        self.augment = augment
        self.stopping = stopping
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.reg = reg
        self.seed = seed
        self.device = device
        self.precision = precision
        self.weighted_edges = weighted_edges
        self.reweight = reweight
