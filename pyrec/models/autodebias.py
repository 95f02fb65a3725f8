"""AutoDebias: weights that are learned from a small uniform set."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pyrec._ambient import defaults, full_precision
from pyrec._arrays import tensor_of
from pyrec.data import Dataset, Interactions, Ragged, as_dataset
from pyrec.device import check_fits, find_device
from pyrec.errors import ConfigError, DataError
from pyrec.models.base import Recommender
from pyrec.models.debias_base import BASE, OF_BLOCKS, Base, Propagated, check_weights
from pyrec.models.factorisation import Callback, Factorisation
from pyrec.models.lightgcn import LightGCN
from pyrec.models.stopping import asked_stopping
from pyrec.models.training_options import DEVICE, RATE_AKA, STOPPING, TRAINING, epochs_option, seed_option
from pyrec.models.uniform import needed_uniform, with_uniform
from pyrec.ops.debias import PARTS, Debias, Pairs, Rates, Rows, Weights
from pyrec.options import DIM_AKA, REG_AKA, Choice, Count, Number, Options
from pyrec.store.arrays import State
from pyrec.store.interactions import fingerprint
from pyrec.store.resumable import under
from pyrec.store.training_checkpoint import Checkpoints, TrainingIdentity
from pyrec.train.debias import DebiasEpochs, Table
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.epochs import Journal
from pyrec.train.validated import Validation

if TYPE_CHECKING:
    from typing_extensions import Self

PATIENCE: Final = 60
"""Epochs without a better one on a validation set, where no stopping says otherwise."""
LEAST_BLOCK: Final = 64
BLOCKS: Final = 5
"""Of users and of items, where no size is given, each of at least `LEAST_BLOCK`."""
LARGEST_RATE: Final = 1e-3
STABLE: Final = 0.6
"""The default learning rate, times the largest weight of a row's pairs in a block, is at most this."""
ROWS: Final = ("pair_user", "pair_item", "whole_user", "whole_item")


class AutoDebias(Factorisation):
    """Matrix factorisation with weights and imputed labels that a small uniform set teaches.

    With scores ``x_ui = p_u · q_i + b_u + b_i`` and labels y of 1 and -1 it lowers

        Σ_observed w1 (x - y)² + λ Σ_all w2 (x - m)² + reg/2 (Σ|p|² + Σ|q|²)

    block by block of users and items, with

        w1 = exp((φ_u + φ_i + φ_y + φ_position) / 5)
        w2 = exp((ψ_u + ψ_i + ψ_observed) / 5)
        m  = tanh(χ)                                  of pairs that are not observed, of negatives, of positives

    After a virtual step of the vectors, φ, ψ and χ go down the squared loss of the uniform pairs. Here this is a closed
    form, equal to the derivative through the step, without a second derivative or a list of all pairs: see
    `pyrec.ops.debias`.

    Feedback is explicit where interactions have labels, some of them negatives. It is implicit without, and φ_y is then
    left out. Where interactions have positions it is a list, whose positions have weights, too.

    Weights are bounded: a factor such as exp(φ_u / 5) stays between ``1 / largest_weight`` and `largest_weight`. Plain
    gradient descent diverges where a weight grows beyond what its learning rate can take.

    With ``base = "lightgcn"`` it is LightGCN that learns by samples, `pyrec.LightGCN` with its ``reweight``, which also
    has Ren's weights and Meta-Weight-Net. What it learned is then told by `sampled_`, and not by the attributes here.

    Source: Chen et al., "AutoDebias: learning to debias for recommendation", SIGIR 2021.

    Attributes:
        sampled_: The fitted model of a base that learns by samples; else None.
        user_vectors_: (num_users, embedding_size + 2) float32: p_u, b_u, 1.
        item_vectors_: (num_items, embedding_size + 2) float32: q_i, 1, b_i. `similar_items` compares q alone.
        label_weights_: (2,) float32, exp(φ_y / 5) of negatives and positives.
        user_weights_: (num_users,) float32, exp(φ_u / 5).
        item_weights_: (num_items,) float32, exp(φ_i / 5).
        position_weights_: (positions,) float32, exp(φ_position / 5); empty without positions.
        whole_user_weights_: (num_users,) float32, exp(ψ_u / 5).
        whole_item_weights_: (num_items,) float32, exp(ψ_i / 5).
        whole_observed_weights_: (2,) float32, exp(ψ / 5) of pairs that are not observed, and that are.
        imputed_: (3,) float32, m of pairs that are not observed, of negatives, of positives.
    """

    model_name: ClassVar[str] = "autodebias"
    uniform: ClassVar[Literal["ignored", "used", "needed"]] = "needed"
    options: ClassVar[Options] = {
        "embedding_size": Count(
            aka=DIM_AKA, low=1, high=512, flag="--dim", help="Dimension of an embedding.", search=(4, 64)
        ),
        "base": BASE,
        "weights": Choice(
            values=("linear", "label", "ren", "meta-weight-net"),
            flag="--debias-weights",
            help="Weights by user, item, label and position, by label and position alone, or by samples.",
        ),
        "unobserved": Number(
            positive=False,
            aka=("imputation_lambda", "imputaion_lambda"),
            help="Weight λ of the term of all pairs.",
            search=(0.01, 1),
        ),
        "reg": Number(
            aka=REG_AKA, positive=False, help="Weight of the L2 penalty in each block.", search=(0.1, 10)
        ),
        "learning_rate": Number(
            aka=RATE_AKA,
            flag="--lr",
            optional=True,
            unset="1e-3, or less where rows are long",
            group=TRAINING,
            help="Learning rate of the vectors, by plain gradient descent.",
        ),
        "pair_rate": Number(
            positive=False, group=TRAINING, help="Adam's learning rate of φ.", search=(1e-4, 1e-1)
        ),
        "pair_decay": Number(positive=False, group=TRAINING, help="Weight decay of φ."),
        "whole_rate": Number(positive=False, group=TRAINING, help="Adam's learning rate of ψ."),
        "whole_decay": Number(positive=False, group=TRAINING, help="Weight decay of ψ."),
        "imputed_rate": Number(positive=False, group=TRAINING, help="Adam's learning rate of χ."),
        "imputed_decay": Number(positive=False, group=TRAINING, help="Weight decay of χ."),
        "largest_weight": Number(group=TRAINING, help="Bound on each factor of a weight."),
        "weights_from": Count(low=0, group=TRAINING, help="Epochs before weights learn."),
        "users_per_block": Count(
            optional=True, unset="a fifth, at least 64", group=TRAINING, help="Users of a step."
        ),
        "items_per_block": Count(
            optional=True, unset="a fifth, at least 64", group=TRAINING, help="Items of a step."
        ),
        "least_epochs": Count(low=0, group=TRAINING, help="Epochs before one may be chosen."),
        "stopping": STOPPING,
        "epochs": epochs_option("Passes over the blocks."),
        "seed": seed_option("the start and of the blocks"),
        "device": DEVICE,
    }
    sampled_: LightGCN | None = None
    label_weights_: NDArray[np.float32]
    user_weights_: NDArray[np.float32]
    item_weights_: NDArray[np.float32]
    position_weights_: NDArray[np.float32]
    whole_user_weights_: NDArray[np.float32]
    whole_item_weights_: NDArray[np.float32]
    whole_observed_weights_: NDArray[np.float32]
    imputed_: NDArray[np.float32]

    def __init__(
        self,
        embedding_size: int = 10,
        base: Base | str = "mf",
        weights: str = "linear",
        unobserved: float = 0.05,
        reg: float = 1.0,
        learning_rate: float | None = None,
        pair_rate: float = 1e-3,
        pair_decay: float = 1e-4,
        whole_rate: float = 1e-3,
        whole_decay: float = 1e-3,
        imputed_rate: float = 0.1,
        imputed_decay: float = 1e-4,
        largest_weight: float = 10.0,
        weights_from: int = 20,
        users_per_block: int | None = None,
        items_per_block: int | None = None,
        least_epochs: int = 50,
        stopping: EarlyStopping | str | None = None,
        epochs: int = 500,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Store the hyperparameters. The defaults are those that were published for coat, where they have no rule.

        Args:
            embedding_size: Columns of p and q, 1 to 512.
            base: What is trained: ``mf``, or `Propagated`, which has hyperparameters of its own.
            weights: ``linear``, φ and ψ by user, item, label or observation, and position; ``label``, without users and
                items. With ``lightgcn`` also ``ren`` and ``meta-weight-net``.
            unobserved: λ.
            reg: Of each block, as the published code has it.
            learning_rate: η of the vectors. None for 1e-3 or, if that is less, 0.6 over the largest weight that a row's
                pairs in a block have at the start.
            pair_rate: Adam's learning rate of φ; 0 holds it.
            pair_decay: Weight decay of φ.
            whole_rate: Adam's learning rate of ψ; 0 holds it.
            whole_decay: Weight decay of ψ.
            imputed_rate: Adam's learning rate of χ; 0 holds it.
            imputed_decay: Weight decay of χ.
            largest_weight: Bound on each factor of a weight, above 1.
            weights_from: Epochs before φ and ψ learn.
            users_per_block: Users of a block; None for a fifth of them, at least 64.
            items_per_block: Items of a block; likewise.
            least_epochs: Epochs before one may be chosen by a validation set.
            stopping: How an epoch is chosen, an `EarlyStopping`. None keeps the last, or with a validation set the best
                one, until 60 epochs were none better.
            epochs: Passes over the blocks, at most.
            seed: Of the start and of the blocks.
            device: ``cpu`` or ``cuda``.
        """
        self.embedding_size = embedding_size
        self.base = base
        self.weights = weights
        self.unobserved = unobserved
        self.reg = reg
        self.learning_rate = learning_rate
        self.pair_rate = pair_rate
        self.pair_decay = pair_decay
        self.whole_rate = whole_rate
        self.whole_decay = whole_decay
        self.imputed_rate = imputed_rate
        self.imputed_decay = imputed_decay
        self.largest_weight = largest_weight
        self.weights_from = weights_from
        self.users_per_block = users_per_block
        self.items_per_block = items_per_block
        self.least_epochs = least_epochs
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
        """Learn by blocks. See `EpochRecommender.fit`.

        Args:
            interactions: As for `EpochRecommender.fit`; a `pyrec.data.Dataset` may hold the uniform pairs.
            y: Ignored; scikit-learn passes it.
            validation: Chooses the epoch: by the AUC of its pairs where they have both labels, else by a metric of
                lists.
            callback: As there.
            checkpoints: As there.
            resume: As there.
            sample_weight: As there: ω, which w1 is multiplied by.
            uniform: Pairs that were shown at random, labelled, with the same id maps; as ``Dataset(interactions,
                uniform=...)``. There have to be some.

        Raises:
            ConfigError: If a hyperparameter is out of its range, or the uniform pairs are given twice.
            DataError: If there is nothing to learn from, no uniform pair, a set does not fit the interactions, or
                training diverges.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        self.check_params()
        dataset = with_uniform(as_dataset(interactions, sample_weight), uniform)
        train = self._training_set(dataset.interactions)
        pairs = needed_uniform(dataset.uniform, self.model_name)
        if (model := self._model()) is not None:
            self._fit_by_samples(model, dataset, validation, callback, checkpoints, resume)
            return self
        if pairs.effective_weights is not None:
            raise DataError(
                "uniform has weights, but with base = 'mf' each uniform pair counts the same; leave the weights out, "
                "or give base = 'lightgcn'"
            )
        stopping = asked_stopping(self.stopping, train, validation)
        if stopping is not None and self.stopping is None:
            stopping = replace(stopping, patience=PATIENCE)
        device = find_device(self.device)
        check_fits(self._training_bytes(dataset, stopping is not None), device)

        def identity() -> TrainingIdentity:
            known = {"users": pairs.users, "items": pairs.items, "signs": pairs.signs}
            data = (fingerprint(train, known), fingerprint(validation))
            return TrainingIdentity(self.model_name, self.get_params(deep=False), *data)

        journal = Journal(checkpoints, identity, resume)
        self._begin(train)
        self.sampled_ = None
        learned, chosen = self._parts(stopping, validation, self.least_epochs)
        self._train(learned, pairs, chosen, callback, journal, device)
        return self

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; a bound of a weight leaves room on both sides of 1."""
        super().check_params(prefix)
        base = Base.of(self.base)
        check_weights(base, self.weights)
        if isinstance(base, Propagated):
            base.check_for(self)
        if self.largest_weight <= 1:
            raise ConfigError(f"{prefix}largest_weight = {self.largest_weight!r} must be above 1")

    def _model(self) -> LightGCN | None:
        """What learns by samples, not fitted; None where blocks are learned from."""
        base = Base.of(self.base)
        return base.model(self) if isinstance(base, Propagated) else None

    def _fit_by_samples(
        self,
        model: LightGCN,
        dataset: Dataset,
        validation: Interactions | None,
        callback: Callback | None,
        checkpoints: Checkpoints | None,
        resume: bool,
    ) -> None:
        def told(trained: Recommender, record: dict[str, Any]) -> None:
            assert isinstance(trained, LightGCN)
            assert callback is not None
            self._take_model(trained)
            callback(self, record)

        given = None if callback is None else told
        own = checkpoints and checkpoints.of_model(self.model_name, self.get_params(deep=False))
        model.fit(dataset, validation=validation, callback=given, checkpoints=own, resume=resume)
        self._take_model(model)
        self.best_epoch_ = model.best_epoch_
        self.full_users_, self.empty_users_ = model.full_users_, model.empty_users_

    def _take_model(self, model: LightGCN) -> None:
        """Have the vectors of a model that learns by samples."""
        self.sampled_, self.train_ = model, model.train_
        self.history_, self.layer_weights_ = model.history_, model.__dict__.get("layer_weights_")
        self.user_vectors_, self.item_vectors_ = model.user_vectors_, model.item_vectors_

    @full_precision()
    def _train(
        self,
        learned: Interactions,
        uniform: Interactions,
        validation: Validation | None,
        callback: Callback | None,
        journal: Journal,
        device: torch.device,
    ) -> None:
        epochs = self._epochs(learned, uniform, device)
        steps = epochs.steps
        table = Table(steps)
        self._run(epochs, table, journal, validation, callback, lambda _: self._take(steps))
        self._take(steps)

    # What is learned, and how.

    def _epochs(self, learned: Interactions, uniform: Interactions, device: torch.device) -> DebiasEpochs:
        pairs = _pairs(learned, uniform, device)
        generator = torch.Generator("cpu").manual_seed(self.seed)
        rows = self._start(pairs, generator, device)
        weights = Weights(self._start_weights(pairs, generator, device))
        users, items = self._block_sizes(learned)
        return DebiasEpochs(
            steps=Debias(pairs, rows, weights),
            rates=self._rates(learned, users, items),
            weights_from=self.weights_from,
            users_per_block=users,
            items_per_block=items,
            seed=self.seed,
            num_pairs=len(learned),
        )

    def _block_sizes(self, train: Interactions) -> tuple[int, int]:
        def size(asked: int | None, count: int) -> int:
            return min(count, asked or max(LEAST_BLOCK, -(-count // BLOCKS)))

        return size(self.users_per_block, train.num_users), size(self.items_per_block, train.num_items)

    def _rates(self, train: Interactions, users: int, items: int) -> Rates:
        rate = self.learning_rate
        if rate is None:
            shares = (users / train.num_users, items / train.num_items)
            most_of_user = np.diff(train.indptr).max() * shares[1] + self.unobserved * items
            most_of_item = np.bincount(train.items).max() * shares[0] + self.unobserved * users
            rate = min(LARGEST_RATE, STABLE / max(1.0, most_of_user, most_of_item))
        groups = {
            **dict.fromkeys(PARTS[:4], (self.pair_rate, self.pair_decay)),
            **dict.fromkeys(PARTS[4:7], (self.whole_rate, self.whole_decay)),
            "imputed": (self.imputed_rate, self.imputed_decay),
        }
        held = {name for name in ROWS if self.weights == "label"}
        if not (train.signs < 0).any():
            held.add("pair_label")
        learned = {name: group for name, group in groups.items() if group[0] > 0 and name not in held}
        return Rates(
            eta=float(rate),
            lam=float(self.unobserved),
            reg=float(self.reg),
            rates={name: float(rate) for name, (rate, _) in learned.items()},
            decays={name: float(decay) for name, (_, decay) in learned.items()},
            bound=float(5 * np.log(self.largest_weight)),
        )

    def _start(self, pairs: Pairs, generator: torch.Generator, device: torch.device) -> Rows:
        """Normal numbers of variance 2 over the number of rows."""

        def normal(count: int, *columns: int) -> Tensor:
            drawn = torch.randn(count, *columns, generator=generator, dtype=torch.float32, device="cpu")
            return drawn.mul(float(np.sqrt(2 / count))).to(device)

        dim = self.embedding_size
        return Rows(
            normal(pairs.num_users, dim),
            normal(pairs.num_items, dim),
            normal(pairs.num_users),
            normal(pairs.num_items),
        )

    def _start_weights(
        self, pairs: Pairs, generator: torch.Generator, device: torch.device
    ) -> dict[str, Tensor]:
        """φ and ψ of users and items likewise, the others a thousandth of normal numbers; what does not learn is 0."""
        of_pairs = (pairs.num_users, pairs.num_items, 2, pairs.num_positions)
        sizes = (*of_pairs, pairs.num_users, pairs.num_items, 2, 3)
        parts = {}
        for name, size in zip(PARTS, sizes, strict=True):
            drawn = torch.randn(size, generator=generator, dtype=torch.float32, device="cpu")
            scale = (2 / size) ** 0.5 if name in ROWS else 1e-3
            parts[name] = (drawn * scale).to(device)
            if self.weights == "label" and name in ROWS:
                parts[name].zero_()
        return parts

    # Memory and time.

    def search_options(self, train: Interactions) -> Options:
        """See `Recommender.search_options`; of a base that learns by samples without what acts on blocks alone."""
        options = super().search_options(train)
        idle = () if self._model() is None else OF_BLOCKS
        return {name: option for name, option in options.items() if name not in idle}

    def training_bytes(self, interactions: Any, validated: bool = False) -> int:
        """See `EpochRecommender.training_bytes`; that of a base that learns by samples is its own."""
        model = self._model()
        if model is not None:
            return model.training_bytes(interactions, validated)
        return super().training_bytes(interactions, validated)

    def _training_bytes(self, dataset: Dataset, validated: bool) -> int:
        """Rows, next rows and fitted vectors; weights five times; the plan, 8 words a pair; four numbers a pair.

        Of the uniform pairs two rows of each of its users and items, and the plan.
        """
        users, items, pairs = dataset.num_users, dataset.num_items, len(dataset.interactions)
        uniform = 0 if dataset.uniform is None else len(dataset.uniform)
        stride = -(-(self.embedding_size + 2) // 16) * 16
        of_users, of_items = self._block_sizes(dataset.interactions)
        blocks = -(-users // of_users), -(-items // of_items)
        table, numbers = 4 * stride * (users + items), 4 * 2 * (users + items)
        plan = 4 * (8 * pairs + 6 * uniform + (3 + blocks[1]) * users + (3 + 3 * blocks[0]) * items)
        moved = 2 * 4 * stride * (min(users, uniform) + min(items, uniform) + 2)
        grams = 12 * 32 * stride * (self.embedding_size + 2) + 4 * 32 * 2 * 64 * stride
        best = table + 2 * numbers if validated else 0
        return 2 * table + 5 * numbers + plan + 16 * pairs + moved + grams + 2 * best

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:
        """See `Recommender.training_seconds`: the blocks of an epoch are timed, until the time is over."""
        self.check_params()
        if (model := self._model()) is not None:
            return model.training_seconds(interactions, limit)
        dataset = as_dataset(interactions)
        train, device = self._training_set(dataset.interactions), find_device(self.device)
        check_fits(self._training_bytes(dataset, self.stopping is not None), device)
        trial = self._epochs(train, needed_uniform(dataset.uniform, self.model_name), device)
        trial.weights_from = 0
        started, calls = time.perf_counter(), 0

        def is_over() -> bool:
            nonlocal started, calls
            calls += 1
            if calls == 1:  # the blocks have been cut
                started = time.perf_counter()
            return calls > 1 and time.perf_counter() - started >= limit / 2

        try:
            trial.epoch(0, is_over)
        except Exception as error:
            if trial.taken == 0:
                raise error
        return (time.perf_counter() - started) * trial.num_blocks / trial.taken * self.epochs

    # Scoring: the hooks of `Recommender`.

    def _take(self, steps: Debias) -> None:
        """Bring the fitted vectors and weights up to date with the steps."""
        dim = self.embedding_size
        self.user_vectors_ = steps.rows.users[:, : dim + 2].clone()
        self.item_vectors_ = steps.rows.items[:, : dim + 2].clone()
        weights = steps.weights
        self._put_weights({name: weights.part(name, weights.factor).cpu().numpy().copy() for name in PARTS})

    def _put_weights(self, factors: dict[str, NDArray[np.float32]]) -> None:
        self.user_weights_ = factors["pair_user"]
        self.item_weights_ = factors["pair_item"]
        self.label_weights_ = factors["pair_label"]
        self.position_weights_ = factors["pair_position"]
        self.whole_user_weights_ = factors["whole_user"]
        self.whole_item_weights_ = factors["whole_item"]
        self.whole_observed_weights_ = factors["whole_observed"]
        self.imputed_ = factors["imputed"]

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        return super()._cold_users(users) if self.sampled_ is None else self.sampled_._cold_users(users)

    def _query_from_items(self, histories: Ragged) -> Tensor:
        """The vector that lowers the loss of the history as positives, with the learned weights of items and labels.

        With c = (q, 1) it solves Σ_history w1 (x - 1)² + λ Σ_all w2 (x - m)² + reg/2 |p|² of all blocks of items.
        """
        if self.sampled_ is not None:
            return self.sampled_._query_from_items(histories)
        dim = self.embedding_size
        items = self.item_vectors_.double().cpu().numpy()
        c, bias = items[:, : dim + 1], items[:, dim + 1]
        missing, seen = self.whole_observed_weights_.astype(np.float64) * self.unobserved
        beta = self.whole_item_weights_.astype(np.float64)
        m0, m1 = float(self.imputed_[0]), float(self.imputed_[2])
        matrix = missing * (c * beta[:, None]).T @ c
        blocks = -(-self.train_.num_items // self._block_sizes(self.train_)[1])
        matrix[np.arange(dim), np.arange(dim)] += self.reg / 2 * blocks
        matrix[np.arange(dim + 1), np.arange(dim + 1)] += 1e-9 * max(1.0, float(np.trace(matrix)))
        towards = missing * (beta * (m0 - bias)) @ c
        observed = self.item_weights_.astype(np.float64) * float(self.label_weights_[1])
        queries = np.ones((len(histories), dim + 2))
        rows = histories.csr()
        for q in range(len(histories)):
            had = rows.indices[rows.indptr[q] : rows.indptr[q + 1]]
            w = observed[had] + (seen - missing) * beta[had]
            target = observed[had] * (1 - bias[had]) + beta[had] * (
                seen * (m1 - bias[had]) - missing * (m0 - bias[had])
            )
            queries[q, : dim + 1] = np.linalg.solve(
                matrix + (c[had] * w[:, None]).T @ c[had], towards + target @ c[had]
            )
        return tensor_of(queries.astype(np.float32)).to(self.item_vectors_.device)

    # Files.

    def _weight_arrays(self) -> dict[str, NDArray[np.float32]]:
        return {
            "pair_user": self.user_weights_,
            "pair_item": self.item_weights_,
            "pair_label": self.label_weights_,
            "pair_position": self.position_weights_,
            "whole_user": self.whole_user_weights_,
            "whole_item": self.whole_item_weights_,
            "whole_observed": self.whole_observed_weights_,
            "imputed": self.imputed_,
        }

    def _state(self) -> dict[str, NDArray[Any]]:
        if self.sampled_ is not None:
            return under("base", self.sampled_._state())
        return super()._state() | self._weight_arrays()

    def _restore(self, state: State) -> None:
        self.check_params()
        if (model := self._model()) is not None:
            model.train_ = self.train_
            model._restore(state.under("base."))
            self._take_model(model)
            return
        users, items, dim = self.train_.num_users, self.train_.num_items, self.embedding_size + 2
        self.user_vectors_ = tensor_of(state.array("user_vectors", np.float32, (users, dim)))
        self.item_vectors_ = tensor_of(state.array("item_vectors", np.float32, (items, dim)))
        sizes: tuple[int | None, ...] = (users, items, 2, None, users, items, 2, 3)
        self._put_weights(
            {name: state.array(name, np.float32, (size,)) for name, size in zip(PARTS, sizes, strict=True)}
        )
        self.history_, self.layer_weights_ = [], None


def _pairs(learned: Interactions, uniform: Interactions, device: torch.device) -> Pairs:
    weight = None if learned.weights is None else tensor_of(learned.weights).to(device)
    return Pairs(
        indptr=tensor_of(learned.indptr),
        items=tensor_of(learned.items),
        positive=tensor_of(learned.signs > 0),
        positions=None if learned.positions is None else tensor_of(learned.positions),
        num_items=learned.num_items,
        uniform_users=tensor_of(uniform.users),
        uniform_items=tensor_of(uniform.items),
        uniform_positive=tensor_of(uniform.signs > 0),
        weight=weight,
    )
