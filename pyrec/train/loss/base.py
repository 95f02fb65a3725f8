"""What a ranking loss is asked for."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.options import Choice
from pyrec.params import Component, Part
from pyrec.train.adapt import Adapt
from pyrec.train.agreement import Agreement, Each, agreement_by_autograd, each_by_autograd
from pyrec.train.batch import Batch
from pyrec.train.negatives import Negatives

SCORES: Final = ("inner", "cosine")
"""How a user's and an item's vectors are compared: by their inner product or by their cosine."""

SCORE: Final = Choice(values=SCORES, help="How a user and an item are compared.")
NEGATIVES: Final = Part(family=Negatives, flag="--negatives-from", help="Where negatives come from.")
"""The options ``score`` and ``negatives`` of a loss."""


class Loss(Component):
    """A loss of a batch's samples, from the vectors of its rows; it knows neither graph nor trainer.

    A class below is a frozen dataclass with a ``name`` and with fields for ``score`` and ``negatives``.

    Attributes:
        accepts: The negatives that it can do with.
        memorises: Whether it puts all weight on layer 0 on the training data. Layer weights are then learned on
            held-out interactions.
        weighs_others: Whether it reads `Batch.other_weight` and `Batch.other_label`: each of the others has a loss of
            its own.
        corrects: Whether it can correct for how often its negatives were to be expected.
        reads_labels: Whether it learns from labels; else each interaction is a positive.
    """

    family = "loss"
    accepts: ClassVar[tuple[type[Negatives], ...]]
    memorises: ClassVar[bool] = False
    weighs_others: ClassVar[bool] = False
    corrects: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False

    @property
    def score(self) -> str:
        """How a user and an item are compared, one of `SCORES`."""
        raise NotImplementedError

    @property
    def ranking(self) -> str:
        """How they are compared where items are ranked, one of `SCORES`."""
        return self.score

    @property
    def adapting(self) -> Adapt | None:
        """What it estimates of users between epochs, which its batches then carry; None for nothing."""
        return None

    @property
    def temperature(self) -> float:
        """What a score is divided by where scores are the logits of a softmax over the items."""
        return 0.2 if self.score == "cosine" else 1.0

    @property
    def negatives(self) -> Negatives | str | int:
        """What a positive is compared with, the name of it, or how many uniform ones."""
        raise NotImplementedError

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """The loss, a scalar, differentiable in ``vectors`` (num_rows, dim) of ``batch.rows``."""
        raise NotImplementedError

    def each_of_scores(self, scores: Tensor, present: Tensor) -> Tensor:
        """The losses of samples whose scores are known already, (size,), differentiable in these.

        Args:
            scores: (size, 1 + others), the positive's first.
            present: (size, 1 + others) bool, where there is a score; a sample may have fewer others than another.

        Raises:
            ConfigError: The loss is not one of scores.
        """
        raise ConfigError(
            f"loss = {self.name!r} is not for scores that are more than a product of two vectors, as news models have "
            "them; use 'softmax', 'bpr' or 'pointwise'"
        )

    def each(self, batch: Batch, vectors: Tensor) -> Each:
        """The losses of the samples, whose weighted mean this is, without a gradient."""
        return each_by_autograd(self, batch, vectors)

    def agreement(self, batch: Batch, vectors: Tensor, direction: Tensor) -> Agreement:
        """How the losses of the samples change as the vectors move in a direction, without a gradient.

        Args:
            batch: The samples.
            vectors: (num_rows, dim) of ``batch.rows``.
            direction: Like ``vectors``.
        """
        return agreement_by_autograd(self, batch, vectors, direction)

    def labels(self, interactions: Interactions) -> NDArray[np.float32] | None:
        """The labels that it learns from, (num_interactions,); None for 1 each.

        Raises:
            DataError: It cannot learn from the labels that there are.
        """
        if interactions.labels is not None:
            raise DataError(
                f"interactions have labels, which the loss {self.name!r} does not read: it takes each interaction "
                "for a positive; use loss = 'pointwise', or give interactions without labels"
            )
        return None

    def source(self, num_items: int) -> Negatives:
        """The negatives, where there are so many items."""
        negatives: Negatives = Negatives.of(self.negatives)
        return negatives

    def bytes(self, size: int, num_items: int, dim: int, device: str) -> int:
        """What a batch of ``size`` samples takes besides its rows' vectors and their gradient."""
        return self.source(num_items).bytes(size, dim, device)

    @classmethod
    def kinds_of(cls, name: str) -> list[type[Component]]:
        """See `Parameters.kinds_of`: of the negatives those that it accepts, those of impressions last."""
        kinds = super().kinds_of(name)
        if name != "negatives":
            return kinds
        accepted = [kind for kind in kinds if issubclass(kind, cls.accepts)]
        return sorted(accepted, key=lambda kind: bool(getattr(kind, "of_impressions", False)))

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; negatives that it cannot do with are refused, too."""
        super().check_params(prefix)
        negatives = self.options["negatives"].component(self.negatives)  # type: ignore[attr-defined]
        if negatives is not None and not isinstance(negatives, self.accepts):
            names = ", ".join(repr(kind.name) for kind in self.accepts)
            raise ConfigError(
                f"{prefix}negatives = {negatives.name!r} is not for the loss {self.name!r}, which takes {names}"
            )
        if getattr(negatives, "corrected", False) and not self.corrects:
            raise ConfigError(
                f"{prefix}negatives__corrected = True is for the loss 'softmax', which estimates a sum over all items; "
                f"{self.name!r} compares single pairs"
            )
