"""The grid: what a YAML file says is to be run, as a list of runs.

    seeds: [0, 1, 2]
    cutoffs: [10, 20]                        # of the metrics
    metrics: [recall@20, ndcg@20]            # the family that the tests of a comparison are corrected over
    curve_every: 10                          # test metrics each so many epochs, for the curves only; 0 for never
    data:
      ml-100k: [u1, u2]                      # data set: splits
    models:
      mean: {model: lightgcn, loss: bpr, for: {ml-100k: {learning_rate: 5e-3}}}
      ease: {model: ease, reg: 400, skip: [gowalla]}
    compare:
      - [attention, mean]                    # what is to win, what it is compared with

A model's entry names it by ``model`` and gives its parameters; ``for`` has other values for some data sets (or single
splits, ``ml-100k/u1``), ``skip`` names data sets that it does not run on. A model without a parameter ``seed`` runs
once a split.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pyrec.errors import ConfigError, DataError
from pyrec.models import MODELS, Recommender

from . import datasets, flat

USER_METRICS = ("precision", "recall", "ndcg")
OWN_KEYS = ("model", "for", "skip")


@dataclass(frozen=True)
class Run:
    """One model on one split with one seed.

    Attributes:
        data: The data set.
        split: Its split.
        label: What the grid calls the model with these parameters.
        model: The model's name in `pyrec.models.MODELS`.
        params: All its parameters but the seed, defaults included; those of LightGCN and MF as `flat` has them.
        seed: None for a model that draws nothing.
    """

    data: str
    split: str
    label: str
    model: str
    params: dict[str, Any]
    seed: int | None

    @property
    def key(self) -> str:
        """What tells runs apart; the label and the settings of measuring do not count."""
        return key_of(vars(self))

    def build(self, num_items: int) -> Recommender:
        """The model, not fitted, for a training set of so many items."""
        seed = {} if self.seed is None else {"seed": self.seed}
        return flat.build(self.model, self.params | seed, num_items)


@dataclass(frozen=True)
class Grid:
    """A checked grid.

    Attributes:
        runs: All of them, split by split, models in the file's order.
        cutoffs: Of the metrics.
        metrics: The family that tests are corrected over, such as ``recall@20``.
        compare: Pairs of labels: the one that is to win, and the one it is compared with.
        curve_every: Epochs between test metrics for the curves; 0 for none.
    """

    runs: list[Run]
    cutoffs: list[int]
    metrics: list[str]
    compare: list[tuple[str, str]]
    curve_every: int


def key_of(row: Mapping[str, Any]) -> str:
    """The key of a run, as 16 hexadecimal digits, from a `Run`'s attributes or a row of results.

    A parameter at its default does not count, so that a row stays that of its run when the model is given a new
    parameter whose default is what was done before.
    """
    usual = defaults(row["model"])
    params = {name: _as_float(value) for name, value in row["params"].items()}
    params = {name: value for name, value in params.items() if name not in usual or value != usual[name]}
    parts = [row["data"], row["split"], row["model"], params, row["seed"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@cache
def defaults(model: str) -> dict[str, Any]:
    """What a model's parameters are unless given; empty for one that is not known."""
    if model not in MODELS:
        return {}
    return {name: _as_float(value) for name, value in flat.defaults_of(model).items()}


def _as_float(value: Any) -> Any:
    """400 and 400.0 are the same parameter."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read(path: Path) -> Grid:
    """Reads a grid; see the module for its form.

    Raises:
        ConfigError: If the file is no grid, names something unknown, or PyYAML is missing.
        DataError: If it cannot be read.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError("the accuracy grid needs PyYAML: pip install '.[bench]'") from None

    class Loader(yaml.SafeLoader):
        """YAML in which 1e-3 is a number, as everywhere else; YAML 1.1 wants 1.0e-3."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    try:
        return parse(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(content: Any) -> Grid:
    """Checks what a YAML file held.

    Raises:
        ConfigError: If it is no grid, or names something unknown.
    """
    known = ("seeds", "cutoffs", "metrics", "curve_every", "data", "models", "compare")
    if not isinstance(content, Mapping) or not content.keys() <= set(known):
        raise ConfigError(f"a grid is a mapping with the keys {', '.join(known)}; got {content!r:.200}")
    for name in ("data", "models"):
        if not isinstance(content.get(name), Mapping) or not content[name]:
            raise ConfigError(f"{name} must be a mapping with at least one entry")
    seeds = _numbers("seeds", content.get("seeds", [0]), 0)
    cutoffs = _numbers("cutoffs", content.get("cutoffs", [10, 20]), 1)
    measured = [f"{name}@{k}" for k in cutoffs for name in USER_METRICS]
    metrics = content.get("metrics", [f"{name}@{max(cutoffs)}" for name in USER_METRICS])
    if not isinstance(metrics, list) or not metrics or not set(metrics) <= set(measured):
        raise ConfigError(f"metrics = {metrics!r}: measured are {', '.join(measured)}")
    splits = list(_splits(content["data"]))
    for label, entry in content["models"].items():
        _check_entry(label, entry, content["data"])
    runs = [run for split in splits for run in _runs_on(*split, content["models"], seeds)]
    curve_every = _numbers("curve_every", [content.get("curve_every", 0)], 0)[0]
    return Grid(runs, cutoffs, metrics, _pairs(content.get("compare", []), content["models"]), curve_every)


def _numbers(name: str, values: Any, least: int) -> list[int]:
    whole = isinstance(values, list) and all(type(value) is int and value >= least for value in values)
    if not whole or not values:
        raise ConfigError(f"{name} = {values!r} must be whole numbers of at least {least}, such as [{least}]")
    return values


def _splits(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, splits in data.items():
        if not isinstance(splits, list) or not splits:
            raise ConfigError(f"data {name} = {splits!r} must be a list of splits")
        for split in splits:
            datasets.check(name, str(split))
            yield name, str(split)


def _check_entry(label: str, entry: Any, data: Mapping[str, Any]) -> None:
    if not isinstance(entry, Mapping) or entry.get("model") not in MODELS:
        raise ConfigError(f"models {label} = {entry!r} must name its model, one of {', '.join(MODELS)}")
    special, skipped = entry.get("for", {}), entry.get("skip", [])
    if not isinstance(special, Mapping) or not all(isinstance(value, Mapping) for value in special.values()):
        raise ConfigError(f"models {label}: for = {special!r} must map data sets to parameters")
    if not isinstance(skipped, list):
        raise ConfigError(f"models {label}: skip = {skipped!r} must be a list of data sets")
    unknown = [name for name in [*special, *skipped] if name.split("/")[0] not in datasets.DATA_SETS]
    if unknown:
        raise ConfigError(f"models {label}: no data set is named {unknown[0]!r}; known are {', '.join(data)}")


def _runs_on(data: str, split: str, models: Mapping[str, Any], seeds: list[int]) -> Iterator[Run]:
    for label, entry in models.items():
        if data in entry.get("skip", []):
            continue
        special = entry.get("for", {})
        given = {name: value for name, value in entry.items() if name not in OWN_KEYS}
        given |= {**special.get(data, {}), **special.get(f"{data}/{split}", {})}
        params = _all_params(label, entry["model"], given)
        own_seeds = seeds if "seed" in params else [None]
        params = {name: value for name, value in params.items() if name != "seed"}
        yield from (Run(data, split, label, entry["model"], params, seed) for seed in own_seeds)


def _all_params(label: str, model: str, given: dict[str, Any]) -> dict[str, Any]:
    usual = flat.defaults_of(model)
    accepted = [name for name in usual if name != "seed"]
    for name in given:
        if name not in accepted and ("__" not in name or model not in flat.DEFAULTS):
            takes = ", ".join(accepted) or "no parameters"
            raise ConfigError(f"models {label}: {model} has no parameter {name!r} to set; it takes {takes}")
    _check_not_lost(label, given)
    params = {**usual, **given}
    try:
        flat.build(model, params, num_items=1)
    except ConfigError as error:
        raise ConfigError(f"models {label}: {error}") from None
    return params


def _check_not_lost(label: str, given: dict[str, Any]) -> None:
    """Refuse flat parameters of a loss or a combine that has none, as it is named among the objects."""
    for part, known in flat.KNOWN.items():
        lost = [name for name in given if name in flat.OF[part] and given.get(part, known[0]) not in known]
        if lost:
            raise ConfigError(
                f"models {label}: {lost[0]} is not of {part} = {given[part]!r}; name it {part}__…"
            )


def _pairs(compare: Any, models: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not isinstance(compare, list):
        raise ConfigError(f"compare = {compare!r} must be a list of pairs of models")
    for pair in compare:
        if not isinstance(pair, list) or len(pair) != 2 or any(name not in list(models) for name in pair):
            raise ConfigError(f"compare: {pair!r} must be two of the models {', '.join(models)}")
    return [(better, base) for better, base in compare]
