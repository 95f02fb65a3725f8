"""What LightGCN and matrix factorisation share: embeddings of users and items, propagated and combined."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from torch import Tensor

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec.data import Dataset, Interactions, Ragged, as_dataset
from pyrec.device import check_fits, find_device
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Graph
from pyrec.models.base import Recommender
from pyrec.models.format_1 import from_format_1
from pyrec.models.messages import Messages, shares
from pyrec.models.new_users import NewUsers
from pyrec.models.reasons import Asker, Reasons, likenesses
from pyrec.models.stopping import asked_stopping
from pyrec.models.training_options import (
    DEVICE,
    LEARNING_RATE,
    SCHEDULE,
    STOPPING,
    TRAINING,
    epochs_option,
    seed_option,
)
from pyrec.models.uniform import needed_uniform, with_uniform
from pyrec.models.validation import validation_by
from pyrec.models.vectors import EpochRecommender
from pyrec.models.whole_mf import WholeMF
from pyrec.nn.combine import Combine
from pyrec.nn.encoder import Encoder, Inputs
from pyrec.nn.fit import LayerFit, OnUniform
from pyrec.nn.network import Network
from pyrec.nn.without_edges import scores_without
from pyrec.ops.propagate import PRECISIONS
from pyrec.options import DIM_AKA, REG_AKA, Choice, Count, Number, Options, Switch
from pyrec.params import Part, Parts
from pyrec.store.arrays import State
from pyrec.store.interactions import fingerprint, interaction_arrays
from pyrec.store.resumable import restore_tensors, tensor_arrays, under
from pyrec.store.saved_model import Saved
from pyrec.store.training_checkpoint import Checkpoints, TrainingIdentity
from pyrec.train.augment import Augment
from pyrec.train.early_stopping import EarlyStopping, Stopping
from pyrec.train.epochs import Journal
from pyrec.train.fit import Fit
from pyrec.train.loss import Loss
from pyrec.train.memory import Memory, Sizes
from pyrec.train.optimisation import Optimisation
from pyrec.train.plan import Plan
from pyrec.train.reweight import REWEIGHT, Bridge, Reweight
from pyrec.train.scores import Scores
from pyrec.train.teacher_labels import Teacher
from pyrec.train.validated import Validation

if TYPE_CHECKING:
    from typing_extensions import Self

TIMED_USERS = 1024
"""Whose lists are timed to tell how long a validation takes."""

LEFT_OUT: Final = 20
"""Items of a history that are left out to explain a score, at least."""
EDGES_LEFT_OUT: Final = 40_000_000
"""Bound on edges times layers times items left out, beyond `LEFT_OUT`: it keeps an explanation below a second."""

AUGMENT: Final = Parts(
    family=Augment,
    flag="",
    help="Changes of the graph in training, and losses beside the ranking loss.",
)


class GraphRecommender(EpochRecommender):
    """A model whose users and items have embeddings that are propagated over the graph and combined.

    A subclass has a constructor; what that does not take is a class attribute.

    Attributes:
        user_vectors_: (num_users, embedding_size) float32, combined over the layers.
        item_vectors_: (num_items, embedding_size) float32. Where items are ranked by cosines both have length 1.
        network_: The trained parameters.
        loss_: The loss, with the negatives that it had.
        sample_weights_: float32 (n,), the factor that `reweight` ended with for each interaction that was learned from;
            None where it learns none, or one that changes with the model. This and the next are of `fit`; a loaded
            model does not have them.
        imputed_label_: The label that it ended with for pairs that are not observed; None where it learns none.
    """

    options: ClassVar[Options] = {
        "embedding_size": Count(
            aka=DIM_AKA,
            low=1,
            high=512,
            flag="--dim",
            help="Dimension of an embedding.",
        ),
        "n_layers": Count(
            aka=("num_layers", "depth", "hops"),
            low=0,
            high=16,
            flag="--layers",
            help="Propagation layers.",
            search=(1, 4),
        ),
        "combine": Part(family=Combine, help="How a node's layers become one vector."),
        "loss": Part(family=Loss, help="Training loss."),
        "encoder": Part(
            family=Encoder, help="Where embeddings come from: a table of all nodes, or of items alone."
        ),
        "augment": AUGMENT,
        "stopping": STOPPING,
        "epochs": epochs_option("Passes over the training interactions."),
        "batch_size": Count(aka=("batch",), low=1, group=TRAINING, help="Interactions in a training step."),
        "learning_rate": LEARNING_RATE,
        "schedule": SCHEDULE,
        "reg": Number(
            aka=REG_AKA,
            positive=False,
            group=TRAINING,
            help="Weight of the L2 penalty.",
            search=(1e-6, 1e-2),
        ),
        "seed": seed_option("the first embeddings and of all sampling"),
        "device": DEVICE,
        "precision": Choice(values=PRECISIONS, group=TRAINING, help="Storage of what whole layers gather."),
        "reweight": REWEIGHT,
        "weighted_edges": Switch(help="Propagate by the weights of the interactions."),
    }

    embedding_size: int
    n_layers: int = 0
    combine: Combine | str = "mean"
    loss: Loss | str
    encoder: Encoder | str = "table"
    augment: Any = ()
    stopping: EarlyStopping | str | None
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    reg: float
    seed: int
    device: str
    precision: str = "fp32"
    reweight: Reweight | str | None = None
    weighted_edges: bool = False

    network_: Network
    _inputs: Inputs
    loss_: Loss
    sample_weights_: NDArray[np.float32] | None
    imputed_label_: float | None

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        validation: Interactions | None = None,
        callback: Callable[[Recommender, dict[str, Any]], None] | None = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        sample_weight: ArrayLike | None = None,
        uniform: Interactions | None = None,
    ) -> Self:
        """Train. See `EpochRecommender.fit`.

        ``uniform`` are pairs that were shown at random, with labels and the same id maps, which ``reweight`` and
        a combine's ``fit`` learn from; None for those of the data set.

        Raises:
            ConfigError: If a hyperparameter is out of its range or acts on nothing, or is not that of the checkpoint to
                go on from.
            DataError: If there is nothing to learn from, the validation set does not fit, or the data or the
                checkpoint to go on from are not those they were.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        self.check_params()
        dataset = as_dataset(interactions, sample_weight)
        uniform = self._uniform_of(dataset, uniform)
        train = self._training_set(dataset.interactions)
        stopping = asked_stopping(self.stopping, train, validation)
        plan, inputs = self._plan(train, uniform), self._inputs_of(dataset)
        needed = self._training_bytes(plan, inputs, stopping is not None)
        check_fits(needed, find_device(self.device))

        def identity() -> TrainingIdentity:
            others = dict(inputs.features.arrays)
            if uniform is not None:
                others |= under("uniform", interaction_arrays(uniform))
            data = (fingerprint(train, others), fingerprint(validation))
            return TrainingIdentity(self.model_name, self.get_params(deep=False), *data)

        if self.weighted_edges and train.weights is None:
            raise DataError(
                "weighted_edges = True, but the interactions have no weights; give some, or leave it out"
            )
        plan.loss.labels(train)  # what cannot be learned from is an error before anything is trained
        journal = Journal(checkpoints, identity, resume)
        self.train_ = train
        self.history_ = []
        self.loss_ = plan.loss
        self._inputs, self.network_ = inputs, self._make_network(inputs)
        fit = Fit(
            plan,
            train,
            self.network_,
            find_device(self.device),
            journal,
            self.history_,
            uniform,
            self._teacher(uniform),
        )
        told = None if stopping is None else self._validation(fit, stopping, validation)
        if callback is not None:
            callback = partial(self._call_of, fit, callback)
        self.best_epoch_ = fit.run(told, callback)
        self.full_users_, self.empty_users_ = fit.full_users, fit.empty_users
        self._graph = fit.graph
        self._refresh()
        self.layer_weights_ = self._layer_weights()
        weights = None if fit.sample_weights is None else fit.sample_weights.of_training()
        self.sample_weights_ = None if weights is None else weights.cpu().numpy()
        self.imputed_label_ = None if fit.sample_weights is None else fit.sample_weights.label()
        return self

    def _teacher(self, uniform: Interactions | None) -> Teacher | None:
        """What `Bridge` has the labels from, if that is asked for."""
        how = None if self.reweight is None else Reweight.of(self.reweight)
        if not isinstance(how, Bridge):
            return None
        size, reg = how.teacher_size, float(how.teacher_reg)
        model = WholeMF(size, reg=reg, seed=self.seed, device=self.device).fit(uniform)
        assert model.user_vectors_ is not None
        return Teacher(model.user_vectors_, model.item_vectors_)

    @property
    def uniform(self) -> Literal["ignored", "needed"]:  # type: ignore[override]
        """See `Recommender.uniform`: needed where weights are learned on it."""
        return "needed" if self._learned_on_uniform() else "ignored"

    def _learned_on_uniform(self) -> list[str]:
        """The options that have something learned on uniform pairs, as messages name them."""
        asked = [] if self.reweight is None else [f"reweight = {Reweight.of(self.reweight).name!r}"]
        return [*asked, "combine__fit = 'uniform'"] if isinstance(self._layer_fit(), OnUniform) else asked

    def _uniform_of(self, dataset: Dataset, uniform: Interactions | None) -> Interactions | None:
        """The uniform pairs that weights are learned on, if any are.

        Raises:
            ConfigError: They are given twice.
            DataError: Weights are to be learned, but there are no such pairs; or they are of other users and items, or
                have no labels.
        """
        asked = self._learned_on_uniform()
        found = with_uniform(dataset, uniform).uniform
        return needed_uniform(found, asked[0]) if asked else None

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; what does not go together, or acts on nothing, is refused, too."""
        super().check_params(prefix)
        combine, encoder = Combine.of(self.combine), Encoder.of(self.encoder)
        encoder.check_for(self.n_layers)
        combine.check_for(self.embedding_size)
        combine.fits(Loss.of(self.loss).memorises)
        if combine.learned and encoder.combined(self.n_layers) == 1:
            raise ConfigError(
                f"combine = {combine.name!r} has no weights to learn where n_layers = {self.n_layers} leaves one "
                "layer to combine; give more layers, or combine = 'mean'"
            )
        if self.n_layers < 2 and self.precision != "fp32":
            raise ConfigError(
                f"precision = {self.precision!r} is of layers that are propagated again, but n_layers = "
                f"{self.n_layers} has none; leave it out, or give 2 or more layers"
            )
        for one in self._augment():
            one.check_for(self.n_layers, encoder)
        if self.reweight is not None:
            Reweight.of(self.reweight).check_for(Loss.of(self.loss), encoder)
        self._check_adapt()
        self._check_weighted_edges()

    def _check_adapt(self) -> None:
        """What is learned on other pairs has no estimates."""
        if Loss.of(self.loss).adapting is None:
            return
        if self.reweight is not None:
            raise ConfigError(
                "loss__adapt is not for reweight, which takes other steps; leave out one of the two"
            )
        fit = self._layer_fit()
        if fit is not None and (fit.held_out or isinstance(fit, OnUniform)):
            raise ConfigError(
                "loss__adapt is not for layer weights that are learned on other pairs; leave it out, or give "
                "combine__fit = 'train'"
            )

    def _check_weighted_edges(self) -> None:
        if self.weighted_edges and self.n_layers == 0:
            raise ConfigError("weighted_edges = True has no layers to propagate; give n_layers = 1 or more")
        if self.weighted_edges and any(one.more_interactions() for one in self._augment()):
            raise ConfigError(
                "weighted_edges = True has no weights for augment = 'extra-edges'; leave out one of the two"
            )

    def search_options(self, train: Interactions) -> Options:
        """See `Recommender.search_options`; the encoder may allow some numbers of layers alone."""
        options = dict(super().search_options(train))
        layers = Encoder.of(self.encoder).layers_to_try(Combine.of(self.combine).learned)
        if layers and "n_layers" in options:
            options["n_layers"] = replace(options["n_layers"], search=None, tried=layers)
        return options

    def training_bytes(self, interactions: Any, validated: bool = False) -> int:
        """Memory that `fit` takes at its peak, above the data, in bytes: the sum of what its parts take.

        What torch's libraries take for themselves (cuBLAS 64 MiB) comes on top.

        Args:
            interactions: As for `fit`.
            validated: Whether `fit` is given a validation set.
        """
        dataset = as_dataset(interactions)
        inputs = self._inputs_of(dataset)
        plan = self._plan(inputs.interactions, dataset.uniform)
        return self._training_bytes(plan, inputs, validated or self.stopping is not None)

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: all epochs, each with its validation if `stopping` holds out a share."""
        self.check_params()
        dataset, trial = as_dataset(interactions), self.clone()
        train, device = self._training_set(dataset.interactions), find_device(self.device)
        uniform = self._uniform_of(dataset, None)
        plan, trial._inputs = trial._plan(train, uniform), trial._inputs_of(dataset)
        check_fits(trial._training_bytes(plan, trial._inputs, self.stopping is not None), device)
        trial.train_, trial.network_ = train, trial._make_network(trial._inputs)
        identity = TrainingIdentity(self.model_name, {}, {}, {})
        journal = Journal(None, lambda: identity, resume=False)
        fit = Fit(plan, train, trial.network_, device, journal, [], uniform, self._teacher(uniform))
        seconds = fit.seconds(limit / 2)
        if fit.held_out is not None:
            seconds += self.epochs * trial._validation_seconds(fit)
        return seconds

    def _validation_seconds(self, fit: Fit) -> float:
        """Of a validation, from the lists of some users."""
        started = time.perf_counter()
        view = self._view(fit.learned, _graph=fit.learned_graph)
        users = np.arange(min(self.train_.num_users, TIMED_USERS), dtype=np.int32)
        k = min(Stopping.of(self.stopping).k, self.train_.num_items)
        view.topk(users[:1], k)[0].cpu()
        refreshed = time.perf_counter()
        view.topk(users, k)[0].cpu()
        a_user = (time.perf_counter() - refreshed) / len(users)
        return refreshed - started + a_user * self.train_.num_users

    def _training_bytes(self, plan: Plan, inputs: Inputs, validated: bool) -> int:
        of_network = (self.embedding_size, self.n_layers, self.precision, self.device)
        sizes = plan.sizes(inputs.interactions, *of_network)
        training = plan.memory(sizes, inputs, validated)
        return (training + Memory(evaluation=self._ranking_bytes(sizes))).peak

    def _ranking_bytes(self, sizes: Sizes) -> int:
        """Of an evaluation: the vectors, 4 N d, twice for cosines; or all layers and what they are combined to."""
        if Combine.of(self.combine).shared:
            return sizes.table_bytes * (2 if self._by_cosine else 1)
        return sizes.table_bytes * (self.n_layers + 2)

    def _plan(self, train: Interactions, uniform: Interactions | None = None) -> Plan:
        """What `fit` does, by its objects."""
        loss = Loss.of(self.loss)
        loss = loss.replaced(negatives=loss.source(train.num_items))
        stopping = None if self.stopping is None else Stopping.of(self.stopping)
        return Plan(
            loss=loss,
            encoder=Encoder.of(self.encoder),
            augment=self._augment(),
            layer_fit=self._layer_fit(),
            optimisation=Optimisation(float(self.learning_rate), self.epochs, self.schedule, float(self.reg)),
            batch_size=self.batch_size,
            seed=self.seed,
            validation_share=stopping.share if stopping else None,
            weighted_edges=bool(self.weighted_edges),
            reweight=None if self.reweight is None else Reweight.of(self.reweight),
            num_uniform=0 if uniform is None else len(uniform),
        )

    def _augment(self) -> tuple[Augment, ...]:
        return AUGMENT.components(self.augment)  # type: ignore[return-value]

    def _layer_fit(self) -> LayerFit | None:
        if Encoder.of(self.encoder).combined(self.n_layers) == 1:
            return None
        fit: LayerFit | None = Combine.of(self.combine).fits(Loss.of(self.loss).memorises)
        return fit

    def _inputs_of(self, dataset: Dataset) -> Inputs:
        features = State("dataset", Encoder.of(self.encoder).features(dataset))
        return Inputs(dataset.interactions, self.embedding_size, features)

    def _make_network(self, inputs: Inputs) -> Network:
        # Generators apart, so that every way to combine starts from the same embeddings.
        generator = torch.Generator("cpu").manual_seed(self.seed)
        combine_generator = torch.Generator("cpu").manual_seed(self.seed + 1)
        encoder, fit = Encoder.of(self.encoder), self._layer_fit()
        layers = encoder.combined(self.n_layers) - 1
        held_out = fit is not None and fit.held_out
        combine = Combine.of(self.combine).make(layers, self.embedding_size, combine_generator, held_out)
        network: Network = encoder.make(inputs, self.n_layers, combine, generator, self.precision)
        return network

    # Validation.

    def _validation(self, fit: Fit, stopping: EarlyStopping, validation: Interactions | None) -> Validation:
        held_out = validation if fit.held_out is None else fit.held_out
        assert held_out is not None

        def view() -> Recommender:
            """This model, of which neither the graph nor the mask of seen items knows the held-out interactions."""
            return self._view(fit.learned, _graph=fit.learned_graph)

        return validation_by(view, held_out, stopping)

    def _call_of(
        self, fit: Fit, callback: Callable[[Recommender, dict[str, Any]], None], record: dict[str, Any]
    ) -> None:
        self._graph = fit.graph
        self._call(callback, record)

    # Scoring: the hooks of `Recommender`.

    @property
    def _by_cosine(self) -> bool:
        return bool(Loss.of(self.loss).ranking == "cosine")

    def _refresh(self) -> None:
        """Brings the fitted vectors up to date with the parameters and the graph."""
        vectors = self.network_.all_nodes(self._graph)
        if self._by_cosine:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        self.user_vectors_ = vectors[: self.train_.num_users]
        self.item_vectors_ = vectors[self.train_.num_users :]
        self._history_layers: list[NDArray[np.float32]] | None = None
        self._new_users: NewUsers | None = None

    def _layer_weights(self) -> NDArray[np.float32] | None:
        if not Combine.of(self.combine).learned:
            return None
        weights: NDArray[np.float32] = self.network_.layer_weights(self._graph).cpu().numpy()
        return weights

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        cold = super()._cold_users(users)
        return np.zeros_like(cold) if Encoder.of(self.encoder).knows_users else cold

    def _cold_histories(self, histories: Ragged) -> NDArray[np.bool_]:
        """See `Recommender._cold_histories`; users made of their items are reached over items that somebody had."""
        if Encoder.of(self.encoder).knows_items and not self.network_.users_are_items:
            return np.asarray(histories.lengths == 0)
        return super()._cold_histories(histories)

    @torch.no_grad()
    def _query_from_items(self, histories: Ragged) -> Tensor:
        rows = histories.csr()
        if not self.network_.users_are_items:
            vectors = self._folded_in(rows)
            length = self._fold_in().length
            return vectors if length is None else length * torch.nn.functional.normalize(vectors, dim=1)
        vectors = self._propagated(rows)
        return torch.nn.functional.normalize(vectors, dim=1) if self._by_cosine else vectors

    def _folded_in(self, histories: csr_array) -> Tensor:
        """The vectors that `NewUsers` gives, (Q, dim)."""
        return tensor_of(self._fold_in()(histories)).to(self.item_vectors_.device)

    def _fold_in(self) -> NewUsers:
        """Made when it is first asked for, of the vectors that the loss compares."""
        if self._new_users is None:
            users = self._query_vectors(np.flatnonzero(self.train_.activity).astype(np.int32))
            items, loss = self.item_vectors_, self.loss_
            length = 1.0 if self._by_cosine else None
            if loss.score == "cosine" and not self._by_cosine:
                length = float(users.double().norm(dim=1).mean())
                users, items = (torch.nn.functional.normalize(one, dim=1) for one in (users, items))
            telling = (self.train_.popularity > 0) | Encoder.of(self.encoder).knows_items
            temperature = self._fitted_temperature()
            self._new_users = NewUsers.of(
                users.cpu().numpy(), items.cpu().numpy(), telling, temperature, loss.score, length
            )
        return self._new_users

    def _fitted_temperature(self) -> float:
        """The loss's, or what it has adapted to."""
        adapt, given = self.loss_.adapting, float(self.loss_.temperature)
        if adapt is None:
            return given
        users = self._query_vectors(np.arange(self.train_.num_users, dtype=np.int32))
        vectors = torch.cat([users, self.item_vectors_])
        return adapt.temperature(self.epochs, Scores(vectors, self.train_), given)

    def _propagated(self, histories: csr_array) -> Tensor:
        """A new user as a node with these neighbours and no embedding of its own: X_0 = 0.

        Layer k is then sum_i X_{k-1}[i] / sqrt(d_u d_i) over its items, whose edges have weight 1.
        """
        degree = np.maximum(np.diff(histories.indptr), 1)[:, None]
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
            degree = self._graph.total_weight
            scale = torch.where(degree > 0, degree.rsqrt(), 0.0).float()
            layers = self.network_.layers(self._graph)[:-1]
            self._history_layers = [
                (layer[num_users:] * scale[num_users:, None]).cpu().numpy() for layer in layers
            ]
        return self._history_layers

    # Why.

    @torch.no_grad()
    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """Of a user with an embedding the change without each item; else exact, as the user is a sum over items."""
        if asker.user is None and not self.network_.users_are_items:
            return self._of_new_user(asker, item)
        if self.n_layers == 0:
            return likenesses(self.item_vectors_, asker, item)
        found = shares(self.network_, self._messages(asker), self.item_vectors_[item], self._by_cosine)
        exact = Reasons(
            "exact", asker.items, found.of_items, layers=found.of_layers, layer_weights=found.weights
        )
        if self.network_.users_are_items or asker.user is None:
            return exact
        most = max(LEFT_OUT, EDGES_LEFT_OUT // max(1, self._graph.num_edges * self.n_layers))
        items = asker.items[np.argsort(-np.abs(found.of_items), kind="stable")[:most]]
        changes = self._changes_without(asker.user, items, item)
        skipped = len(asker.items) - len(items)
        return replace(exact, kind="left out", items=items, values=changes, skipped=skipped)

    def _of_new_user(self, asker: Asker, item: int) -> Reasons:
        """Exact: the vector is the mean user's and a sum over items, brought to a length where the loss has cosines."""
        target, new_users = self.item_vectors_[item].cpu().numpy(), self._fold_in()
        values, of_mean_user = new_users.parts(asker.items, target)
        if new_users.length is not None:
            length = max(float(self._folded_in(asker.history.csr()).double().norm()), 1e-12)
            scale = new_users.length / length
            values, of_mean_user = scale * values, scale * of_mean_user
        return Reasons("exact", asker.items, values, remainder=of_mean_user)

    def _messages(self, asker: Asker) -> Messages:
        """What a user's items send it, as in `_propagated`; its own embedding if it is a known one."""
        items, device = asker.items, self.item_vectors_.device
        weights = np.ones(len(items), np.float32)
        if self.weighted_edges and asker.weights is not None:
            weights = asker.weights
        root = np.float32((float(weights.sum(dtype=np.float64)) or 1.0) ** 0.5)
        sent = np.stack([layer[items] for layer in self._scaled_item_layers()]) * weights[:, None] / root
        own = (
            torch.zeros_like(self.item_vectors_[0])
            if asker.user is None
            else self.network_.first()[asker.user]
        )
        known = self.network_.nodes(self._graph)
        degree = torch.tensor([len(items)], dtype=torch.int64, device=device)
        nodes = None if known is None else known.new_users(degree)
        return Messages(own, tensor_of(sent).to(device), nodes)

    def _changes_without(self, user: int, items: NDArray[np.int32], item: int) -> NDArray[np.float64]:
        """How much the score falls, (n,), on the graph without the user's edge to each of ``items``."""
        num_users = self.train_.num_users
        nodes = tensor_of(items).long().to(self.item_vectors_.device) + num_users
        scores = scores_without(self.network_, self._graph, user, nodes, num_users + item, self._by_cosine)
        changes: NDArray[np.float64] = (scores[0] - scores[1:]).cpu().numpy()
        return changes

    # Files.

    def _state(self) -> dict[str, NDArray[Any]]:
        return tensor_arrays(self.network_.state_dict()) | under("features", self._inputs.features.arrays)

    @classmethod
    def _from_format_1(cls, saved: Saved) -> Saved:
        return from_format_1(saved)

    def _restore(self, state: State) -> None:
        self.check_params()
        num_nodes = self.train_.num_users + self.train_.num_items
        if "first.embedding" in state:  # before one is made of that size
            state.array("first.embedding", np.float32, (num_nodes, self.embedding_size))
        self._inputs = Inputs(self.train_, self.embedding_size, state.under("features."))
        self.network_ = self._make_network(self._inputs)
        restore_tensors(self.network_.state_dict(), state)
        self._graph = Graph.of_positives(self.train_, bool(self.weighted_edges))
        self.history_ = []
        self.loss_ = self._plan(self.train_).loss
        self._refresh()
        self.layer_weights_ = self._layer_weights()
