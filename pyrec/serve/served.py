"""What is served, as one thing that is replaced at once: a model, its items' names, and when it was saved and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pyrec.data import Interactions
from pyrec.data.read.item_names import read_item_names
from pyrec.models import Estimator, Recommender
from pyrec.store import item_names, saved_model

Kind = TypeVar("Kind", bound=Estimator)
Names: TypeAlias = Mapping[Any, str]
NamesSource: TypeAlias = Names | str | PathLike[str] | Callable[[Interactions], Names]
"""What items are called, by raw id; a file that says so; or what returns it for the items of a training set."""
Stamps: TypeAlias = tuple[tuple[int, int] | None, ...]
"""What changes whenever a file of a run is replaced."""


@dataclass(frozen=True)
class Served(Generic[Kind]):
    """A model and what is told of it.

    Attributes:
        model: What is asked; it may be fitted again while it is served.
        names: What items are called, by raw id.
        saved_at: When it was saved, in UTC; None if it was not read from a folder.
        loaded_at: When it was read; likewise.
        stamps: Of its folder, before it was read.
    """

    model: Kind
    names: Names = field(default_factory=dict)
    saved_at: datetime | None = None
    loaded_at: datetime | None = None
    stamps: Stamps = ()


@dataclass(frozen=True)
class RunFolder:
    """A folder with a saved model, which another run may replace.

    Attributes:
        path: Of the folder.
        names: What items are called; None for what lies beside the model.
    """

    path: Path
    names: NamesSource | None

    def load(self) -> Served[Recommender]:
        """Read the model and the names.

        Raises:
            DataError: If one of them cannot be read.
        """
        stamps = self.stamps()  # before the model, which may be replaced meanwhile
        model = Recommender.load(self.path)
        names = item_names.read(self.path) if self.names is None else names_of(self.names, model.train_)
        return Served(model, names, saved_at(stamps), datetime.now(timezone.utc), stamps)

    def stamps(self) -> Stamps:
        """Return what changes whenever a model or names are put in the place of those before."""
        return tuple(saved_model.stamp(self.path / name) for name in (saved_model.CONFIG, item_names.FILE))


def saved_at(stamps: Stamps) -> datetime | None:
    """Return when a model was saved, in UTC, by the stamps of its folder, the first of which is of the model."""
    return None if stamps[0] is None else datetime.fromtimestamp(stamps[0][1] / 1e9, timezone.utc)


def names_of(names: NamesSource, train: Interactions) -> Names:
    """Return what the items of a training set are called, by raw id.

    Raises:
        DataError: If a file cannot be read or names no item of these.
    """
    if callable(names):
        return names(train)
    return names if isinstance(names, Mapping) else read_item_names(names, train.item_ids)
