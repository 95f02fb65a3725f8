"""What the parameters of a combine are learned on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from pyrec.options import Number, Options, Share
from pyrec.params import Component, Part


class LayerFit(Component):
    """What the weights of layers are learned on.

    Attributes:
        held_out: Whether on pairs that graph and embeddings do without, before the model is trained with the weights
            fixed.
    """

    family = "fit"
    held_out: ClassVar[bool] = False


@dataclass(frozen=True, repr=False)
class OnTraining(LayerFit):
    """The training data, with the embeddings."""

    name: ClassVar[str] = "train"


RATE: Final = Number(
    flag="--combine-rate",
    group="Combine",
    help="Learning rate of held-out layer weights, in the embeddings'.",
)


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
        "rate": RATE,
    }

    share: float = 0.1
    rate: float = 0.1


@dataclass(frozen=True, repr=False)
class OnUniform(LayerFit):
    """Labelled pairs that were shown at random: layers count by how they tell likes from dislikes without bias.

    The model is trained twice, as with `HeldOut`, whose weights these are; no interaction is held out.

    Args:
        rate: As for `HeldOut`.
    """

    name: ClassVar[str] = "uniform"
    held_out: ClassVar[bool] = True
    options: ClassVar[Options] = {"rate": RATE}

    rate: float = 0.1


FIT: Final = Part(
    family=LayerFit,
    optional=True,
    flag="--combine-fit",
    group="Combine",
    unset="held-out for bpr, else train",
    help="What learned weights of layers are learned on.",
)
"""The option ``fit`` of a combine."""


def resolved(fit: LayerFit | str | None, memorises: bool) -> LayerFit:
    """What ``fit`` stands for; None is held out where weights would run to layer 0 on the training data."""
    if fit is None:
        return HeldOut() if memorises else OnTraining()
    found: LayerFit = LayerFit.of(fit)
    return found
