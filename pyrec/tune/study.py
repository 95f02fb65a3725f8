"""What searches ask of Optuna, which is imported when one begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyrec.errors import ConfigError
from pyrec.models import Estimator
from pyrec.tune.space import Range

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


def has_optuna() -> bool:
    """Return whether Optuna is installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def check_optuna() -> None:
    """Raise ConfigError if Optuna is not installed."""
    if not has_optuna():
        raise ConfigError("tuning needs Optuna: pip install '.[tune]'")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log, which repeats what is reported here, from stderr."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def begin_with(study: Study, model: Estimator, space: Sequence[Range]) -> bool:
    """Have the model's own parameters tried first, if they are in the space; return whether they are."""
    own = model.get_params()
    if not all(own[one.name] in one for one in space):
        return False
    study.enqueue_trial({one.name: one.written(own[one.name]) for one in space})
    return True


def ended_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that succeeded or failed."""
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "FAIL")]
