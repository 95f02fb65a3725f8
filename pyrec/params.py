"""Hyperparameters as scikit-learn handles them: stored by the constructor, read, changed and copied by name.

Those of a component, an object that is itself a hyperparameter, are named by its own name and theirs:
``loss__temperature``, and among several ``augment__contrast__weight``.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

from pyrec._spellings import suggestion
from pyrec.errors import ConfigError, DataError, UnknownParameterError
from pyrec.options import Option, Options, listed

if TYPE_CHECKING:
    from typing_extensions import Self

KIND = "is"
"""The entry of a component in JSON that holds its name."""


class _Signature:
    """The signature of a class as its ``__init__`` has it; else the one of `Parameters.__new__` would count."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("an object has the signature of its call")
        if owner.__init__ is object.__init__:  # type: ignore[misc]
            return inspect.Signature()
        whole = inspect.signature(owner.__init__)  # type: ignore[misc]
        return whole.replace(parameters=list(whole.parameters.values())[1:])


class Parameters:
    """A class whose constructor only stores its arguments, each in the attribute of its name.

    That is scikit-learn's protocol, so its ``clone``, grids, searches and pipelines take such objects; scikit-learn
    itself is not needed.

    Attributes:
        options: What each hyperparameter may be, by its name.
    """

    options: ClassVar[Options] = {}
    __signature__ = _Signature()

    def __new__(cls, *args: Any, **params: Any) -> Self:
        """Refuse arguments that the constructor does not take.

        Raises:
            UnknownParameterError: If there is one; the message names the hyperparameter that may be meant.
        """
        known = inspect.signature(cls).parameters
        if args and not known:
            raise TypeError(f"{cls.__name__} takes no arguments, but {len(args)} are given")
        open_ended = any(one.kind is one.VAR_KEYWORD for one in known.values())
        if not open_ended and (unknown := [name for name in params if name not in known]):
            raise _unknown(cls, unknown, list(known), ())
        return super().__new__(cls)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyperparameters, by the names that the constructor takes.

        Args:
            deep: Those of components as well, ``loss__temperature``; a component that is given by its name counts
                with its defaults.
        """
        own = vars(self)
        params = {
            name: own[name] if name in own else getattr(self, name) for name in parameter_names(type(self))
        }
        if deep:
            for name, component in self._components(params):
                params |= {f"{name}__{inner}": value for inner, value in component.get_params().items()}
        return params

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the defaults of the hyperparameters that the constructor takes."""
        return {name: one.default for name, one in inspect.signature(cls).parameters.items()}

    @classmethod
    def kinds_of(cls, name: str) -> list[type[Component]]:
        """Return the classes that a hyperparameter may be a component of, or several; none for other values."""
        option = cls.options[name]
        return list(option.family.kinds.values()) if isinstance(option, (Part, Parts)) else []

    def flat_params(self) -> dict[str, Any]:
        """Return the hyperparameters by the names of `get_params`, components by what they are called."""
        return {name: called(value) for name, value in self.get_params().items()}

    def get_options(self) -> dict[str, Option]:
        """Return what each hyperparameter may be, by the names that `get_params` gives."""
        own = self.get_params(deep=False)
        options = {name: option for name, option in self.options.items() if name in own}
        for prefix, component in self._components(own):
            options |= {f"{prefix}__{name}": option for name, option in component.get_options().items()}
        return options

    def set_params(self, **params: Any) -> Self:
        """Change hyperparameters, which the next `fit` checks and uses, and return self.

        Args:
            params: New values by the names that `get_params` gives. A component is replaced by a changed copy.

        Raises:
            UnknownParameterError: If a name is not known; then none is changed.
        """
        changed = self._changed(params)
        for name, value in changed.items():
            setattr(self, name, value)
        return self

    def check_params(self, prefix: str = "") -> None:
        """Raise ConfigError for a hyperparameter that is none of its option's values, components' included.

        Args:
            prefix: Before the names in messages.
        """
        params = self.get_params(deep=False)
        for name, option in self.options.items():
            if name in params:
                option.check(f"{prefix}{name}", params[name])

    def clone(self) -> Self:
        """Return a new, unfitted object with copies of the same hyperparameters."""
        params = self.get_params(deep=False)
        return type(self)(
            **{
                name: value.clone() if isinstance(value, Named) else copy.deepcopy(value)
                for name, value in params.items()
            }
        )

    def replaced(self, **changes: Any) -> Self:
        """Return a new object with some hyperparameters changed; see `set_params`."""
        return type(self)(**{**self.get_params(deep=False), **self._changed(changes)})

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self.get_params(deep=False).items())
        return f"{type(self).__name__}({params})"

    def _components(self, params: Mapping[str, Any]) -> Iterator[tuple[str, Named]]:
        """The components among some hyperparameters, by the names that theirs begin with.

        What stands for none, as it is no value of its option, is left out: it is an error for `check_params`.
        """
        for name, option in self.options.items():
            if not isinstance(option, Nested):
                continue
            try:
                for one in option.components(params.get(name)):
                    yield (f"{name}__{one.key}" if isinstance(option, Parts) else name), one
            except ConfigError:
                continue

    def _changed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments that some changes change; whole components first, then what is in them."""
        known = self.get_params(deep=False)
        changed = {name: value for name, value in params.items() if name in known}
        inner: dict[str, dict[str, Any]] = {}
        for name in params.keys() - changed.keys():
            outer, _, rest = name.partition("__")
            if not rest or outer not in known:
                raise self._unknown(params)
            inner.setdefault(outer, {})[rest] = params[name]
        for name, changes in inner.items():
            changed[name] = self._with_inner(name, changed.get(name, known[name]), changes, params)
        return changed

    def _with_inner(self, name: str, value: Any, changes: dict[str, Any], params: Mapping[str, Any]) -> Any:
        option = self.options.get(name)
        if isinstance(option, Single) and (one := option.component(value)) is not None:
            return one.replaced(**changes)
        if isinstance(option, Parts):
            several = {one.key: one for one in option.components(value)}
            for path, new in changes.items():
                key, _, rest = path.partition("__")
                if key not in several or not rest:
                    raise self._unknown(params)
                several[key] = several[key].replaced(**{rest: new})
            return tuple(several.values())
        raise self._unknown(params)

    def _unknown(self, params: Mapping[str, Any]) -> UnknownParameterError:
        known = list(self.get_params())
        return _unknown(type(self), [name for name in params if name not in known], known, known)


def _unknown(
    kind: type[Parameters], unknown: list[str], known: list[str], settable: Collection[str]
) -> UnknownParameterError:
    """The error for names that a class does not have."""
    meant = suggestion(kind, unknown, settable)
    takes = f"{' It' if meant else '; it'} takes {', '.join(known) or 'none'}"
    return UnknownParameterError(f"{kind.__name__} has no hyperparameter {listed(unknown)}{meant}{takes}")


class Named(Parameters):
    """An object that may be a hyperparameter of another: it has a name, and parameters of its own."""

    @property
    def known_as(self) -> str:
        """What it is called in files, on the command line and as shorthand."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The name as it stands among others in the name of a hyperparameter."""
        return self.known_as.replace("-", "_")


class Component(Named):
    """A small object that is a hyperparameter of another, such as a loss.

    Its class is a frozen dataclass. A family's base class names the family; each class below it that has a ``name``
    is one of its ``kinds``, wherever it is written.

    Attributes:
        name: What it is called in files, on the command line and as shorthand.
        family: What its family is called in messages.
        kinds: The classes of its family by name.
        counted: The name of the one that a whole number stands for, which is its first hyperparameter; empty for none.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    kinds: ClassVar[dict[str, type[Component]]]
    counted: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "family" in vars(cls):
            cls.kinds = {}
        if "name" in vars(cls):
            cls.kinds[cls.name] = cls

    @property
    def known_as(self) -> str:
        """See `Named.known_as`."""
        return self.name

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return a component of this family: the value itself, the one that it names, or the one of that number.

        Raises:
            ConfigError: If it is neither.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value in cls.kinds:
            return cls.kinds[value]()
        if cls.counted and isinstance(value, Integral) and not isinstance(value, bool):
            counted: Any = cls.kinds[cls.counted]
            return counted(int(value))
        raise ConfigError(f"{cls.family} = {value!r} must be one of {listed(list(cls.kinds))}")


class Nested(Option):
    """Objects with hyperparameters of their own."""

    def components(self, value: Any) -> tuple[Named, ...]:
        """Return the objects that a value stands for."""
        raise NotImplementedError

    def read(self, written: Any, source: str) -> Any:
        """Return the value that `to_json` made ``written`` of.

        Raises:
            DataError: If it is of a kind that is not known, or takes other hyperparameters.
        """
        raise NotImplementedError


class Single(Nested):
    """One such object, or none."""

    def component(self, value: Any) -> Named | None:
        """Return the object that a value stands for; None where it stands for none."""
        raise NotImplementedError

    def components(self, value: Any) -> tuple[Named, ...]:
        """Return `component`, if there is one."""
        one = self.component(value)
        return () if one is None else (one,)


@dataclass(frozen=True, kw_only=True)
class Part(Single):
    """A component of a ``family``, or the name of one, which stands for it with its defaults.

    Attributes:
        family: The components' base class.
        auto: A further value that leaves the choice to whoever has the component.
    """

    family: type[Component]
    auto: str | None = None

    @property
    def names(self) -> list[str]:
        """What is known of the family, ``auto`` first."""
        return [*([] if self.auto is None else [self.auto]), *self.family.kinds]

    def component(self, value: Any) -> Component | None:
        """See `Single.component`."""
        return None if value is None or value == self.auto else self.family.of(value)

    def components(self, value: Any) -> tuple[Component, ...]:
        """See `Nested.components`."""
        one = self.component(value)
        return () if one is None else (one,)

    def read(self, written: Any, source: str) -> Any:
        """See `Nested.read`."""
        return _component(self.family, written, source)

    def _check(self, name: str, value: Any) -> None:
        try:
            component = self.component(value)
        except ConfigError:
            example = next(iter(self.family.kinds.values()))()
            given = value.__name__ if isinstance(value, type) else repr(value)
            raise ConfigError(
                f"{name} = {given} must be one of {listed(self.names)}, or an object such as {example!r}"
            ) from None
        if component is not None:
            component.check_params(f"{name}__")


@dataclass(frozen=True, kw_only=True)
class Parts(Nested):
    """Components of a ``family``, no two of a kind; one alone, or its name, need not be in a tuple."""

    family: type[Component]

    def components(self, value: Any) -> tuple[Component, ...]:
        """See `Nested.components`."""
        if value is None:
            return ()
        several = value if isinstance(value, (tuple, list)) else (value,)
        return tuple(self.family.of(one) for one in several)

    def read(self, written: Any, source: str) -> Any:
        """See `Nested.read`."""
        if isinstance(written, list):
            return tuple(_component(self.family, one, source) for one in written)
        return _component(self.family, written, source)

    def _check(self, name: str, value: Any) -> None:
        each = Part(family=self.family)
        several = value if isinstance(value, (tuple, list)) else (value,)
        for at, one in enumerate(several):
            each.check(f"{name}[{at}]" if len(several) > 1 else name, one)
        names = [one.name for one in self.components(value)]
        for kind in names:
            if names.count(kind) > 1:
                raise ConfigError(f"{name} has {kind!r} {names.count(kind)} times; give it once")


def parameter_names(kind: type) -> tuple[str, ...]:
    """Return the names of the hyperparameters of a class: those that its constructor takes."""
    return tuple(inspect.signature(kind).parameters)


def called(value: Any) -> Any:
    """The name of a component, the names of several, or another value itself."""
    if isinstance(value, (tuple, list)):
        return [called(one) for one in value]
    return value.known_as if isinstance(value, Named) else value


def to_json(value: Any) -> Any:
    """Return a hyperparameter as JSON holds it: a component as an object with its name under ``is``.

    What holds arrays says itself what stands for it, by ``as_param``.
    """
    if isinstance(value, Named):
        return {KIND: value.known_as, **params_to_json(value)}
    if isinstance(value, (tuple, list)):
        return [to_json(one) for one in value]
    return value.as_param() if hasattr(value, "as_param") else value


def params_to_json(one: Parameters) -> dict[str, Any]:
    """Return the hyperparameters as JSON holds them, which `from_json` reads."""
    return {name: to_json(value) for name, value in one.get_params(deep=False).items()}


def from_json(kind: type[Parameters], params: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the hyperparameters of a class from what `to_json` made of them.

    Raises:
        DataError: If a component is of a kind that is not known, or takes other hyperparameters.
    """
    options = kind.options
    return {
        name: option.read(value, source) if isinstance(option := options.get(name), Nested) else value
        for name, value in params.items()
    }


def _component(family: type[Component], value: Any, source: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    return read_named(family.kinds, family.family, value, source)


def read_named(kinds: Mapping[str, type[Named]], what: str, value: Mapping[str, Any], source: str) -> Any:
    """Return the object that `to_json` wrote.

    Args:
        kinds: The classes by name.
        what: What these are called in messages.
        value: With the name under `KIND`.
        source: Where it was read.

    Raises:
        DataError: If the name is not known, or the class takes other hyperparameters.
    """
    name = value.get(KIND)
    if not isinstance(name, str) or name not in kinds:
        raise DataError(
            f"{source} has {what} {name!r}, but known are {listed(list(kinds))}; "
            "import the module that defines it first"
        )
    kind = kinds[name]
    params = {inner: one for inner, one in value.items() if inner != KIND}
    try:
        return kind(**from_json(kind, params, source))
    except TypeError as error:
        raise DataError(f"{source}: params do not fit {kind.__name__}: {error}") from None
