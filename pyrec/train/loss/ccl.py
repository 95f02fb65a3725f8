"""The cosine contrastive loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor
from torch.nn import functional

from pyrec.options import Number, Options, Share
from pyrec.train.batch import Batch
from pyrec.train.loss.base import NEGATIVES, Loss
from pyrec.train.loss.weighted_mean import weighted_mean
from pyrec.train.negatives import Negatives, Uniform

MANY: Final = Uniform(64)


@dataclass(frozen=True, repr=False)
class CCL(Loss):
    """A positive's cosine is pulled to 1, and a negative's is pushed below a margin.

    With c the cosine of a user's and an item's vector, a sample's loss is

        1 - c(u, p) + negative_weight * mean_j max(0, c(u, n_j) - margin).

    Source: Mao et al., "SimpleX: a simple and strong baseline for collaborative filtering", CIKM 2021.

    Args:
        margin: Cosines below it cost a negative nothing; above 0 and below 1.
        negative_weight: Of the negatives beside the positive; above 0.
        negatives: `Uniform`, or their number; many of them do best.
    """

    name: ClassVar[str] = "ccl"
    accepts: ClassVar[tuple[type[Negatives], ...]] = (Uniform,)
    score: ClassVar[str] = "cosine"
    options: ClassVar[Options] = {
        "margin": Share(
            of="a cosine", help="Cosine below which a negative costs nothing.", search=(0.1, 0.9)
        ),
        "negative_weight": Number(help="Weight of the negatives.", search=(1.0, 100.0)),
        "negatives": NEGATIVES,
    }

    margin: float = 0.4
    negative_weight: float = 10.0
    negatives: Negatives | str | int = MANY

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """See `Loss.__call__`."""
        users, positives, others = batch.ends(functional.normalize(vectors, dim=1))
        negatives = others.view(batch.size, -1, vectors.shape[1])
        of_positives = (users * positives).sum(1)
        of_negatives = (negatives @ users[:, :, None]).squeeze(2)
        too_near = functional.relu(of_negatives - self.margin).mean(1)
        return weighted_mean(1 - of_positives + self.negative_weight * too_near, batch.weight)
