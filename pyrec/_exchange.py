"""A model's state, exchanged whole: a fit trains apart and is put in place at once, and a reader sees one state.

The state is the model's ``__dict__``. A fit works on another object with a copy of it and then replaces the dictionary
by one assignment. A reader works on another object too, a view: a copy of the dictionary of one moment, in which
the hyperparameters are those of the fit. What it computes for later calls goes back into the dictionary that it was
computed from, which a fit may have replaced meanwhile. Both run in `pyrec._ambient.defaults`. Subclasses get this for
the methods that they override.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyrec._ambient import defaults
from pyrec.errors import DataError
from pyrec.params import Parameters, parameter_names

if TYPE_CHECKING:
    from typing_extensions import Self

Model = TypeVar("Model")
Reader = TypeVar("Reader", bound=Callable[..., Any])

_apart: ContextVar[tuple[object, ...]] = ContextVar("apart", default=())
"""The objects that fits of this context train."""
_putting = threading.Lock()
_absent = object()


class Exchanged(Parameters):
    """A class whose `fit` replaces its state at once, and whose readers each work on one state.

    Attributes:
        fitted_params_: The hyperparameters of the last fit, which readers and `save` go by; `get_params` gives those of
            the next one.
    """

    READERS: ClassVar[tuple[str, ...]] = ()
    """Methods that read the state and do not change it."""
    fitted_params_: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, wrap in {"fit": _fit_apart, **dict.fromkeys(cls.READERS, of_one_state)}.items():
            if inspect.isfunction(own := vars(cls).get(name)):
                setattr(cls, name, wrap(own))

    def set_params(self, **params: Any) -> Self:
        """See `Parameters.set_params`; a fit that is under way goes on with the values that it began with."""
        with _putting:
            return super().set_params(**params)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator: one that takes sparse matrices and needs no ``y``."""
        kinds = importlib.import_module("sklearn.utils")
        target, taken = kinds.TargetTags(required=False), kinds.InputTags(sparse=True)
        return kinds.Tags(estimator_type=None, target_tags=target, input_tags=taken)

    def _check_target(self, y: object) -> None:
        """Refuse what can be no ``y`` of `fit`; here nothing is."""

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles keep, of one moment."""
        return dict(self.__dict__)


def view_of(model: Model) -> Model:
    """Return the model as it is now, by its fit's hyperparameters; a later fit does not change what is returned.

    Raises:
        DataError: If it is no model.
    """
    return _object_of(model, _state_by_fit(_state_of(model)))


@contextmanager
def one_state(model: Model) -> Iterator[Model]:
    """Yield `view_of` the model; attributes that are set on it are kept with the state that it is a view of.

    Raises:
        DataError: If it is no model.
    """
    state = _state_of(model)
    before = _state_by_fit(state)
    view = _object_of(model, before)
    try:
        yield view
    finally:
        state.update(
            {
                name: value
                for name, value in dict(view.__dict__).items()
                if before.get(name, _absent) is not value
            }
        )


def of_one_state(reader: Reader) -> Reader:
    """A function or method whose first argument, a model, is to be of one state from its start to its end."""

    @wraps(reader)
    def whole(model: Any, *args: Any, **kwargs: Any) -> Any:
        with defaults(), one_state(model) as view:
            return reader(view, *args, **kwargs)

    return whole  # type: ignore[return-value]


def keep_params(model: Exchanged) -> None:
    """Take the hyperparameters for those of the state, as after a fit."""
    model.fitted_params_ = _params_in(type(model), model.__dict__)


def _fit_apart(fit: Reader) -> Reader:
    """A `fit` that trains a copy of the model and puts its state in place at the end; the model is returned."""
    names = list(inspect.signature(fit).parameters)

    @wraps(fit)
    def apart(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(self is one for one in _apart.get()):  # a subclass's fit calls its base's
            return fit(self, *args, **kwargs)
        if len(args) > 1 and names[2:3] == ["y"]:
            self._check_target(args[1])
        trained = _object_of(self, _to_be_fitted(self))
        before = dict(trained.__dict__)
        under_way = _apart.set((*_apart.get(), trained))
        try:
            with defaults():
                result = fit(trained, *_without_y(names, args, kwargs), **kwargs)
        finally:
            _apart.reset(under_way)
        _put(self, trained.__dict__, before)
        return self if result is trained else result

    return apart  # type: ignore[return-value]


def _without_y(names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of a `fit` without scikit-learn's ``y``, where it takes none."""
    if "y" in names:
        return args
    kwargs.pop("y", None)
    return args[:1] if len(args) == 2 and len(names) == 2 else args


def _to_be_fitted(model: Any) -> dict[str, Any]:
    """The model's state for a fit to change: containers are copies, and what is of the fit before is not there."""
    state = dict(model.__dict__)
    for name in ("fitted_params_", "item_names_"):
        state.pop(name, None)
    return {
        name: copy.copy(value) if isinstance(value, (dict, list, set)) else value
        for name, value in state.items()
        if not isinstance(inspect.getattr_static(type(model), name, None), cached_property)
    }


def _put(model: Any, trained: dict[str, Any], before: dict[str, Any]) -> None:
    """Replace the model's state; hyperparameters that the fit did not change stay as they are by now."""
    params = _params_in(type(model), trained)
    with _putting:
        now = model.__dict__
        kept = {
            name: now[name] for name in params if name in now and before.get(name, _absent) is params[name]
        }
        model.__dict__ = {**trained, **kept, "fitted_params_": params}


def _params_in(kind: type, state: dict[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in parameter_names(kind) if name in state}


def _state_of(model: object) -> dict[str, Any]:
    if not isinstance(model, Exchanged):
        raise DataError(f"model is {kind_of(model)}, but a fitted model is needed, such as EASE().fit(train)")
    return model.__dict__


def kind_of(model: object) -> str:
    return f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"


def _state_by_fit(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, **state.get("fitted_params_", {})}


def _object_of(model: Model, state: dict[str, Any]) -> Model:
    other: Model = object.__new__(type(model))
    other.__dict__ = dict(state)
    return other
