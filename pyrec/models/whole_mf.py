"""Matrix factorisation by the squared loss of all pairs, solved by alternating least squares."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyrec._ambient import defaults, full_precision
from pyrec._arrays import tensor_of
from pyrec.data import Dataset, Interactions, Ragged, as_dataset
from pyrec.device import check_fits, find_device
from pyrec.errors import ConfigError
from pyrec.models.factorisation import Callback, Factorisation
from pyrec.models.reasons import Asker, Reasons
from pyrec.models.stopping import asked_stopping
from pyrec.models.training_options import DEVICE, STOPPING, TRAINING, epochs_option, seed_option
from pyrec.models.uniform import with_uniform
from pyrec.ops.als import PADDING, padded_columns
from pyrec.options import DIM_AKA, REG_AKA, Count, Number, Options, Real, Switch
from pyrec.store.arrays import State
from pyrec.store.interactions import fingerprint
from pyrec.store.resumable import restore_tensors, tensor_arrays, under
from pyrec.store.training_checkpoint import Checkpoints, TrainingIdentity
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.epochs import Journal
from pyrec.train.validated import Record, Validation
from pyrec.train.whole_data import AllPairs, Factors, Pairs, Side, Sweeps, fixed, side_of, solve

if TYPE_CHECKING:
    from typing_extensions import Self

LABELLED_REG: Final = 0.1
PLAIN_REG: Final = 0.03
"""Penalties where nothing else is asked for, with negatives and without. The first is the best of .06 to .15 by the AUC
of the uniform validation parts of coat and the simulation, the second of .003 to .1 by the lists of a part of ml-100k.
"""


class WholeMF(Factorisation):
    """Matrix factorisation with biases by the squared loss of *all* pairs, in closed form a half-sweep.

    With ``ŷ_ui = p_u · q_i + b_u + b_i`` and y = 1 for a positive interaction, -1 for another:

        L = Σ_observed w (ŷ - y)² + λ Σ_ui β_i (ŷ - m)² + n Σ_uniform w (ŷ - y)²
            + Σ_u r_u (|p_u|² + b_u²) + Σ_i r_i (|q_i|² + b_i²)

    w is `positive_weight` or `negative_weight`, times the interaction's weight; λ is `unobserved`, m `prior`, n
    `uniform_weight`; β_i goes as the `item_exponent`-th power of an item's popularity and has mean 1. r of a row is
    `reg` times the sum
    of the weights of the row's pairs to the power of `reg_exponent`. Every sweep lowers L. Without labels each
    interaction is a positive and there are no biases: this is then implicit ALS.

    Labelled feedback, as ratings are with ``positive="rating>=4"``, is learned from with its negatives. Uniform pairs,
    shown at random instead of chosen, come in with a weight of their own. A user, known or new, is the exact solution
    of their pairs against the items; so an explanation is exact, too.

    Source: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; `block` and r,
    Rendle et al., "iALS++: speeding up matrix factorization with subspace optimization", RecSys 2022.

    Attributes:
        user_vectors_: (num_users, embedding_size + 2) float32: p_u, b_u, 1; without biases p_u alone.
        item_vectors_: (num_items, embedding_size + 2) float32: q_i, 1, b_i; without biases q_i alone. `similar_items`
            compares q alone.
        prior_: m.
        biases_: Whether there are biases.
        reg_: The penalty's weight.
        loss_: L after each sweep, float64 (epochs,); of `fit` alone.
    """

    model_name: ClassVar[str] = "whole-mf"
    uniform: ClassVar[Literal["ignored", "used", "needed"]] = "used"
    options: ClassVar[Options] = {
        "embedding_size": Count(
            aka=DIM_AKA, low=1, high=500, flag="--dim", help="Dimension of an embedding.", search=(8, 256)
        ),
        "positive_weight": Number(
            aka=("alpha", "confidence"),
            flag="--positive-weight",
            help="Weight w of a positive interaction.",
            search=(0.5, 8),
        ),
        "negative_weight": Number(
            positive=False,
            flag="--negative-weight",
            help="Weight w of a negative interaction.",
            search=(0.25, 4),
        ),
        "unobserved": Number(
            positive=False,
            aka=("alpha0", "unobserved_weight"),
            help="Weight λ of all pairs.",
            search=(0.003, 1),
        ),
        "prior": Real(
            optional=True,
            unset="the mean label where there are negatives, else 0",
            help="Score m that all pairs are drawn to.",
        ),
        "item_exponent": Number(
            positive=False, help="Exponent of an item's popularity in the weight of all pairs with it."
        ),
        "uniform_weight": Number(
            positive=False, aka=("nu",), help="Weight of a uniform pair.", search=(0.3, 30)
        ),
        "biases": Switch(
            optional=True,
            unset="where there are negatives",
            help="Learn a bias of each user and item.",
        ),
        "reg": Number(
            optional=True,
            unset=f"{LABELLED_REG}, or {PLAIN_REG} without negatives",
            aka=REG_AKA,
            positive=False,
            help="Weight of the L2 penalty.",
            search=(3e-3, 0.3),
        ),
        "reg_exponent": Number(
            positive=False, help="Exponent of the weight of a row's pairs in its penalty: 0 for none."
        ),
        "block": Count(
            low=16,
            optional=True,
            unset="all",
            group=TRAINING,
            help="Columns that are solved for at a time, a multiple of 16: fewer for large dimensions.",
        ),
        "stopping": STOPPING,
        "epochs": epochs_option("Sweeps over items and users.", "sweeps"),
        "seed": seed_option("the first item vectors"),
        "device": DEVICE,
    }
    prior_: float
    biases_: bool
    reg_: float
    loss_: NDArray[np.float64]

    def __init__(
        self,
        embedding_size: int = 64,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
        unobserved: float = 0.1,
        prior: float | None = None,
        item_exponent: float = 0.0,
        uniform_weight: float = 1.0,
        biases: bool | None = None,
        reg: float | None = None,
        reg_exponent: float = 1.0,
        block: int | None = None,
        stopping: EarlyStopping | str | None = None,
        epochs: int = 16,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Store the hyperparameters.

        Args:
            embedding_size: Columns of p and q, 1 to 500.
            positive_weight: w of a positive interaction; above 0.
            negative_weight: w of a negative one.
            unobserved: λ, the weight of each of all pairs.
            prior: m; None for the mean label of the uniform pairs, or of the interactions where there are none of
                these; it is 0 where nothing is negative.
            item_exponent: β_i goes as popularity to this power: 0 for the same weight for each item.
            uniform_weight: The weight of a uniform pair, if `fit` is given some.
            biases: Whether b_u and b_i are learned; else they are 0. None: where there are negatives.
            reg: The penalty's weight; None for 0.1 where there are negatives, and 0.03 where there are none.
            reg_exponent: How the penalty grows with the weight of a row's pairs: 0 for the same in each row, 1 as in
                iALS.
            block: Columns that are solved for at a time, a multiple of 16, the others being held, as in iALS++; None
                for all. A sweep then lowers L by less and takes less time, at dimensions of some hundreds.
            stopping: How an epoch is chosen, an `EarlyStopping`; None keeps the last.
            epochs: Sweeps.
            seed: Of the first item vectors.
            device: ``cpu`` or ``cuda``.
        """
        self.embedding_size = embedding_size
        self.positive_weight = positive_weight
        self.negative_weight = negative_weight
        self.unobserved = unobserved
        self.prior = prior
        self.item_exponent = item_exponent
        self.uniform_weight = uniform_weight
        self.biases = biases
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.block = block
        self.stopping = stopping
        self.epochs = epochs
        self.seed = seed
        self.device = device

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        validation: Interactions | None = None,
        callback: Callback | None = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        sample_weight: ArrayLike | None = None,
        uniform: Interactions | None = None,
    ) -> Self:
        """Learn by sweeps. See `EpochRecommender.fit`.

        Args:
            interactions: As for `EpochRecommender.fit`; a `pyrec.data.Dataset` may hold the uniform pairs.
            y: Ignored; scikit-learn passes it.
            validation: Chooses the epoch: by the AUC of its pairs where they have both labels, else by a metric of
                lists.
            callback: As there.
            checkpoints: As there.
            resume: As there.
            sample_weight: As there.
            uniform: Pairs that were shown at random, labelled, with the same id maps; as in
                ``Dataset(interactions, uniform=...)``.

        Raises:
            ConfigError: If a hyperparameter is out of its range, the uniform pairs are given twice, or the penalty is
                so small that a row has no solution.
            DataError: If there is nothing to learn from, or a set does not fit the interactions.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        self.check_params()
        dataset = with_uniform(as_dataset(interactions, sample_weight), uniform)
        train = self._training_set(dataset.interactions)
        stopping = asked_stopping(self.stopping, train, validation)
        device = find_device(self.device)
        check_fits(self._training_bytes(dataset, stopping is not None), device)

        def identity() -> TrainingIdentity:
            extra = {} if dataset.uniform is None else _kept_uniform(dataset.uniform)
            data = (fingerprint(train, extra), fingerprint(validation))
            return TrainingIdentity(self.model_name, self.get_params(deep=False), *data)

        journal = Journal(checkpoints, identity, resume)
        self._begin(train)
        self._uniform_set = dataset.uniform
        learned, chosen = self._parts(stopping, validation)
        self._train(learned, chosen, callback, journal, device)
        return self

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; a block is of whole 16s."""
        super().check_params(prefix)
        if self.block is not None and self.block % PADDING:
            raise ConfigError(f"{prefix}block = {self.block} must be a multiple of {PADDING}")

    @full_precision()
    def _train(
        self,
        learned: Interactions,
        validation: Validation | None,
        callback: Callback | None,
        journal: Journal,
        device: torch.device,
    ) -> None:
        self._settle()
        factors = self._make_factors().to(device)
        self._factors = factors
        sweeps = Sweeps(factors, self._pairs(learned), self._all_pairs, self.block, device)

        def told(record: Record) -> None:
            record["objective"] = sweeps.objective

        self._run(sweeps, factors, journal, validation, callback, told)
        self.loss_ = np.array([record["objective"] for record in self.history_], dtype=np.float64)
        if learned is not self.train_ or self.block is not None:
            self._users_of_all(device)
        self._refresh()

    def _users_of_all(self, device: torch.device) -> None:
        """Solve for the users exactly, by all interactions, those held out included."""
        pairs = self._pairs(self.train_)
        side = self._user_side(pairs.users, pairs, self.train_.num_users, device)
        against = fixed(self._factors.item, self._all_pairs, self._item_weight())
        solve(self._factors.user, side, against, None, "user")

    # What is learned from.

    def _settle(self) -> None:
        """Give what is None its value by the data."""
        told = self.train_ if self._uniform_set is None else self._uniform_set
        negatives = _has_negatives(self.train_) or _has_negatives(told)
        mean = float(told.signs.mean(dtype=np.float64)) if negatives else 0.0
        self.prior_ = mean if self.prior is None else float(self.prior)
        self.biases_ = negatives if self.biases is None else bool(self.biases)
        reg = LABELLED_REG if negatives else PLAIN_REG
        self.reg_ = reg if self.reg is None else float(self.reg)
        self._all_pairs = AllPairs(
            float(self.unobserved),
            self.prior_,
            self._beta(),
            self.reg_,
            float(self.reg_exponent),
            self.biases_,
        )

    def _pairs(self, interactions: Interactions) -> Pairs:
        """The observed pairs, uniform ones behind."""
        parts = [_weighted(interactions, float(self.positive_weight), float(self.negative_weight))]
        if self._uniform_set is not None and self.uniform_weight > 0:
            rate = float(self.uniform_weight)
            parts.append(_weighted(self._uniform_set, rate, rate))
        return parts[0] if len(parts) == 1 else Pairs(*map(np.concatenate, zip(*parts, strict=True)))

    def _beta(self) -> NDArray[np.float32] | None:
        if self.item_exponent == 0:
            return None
        counts = np.bincount(self.train_.items, minlength=self.train_.num_items).astype(np.float64)
        weights = counts ** float(self.item_exponent)
        return np.asarray(weights / weights.mean(), dtype=np.float32)

    def _item_weight(self) -> Tensor | None:
        beta = self._all_pairs.of_item
        return None if beta is None else tensor_of(beta).to(self._factors.item.device)

    def _make_factors(self) -> Factors:
        sizes = (self.train_.num_users, self.train_.num_items, self.embedding_size)
        return Factors(*sizes, self.biases_, self.seed)

    def _user_side(self, rows: NDArray[np.int32], pairs: Pairs, num_rows: int, device: torch.device) -> Side:
        whole = self._all_pairs.whole(self.train_.num_items)
        return side_of(rows, pairs.items, pairs, num_rows, self._all_pairs, whole, None, device)

    # Memory and time.

    def _training_bytes(self, dataset: Dataset, validated: bool) -> int:
        """Of the factors (with the best epoch's, twice), the pairs by users and by items, and what comes and goes.

        That is one side padded and its copy with the errors of the pairs, or the fitted vectors.
        """
        users, items = dataset.num_users, dataset.num_items
        pairs = len(dataset.interactions) + (0 if dataset.uniform is None else len(dataset.uniform))
        table = 4 * (users + items) * (self.embedding_size + 2)
        side = 4 * max(users, items) * padded_columns(self.embedding_size + 2)
        kept = table * (2 if validated else 1) + 20 * pairs + 32 * (users + items)
        return kept + max(2 * side + 4 * pairs, 2 * table)

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: the first users are solved for, and the rest is as much work."""
        self.check_params()
        dataset, trial = as_dataset(interactions), self.clone()
        trial.train_, trial._uniform_set = self._training_set(dataset.interactions), dataset.uniform
        device = find_device(self.device)
        check_fits(self._training_bytes(dataset, self.stopping is not None), device)
        trial._settle()
        trial._factors = trial._make_factors().to(device)
        pairs = trial._pairs(trial.train_)
        side = trial._user_side(pairs.users, pairs, trial.train_.num_users, device)
        against = fixed(trial._factors.item, trial._all_pairs, trial._item_weight())
        rows, seconds = 32, 0.0
        while seconds < limit / 4:
            rows = min(2 * rows, trial.train_.num_users)
            started = time.perf_counter()
            solve(
                trial._factors.user[:rows], _first_rows(side, rows), against, self.block, "user"
            ).sum().item()
            seconds = time.perf_counter() - started
            if rows == trial.train_.num_users:
                break
        dim = self.embedding_size
        done = int(side.indptr[rows]) + rows * dim
        work = 2 * len(pairs.users) + (trial.train_.num_users + trial.train_.num_items) * dim
        return seconds * (work / done) * self.epochs

    # Scoring: the hooks of `Recommender`.

    def _refresh(self) -> None:
        """Bring the fitted vectors up to date with the factors."""
        factors = self._factors
        self._items = fixed(factors.item, self._all_pairs, self._item_weight())
        self.user_vectors_ = self._users_with_bias(factors.user)
        self.item_vectors_ = factors.item.clone()
        if self.biases_:
            one = torch.ones_like(factors.item[:, -1:])
            self.item_vectors_ = torch.cat([factors.item[:, :-1], one, factors.item[:, -1:]], dim=1)

    def _users_with_bias(self, table: Tensor) -> Tensor:
        if not self.biases_:
            return table.clone()
        return torch.cat([table, torch.ones_like(table[:, -1:])], dim=1)

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        """See `Recommender._cold_users`; uniform pairs tell of the user as well."""
        cold = super()._cold_users(users)
        if self._uniform_set is not None and self.uniform_weight > 0:
            cold &= np.diff(self._uniform_set.indptr)[users] == 0
        return cold

    def _query_from_items(self, histories: Ragged) -> Tensor:
        rows = histories.csr()
        users = np.repeat(np.arange(rows.shape[0], dtype=np.int32), np.diff(rows.indptr))
        weight = np.full(len(users), self.positive_weight, dtype=np.float32)
        pairs = Pairs(users, rows.indices.astype(np.int32), weight, np.ones_like(weight))
        device = self.item_vectors_.device
        side = self._user_side(users, pairs, rows.shape[0], device)
        table = torch.zeros(rows.shape[0], self._factors.item.shape[1], dtype=torch.float32, device=device)
        solve(table, side, self._items, None, "user")
        return self._users_with_bias(table)

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """Exact: x = A⁻¹ b is a sum over the user's pairs, of which each adds w (y - o) f · A⁻¹ f_item to a score."""
        if asker.user is None:
            items = asker.items
            weight, target = np.full(len(items), float(self.positive_weight)), np.ones(len(items))
        else:
            items, weight, target = self._pairs_of_user(asker.user)
        dim = self._factors.item.shape[1]
        f = self._items.vectors[tensor_of(items).long().to(self._items.vectors.device), :dim]
        vectors = f.double().cpu().numpy()
        offset = np.zeros(len(items))
        if self.biases_:
            offset = self._factors.item[:, -1].double().cpu().numpy()[items]
        all_pairs = self._all_pairs
        total = np.array([weight.sum() + all_pairs.weight * all_pairs.whole(self.train_.num_items)])
        matrix = self._items.matrix.double().cpu().numpy() + (vectors * weight[:, None]).T @ vectors
        matrix[np.diag_indices(dim)] += all_pairs.penalty(total)
        towards = np.linalg.solve(matrix, self._items.vectors[item, :dim].double().cpu().numpy())
        values = weight * (target - offset) * (vectors @ towards)
        query = (
            self._query_vectors(np.array([asker.user], np.int32))
            if asker.user is not None
            else (self._query_from_items(asker.history))
        )
        score = float(query[0].double() @ self.item_vectors_[item].double())
        parts = np.zeros(self.train_.num_items)
        np.add.at(parts, items, values)  # an item may be in the history and among the uniform pairs
        shown = parts[asker.items]
        return Reasons("exact", asker.items, shown, remainder=score - float(shown.sum()))

    def _pairs_of_user(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
        """Items, weights and targets of a known user's pairs."""
        own = np.zeros(len(self.train_), dtype=bool)
        own[slice(*self.train_.indptr[user : user + 2])] = True
        pairs = self._pairs(self.train_.select(own))
        chosen = pairs.users == user
        weight, target = pairs.weight[chosen].astype(np.float64), pairs.target[chosen].astype(np.float64)
        return pairs.items[chosen], weight, target

    # Files.

    def _state(self) -> dict[str, NDArray[Any]]:
        kept = {} if self._uniform_set is None else under("uniform", _kept_uniform(self._uniform_set))
        return tensor_arrays(self._factors.state_dict()) | kept

    def _restore(self, state: State) -> None:
        self.check_params()
        self._uniform_set = _restored_uniform(state, self.train_)
        self._settle()
        dim = self.embedding_size + self.biases_
        for name, rows in (("user", self.train_.num_users), ("item", self.train_.num_items)):
            state.array(name, np.float32, (rows, dim))  # before tables are made of that size
        self._factors = self._make_factors()
        restore_tensors(self._factors.state_dict(), state)
        self.history_, self.layer_weights_ = [], None
        self._refresh()


def _weighted(interactions: Interactions, positive: float, negative: float) -> Pairs:
    signs = interactions.signs
    weight = np.where(signs > 0, positive, negative).astype(np.float32)
    if interactions.weights is not None:
        weight *= interactions.weights
    return Pairs(interactions.users, interactions.items, weight, signs)


def _has_negatives(interactions: Interactions) -> bool:
    return interactions.labels is not None and bool((interactions.labels <= 0).any())


def _first_rows(side: Side, rows: int) -> Side:
    count = int(side.indptr[rows])
    indices, weight, target = side.indices[:count], side.weight[:count], side.target[:count]
    return Side(side.indptr[: rows + 1], indices, weight, target, side.reg[:rows], None)


def _kept_uniform(uniform: Interactions) -> dict[str, NDArray[Any]]:
    """Uniform pairs as arrays of a file."""
    arrays: dict[str, NDArray[Any]] = {
        "users": uniform.users,
        "items": uniform.items,
        "labels": uniform.signs,
    }
    return arrays if uniform.weights is None else {**arrays, "weights": uniform.weights}


def _restored_uniform(state: State, train: Interactions) -> Interactions | None:
    kept = state.under("uniform.")
    if "users" not in kept:
        return None
    users = kept.array("users", np.int32, (None,))
    size = (len(users),)
    return Interactions.from_codes(
        users,
        kept.array("items", np.int32, size),
        train.user_ids,
        train.item_ids,
        labels=kept.array("labels", np.float32, size),
        weights=kept.array("weights", np.float32, size) if "weights" in kept else None,
    )
