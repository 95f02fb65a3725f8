"""How `fit` chooses an epoch: by a share that is held out, or by a validation set that it is given."""

from __future__ import annotations

from typing import Any

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.evaluate.asked import check_cutoffs, check_test
from pyrec.models.validation import labelled
from pyrec.train.early_stopping import EarlyStopping, Stopping


def asked_stopping(
    stopping: Any, train: Interactions, validation: Interactions | None
) -> EarlyStopping | None:
    """How `fit` chooses an epoch, if it does.

    Args:
        stopping: The model's hyperparameter: an `EarlyStopping`, the name of one, or None.
        train: The training set.
        validation: The validation set that `fit` was given.

    Raises:
        ConfigError: There is no validation set, or more than one.
        DataError: It is not one of the training set's users and items, or ``k`` exceeds the items.
    """
    asked: EarlyStopping | None = None if stopping is None else Stopping.of(stopping)
    if asked is None and validation is None:
        return None
    asked = asked or EarlyStopping(share=None)
    check_held_out(asked.share, validation, "interactions")
    if validation is not None:
        check_test(validation, train, "validation")
    if validation is None or not labelled(validation):
        check_cutoffs(asked.k, train.num_items)
    return asked


def check_held_out(share: float | None, validation: Any | None, of: str) -> None:
    """Refuse to choose an epoch by nothing, or by two sets.

    Args:
        share: Of the training set that is held out, if any is.
        validation: The set that `fit` was given, if it was.
        of: What the training set has.

    Raises:
        ConfigError: There is no validation set, or more than one.
    """
    if share is None and validation is None:
        raise ConfigError(
            "stopping__share = None needs a validation set; give fit one, or a share, such as 0.1"
        )
    if share is not None and validation is not None:
        raise ConfigError(
            f"validation is given twice: as a share of the {of}, stopping__share = {share:g} (--validation), and as "
            "a set; leave the share out, or give stopping__share = None"
        )
