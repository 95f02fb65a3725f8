"""What AutoDebias is a way to train: matrix factorisation in closed form, or a model that learns by samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pyrec.errors import ConfigError
from pyrec.models.lightgcn import LightGCN
from pyrec.nn.combine import Combine
from pyrec.options import Count, Number, Options
from pyrec.params import Component, Part
from pyrec.train.loss import Pointwise
from pyrec.train.negatives import Uniform
from pyrec.train.reweight import LabelWeights, LinearWeights, MetaWeightNet, Ren, Weighing

OF_BLOCKS: Final = (
    "reg",
    "whole_rate",
    "whole_decay",
    "imputed_decay",
    "largest_weight",
    "weights_from",
    "users_per_block",
    "items_per_block",
    "least_epochs",
)
"""Hyperparameters of AutoDebias that act on the closed form alone."""

RATE: Final = 4e-3
"""Adam's learning rate of a model that learns by samples, where none is given."""


class Base(Component):
    """A model that `AutoDebias` trains.

    Attributes:
        weights: The weights that it can have.
    """

    family = "base"
    weights: ClassVar[tuple[str, ...]]


@dataclass(frozen=True, repr=False)
class Factors(Base):
    """Matrix factorisation with biases, by blocks of all pairs in closed form."""

    name: ClassVar[str] = "mf"
    weights: ClassVar[tuple[str, ...]] = ("linear", "label")


@dataclass(frozen=True, repr=False)
class Propagated(Base):
    """LightGCN by samples, with the squared loss of signs: see `LightGCN` and its ``reweight``.

    Pairs that are not observed are sampled beside each observed one. The weights' gradient needs the direction of the
    vectors, which is propagated. Biases and ψ of pairs are left out.

    Args:
        n_layers: Propagation layers; 0 for matrix factorisation by samples.
        combine: How layers become one vector, as for `LightGCN`.
        number: Pairs without a label, sampled for each observed pair.
        batch_size: Observed pairs in a step.
        penalty: Weight of the L2 penalty.
    """

    name: ClassVar[str] = "lightgcn"
    weights: ClassVar[tuple[str, ...]] = ("linear", "label", "ren", "meta-weight-net")
    options: ClassVar[Options] = {
        "n_layers": Count(low=0, high=16, flag="--layers", help="Propagation layers.", search=(0, 3)),
        "combine": Part(family=Combine, help="How a node's layers become one vector."),
        "number": Count(
            low=1, high=2**16, flag="--negatives", help="Pairs sampled beside each observed one."
        ),
        "batch_size": Count(low=1, help="Interactions in a training step."),
        "penalty": Number(positive=False, flag="--base-reg", help="Weight of the L2 penalty by samples."),
    }

    n_layers: int = 2
    combine: Combine | str = "mean"
    number: int = 4
    batch_size: int = 1024
    penalty: float = 1e-4

    def model(self, of: Any) -> LightGCN:
        """The model with the hyperparameters of an `AutoDebias`."""
        learned: dict[str, Any] = {"rate": of.pair_rate, "decay": of.pair_decay}
        kinds: dict[str, type[Weighing]] = {
            kind.name: kind for kind in (LinearWeights, LabelWeights, MetaWeightNet, Ren)
        }
        reweight = kinds[of.weights](
            unobserved=float(of.unobserved) or None,
            prior_rate=of.imputed_rate,
            **({} if of.weights == "ren" else learned),
        )
        return LightGCN(
            embedding_size=of.embedding_size,
            n_layers=self.n_layers,
            combine=self.combine if self.n_layers else "mean",
            loss=Pointwise("squared", target="sign", negatives=Uniform(self.number)),
            stopping=of.stopping,
            epochs=of.epochs,
            batch_size=self.batch_size,
            learning_rate=RATE if of.learning_rate is None else of.learning_rate,
            reg=self.penalty,
            seed=of.seed,
            device=of.device,
            reweight=reweight,
        )

    def check_for(self, of: Any) -> None:
        """Raise ConfigError where a hyperparameter of an `AutoDebias` acts on nothing here."""
        defaults = type(of).defaults()
        for name in OF_BLOCKS:
            if (value := getattr(of, name)) != defaults[name]:
                raise ConfigError(
                    f"{name} = {value!r} acts on nothing with base = {self.name!r}, which learns by samples; leave it "
                    "out, or give base = 'mf'"
                )
        if of.unobserved == 0:
            raise ConfigError(
                f"unobserved = 0 is not for base = {self.name!r}, which samples pairs that are not observed; give more"
            )


def check_weights(base: Base, weights: str) -> None:
    """Raise ConfigError where a base cannot have such weights."""
    if weights not in base.weights:
        raise ConfigError(
            f"weights = {weights!r} is not for base = {base.name!r}, where a weight is made of those of users, items, "
            "labels and positions; give base = 'lightgcn', which learns by samples, with base__n_layers = 0 for a "
            "factorisation"
        )


BASE: Final = Part(
    family=Base, help="What is trained: a factorisation in closed form, or LightGCN by samples."
)
"""The option ``base``."""
