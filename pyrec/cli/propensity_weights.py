"""``--ips``: interactions that weigh by the inverse of their propensity."""

from __future__ import annotations

from dataclasses import replace

import click

from pyrec.cli.grouped_help import DATA, grouped
from pyrec.data import Interactions, as_dataset
from pyrec.debias.propensities import METHODS, propensities

ips_option = grouped(
    DATA,
    "--ips",
    type=click.Choice(list(METHODS)),
    help="Weigh each training interaction by its inverse propensity, the probability to be observed, estimated by "
    "label (naive-bayes, with --uniform), user, item, both, or position. [default: each counts the same]",
)


def weighed_by_propensity(
    train: Interactions, uniform: Interactions | None, method: str | None
) -> Interactions:
    """Return the interactions with their inverse propensities, of mean 1, as weights or times the weights they have.

    Args:
        train: What is learned from.
        uniform: Pairs that were shown at random, to learn from; None or empty for none.
        method: Of `pyrec.propensities`; None leaves the interactions as they are.

    Raises:
        DataError: The method needs what is not there.
    """
    if method is None:
        return train
    found = propensities(train, uniform if uniform is not None and len(uniform) else None, method)
    weights = found.weights(normalised=True)
    told = (
        f"inverse propensities by {method} weigh interactions {weights.min():.3g} to {weights.max():.3g}: as much as "
        f"{found.effective_size():,.0f} equal ones"
    )
    weighed = as_dataset(train, weights).interactions
    return replace(weighed, notes=(*train.notes, told))
