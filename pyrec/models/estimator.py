"""What every model has, whatever it learns from: a name, options, and a folder that it is saved to and loaded from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from pyrec._ambient import defaults
from pyrec._exchange import Exchanged, keep_params
from pyrec.errors import DataError, NotFittedError
from pyrec.options import Options
from pyrec.params import Named
from pyrec.store import saved_model
from pyrec.store.arrays import State
from pyrec.store.saved_model import Saved

if TYPE_CHECKING:
    from typing_extensions import Self

_KNOWN: dict[str, type[Estimator]] = {}
"""Every class with a ``model_name`` of its own, by it."""


class Estimator(Exchanged, Named, ABC):
    """A model with a name, which is saved and loaded.

    The constructor only stores hyperparameters; `fit` checks them, trains and returns self; what it learns
    ends in an underscore. A family of models says what it learns from (`learns_from`), which attribute of a fitted
    model holds that (`data_name`), and which arrays of it are kept with a model (`_data` and `_restore_data`); a
    model says what it learned (`_state` and `_restore`).

    `fit` trains apart and exchanges the state at its end, at once (`pyrec._exchange`). Meanwhile other threads see
    the state before, as they do after a fit that failed. Each call of a method sees one state; ``copy.copy(model)``
    keeps one for several calls. Of two fits at a time the state of the later to end stays. What readers and `save`
    go by are the hyperparameters of the fit; `set_params` is for the next one.

    Attributes:
        model_name: The model's name in files and on the command line.
        learns_from: What `fit` is given, as messages call it.
        data_name: The attribute that a fitted model has, and no other.
    """

    model_name: ClassVar[str]
    learns_from: ClassVar[str]
    data_name: ClassVar[str]
    READERS: ClassVar[tuple[str, ...]] = ("save",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "model_name" in vars(cls):
            _KNOWN[cls.model_name] = cls

    # What a family of models writes.

    @abstractmethod
    def _data(self) -> dict[str, NDArray[Any]]:
        """Return what is kept of the data that the model learned from; no name begins with ``model.``."""

    @abstractmethod
    def _restore_data(self, saved: Saved) -> None:
        """Take the data back, and whatever else lies in the folder. The counterpart of `_data`."""

    def _origin(self) -> Mapping[str, Any] | None:
        """Return where the data come from, as `pyrec.data.origin` has it; None where that is not known."""
        return None

    # What each model writes.

    @abstractmethod
    def _state(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays by name, as `save` stores them."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """Take the learned arrays back; the data are there already. The counterpart of `_state`."""

    # What every model offers.

    @property
    def known_as(self) -> str:
        """See `Named.known_as`."""
        return self.model_name

    @property
    def label(self) -> str:
        """The model's name, with how it combines its layers if it has any."""
        combine = self.get_params(deep=False).get("combine")
        name = getattr(combine, "name", combine)
        return self.model_name if name is None else f"{self.model_name} ({name})"

    def search_options(self, train: Any) -> Options:  # noqa: ARG002
        """Return the hyperparameters that are worth searching, by the names of `get_params`, and what to try.

        Args:
            train: What the model will be trained on.
        """
        options = self.get_options()
        return {name: option for name, option in options.items() if option.search or option.tried}

    def save(self, directory: str | PathLike[str], run: Mapping[str, Any] | None = None) -> None:
        """Write ``model.safetensors`` and ``config.json`` into ``directory``, which is made if need be.

        A model that is there already is replaced. Where the data were read by `pyrec.data`, that is kept, so
        that ``pyrec evaluate`` needs the directory alone.

        A save that is cut short at any point leaves the model that was there before, or this one, for `load`:
        see `pyrec.store.saved_model`.

        Args:
            directory: Where to write.
            run: A mapping that JSON can hold, kept in ``config.json`` under ``"run"``.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If the folder cannot be written, or an id is of another type.
        """
        self._check_fitted()
        params = self.get_params(deep=False)
        saved_model.write(
            directory, self.model_name, params, self._state(), self._data(), run, self._origin()
        )

    @classmethod
    @defaults()
    def load(cls, directory: str | PathLike[str]) -> Self:
        """Read a saved model back.

        On `Estimator` any model loads; on `Recommender` any that learns from interactions; on a model's own class only
        that model. A class of a user's own loads by itself, and on these two if its module has been imported and it
        has a ``model_name`` of its own.

        Raises:
            DataError: If a file is missing, torn, altered, or holds another model.
        """
        saved = saved_model.read(directory)
        model_class = cls._of_name(saved.model_name, str(directory))
        if saved.format == 1:
            saved = model_class._from_format_1(saved)
        model = saved.build(model_class)
        model._restore_data(saved)
        model._restore(saved.state)
        keep_params(model)
        return model

    @classmethod
    def _from_format_1(cls, saved: Saved) -> Saved:
        """What was saved in format 1, as format 2 has it; the same for most models."""
        return saved

    @classmethod
    def _of_name(cls, name: str, directory: str) -> type[Self]:
        """The class that a saved model of that name loads as."""
        if name == getattr(cls, "model_name", None):
            return cls
        found = _KNOWN.get(name)
        if found is None:
            raise DataError(
                f"{directory} holds model {name!r}; known are {', '.join(_KNOWN)}; "
                "import the module that defines it first"
            )
        if not issubclass(found, cls):
            raise DataError(cls._refusal(found, directory))
        return found

    @classmethod
    def _refusal(cls, found: type[Estimator], directory: str) -> str:
        """Say that a folder holds a model that this class does not load."""
        told = f"{directory} holds a {found.__name__}"
        if found.learns_from != cls.learns_from:
            told += f", a model of {found.learns_from}"
        return f"{told}, not a {cls.__name__}; use {found.__name__}.load"

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted; call fit({self.learns_from}) first"
            )

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether scikit-learn may ask the model for something."""
        return hasattr(self, self.data_name)


def known_models(learns_from: str) -> dict[str, type[Any]]:
    """Return every class with a ``model_name`` of its own that learns from ``learns_from``, by it."""
    return {name: kind for name, kind in _KNOWN.items() if kind.learns_from == learns_from}


def class_in(directory: str | PathLike[str]) -> type[Estimator] | None:
    """Return the class of the model that a folder holds, whose arrays are left alone; None if no such name is known.

    Raises:
        DataError: If there is no model, or what it says of itself is damaged.
    """
    return _KNOWN.get(saved_model.read_config(directory)["model"])
