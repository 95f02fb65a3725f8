"""Doubly robust matrix factorisation: labelled pairs, imputed labels of all pairs, and propensities."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from pyrec._ambient import defaults, full_precision
from pyrec._arrays import tensor_of
from pyrec.data import Dataset, Interactions, Ragged, as_dataset
from pyrec.debias import METHODS, Propensities, propensities
from pyrec.device import check_fits, find_device
from pyrec.errors import ConfigError, DataError
from pyrec.models.factorisation import Callback, Factorisation
from pyrec.models.stopping import asked_stopping
from pyrec.models.training_options import (
    DEVICE,
    LEARNING_RATE,
    STOPPING,
    epochs_option,
    seed_option,
)
from pyrec.models.uniform import with_uniform
from pyrec.options import DIM_AKA, REG_AKA, Choice, Count, Number, Options, Share
from pyrec.store.arrays import State
from pyrec.store.interactions import fingerprint
from pyrec.store.resumable import restore_tensors, tensor_arrays
from pyrec.store.training_checkpoint import Checkpoints, TrainingIdentity
from pyrec.train.doubly_robust import VARIANTS, Observed, Scorer, Steps
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.epochs import Journal
from pyrec.train.validated import Validation

if TYPE_CHECKING:
    from typing_extensions import Self

STEPS: Final = 10
"""Steps of an epoch: each is over all pairs."""
BALANCE: Final = 10.0


class DoublyRobust(Factorisation):
    """Matrix factorisation with biases by a doubly robust estimate of its squared error on *all* pairs.

    With ``ŷ_ui = p_u · q_i + b_u + b_i``, r = 1 for a positive interaction and -1 for another, p the propensity of a
    pair and ỹ a second factorisation, which imputes labels, the estimate of the mean error of N pairs is

        E = 1/N Σ_all (ŷ - ỹ)² / 2 + 1/N Σ_observed ((ŷ - r)² - (ŷ - ỹ)²) / (2 p)

    It is right on average if either the propensities or the imputed labels are. The sum over all pairs is an inner
    product of two Gram matrices: no pairs are sampled, and none are listed. The imputed labels are learned so that
    imputed errors are the observed ones, by weights: 1/p, or (1 - p)/p² for the least variance (``mrdr``).

    Two variants move the inverse propensities by as little as need be. With ``dr-v2`` those of observed pairs add up to
    the number of all pairs, and their means of ŷ and of ỹ are those of all pairs. With ``stable`` the same is true of
    the imputed error, so the estimate is the self-normalised mean of the observed errors, which cannot leave their
    range. Both papers learn propensities with a penalty of that kind; here each step has the minimum.

    It is for labelled feedback with dislikes, such as ratings with ``positive="rating>=4"``. Where all labels are
    alike, they say no more than who and what was observed.

    Source: Wang et al., ICML 2019 (``dr-jl``); Guo et al., SIGIR 2021 (``mrdr``); Li et al., "Propensity matters:
    towards measuring and enhancing balancing for recommendation", ICML 2023 (``dr-v2``); Li, Zheng and Wu, "StableDR:
    stabilized doubly robust learning for recommendation on data missing not at random", ICLR 2023 (``stable``).

    Attributes:
        user_vectors_: (num_users, embedding_size + 2) float32: p_u, b_u, 1.
        item_vectors_: (num_items, embedding_size + 2) float32: q_i, 1, b_i. `similar_items` compares q alone.
        propensities_: Of the training pairs; of `fit` alone.
    """

    model_name: ClassVar[str] = "doubly-robust"
    uniform: ClassVar[Literal["ignored", "used", "needed"]] = "used"
    options: ClassVar[Options] = {
        "variant": Choice(values=VARIANTS, help="How labels are imputed and propensities moved."),
        "embedding_size": Count(
            aka=DIM_AKA, low=1, high=500, flag="--dim", help="Dimension of an embedding.", search=(4, 64)
        ),
        "propensities": Choice(
            values=tuple(METHODS),
            optional=True,
            unset="naive-bayes with uniform pairs, else user-item",
            help="How propensities are estimated.",
        ),
        "clip": Share(of="1", flag="--clip-propensities", help="What lower propensities are raised to."),
        "balance": Number(help="Weight of unbalanced means, of the variants dr-v2 and stable."),
        "reg": Number(aka=REG_AKA, positive=False, help="Weight of the L2 penalty.", search=(1e-2, 1)),
        "stopping": STOPPING,
        "epochs": epochs_option(f"Rounds of {STEPS} steps over all pairs."),
        "learning_rate": replace(LEARNING_RATE, search=(2e-3, 1e-1)),
        "seed": seed_option("the first vectors"),
        "device": DEVICE,
    }
    propensities_: Propensities

    def __init__(
        self,
        variant: str = "dr-jl",
        embedding_size: int = 16,
        propensities: str | None = None,
        clip: float = 0.05,
        balance: float = BALANCE,
        reg: float = 0.2,
        stopping: EarlyStopping | str | None = None,
        epochs: int = 30,
        learning_rate: float = 1e-2,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Store the hyperparameters.

        Args:
            variant: ``dr-jl``, ``mrdr``, ``dr-v2`` or ``stable``; see above.
            embedding_size: Columns of p and q, and of the imputing ones, 1 to 500.
            propensities: How they are estimated, a method of `pyrec.propensities`; None for ``naive-bayes`` where there
                are uniform pairs, else ``user-item``.
            clip: What lower propensities are raised to, above 0 and below 1.
            balance: How much a mean that is not balanced counts beside how far weights are moved; above 0.
            reg: Weight of the mean squared length of a user's vector and bias, and of an item's, in both models.
            stopping: How an epoch is chosen, an `EarlyStopping`; None keeps the last.
            epochs: Of 10 full-batch steps each.
            learning_rate: Adam's.
            seed: Of the first vectors.
            device: ``cpu`` or ``cuda``.
        """
        self.variant = variant
        self.embedding_size = embedding_size
        self.propensities = propensities
        self.clip = clip
        self.balance = balance
        self.reg = reg
        self.stopping = stopping
        self.epochs = epochs
        self.learning_rate = learning_rate
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
        propensities: Propensities | None = None,
    ) -> Self:
        """Learn by steps over all pairs. See `EpochRecommender.fit`.

        Args:
            interactions: As there; a `pyrec.data.Dataset` may hold the uniform pairs.
            y: Ignored; scikit-learn passes it.
            validation: Chooses the epoch: by the AUC of its pairs where they have both labels, else by a metric of
                lists.
            callback: As there.
            checkpoints: As there.
            resume: As there.
            sample_weight: As there; they multiply 1/p.
            uniform: Pairs that were shown at random, labelled, with the same id maps: for the propensities alone.
            propensities: Of the interactions, in their order; None to estimate them.

        Raises:
            ConfigError: A hyperparameter is out of its range, or the uniform pairs or the propensities are given twice.
            DataError: There is nothing to learn from, or a set does not fit the interactions.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        self.check_params()
        dataset = with_uniform(as_dataset(interactions, sample_weight), uniform)
        train = self._training_set(dataset.interactions)
        stopping = asked_stopping(self.stopping, train, validation)
        device = find_device(self.device)
        check_fits(self._training_bytes(dataset, stopping is not None), device)
        known = self._propensities(dataset, propensities)

        def identity() -> TrainingIdentity:
            data = (fingerprint(train, {"propensities": known.values}), fingerprint(validation))
            return TrainingIdentity(self.model_name, self.get_params(deep=False), *data)

        journal = Journal(checkpoints, identity, resume)
        self._begin(train)
        self.propensities_ = known
        learned, chosen = self._parts(stopping, validation)
        self._train(learned, chosen, callback, journal, device)
        return self

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; what acts on nothing is refused, too."""
        super().check_params(prefix)
        if self.balance != BALANCE and self.variant not in ("dr-v2", "stable"):
            raise ConfigError(
                f"{prefix}balance = {self.balance!r} acts on nothing where variant = {self.variant!r}; leave it out, "
                "or choose variant = 'dr-v2' or 'stable'"
            )

    def _propensities(self, dataset: Dataset, given: Propensities | None) -> Propensities:
        train = dataset.interactions
        if given is None:
            method = self.propensities or ("user-item" if dataset.uniform is None else "naive-bayes")
            return propensities(dataset, method=method, clip=float(self.clip))
        if not isinstance(given, Propensities):
            raise DataError(f"propensities is {type(given).__name__}, but Propensities are needed")
        if self.propensities is not None:
            raise ConfigError(
                f"propensities are given to fit, but propensities = {self.propensities!r} estimates them, too; "
                "leave out one of the two"
            )
        if len(given) != len(train):
            raise DataError(
                f"propensities has {len(given):,} values, but there are {len(train):,} interactions; give one each"
            )
        return given

    @full_precision()
    def _train(
        self,
        learned: Interactions,
        validation: Validation | None,
        callback: Callback | None,
        journal: Journal,
        device: torch.device,
    ) -> None:
        steps = self._steps(learned, device)
        self._scorer = steps.predicted
        self._run(steps, steps.predicted, journal, validation, callback)
        self._refresh()

    def _steps(self, learned: Interactions, device: torch.device) -> Steps:
        observed = self._observed(learned)
        mean = float(np.average(observed.label.numpy(), weights=observed.inverse.numpy().astype(np.float64)))
        generator = torch.Generator("cpu").manual_seed(self.seed)
        sizes = (learned.num_users, learned.num_items, self.embedding_size, mean)
        models = nn.ModuleDict({name: Scorer(*sizes, generator) for name in ("predicted", "imputed")})
        return Steps(
            models.to(device),
            Observed(*(part.to(device) for part in observed)),
            self.variant,
            float(self.learning_rate),
            float(self.reg),
            float(self.balance),
            STEPS,
        )

    def _observed(self, learned: Interactions) -> Observed:
        """What is learned from; where a share is held out of it, propensities are as much smaller."""
        train, known = self.train_, self.propensities_.values
        if learned is not train:
            at = np.searchsorted(train.pair_numbers, learned.pair_numbers)
            known = known[at] * np.float32(len(learned) / len(train))
        inverse = 1 / known
        variance = (1 - known) / known
        if learned.weights is not None:
            with np.errstate(over="ignore"):
                inverse = inverse * learned.weights
            if not np.isfinite(inverse).all():
                raise DataError(
                    f"the largest weight, {learned.weights.max():g}, by a propensity is beyond float32; scale the "
                    "weights"
                )
        parts = (
            learned.users.astype(np.int64),
            learned.items.astype(np.int64) + learned.num_users,
            learned.signs,
            inverse,
            variance,
        )
        return Observed(*(tensor_of(part) for part in parts))

    # Memory and time.

    def _training_bytes(self, dataset: Dataset, validated: bool) -> int:
        """Of both models with their moments and gradients, the fitted vectors, both sides, and arrays of the pairs."""
        table = 4 * (dataset.num_users + dataset.num_items) * (self.embedding_size + 2)
        return table * (14 if validated else 12) + (28 + 60) * len(dataset.interactions)

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: from the first steps."""
        self.check_params()
        dataset, trial = as_dataset(interactions), self.clone()
        train, device = self._training_set(dataset.interactions), find_device(self.device)
        check_fits(self._training_bytes(dataset, self.stopping is not None), device)
        trial.train_ = train
        trial.propensities_ = self._propensities(dataset, None)
        with full_precision():
            steps = trial._steps(train, device)
            steps.step()
            started, taken = time.perf_counter(), 0
            while taken < STEPS and (taken == 0 or time.perf_counter() - started < limit):
                steps.step()
                taken += 1
        return (time.perf_counter() - started) / taken * STEPS * self.epochs

    # Scoring: the hooks of `Recommender`.

    @torch.no_grad()
    def _refresh(self) -> None:
        """Bring the fitted vectors up to date with the parameters."""
        users, items = self._scorer.sides()
        self.user_vectors_, self.item_vectors_ = users.contiguous(), items.contiguous()

    @torch.no_grad()
    def _query_from_items(self, histories: Ragged) -> Tensor:
        """The mean user, moved to where the estimated error of all M items is least, by ridge regression.

        With c = (q, 1) and x the mean user's scores as imputed labels, each of n items of a history stands for M / n:
        the move is ``(Σ_all c cᵀ + reg M I)⁻¹ Σ_history M/n (1 - x) c``.
        """
        rows = histories.csr()
        assert self.user_vectors_ is not None
        items = self.item_vectors_.double().cpu().numpy()
        mean = self.user_vectors_.double().cpu().numpy().mean(axis=0)
        c, count = items[:, :-1], len(items)
        matrix = c.T @ c + max(float(self.reg), 1e-6) * count * np.eye(c.shape[1])
        inverse = count / np.maximum(np.diff(rows.indptr), 1)[:, None]
        missing = np.maximum(1 - items @ mean, 0)[:, None]
        moved = np.linalg.solve(matrix, (rows @ (missing * c) * inverse).T).T
        queries = np.concatenate([mean[:-1] + moved, np.ones((len(moved), 1))], axis=1)
        return tensor_of(np.ascontiguousarray(queries, dtype=np.float32)).to(self.item_vectors_.device)

    # Files.

    def _state(self) -> dict[str, NDArray[Any]]:
        return tensor_arrays(self._scorer.state_dict())

    def _restore(self, state: State) -> None:
        self.check_params()
        num_users, num_items = self.train_.num_users, self.train_.num_items
        state.array("vectors", np.float32, (num_users + num_items, self.embedding_size))
        self._scorer = Scorer(num_users, num_items, self.embedding_size, 0.0, torch.Generator("cpu"))
        restore_tensors(self._scorer.state_dict(), state)
        self.history_, self.layer_weights_ = [], None
        self._refresh()
