"""Options that models which train by epochs have in common, under one name with one help."""

from __future__ import annotations

from typing import Final

from pyrec.device import DEVICES
from pyrec.options import Choice, Count, Number
from pyrec.params import Part
from pyrec.train.early_stopping import Stopping
from pyrec.train.optimisation import SCHEDULES

TRAINING: Final = "Training"
"""Heading of the options that say how a model is trained."""
RATE_AKA: Final = ("eta", "step_size")

STOPPING: Final = Part(
    aka=("early_stopping",),
    family=Stopping,
    optional=True,
    flag="",
    help="Which epoch is kept, and when training stops.",
)
LEARNING_RATE: Final = Number(
    aka=RATE_AKA, flag="--lr", group=TRAINING, help="Adam's learning rate.", search=(5e-4, 2e-2)
)
SCHEDULE: Final = Choice(
    aka=("scheduler", "lr_scheduler"),
    values=SCHEDULES,
    group=TRAINING,
    help="Learning rate over the epochs.",
)
DEVICE: Final = Choice(values=DEVICES, group=TRAINING, help="Where to train.")


def epochs_option(of: str, *aka: str) -> Count:
    """Return the option of the number of epochs.

    Args:
        of: What an epoch is, for the help.
        aka: Other names, beside the usual ones.
    """
    usual = ("n_epochs", "num_epochs", "max_epochs", "iterations", "n_iter")
    return Count(aka=(*usual, *aka), low=1, group=TRAINING, help=of)


def seed_option(of: str) -> Count:
    """Return the option of the seed.

    Args:
        of: What is drawn by it, for the help.
    """
    aka = ("random_state", "random_seed")
    return Count(aka=aka, low=0, high=2**63 - 1, group=TRAINING, help=f"Seed of {of}.")
