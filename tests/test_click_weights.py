"""Weights of clicks by position and by exposure."""

from __future__ import annotations

import numpy as np
import pytest

from pyrec.data import Impressions, generate_news
from pyrec.debias import examination, exposure_weights, position_weights
from pyrec.errors import ConfigError, DataError


def test_examination_is_found_in_random_impressions():
    made = generate_news(500, 300, 12_000, 8, position_bias=1.0, random_share=1.0, seed=1)
    found = examination(made.random)
    np.testing.assert_allclose(found, made.truth.examination, atol=0.06)
    assert (examination(made.train) < made.truth.examination)[2:].all()  # the old policy put the best on top


def test_weights_are_one_over_examination():
    shown = Impressions.from_lists(["a", "b"], [[1, 2, 3, 4], [2, 3]], [[1, 0, 0, 0], [0, 1]])
    weights = position_weights(shown, [1.0, 0.5, 0.05])
    np.testing.assert_allclose(weights, [1, 2, 10, 10, 1, 2])


def test_exposed_articles_count_less():
    shown = Impressions.from_lists(["a", "b", "c"], [[1, 2], [1, 3], [1, 4]], [[1, 0], [0, 1], [0, 0]])
    weights = exposure_weights(shown, power=1.0)
    np.testing.assert_allclose(weights * (1 / 3 + 1) / 2, [1 / 3, 1, 1 / 3, 1, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_array_equal(exposure_weights(shown, power=0.0), np.ones(6))


@pytest.mark.parametrize("examined", [[], [1.0, 0.0], [[1.0]], [np.nan]])
def test_examination_that_is_none_is_refused(examined):
    shown = Impressions.from_lists(["a"], [[1, 2]], [[1, 0]])
    with pytest.raises(DataError, match="numbers above 0"):
        position_weights(shown, examined)


def test_bad_arguments_are_refused():
    shown = Impressions.from_lists(["a"], [[1, 2]])
    with pytest.raises(DataError, match="no clicks"):
        examination(shown)
    with pytest.raises(DataError, match="News or Impressions"):
        exposure_weights([1, 2])
    with pytest.raises(ConfigError, match="clip"):
        position_weights(shown, [1.0], clip=0.0)
