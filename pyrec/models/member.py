"""Whole models as hyperparameters of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyrec.errors import ConfigError
from pyrec.models.base import Recommender
from pyrec.models.estimator import known_models
from pyrec.options import listed
from pyrec.params import Single, read_named


@dataclass(frozen=True, kw_only=True)
class Member(Single):
    """A model of interactions, or the name of one, which stands for it with its defaults.

    Attributes:
        owner: The name of the model that has the option: an object of that kind may be a member, its name may not.
    """

    owner: str

    @property
    def names(self) -> list[str]:
        """The names of the library's models that stand for one; those of other classes do, too."""
        return [name for name, kind in self._kinds.items() if kind.__module__.startswith("pyrec.")]

    @property
    def _kinds(self) -> dict[str, type[Any]]:
        kinds = known_models(Recommender.learns_from)
        return {name: kind for name, kind in kinds.items() if name != self.owner}

    def component(self, value: Any) -> Recommender | None:
        """See `Single.component`."""
        if isinstance(value, Recommender):
            return value
        if isinstance(value, str) and value in self._kinds:
            model: Recommender = self._kinds[value]()
            return model
        raise ConfigError(f"{value!r} is no model of interactions; known are {listed(self.names)}")

    def read(self, written: Any, source: str) -> Any:
        """See `Nested.read`."""
        if not isinstance(written, Mapping):
            return written
        return read_named(known_models(Recommender.learns_from), "model", written, source)

    def _check(self, name: str, value: Any) -> None:
        try:
            model = self.component(value)
        except ConfigError:
            given = value.__name__ if isinstance(value, type) else repr(value)
            raise ConfigError(
                f"{name} = {given} must be one of {listed(self.names)}, or an object such as EASE()"
            ) from None
        assert model is not None
        model.check_params(f"{name}__")
