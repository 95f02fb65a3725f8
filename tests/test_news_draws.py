"""What a training on news draws: each epoch in an order of its own, and nothing twice."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from small_news import SMALL, small_news

from pyrec.errors import DataError
from pyrec.models.news import NRMS
from pyrec.train.news.batches import NewsBatches
from pyrec.train.news.draws import Draw, generator


def batches(**options) -> NewsBatches:
    model = NRMS(**SMALL | {"popularity": None} | options)
    return model._prepare(small_news().train, torch.device("cpu")).batches


def test_no_number_is_drawn_for_two_purposes_or_places():
    """Streams may not be the same one, some words later."""
    places = [
        (draw, epoch, first, log)
        for draw in Draw
        for epoch in (0, 1, 2)
        for first in (0, 64)
        for log in (0, 1)
    ]
    drawn = [set(generator(7, *place).bit_generator.random_raw(200).tolist()) for place in places]
    assert all(one.isdisjoint(other) for one, other in combinations(drawn, 2))


def test_epochs_have_orders_of_their_own():
    """A batch has no more of a batch of the epoch before than chance gives it."""
    found = batches(batch_size=20)
    size, most = 20, found.num_samples
    epochs = [[found.drawn(epoch, first).slots for first in range(0, most, size)] for epoch in range(6)]
    shares = [
        max(np.isin(one, other).mean() for other in before)
        for before, after in pairwise(epochs)
        for one in after[:-1]
    ]
    assert most > 8 * size
    assert np.mean(shares) < 0.35  # .49 where an epoch's order is nearly that of the one before
    orders = [np.concatenate(one) for one in epochs]
    for one, other in combinations(orders, 2):
        alike = [np.mean(one[: most - by] == other[by:]) for by in range(8)]
        assert max(alike) < 0.1


def test_a_second_log_drops_other_numbers():
    found = batches()
    seeds = {int(found.drawn(epoch, first).seed) for epoch in (0, 1) for first in (0, 64)}
    found.log = 1
    assert len(seeds) == 4
    assert int(found.drawn(0, 0).seed) not in seeds


def test_clicks_of_weight_0_are_left_out():
    news = small_news().train
    clicks = np.flatnonzero(news.impressions.clicks)
    weight = np.zeros(len(news.impressions.clicks), dtype=np.float32)
    weight[clicks[::3]] = 1.0
    model = NRMS(**SMALL).fit(news, sample_weight=weight)
    assert np.isfinite([record["loss"] for record in model.history_]).all()
    weight[:] = 0
    weight[clicks[5]] = 2.0  # alone in its batch of 64
    assert np.isfinite(NRMS(**SMALL).fit(news, sample_weight=weight).history_[-1]["loss"])
    with pytest.raises(DataError, match="the weights of all clicks are 0"):
        NRMS(**SMALL).fit(news, sample_weight=np.zeros_like(weight))
