"""What a way to weigh samples is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pyrec.errors import ConfigError
from pyrec.nn.encoder import Encoder
from pyrec.options import Choice, Count, Number, Options, Real
from pyrec.params import Component, Part
from pyrec.train.loss import Loss
from pyrec.train.memory import Memory, Sizes
from pyrec.train.negatives import Uniform

GROUP: Final = "Debiasing"
INNER: Final = ("adam", "sgd")
"""The step that is looked past: that of the embeddings' Adam with its second moments held, or plain descent."""

UNOBSERVED_WEIGHT: Final = 0.1
"""Where none is given."""

NEGATIVE, POSITIVE, UNOBSERVED = range(3)
"""What is known of a pair: a label of at most 0, one above it, or no label, so that one is imputed."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of a batch that a weight is asked for: its samples, then those with an imputed label.

    Attributes:
        users: (n,) int64.
        items: (n,) int64.
        kind: (n,) int64, `NEGATIVE`, `POSITIVE` or `UNOBSERVED`.
        loss: (n,) float32, of each pair as the model stands.
        position: (n,) int64, where the item was shown, 0 at the top; None where no position is known.
    """

    users: Tensor
    items: Tensor
    kind: Tensor
    loss: Tensor
    position: Tensor | None = None


@dataclass(frozen=True)
class Known:
    """What a `Weigher` may be made for: the numbers of users, items, and positions (0 for none)."""

    num_users: int
    num_items: int
    num_positions: int = 0


class Weigher(nn.Module):
    """Gives each pair a weight above 0; its parameters are φ.

    Attributes:
        by_loss: Whether the weight of a pair is of its loss, and so changes with the model.
    """

    by_loss: ClassVar[bool] = False

    def forward(self, pairs: Pairs) -> Tensor:
        """(n,), differentiable in the parameters; gradients add up in the order of the pairs."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Reweight(Component):
    """What a uniform set makes of the weights and labels of training samples.

    A class below is a frozen dataclass with a ``name``.

    Args:
        unobserved: Weight of each pair that a user has not, beside 1 for one that it has, above 0. For a pointwise loss
            with uniform negatives; None: 0.1 there.
    """

    family = "reweight"
    options: ClassVar[Options] = {
        "unobserved": Number(
            optional=True,
            group=GROUP,
            unset=f"{UNOBSERVED_WEIGHT:g} with uniform negatives",
            help="Weight of a pair that is not observed.",
            search=(1e-2, 1.0),
        ),
    }

    unobserved: float | None = None

    def check_for(self, loss: Loss, encoder: Encoder) -> None:
        """Raise ConfigError where it does not go with a loss or an encoder."""
        raise NotImplementedError

    def memory(self, sizes: Sizes, num_uniform: int) -> Memory:
        """Return what it takes.

        Args:
            sizes: What that depends on.
            num_uniform: Uniform pairs.
        """
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Weighing(Reweight):
    """How much each training sample counts, learned so that the loss on a uniform set falls.

    Args:
        prior: Label of a pair that is not observed, at the start, between the least and the largest label; None for
            their middle.
        prior_rate: Adam's learning rate of that label; 0 holds it.
        inner: ``adam``, the embeddings' own step with its second moments held, or ``sgd``, plain descent.
        uniform_batch: Uniform pairs in a step; None for all of them.
    """

    options: ClassVar[Options] = {
        **Reweight.options,
        "prior": Real(
            optional=True,
            group=GROUP,
            unset="in the middle",
            help="Label of a pair that is not observed, at the start.",
        ),
        "prior_rate": Number(positive=False, group=GROUP, help="Learning rate of that label."),
        "inner": Choice(
            values=INNER, flag="--reweight-step", group=GROUP, help="Step that weights look past."
        ),
        "uniform_batch": Count(
            low=1, optional=True, group=GROUP, unset="all", help="Uniform pairs in a step."
        ),
    }

    prior: float | None = None
    prior_rate: float = 0.1
    inner: str = "adam"
    uniform_batch: int | None = None

    def make(self, known: Known, generator: torch.Generator) -> Weigher | None:
        """Return the module; None where weights have no parameters, but are the agreement of each sample itself."""
        raise NotImplementedError

    def check_for(self, loss: Loss, encoder: Encoder) -> None:
        """See `Reweight.check_for`."""
        if not encoder.contrastable:
            raise ConfigError(
                f"reweight = {self.name!r} is not for encoder = {encoder.name!r}, where an item has two embeddings; "
                "use 'table'"
            )
        if imputes(loss):
            return
        defaults = type(self)()
        for name in ("unobserved", "prior", "prior_rate"):
            if (value := getattr(self, name)) != getattr(defaults, name):
                raise ConfigError(
                    f"reweight__{name} = {value:g} acts on nothing: the loss has no pairs without a label; leave it "
                    "out, or use loss = 'pointwise' with uniform negatives"
                )

    def memory(self, sizes: Sizes, num_uniform: int) -> Memory:
        """A gradient, the next embeddings and their steps, 3 * 4 N d; vectors of uniform pairs; what is learned."""
        pairs = min(num_uniform, self.uniform_batch or num_uniform)
        nodes = min(2 * pairs, sizes.num_nodes)
        of_uniform = 4 * nodes * sizes.dim * (2 * (sizes.n_layers + 1) + 2)
        return Memory(kept=48 * sizes.num_nodes, step=3 * sizes.table_bytes + of_uniform)

    def optimizer(self, weigher: Weigher) -> torch.optim.Optimizer | None:
        """What takes steps of its parameters, if it has any."""
        return None


@dataclass(frozen=True, repr=False)
class LearnedWeights(Weighing):
    """Weights with parameters.

    Args:
        rate: Adam's learning rate of the weights' parameters.
        decay: Their weight decay.
    """

    options: ClassVar[Options] = {
        **Weighing.options,
        "rate": Number(
            flag="--reweight-rate",
            group=GROUP,
            help="Learning rate of what weights are made of.",
            search=(1e-4, 1e-1),
        ),
        "decay": Number(
            positive=False,
            flag="--reweight-decay",
            group=GROUP,
            help="Weight decay of what weights are made of.",
        ),
    }

    rate: float = 1e-2
    decay: float = 1e-2

    def optimizer(self, weigher: Weigher) -> torch.optim.Optimizer:
        """See `Reweight.optimizer`."""
        return torch.optim.Adam(weigher.parameters(), self.rate, weight_decay=self.decay)


def imputes(loss: Loss) -> bool:
    """Whether a loss has pairs without a label: negatives that are weighed by themselves."""
    return loss.weighs_others and isinstance(loss.source(1), Uniform)


REWEIGHT: Final = Part(
    family=Reweight,
    optional=True,
    group=GROUP,
    help="How samples are weighed so that the loss on uniform pairs falls.",
)
"""The option ``reweight`` of a model that learns by samples."""
