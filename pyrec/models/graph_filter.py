"""Graph filters: scores by a few products with the normalised interaction matrix, without training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec._checks import check_count, did_you_mean
from pyrec.data import Interactions, Ragged
from pyrec.data.split import hold_out_of_lists, some_users
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.ranking import evaluate
from pyrec.graph.graph import Graph
from pyrec.models.item_item import ItemItemRecommender
from pyrec.models.item_sets import one_hot_rows, user_rows
from pyrec.models.reasons import Asker, Reasons
from pyrec.nn.graph_filter import LowPass, Normalised, Polynomial, plateau_coefficients, power
from pyrec.nn.kept_vectors import keeping_vectors, right_vectors
from pyrec.nn.singular import most_vectors
from pyrec.options import Count, Number, Options, Real
from pyrec.store.arrays import State

if TYPE_CHECKING:
    from typing_extensions import Self

HALF: Final = 0.5
"""The exponents that make 1 the largest eigenvalue of NᵀN."""

BETAS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
HELD_OUT: Final = 0.1
ASKED_USERS: Final = 2000
CUTOFF: Final = 20
"""Of the ndcg that chooses β."""

INTERACTIONS_A_VECTOR: Final = 800
TIMED_COLUMNS: Final = 64
PRODUCTS_A_VECTOR: Final = 4
"""Products with NᵀN that a singular vector takes, about."""
INNER_A_PAIR: Final = 8
"""Inner products that each pair of singular vectors takes, about: the bases of the iteration are kept orthogonal."""
MOST_VECTORS: Final = 512

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "gf-cf": {"beta": 0.0, "order": 1, "vectors": 256, "alpha": 0.3, "vectors_beta": 0.5},
        "linkprop": {"beta": 0.0, "user_exponent": 0.25, "item_exponent": 0.5, "order": 1, "vectors": 0},
        "chebycf": {"beta": 0.4, "order": 8, "flatness": 1.5, "vectors": 512, "alpha": 0.2},
    }
)
"""Published filters by name, with their authors' numbers for gowalla; LinkProp's start from one half."""


class GraphFilter(ItemItemRecommender):
    """Scores ``s = D_i^β (p(NᵀN) + alpha V Vᵀ) D_i^-β x`` for a user's row of items x. There is no training.

    ``N = D_u^-a R D_i^-b`` is the interaction matrix, normalised by the degrees of users and items, and V (num_items,
    vectors) holds its leading right singular vectors. With ``order`` 1, p is the straight line ``NᵀN``; else
    the Chebyshev polynomial that ChebyCF interpolates, see `pyrec.nn.graph_filter.plateau_coefficients`. Where a or b
    is not 1/2, NᵀN is divided by its largest eigenvalue.

    ``R_ui`` is 1, or the weight where interactions have some, and ``-dislike_weight`` for those whose label is 0 or
    below. A node's degree is the sum of the magnitudes. A new user is a row of ones. A block of rows is a table on the
    items, propagated to the users and back; no array of items x items or users x items is made.

    Source: GF-CF (Shen et al., CIKM 2021): β 0 around NᵀN and 1/2 around V Vᵀ. ChebyCF (Kim et al., SIGIR 2025): one
    β around both, and the polynomial.

    Attributes:
        vectors_: V, float32 (num_items, vectors), by falling singular value; None where ``vectors`` is 0.
        largest_: What NᵀN is divided by.
        beta_: β.
    """

    model_name: ClassVar[str] = "graph-filter"
    options: ClassVar[Options] = {
        "beta": Real(
            optional=True,
            unset="chosen on held-out interactions",
            help="Exponent of an item's degree around the filter.",
            search=(0, 0.6),
        ),
        "user_exponent": Number(
            positive=False, help="Exponent a of a user's degree in N.", search=(0.2, 0.6)
        ),
        "item_exponent": Number(positive=False, help="Exponent b of an item's degree in N."),
        "order": Count(low=1, high=64, help="Products with NᵀN; beyond 1 a Chebyshev polynomial."),
        "flatness": Number(help="Exponent φ of that polynomial's target; 1 is a straight line."),
        "vectors": Count(
            aka=("num_vectors", "n_vectors"),
            low=0,
            optional=True,
            unset="by the data",
            help="Singular vectors of the low-pass part; 0: none.",
        ),
        "alpha": Number(positive=False, help="Weight of the low-pass part.", search=(0, 1)),
        "vectors_beta": Real(
            optional=True,
            unset="beta",
            help="Exponent of an item's degree around the low-pass part.",
        ),
        "dislike_weight": Number(
            positive=False, help="How much an interaction of label 0 or below counts against."
        ),
    }
    vectors_: NDArray[np.float32] | None
    largest_: float
    beta_: float

    def __init__(
        self,
        beta: float | None = 0.4,
        user_exponent: float = HALF,
        item_exponent: float = HALF,
        order: int = 1,
        flatness: float = 1.5,
        vectors: int | None = 0,
        alpha: float = 0.2,
        vectors_beta: float | None = None,
        dislike_weight: float = 0.0,
    ) -> None:
        """Store the hyperparameters.

        Args:
            beta: β, the exponent of an item's degree around the filter: the larger, the more popular the lists. None to
                choose it, one of 0, .1 … .6, on a tenth of each user's interactions by ndcg@20, without singular
                vectors.
            user_exponent: a; a user of degree d counts ``d^-2a`` in NᵀN. At least 0.
            item_exponent: b, at least 0.
            order: Products with NᵀN, 1 to 64. Beyond 1 they make a Chebyshev polynomial.
            flatness: φ above 0, of the polynomial's target: the larger, the flatter in the middle of the spectrum.
            vectors: Singular vectors of the low-pass part, fewer than users and than items; 0 for none, None for a
                number that suits the data: see `vectors_for`.
            alpha: Weight of the low-pass part; at least 0.
            vectors_beta: The exponent around the low-pass part; None for β.
            dislike_weight: How much an interaction whose label is 0 or below counts against its item; 0: not at all.
        """
        self.beta = beta
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.order = order
        self.flatness = flatness
        self.vectors = vectors
        self.alpha = alpha
        self.vectors_beta = vectors_beta
        self.dislike_weight = dislike_weight

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return a published filter, with the parameters that its authors give: for gowalla, but those of LinkProp.

        Args:
            name: ``gf-cf``, ``linkprop`` or ``chebycf``.
            changes: Parameters that are to be others.

        Raises:
            ConfigError: If no preset has that name.
        """
        if name not in PRESETS:
            raise ConfigError(f"preset {name!r} is none of {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
        return cls(**{**PRESETS[name], **changes})

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Normalise the interactions and find the singular vectors. See `Recommender.fit`.

        Args:
            interactions: See there.
            y: Ignored.
            sample_weight: (n,) weights of at least 0 in the order of the interactions, see `pyrec.data.as_dataset`.

        Raises:
            ConfigError: If a hyperparameter is out of range, or there are fewer users or items than ``vectors``.
            DataError: If there is nothing to learn from.
        """
        self.check_params()
        train = self._training_set(interactions, sample_weight)
        count = self._count(train)
        self.beta_ = self._best_beta(train) if self.beta is None else float(self.beta)
        normalised = self._normalised(train)
        if normalised.graph.num_edges == 0:
            raise DataError("no interaction speaks for or against an item: there is nothing to learn from")
        self.vectors_, self.largest_ = None, 1.0
        if count or not self._is_standard:
            vectors, largest = right_vectors(normalised, count or 1)
            self.vectors_ = vectors if count else None
            self.largest_ = 1.0 if self._is_standard else largest
        self.train_ = train
        self._make_filters(normalised)
        return self

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:  # noqa: ARG002
        """See `Recommender.training_seconds`: of the singular vectors, by a product that is timed.

        An iteration costs products with NᵀN and the orthogonalisation of what is kept, which grows with the square of
        the number.
        """
        self.check_params()
        train = self._training_set(interactions)
        count = self._count(train) or (0 if self._is_standard else 1)
        return self._choosing_seconds(train) + (self._vectors_seconds(train, count) if count else 0.0)

    def _choosing_seconds(self, train: Interactions) -> float:
        if self.beta is not None:
            return 0.0
        users = np.arange(min(TIMED_COLUMNS, train.num_users), dtype=np.int32)
        started = time.perf_counter()
        self.replaced(beta=BETAS[0], vectors=0).fit(train).topk(users, 1)
        asked = min(ASKED_USERS, train.num_users)
        return (time.perf_counter() - started) * len(BETAS) * asked / max(1, len(users))

    def _vectors_seconds(self, train: Interactions, count: int) -> float:
        matrix = self._normalised(train).matrix()
        block = np.ones((train.num_items, TIMED_COLUMNS), dtype=np.float32)
        started = time.perf_counter()
        image = matrix.T @ (matrix @ block)
        product = (time.perf_counter() - started) / TIMED_COLUMNS
        started = time.perf_counter()
        _ = block.T @ image
        inner = (time.perf_counter() - started) / TIMED_COLUMNS**2
        return PRODUCTS_A_VECTOR * count * product + INNER_A_PAIR * count**2 * inner

    def _best_beta(self, train: Interactions) -> float:
        """Choose β on held-out interactions of some users; of equal ones the smallest, and 0 without any."""
        learned, held_out = hold_out_of_lists(train, HELD_OUT, 0)
        asked = some_users(held_out.positives(), ASKED_USERS)
        if len(asked) == 0:
            return BETAS[0]
        k = min(CUTOFF, train.num_items)
        with keeping_vectors():
            found = {
                beta: evaluate(self.replaced(beta=beta, vectors=0).fit(learned), asked, k, ["ndcg"])[
                    f"ndcg@{k}"
                ]
                for beta in BETAS
            }
        return max(BETAS, key=lambda beta: (found[beta], -beta))

    def _count(self, train: Interactions) -> int:
        """How many singular vectors there are to be.

        Raises:
            ConfigError: More than there can be.
        """
        if self.vectors is None:
            return vectors_for(train)
        if self.vectors:
            bound = most_vectors(train)
            check_count("vectors", self.vectors, 0, bound, ConfigError, "one below the users and the items")
        return int(self.vectors)

    @property
    def _is_standard(self) -> bool:
        return self.user_exponent == HALF and self.item_exponent == HALF

    def search_options(self, train: Interactions) -> Options:
        """See `Recommender.search_options`; the weight of the low-pass part where there is one."""
        options = super().search_options(train)
        return {name: option for name, option in options.items() if self.vectors != 0 or name != "alpha"}

    def _normalised(self, train: Interactions) -> Normalised:
        self._entries = self._values(train)
        graph = signed_graph(train, self._entries)
        return Normalised.of(graph, float(self.user_exponent), float(self.item_exponent))

    def _values(self, train: Interactions) -> NDArray[np.float32]:
        """R's entries of the interactions, float32 (n,)."""
        preferences = train.preferences
        values = np.ones(len(train), dtype=np.float32) if preferences is None else preferences.copy()
        if self.dislike_weight and train.labels is not None:
            values[train.labels <= 0] = -np.float32(self.dislike_weight)
        return values

    def _make_filters(self, normalised: Normalised) -> None:
        coefficients = plateau_coefficients(self.order, self.flatness) if self.order > 1 else None
        degree, beta = normalised.item_degree, self.beta_
        self._polynomial = Polynomial(normalised, self.largest_, coefficients)
        self._before, self._after = power(degree, -beta), power(degree, beta)
        self._low_pass = None
        if self.vectors_ is not None and self.alpha > 0:
            around = beta if self.vectors_beta is None else float(self.vectors_beta)
            scales = float(self.alpha) * power(degree, -around), power(degree, around)
            self._low_pass = LowPass(self.vectors_, *scales)

    def _filtered(self, rows: csr_array) -> torch.Tensor:
        """Return the scores of rows of items, float32 (Q, num_items)."""
        scores = self._polynomial(rows, self._before, self._after)
        return scores if self._low_pass is None else scores.add_(self._low_pass(rows))

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return self._filtered(histories.csr())

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        return self._filtered(self._rows(users))

    def _rows(self, users: NDArray[np.int32]) -> csr_array:
        """Return R's rows of some users, float32 (Q, num_items), ascending."""
        rows = user_rows(self.train_, users)
        starts = np.repeat(self.train_.indptr[users] - rows.indptr[:-1], rows.lengths)
        values = self._entries[np.arange(rows.indices.size) + starts]
        return csr_array((values, rows.indices, rows.indptr), shape=(len(users), self.train_.num_items))

    def _scores(self, histories: csr_array) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._filtered(histories).numpy()
        return scores

    def _weights_to(self, item: int, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `ItemItemRecommender._weights_to`: p is symmetric, so a column is a row with the scales exchanged."""
        column = self._polynomial(
            one_hot_rows(np.array([item]), self.train_.num_items), self._after, self._before
        )
        weights: NDArray[np.float32] = column[0].numpy()
        return (weights if self._low_pass is None else weights + self._low_pass.column(item))[items]

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """See `ItemItemRecommender._reasons`; what a known user dislikes is the remainder."""
        reasons = super()._reasons(asker, item)
        if asker.user is None or not self.dislike_weight or self.train_.labels is None:
            return reasons
        score = self._query_vectors(np.array([asker.user], dtype=np.int32))[0, item]
        return replace(reasons, remainder=float(score) - float(reasons.values.sum()))

    def _state(self) -> dict[str, NDArray[Any]]:
        state: dict[str, NDArray[Any]] = {"largest": np.array(self.largest_)}
        if self.beta is None:
            state["beta"] = np.array(self.beta_)
        return state if self.vectors_ is None else {**state, "vectors": self.vectors_}

    def _restore(self, state: State) -> None:
        self.largest_ = float(state.within("largest", np.float64, np.finfo(np.float32).tiny, np.inf))
        self.vectors_ = None
        chosen = self.beta if self.beta is not None else state.within("beta", np.float64, BETAS[0], BETAS[-1])
        self.beta_ = float(chosen)
        if count := self._count(self.train_):
            self.vectors_ = state.array("vectors", np.float32, (self.train_.num_items, count))
        self._make_filters(self._normalised(self.train_))


def vectors_for(train: Interactions) -> int:
    """Return how many singular vectors suit the data: one for 800 interactions, at most 512."""
    return max(0, min(MOST_VECTORS, len(train) // INTERACTIONS_A_VECTOR, most_vectors(train)))


def signed_graph(train: Interactions, values: NDArray[np.float32]) -> Graph:
    """Return the graph of the interactions with a value other than 0, (n,) float32, which are its weights."""
    there = values != 0
    kept, values = (train, values) if there.all() else (train.select(there), values[there])
    graph = Graph.from_interactions(kept)
    if (values == 1).all():
        return graph
    order = np.argsort(kept.items, kind="stable")
    weights = tensor_of(np.concatenate([values, values[order]]))
    return Graph(graph.indptr, graph.indices, graph.num_users, graph.num_items, weights)
