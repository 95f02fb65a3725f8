"""Names of metrics with their cut-offs: ``recall@10``."""

from __future__ import annotations

from typing import Final, NamedTuple

from pyrec._checks import did_you_mean
from pyrec.errors import ConfigError
from pyrec.evaluate.asked import check_cutoffs
from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.ranking import USER_METRICS

DEFAULT_CUTOFF: Final = 20


class MetricName(NamedTuple):
    """A metric of users, by which models are compared.

    Attributes:
        name: One of `pyrec.evaluate.USER_METRICS`.
        k: Its cut-off; None for `DEFAULT_CUTOFF`, or the number of items where there are fewer.
    """

    name: str
    k: int | None

    def at(self, num_items: int) -> int:
        """Return the cut-off for so many items.

        Raises:
            ConfigError: If it is below 1 or beyond 1,024.
            DataError: If it exceeds the items.
        """
        return min(DEFAULT_CUTOFF, num_items) if self.k is None else check_cutoffs(self.k, num_items)[0]


def read_metric(text: str) -> MetricName:
    """Read ``recall@10``, or ``recall``.

    Raises:
        ConfigError: If it is no metric of users.
    """
    name, at, cutoff = text.partition("@") if isinstance(text, str) else ("", "", "")
    if name not in USER_METRICS or (at and not cutoff.isdecimal()):
        known = ", ".join(USER_METRICS)
        why = f"is no metric such as recall@10; known are {known}{did_you_mean(name, USER_METRICS)}"
        if name in ITEM_METRICS:
            why = f"is of the items, and models are compared by metrics of users: {known}"
        elif name in USER_METRICS:
            why = f"has no cut-off behind the @; write {name}@10"
        raise ConfigError(f"metric = {text!r} {why}")
    return MetricName(name, int(cutoff) if at else None)
