"""Which hyperparameter may be meant by a name that a class does not have: another library's, a flag's, a mistyped one.

A class is one that `pyrec.params.Parameters` stands above: it has ``options`` and ``kinds_of``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyrec.options import Option


@dataclass(frozen=True)
class Spelled:
    """A hyperparameter of a class, or of a component on the way down from it.

    Attributes:
        path: The names of `get_params` from the class on: ``("loss", "temperature")``.
        kinds: The classes of the components on the way.
        words: What it may be called, as `plain` writes it.
    """

    path: tuple[str, ...]
    kinds: tuple[Any, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name for `set_params`; of several components as if there were one."""
        return "__".join(self.path)

    @property
    def written(self) -> str:
        """How it is written in a call of the constructor: ``temperature``, ``loss=Softmax(temperature=...)``."""
        text = self.path[-1]
        for part, kind in zip(reversed(self.path[:-1]), reversed(self.kinds), strict=True):
            text = f"{part}={kind.__name__}({text}{'' if text.endswith(')') else '=...'})"
        return text


def plain(word: str) -> str:
    """Return a word as names are compared: small letters alone and digits."""
    return "".join(sign for sign in word.casefold() if sign.isalnum())


def spellings(name: str, option: Option) -> tuple[str, ...]:
    """Return what a hyperparameter may be called: its name, its flag, and what other libraries say."""
    return tuple(dict.fromkeys(map(plain, (name, option.flag or "", *option.aka))))


def hyperparameters(kind: Any, steps: tuple[str, ...] = (), kinds: tuple[Any, ...] = ()) -> Iterator[Spelled]:
    """Yield the hyperparameters of a class and of the components that it may have, the default ones first."""
    defaults = kind.defaults()
    for name, option in kind.options.items():
        if name not in defaults:
            continue
        yield Spelled((*steps, name), kinds, spellings(name, option))
        chosen = getattr(defaults[name], "name", defaults[name])
        for inner in sorted(kind.kinds_of(name), key=lambda one: one.name != chosen):
            yield from hyperparameters(inner, (*steps, name), (*kinds, inner))


def meant_by(kind: Any, name: str) -> Spelled | None:
    """Return the hyperparameter that is meant by a name, the nearest to the class; None where nothing is like it."""
    known = sorted(hyperparameters(kind), key=lambda one: len(one.path))
    word = plain(name)
    for one in known:
        if word in one.words or word == plain("".join(one.path)):
            return one
    for depth in sorted({len(one.path) for one in known}):
        near = {word: one for one in reversed(known) if len(one.path) == depth for word in one.words if word}
        if found := difflib.get_close_matches(word, near, 1, cutoff=0.7):
            return near[found[0]]
    return None


def suggestion(kind: Any, names: Sequence[str], settable: Collection[str]) -> str:
    """Return a question for a message, ``; did you mean learning_rate?``; empty where nothing is like the names.

    Args:
        kind: The class that does not have the names.
        names: What was given.
        settable: The names that `set_params` takes; empty where a constructor was called.
    """
    found = [one for name in names if (one := meant_by(kind, name)) is not None]
    meant = [one.name if one.name in settable else one.written for one in found]
    return f"; did you mean {' and '.join(dict.fromkeys(meant))}?" if meant else ""
