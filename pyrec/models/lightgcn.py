"""LightGCN (He et al., SIGIR 2020), with the mean or a learned combination of its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions
from pyrec.device import check_fits, find_device, training_bytes
from pyrec.graph.graph import Graph
from pyrec.models.base import Recommender
from pyrec.models.fitting import train_model
from pyrec.models.hyperparameters import (
    HELD_OUT_COMBINES,
    check_hyperparameters,
    check_validation,
    combined_layers,
    score_of,
    training_settings,
)
from pyrec.models.score import ScoreParameter
from pyrec.models.vectors import EpochRecommender
from pyrec.nn.combine import make_combine
from pyrec.nn.network import LightGCNNetwork
from pyrec.nn.users_from_items import UsersFromItems
from pyrec.store.arrays import State
from pyrec.store.training_checkpoint import Checkpoints, Subject, fingerprint
from pyrec.train.batch import loss_bytes, most_nodes
from pyrec.train.epochs import Journal

if TYPE_CHECKING:
    from typing_extensions import Self


class LightGCN(EpochRecommender):
    """Graph collaborative filtering: embeddings averaged over neighbours, layer by layer.

    Its hyperparameter ``score`` is read by ``get_params()["score"]``; the attribute can also be called, as
    `Recommender.score`.

    Attributes:
        user_vectors_: (num_users, embedding_size) float32, combined over the layers.
        item_vectors_: (num_items, embedding_size) float32. With ``score="cosine"`` both have length 1.
        network_: The trained parameters.
        best_epoch_: The epoch whose parameters were kept: the last one, or the best on the validation set. This and
            the next two are of `fit`; a loaded model does not have them.
        full_users_: Number of users who own every item; they have no negative and were not trained on.
        empty_users_: Number of users without an interaction to train on.
    """

    model_name: ClassVar[str] = "lightgcn"
    score: Any = ScoreParameter(Recommender.score)
    network_: LightGCNNetwork
    user_vectors_: Tensor
    item_vectors_: Tensor
    best_epoch_: int
    full_users_: int
    empty_users_: int

    def __init__(
        self,
        embedding_size: int = 64,
        n_layers: int = 2,
        combine: str = "attention",
        combine_fit: str | None = None,
        loss: str = "softmax",
        epochs: int = 30,
        batch_size: int = 2048,
        learning_rate: float = 4e-3,
        schedule: str = "linear",
        reg: float = 1e-4,
        init: str = "normal",
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        score: str | None = None,
        temperature: float = 0.2,
        num_negatives: int | None = None,
        negatives: str = "uniform",
        corrected: bool = False,
        attention_size: int = 16,
        attention_kl: float = 10.0,
        n_heads: int = 2,
        contrast: str | None = None,
        contrast_weight: float = 0.1,
        contrast_temperature: float = 0.2,
        contrast_rate: float = 0.1,
        extra_edges: float = 0.0,
        user_from: str = "embedding",
        edge_dropout: float = 0.0,
        validation: float | None = None,
        patience: int | None = None,
        k: int = 20,
    ) -> None:
        """Store the hyperparameters; `fit` checks them.

        Softmax with attention did best on two data sets of `bench/accuracy` and is the default, with fewer numbers and
        epochs than there. LightGCN as published is
        ``LightGCN(n_layers=3, combine="mean", loss="bpr", epochs=1000, learning_rate=1e-3, schedule="constant")``.

        Args:
            embedding_size: Numbers in a vector, 1 to 512; multiples of 16 are fast.
            n_layers: Propagation layers K, 0 to 16.
            combine: ``mean``, ``weighted``, ``attention`` or ``self-attention`` over the K + 1 layers.
            combine_fit: What the combine's parameters are learned on. ``train``: the training data, with the
                embeddings. ``held-out``: a tenth of them that graph and embeddings do without at first; then all is
                learned anew with these weights, in twice the time (``weighted`` and ``attention``, of which the
                sides' priors alone; see `pyrec.train.bilevel`). None: held-out where there is such with BPR,
                whose weights run to layer 0 on the training data; else train.
            loss: ``bpr``, or ``softmax`` over sampled or all items.
            epochs: Passes over the interactions.
            batch_size: Interactions in a training step.
            learning_rate: Adam's.
            schedule: ``constant``, or ``linear`` for a rate that falls to 1 / epochs of it in the last epoch.
            reg: Weight of the L2 penalty on the embeddings of a batch, X_0; second vectors of items have none.
            init: The first embeddings: ``normal``, N(0, 0.1²), or ``spectral``, the graph's leading singular
                vectors (see `pyrec.nn.spectral`), with which fewer epochs do.
            seed: Of the first embeddings and of all sampling, 0 to 2**63 - 1.
            device: ``cpu`` or ``cuda``: where to train and rank. A loaded model ranks on the CPU.
            precision: ``fp32``, or ``bf16`` to store what whole layers gather as bfloat16, forward and
                backward: faster, for 8 bits of fraction. Parameters and sums stay float32.
            score: ``inner`` or ``cosine``, what the softmax loss compares and lists are ranked by; None for cosine with
                softmax, inner with BPR (which learns inner products whatever ranks). Inner products can learn an
                item's popularity and need a larger ``reg``.
            temperature: Of the softmax loss; above 0.
            num_negatives: Sampled negatives of each interaction; None for one, for 16 of which the hardest counts, or
                for all items where the softmax loss meets at most 4,096 of them. The softmax loss shares a batch's
                negatives.
            negatives: ``uniform``; for the softmax loss ``batch``, the batch's other positives, so that popular items
                are negatives as often as they are positives; for BPR ``hard``, of the uniform ones the one that
                the user's vector is most like (see `pyrec.train.batch.Batch.hardest`), with which a third of the
                epochs do.
            corrected: Weigh sampled negatives by one over how often they were to be expected, so that the softmax
                loss estimates that over all items.
            attention_size: Width of the additive attention, 1 to 512.
            attention_kl: Pull of a node's weights towards those of its side and activity: weight of their divergence in
                the loss (see `pyrec.nn.combine.AttentionCombine`). 0 for none, which over-fits small data.
            n_heads: Heads of the self-attention; divides embedding_size.
            contrast: A second loss that keeps two perturbed views of a node together (see `pyrec.train.contrast`):
                ``edges`` with random edges left out (SGL), ``noise`` with noise on the layers (SimGCL), or None.
                Both need a layer to perturb.
            contrast_weight: Of that loss beside the ranking loss; above 0.
            contrast_temperature: Of its cosines; above 0.
            contrast_rate: The share of edges left out, below 1, or the length of the noise.
            extra_edges: Random unseen pairs, so many for each interaction, that training propagates over as if
                they were interactions; they are no positives, and the final vectors do without them.
            user_from: What a user's layers start from: an ``embedding`` of its own, as in LightGCN, or its ``items``
                alone, which then have a second vector to be recommended by
                (`pyrec.nn.users_from_items.UsersFromItems`); that needs an odd n_layers.
            edge_dropout: The share of edges that a training step's propagation leaves out, others each step, so that
                users are not told from the very items that they are to be told; below 1.
            validation: Share of the interactions held out of training to choose the epoch, in (0, 1).
            patience: Epochs without a better validation ndcg before training stops; needs validation.
            k: Cut-off of the validation metrics.
        """
        self.embedding_size = embedding_size
        self.n_layers = n_layers
        self.combine = combine
        self.combine_fit = combine_fit
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.reg = reg
        self.init = init
        self.seed = seed
        self.device = device
        self.precision = precision
        self.score = score
        self.temperature = temperature
        self.num_negatives = num_negatives
        self.negatives = negatives
        self.corrected = corrected
        self.attention_size = attention_size
        self.attention_kl = attention_kl
        self.n_heads = n_heads
        self.contrast = contrast
        self.contrast_weight = contrast_weight
        self.contrast_temperature = contrast_temperature
        self.contrast_rate = contrast_rate
        self.extra_edges = extra_edges
        self.user_from = user_from
        self.edge_dropout = edge_dropout
        self.validation = validation
        self.patience = patience
        self.k = k

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        validation: Interactions | None = None,
        callback: Callable[[Recommender, dict[str, Any]], None] | None = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
    ) -> Self:
        """Train. See `EpochRecommender.fit`.

        With a share ``validation`` held out, parameters are learned on the rest; the final vectors propagate
        over all interactions.

        Raises:
            ConfigError: If a hyperparameter is out of its range, or not that of the checkpoint to go on from.
            DataError: If there is nothing to learn from, the validation set does not fit, or the data or the
                checkpoint to go on from are not those they were.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        check_hyperparameters(self)
        train = self._training_set(interactions)
        check_validation(self, train, validation)
        check_fits(self.training_bytes(train, validation is not None), find_device(self.device))

        def subject() -> Subject:
            return Subject(self.model_name, self.get_params(), fingerprint(train), fingerprint(validation))

        journal = Journal(checkpoints, subject, resume)
        self.train_ = train
        self.history_ = []
        self.network_ = self._make_network(train)
        train_model(self, validation, callback, journal)
        return self

    @property
    def _fits_held_out(self) -> bool:
        if self.combine_fit is None:
            learned = self.combine in HELD_OUT_COMBINES and combined_layers(self) > 1
            return self.loss == "bpr" and learned
        return self.combine_fit == "held-out"

    @property
    def _graphs_at_a_time(self) -> float:
        """How many times the interactions are on the device: once, and once more where training has another graph."""
        learned = 1 - (self.validation or 0)
        others = learned if self.validation is not None else 0
        if self.extra_edges > 0:
            others += learned * (1 + self.extra_edges)
        return 1 + max(others, 1 if self._fits_held_out else 0)

    def training_bytes(self, interactions: Interactions, validated: bool = False) -> int:
        """Memory that `fit` takes at its peak, above the data, in bytes: see `pyrec.device.training_bytes`.

        Args:
            interactions: The training set.
            validated: Whether `fit` is given a validation set.
        """
        settings, num_items = training_settings(self), interactions.num_items
        size = min(self.batch_size, len(interactions))
        nodes = interactions.num_users + interactions.num_items
        return training_bytes(
            nodes,
            round(len(interactions) * self._graphs_at_a_time),
            self.embedding_size,
            self.n_layers,
            most_nodes(settings, size, num_items),
            precision=self.precision,
            fixed_weights=self.combine in ("mean", "weighted"),
            cosine=score_of(self) == "cosine",
            contrast=self.contrast,
            num_targets=num_items if self.user_from == "items" else 0,
            dropout=self.edge_dropout > 0,
            loss_bytes=loss_bytes(settings, size, num_items, self.embedding_size, self.device),
            validated=validated or self.validation is not None,
            recorded=self.device == "cuda",
        )

    def _refresh(self) -> None:
        """Brings the fitted vectors up to date with the parameters and the graph."""
        vectors = self.network_.all_nodes(self._graph)
        if score_of(self) == "cosine":
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        self.user_vectors_ = vectors[: self.train_.num_users]
        self.item_vectors_ = vectors[self.train_.num_users :]
        self._history_layers: list[NDArray[np.float32]] | None = None

    def _layer_weights(self) -> NDArray[np.float32] | None:
        if self.combine == "mean":
            return None
        weights: NDArray[np.float32] = self.network_.layer_weights(self._graph).cpu().numpy()
        return weights

    # Scoring: the hooks of `Recommender`.

    def _item_vectors(self) -> Tensor:
        return self.item_vectors_

    def _query_vectors(self, users: NDArray[np.int32]) -> Tensor:
        vectors = self.user_vectors_
        return vectors[tensor_of(users).long().to(vectors.device)]

    @torch.no_grad()
    def _query_from_items(self, histories: csr_array) -> Tensor:
        vectors = self._vectors_from_items(histories)
        return torch.nn.functional.normalize(vectors, dim=1) if score_of(self) == "cosine" else vectors

    def _vectors_from_items(self, histories: csr_array) -> Tensor:
        """A new user is a node with these neighbours and no embedding of its own: X_0 = 0.

        Layer k is then sum_i X_{k-1}[i] / sqrt(d_u d_i) over its items. Without layers (MF) there is nothing
        to propagate, and the user is the mean of its items.
        """
        degree = np.maximum(np.diff(histories.indptr), 1)[:, None]
        if self.n_layers == 0:
            means = (histories @ self.item_vectors_.cpu().numpy() / degree).astype(np.float32)
            return tensor_of(means).to(self.item_vectors_.device)
        layers = [histories @ layer / np.sqrt(degree) for layer in self._scaled_item_layers()]
        device = self.item_vectors_.device
        rows = [tensor_of(np.ascontiguousarray(layer, dtype=np.float32)).to(device) for layer in layers]
        known = self.network_.nodes(self._graph)
        nodes = None if known is None else known.new_users(tensor_of(np.diff(histories.indptr)).to(device))
        return self.network_.new_users([torch.zeros_like(rows[0]), *rows], nodes)

    def _scaled_item_layers(self) -> list[NDArray[np.float32]]:
        """X_k[i] / sqrt(d_i) of all items, (num_items, dim), for k = 0 .. n_layers - 1."""
        if self._history_layers is None:
            num_users = self.train_.num_users
            scale = self._graph.factors(torch.float32).scale
            assert scale is not None  # the graph of plain interactions has no weights
            layers = self.network_.layers(self._graph)[:-1]
            self._history_layers = [
                (layer[num_users:] * scale[num_users:, None]).cpu().numpy() for layer in layers
            ]
        return self._history_layers

    # Files.

    def _state(self) -> dict[str, NDArray[Any]]:
        return {name: value.cpu().numpy() for name, value in self.network_.state_dict().items()}

    def _restore(self, state: State) -> None:
        check_hyperparameters(self)
        num_nodes = self.train_.num_users + self.train_.num_items
        state.array(
            "embedding", np.float32, (num_nodes, self.embedding_size)
        )  # before one is made of that size
        self.network_ = self._make_network(self.train_)
        self.network_.load_state_dict(
            {
                name: tensor_of(state.array(name, np.float32, tuple(value.shape)))
                for name, value in self.network_.state_dict().items()
            }
        )
        self._graph = Graph.from_interactions(self.train_)
        self.history_ = []
        self._refresh()
        self.layer_weights_ = self._layer_weights()

    # Hyperparameters.

    def _make_network(self, train: Interactions) -> LightGCNNetwork:
        # Generators apart, so that every way to combine starts from the same embeddings.
        generator = torch.Generator("cpu").manual_seed(self.seed)
        combine_generator = torch.Generator("cpu").manual_seed(self.seed + 1)
        from_items = self.user_from == "items"
        combine = make_combine(
            self.combine,
            combined_layers(self) - 1,
            self.embedding_size,
            hidden=self.attention_size,
            n_heads=self.n_heads,
            kl=0.0 if self._fits_held_out else float(self.attention_kl),  # there the sides' weights are all
            generator=combine_generator,
        )
        of_all = (self.embedding_size, self.n_layers, combine, generator, self.precision)
        if from_items:
            return UsersFromItems(train.num_users, train.num_items, *of_all)
        return LightGCNNetwork(train.num_users + train.num_items, *of_all)
