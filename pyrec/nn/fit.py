"""What the parameters of a combine are learned on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pyrec.options import Number, Options, Share
from pyrec.params import Component


class LayerFit(Component):
    """What the weights of layers are learned on.

    Attributes:
        held_out: Whether on interactions that graph and embeddings do without.
    """

    family = "fit"
    held_out: ClassVar[bool] = False


@dataclass(frozen=True, repr=False)
class OnTraining(LayerFit):
    """The training data, with the embeddings."""

    name: ClassVar[str] = "train"


@dataclass(frozen=True, repr=False)
class HeldOut(LayerFit):
    """A share of the interactions, held out of the graph and of training while the weights are learned.

    Then the model is retrained on all interactions with the weights fixed, which doubles the time. Of an attention only
    the sides' weights are learned: no embedding is multiplied by them, so they mean the same beside other embeddings.

    Args:
        share: Of the interactions, above 0 and below 1.
        rate: Learning rate of the weights, in units of the embeddings'. With fast weights one layer wins before
            the embeddings have formed.
    """

    name: ClassVar[str] = "held-out"
    held_out: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "share": Share(
            of="the interactions",
            flag="--combine-share",
            group="Combine",
            help="Share that layer weights are learned on.",
        ),
        "rate": Number(
            flag="--combine-rate",
            group="Combine",
            help="Learning rate of held-out layer weights, in the embeddings'.",
        ),
    }

    share: float = 0.1
    rate: float = 0.1
