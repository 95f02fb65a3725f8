"""The data that a run is measured on: its own, as they were when it was trained, or others in its ids."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.cli.id_lists import KnownIds, some
from pyrec.cli.output import note
from pyrec.cli.sources import Source
from pyrec.data import Interactions
from pyrec.data.read.files import STDIN
from pyrec.errors import DataError
from pyrec.models import Recommender
from pyrec.store import saved_model
from pyrec.store.interactions import fingerprint


def source_of(run: Path) -> Source:
    """Return what the run in a folder was trained on, to be read again.

    Raises:
        DataError: If the run does not say so, or that was a pipe.
    """
    source = _saved_source(run)
    if STDIN in (source.data, source.train, source.test, source.uniform):
        raise DataError(
            f"{run} was trained on what came through a pipe; name the data again: DATA, or - for the standard input"
        )
    if source.everything:
        words = shlex.join(replace(source, everything=False).arguments())
        raise DataError(
            f"{run} learned from every interaction of its data (--all), so none is left to measure on; name others, "
            f"DATA or --test FILE, or measure a run that leaves some out: pyrec train {words}"
        )
    return source


def chosen_column(run: Path, role: str) -> tuple[str, ...]:
    """Return what the column of a role is called in the data of a run, if that was chosen."""
    try:
        columns = source_of(run).columns or {}
    except DataError:  # saved from Python, without a word on its data
        return ()
    name = columns.get(role)
    return (name,) if isinstance(name, str) else ()


def _saved_source(run: Path) -> Source:
    return Source.from_json(saved_model.read_config(run)["run"].get("data"), str(run))


def read_as(run: Path, source: Source) -> Source:
    """Return data named on the command line, read and split as the run's were where it says nothing of that."""
    try:
        own = _saved_source(run)
    except DataError:  # saved from Python, without a word on its data
        return source
    return source.or_as(own)


def load_parts(source: Source, own: bool) -> tuple[str, Interactions | None, Interactions]:
    """Return the name, the training part and the test part to measure on; no training part of a test file alone.

    Args:
        source: The data.
        own: Whether they are the run's own, which nobody named.

    Raises:
        ConfigError: If the options contradict each other.
        DataError: If a file is missing or malformed, or a part is empty.
    """
    if source.test is not None and source.data is source.train is None:
        return Path(source.test).stem, None, source.load_test()
    name, train, test = source.load()
    if source.is_one_file and not own:
        note(
            f"note: {name} is split, and {len(test):,} of its {len(train) + len(test):,} interactions are measured on; "
            f"--test {source.data} measures on all"
        )
    return name, train, test


def check_same(run: Path, model: Recommender, train: Interactions | None) -> None:
    """Raises DataError if a run's own training data are no longer what its model was trained on."""
    if train is None or fingerprint(train) != fingerprint(model.train_):
        raise DataError(
            f"the data of {run} are not those that it was trained on: {len(model.train_):,} training interactions "
            f"then, {0 if train is None else len(train):,} or others now; put them back, or name what to measure on: "
            "DATA, or --train and --test"
        )


def known_part(models: Mapping[Path, Recommender], test: Interactions, skip: bool) -> Interactions:
    """Return the test interactions whose user and item every model knows.

    Args:
        models: By their folders.
        test: In ids of its own.
        skip: Leave the others out and print how many; else they are refused.

    Raises:
        DataError: If a user or an item is unknown, unless they are left out and something remains.
    """
    trains = [model.train_ for model in models.values()]
    user_known = np.all([_known(KnownIds.of("user", train), test.user_ids) for train in trains], axis=0)
    item_known = np.all([_known(KnownIds.of("item", train), test.item_ids) for train in trains], axis=0)
    known = user_known[test.users] & item_known[test.items]
    if known.all():
        return test
    unknown = [
        f"{len(ids):,} {what}s ({some(ids.tolist())})"
        for what, ids in (("user", test.user_ids[~user_known]), ("item", test.item_ids[~item_known]))
        if len(ids)
    ]
    told = (
        f"{np.count_nonzero(~known):,} of {len(test):,} test interactions are with {' or '.join(unknown)} that "
        f"{' or '.join(map(str, models))} does not know"
    )
    if not known.any():
        raise DataError(
            f"{told}, and none is left; its users are {some(trains[0].user_ids[:4].tolist())}, its items "
            f"{some(trains[0].item_ids[:4].tolist())}: name data with these ids"
        )
    if not skip:
        raise DataError(f"{told}; leave them out with --unknown skip, or train on these data")
    note(f"note: {told}; left out")
    return test.select(known)


def unseen_part(models: Mapping[Path, Recommender], test: Interactions) -> Interactions:
    """Return the test interactions that no model had in training, and print how many of the others there are.

    Args:
        models: By their folders; they know all users and items of the test set.
        test: In ids of its own.

    Raises:
        DataError: If nothing is left.
    """
    seen = [_seen(model.train_, test) for model in models.values()]
    unseen = ~np.any(seen, axis=0)
    if unseen.all():
        return test
    counts = " and ".join(
        f"{run} had {np.count_nonzero(one):,}" for run, one in zip(models, seen, strict=True) if one.any()
    )
    told = f"of {len(test):,} test interactions {counts} in training"
    if not unseen.any():
        raise DataError(f"{told}, and none is left to measure on; name others, DATA or --test FILE")
    note(f"note: {told}; left out")
    return test.select(unseen)


def _seen(train: Interactions, test: Interactions) -> NDArray[np.bool_]:
    """Return which test interactions (n,), in ids of their own, are training interactions, bool (n,)."""
    users, items = (
        train.encode_users(test.user_ids, unknown="skip"),
        train.encode_items(test.item_ids, unknown="skip"),
    )
    return train.has_pairs(users[test.users], items[test.items])


def in_ids_of(model: Recommender, test: Interactions) -> Interactions:
    """Return test interactions in the ids of a model that knows all of them."""
    return test.compact().with_ids(model.train_.user_ids, model.train_.item_ids)


def _known(known: KnownIds, ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of some ids (n,) are known, bool (n,)."""
    found = np.ones(len(ids), dtype=bool)
    found[known.unknown(ids.tolist())] = False
    return found
