"""Hyperparameters as scikit-learn handles them: stored by the constructor, read, changed and copied by name."""

from __future__ import annotations

import copy
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from pyrec.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self


class Parameters:
    """A class whose constructor only stores its arguments, each in the attribute of its name.

    That is scikit-learn's protocol, so its ``clone``, grids, searches and pipelines take such objects; scikit-learn
    itself is not needed.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the hyperparameters, by the names that the constructor takes.

        Args:
            deep: Ignored: no hyperparameter has hyperparameters of its own. scikit-learn passes it.
        """
        own = vars(self)
        return {
            name: own[name] if name in own else getattr(self, name) for name in parameter_names(type(self))
        }

    def set_params(self, **params: Any) -> Self:
        """Change hyperparameters, which the next `fit` checks and uses, and return self.

        Args:
            params: New values by the names that the constructor takes.

        Raises:
            ConfigError: If a name is not one of the constructor's; then none is changed.
        """
        known = parameter_names(type(self))
        if unknown := [name for name in params if name not in known]:
            raise ConfigError(
                f"{type(self).__name__} has no hyperparameter {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join(known) or 'none'}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator: one that takes sparse matrices and needs no ``y``."""
        kinds = importlib.import_module("sklearn.utils")
        target, taken = kinds.TargetTags(required=False), kinds.InputTags(sparse=True)
        return kinds.Tags(estimator_type=None, target_tags=target, input_tags=taken)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether scikit-learn may ask the model for something."""
        return hasattr(self, "train_")

    def clone(self) -> Self:
        """Return a new, unfitted object with copies of the same hyperparameters."""
        return type(self)(**copy.deepcopy(self.get_params()))

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({params})"


def parameter_names(kind: type) -> list[str]:
    """Return the names of the hyperparameters of a class: those that its constructor takes."""
    return list(inspect.signature(kind).parameters)
