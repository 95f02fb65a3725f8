"""What ``bench/accuracy/debias.yaml`` says, checked; its head explains the form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyrec.errors import ConfigError, DataError

from .choose import CRITERIA
from .methods import Method, parse
from .protocols import METRICS, Protocol

OWN = ("criterion", "metrics", "reference", "title", "methods")


@dataclass(frozen=True)
class Entry:
    """A protocol, and how its table is made.

    Attributes:
        protocol: See `Protocol`.
        criterion: What chooses settings.
        metrics: Columns of the table, and what the tests are of.
        reference: The method that the tests compare with.
        title: The table's heading.
        methods: Labels that run on it; all where empty.
    """

    protocol: Protocol
    criterion: str
    metrics: tuple[str, ...]
    reference: str
    title: str
    methods: tuple[str, ...] = ()

    def takes(self, method: Method) -> bool:
        """Whether the method runs on the protocol."""
        if self.methods and method.label not in self.methods:
            return False
        return not method.protocols or self.protocol.name in method.protocols


@dataclass(frozen=True)
class Plan:
    """The YAML file, checked.

    Attributes:
        entries: The protocols.
        methods: In the file's order.
    """

    entries: tuple[Entry, ...]
    methods: tuple[Method, ...]

    def protocol(self, name: str) -> Entry:
        """The entry of a protocol.

        Raises:
            ConfigError: If there is none.
        """
        for entry in self.entries:
            if entry.protocol.name == name:
                return entry
        known = ", ".join(entry.protocol.name for entry in self.entries)
        raise ConfigError(f"no protocol is named {name!r}; there are {known}")

    def jobs(self, only: Sequence[str] | None, splits: int | None) -> Iterator[tuple[str, int]]:
        """Each protocol's splits."""
        for entry in [self.protocol(name) for name in only] if only else self.entries:
            count = 1 if entry.protocol.kind == "held apart" else entry.protocol.splits
            yield from ((entry.protocol.name, split) for split in range(min(count, splits or count)))

    def of(self, labels: Sequence[str]) -> Plan:
        """The plan with these methods alone, and those that they are made of.

        Raises:
            ConfigError: If there is no such method.
        """
        known = {method.label: method for method in self.methods}
        wanted: set[str] = set()
        todo = list(labels)
        while todo:
            label = todo.pop()
            if label not in known:
                raise ConfigError(f"no method is named {label!r}; there are {'; '.join(known)}")
            wanted.add(label)
            todo += [*known[label].blend, *filter(None, [known[label].mean_of])]
        return replace(self, methods=tuple(one for one in self.methods if one.label in wanted))


def read(path: Path) -> Plan:
    """Reads and checks the YAML file.

    Raises:
        ConfigError: If it is no plan, names something unknown, or PyYAML is missing.
        DataError: If it cannot be read.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise ConfigError("the harness needs PyYAML: pip install '.[bench]'") from None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    return plan_of(content)


def plan_of(content: Any) -> Plan:
    """Checks what the YAML file held.

    Raises:
        ConfigError: If it is no plan, or names something unknown.
    """
    if not isinstance(content, Mapping) or set(content) != {"protocols", "methods"}:
        raise ConfigError("a plan is a mapping with the keys protocols and methods")
    methods = tuple(parse(label, entry) for label, entry in content["methods"].items())
    labels = [method.label for method in methods]
    for at, method in enumerate(methods):
        for other in [*method.blend, *filter(None, [method.mean_of])]:
            if other not in labels[:at]:
                raise ConfigError(f"{method.label}: {other!r} is no method before it")
    entries = tuple(_entry(name, told, labels) for name, told in content["protocols"].items())
    return Plan(entries, methods)


def _entry(name: str, told: Mapping[str, Any], labels: Sequence[str]) -> Entry:
    own = {key: value for key, value in told.items() if key not in OWN}
    try:
        protocol = Protocol(name, **own)
    except TypeError as error:
        raise ConfigError(f"protocols {name}: {error}") from None
    entry = Entry(
        protocol,
        told.get("criterion", "uniform"),
        tuple(told.get("metrics", ("auc", "ndcg@5"))),
        told.get("reference", "MF, combined"),
        told.get("title", name),
        tuple(told.get("methods", ())),
    )
    if entry.criterion not in CRITERIA:
        raise ConfigError(
            f"protocols {name}: criterion = {entry.criterion!r} is none of {', '.join(CRITERIA)}"
        )
    unknown = [metric for metric in entry.metrics if metric not in METRICS]
    if unknown:
        raise ConfigError(f"protocols {name}: {unknown[0]!r} is none of {', '.join(METRICS)}")
    for label in [entry.reference, *entry.methods]:
        if label not in labels:
            raise ConfigError(f"protocols {name}: no method is named {label!r}")
    return entry
