"""Which model, with which parameters, for whom: by how much time there is, and by rules from the data's statistics.

Each rule stands on measured rows: ``docs/how-to/presets.md`` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pyrec._checks import did_you_mean
from pyrec.data import Interactions, as_dataset
from pyrec.errors import ConfigError
from pyrec.models import EASE, Fusion, GraphFilter, LightGCN, Recommender
from pyrec.nn.encoder import Table
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Hard, Uniform

MOST_ITEMS_OF_EASE: Final = 8_000
"""Of items: EASE takes some seconds and 20 bytes times their square, 1.2 GiB."""


@dataclass(frozen=True)
class Preset:
    """What a preset chose for some data; ``print`` shows it.

    Attributes:
        name: Of the preset.
        model: The model, not fitted.
        why: What it is and what of the data decided, a sentence or two.
    """

    name: str
    model: Recommender
    why: str

    def __str__(self) -> str:
        return f"preset {self.name}: {self.model.label}. {self.why}"


@dataclass(frozen=True)
class Rule:
    """A preset on data of one kind.

    Attributes:
        make: Makes the model.
        why: What it is.
    """

    make: Callable[[], Recommender]
    why: str


def _filter() -> GraphFilter:
    return GraphFilter(beta=None, vectors=None)


def _closed_forms() -> Fusion:
    return Fusion(_filter(), EASE(200.0))


def _softmax() -> LightGCN:
    loss = Softmax(0.3, "inner", Uniform(corrected=True))
    return LightGCN(**_LARGE, loss=loss, reg=0.1, epochs=14)


def _hard() -> LightGCN:
    return LightGCN(**_LARGE, embedding_size=256, loss=BPR(negatives=Hard(64)), reg=8e-3, epochs=16)


_LARGE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "n_layers": 3,
        "combine": "mean",
        "encoder": Table("spectral"),
        "learning_rate": 5e-3,
        "precision": "bf16",
    }
)
FEW_ITEMS: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "quick": Rule(_closed_forms, "A graph filter and EASE, both without epochs"),
        "balanced": Rule(
            lambda: Fusion(_closed_forms(), LightGCN()),
            "A graph filter and EASE with LightGCN, softmax and attention over its layers",
        ),
        "best": Rule(
            lambda: Fusion(_closed_forms(), LightGCN(embedding_size=128, epochs=32)),
            "A graph filter and EASE with a wide LightGCN, softmax and attention over its layers",
        ),
    }
)
MANY_ITEMS: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "quick": Rule(_filter, "A graph filter with its singular vectors, without epochs"),
        "balanced": Rule(
            lambda: Fusion(_filter(), _softmax()),
            "A graph filter with LightGCN, softmax on inner products",
        ),
        "best": Rule(
            lambda: Fusion(_filter(), _hard()),
            "A graph filter with a wide LightGCN that learns from hard negatives",
        ),
    }
)
PRESETS: Final = tuple(FEW_ITEMS)


def preset(name: str, interactions: Any) -> Preset:
    """Choose a model and its parameters by the data.

    Args:
        name: ``quick``: within a minute, without epochs. ``balanced``: a model that trains by epochs beside that.
            ``best``: a wide one, for as long as it takes.
        interactions: What the model is to be fitted on, as for `Recommender.fit`.

    Raises:
        ConfigError: If no preset has that name.
        DataError: If the data are malformed.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"preset {name!r} is none of {', '.join(PRESETS)}{did_you_mean(str(name), PRESETS)}"
        )
    train = as_dataset(interactions).interactions
    few = train.num_items <= MOST_ITEMS_OF_EASE
    rule = (FEW_ITEMS if few else MANY_ITEMS)[name]
    return Preset(name, rule.make(), f"{rule.why}: {_told(train, few)}")


def _told(train: Interactions, few: bool) -> str:
    of_ease = "few enough for EASE" if few else f"more than the {MOST_ITEMS_OF_EASE:,} of EASE"
    return f"{train.num_items:,} items are {of_ease}, and {len(train):,} interactions say how many singular vectors."
