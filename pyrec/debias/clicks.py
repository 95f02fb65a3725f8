"""Weights of clicks in impressions: by where the article stood, and by how often it was shown.

Source: Joachims et al., "Unbiased learning-to-rank with biased feedback", WSDM 2017, for positions.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pyrec._checks import check_real
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.debias.rules import ByPosition
from pyrec.errors import ConfigError, DataError

CLIP: Final = 0.1
SMOOTHING: Final = 1.0


def examination(random: News | Impressions) -> NDArray[np.float64]:
    """How often each position is looked at, beside the one that is looked at most: (num_positions,), above 0.

    In impressions in random order every position has the same articles, so clicks a position go as how often it is
    looked at.

    Args:
        random: Impressions whose candidates stood in random order, with clicks.

    Raises:
        DataError: There are no clicks.
    """
    given = _impressions_of(random)
    positions = given.candidates.places
    assert given.clicks is not None
    rule = ByPosition.of(positions, given.clicks, np.ones(len(positions)), SMOOTHING)
    return np.asarray(rule.values, dtype=np.float64)


def position_weights(
    news: News | Impressions, examined: npt.ArrayLike, clip: float = CLIP
) -> NDArray[np.float32]:
    """A weight for a click on each candidate, one over how often its position is looked at.

    Args:
        news: The impressions, in the order that readers saw.
        examined: (num_positions,) from `examination`, or what is known; above 0. Positions behind the last are looked
            at as often as it.
        clip: What it is raised to, so that no weight exceeds 1 / clip.

    Returns:
        float32 (num_candidates,), for ``fit(sample_weight=)``.

    Raises:
        ConfigError: ``clip`` is no number above 0.
        DataError: ``examined`` is empty, or has a number that is not above 0.
    """
    check_real("clip", clip, ConfigError, positive=True)
    values = np.asarray(examined, dtype=np.float64)
    if values.ndim != 1 or not values.size or not (values > 0).all() or not np.isfinite(values).all():
        raise DataError(f"examined is {values!r:.80}; numbers above 0 are needed, one a position")
    positions = np.minimum(_impressions_of(news, clicked=False).candidates.places, len(values) - 1)
    return (1 / np.maximum(values[positions], clip)).astype(np.float32)


def exposure_weights(news: News | Impressions, power: float = 0.5) -> NDArray[np.float32]:
    """A weight for a click on each candidate that falls with how often its article was shown in all.

    What is shown often is clicked often, whatever readers think of it. The weights are shows to the power of -power,
    scaled so that the clicks have mean 1.

    Args:
        news: The impressions, with clicks.
        power: 0 for none, 1 for one over the shows.

    Returns:
        float32 (num_candidates,), for ``fit(sample_weight=)``.

    Raises:
        ConfigError: ``power`` is no number of at least 0.
        DataError: There are no clicks.
    """
    check_real("power", power, ConfigError, positive=False)
    given = _impressions_of(news)
    items = given.candidates.indices
    shows = np.bincount(items, minlength=given.num_items).astype(np.float64)
    weights = np.maximum(shows, 1)[items] ** -float(power)
    return np.asarray(weights / weights[given.clicks].mean(), dtype=np.float32)


def _impressions_of(given: Any, clicked: bool = True) -> Impressions:
    impressions = given.impressions if isinstance(given, News) else given
    if not isinstance(impressions, Impressions):
        raise DataError(f"news is a {type(given).__name__}, but News or Impressions are needed")
    if clicked and (impressions.clicks is None or not impressions.clicks.any()):
        raise DataError(
            "the impressions have no clicks, so nothing is known of what was looked at; give clicks"
        )
    return impressions
