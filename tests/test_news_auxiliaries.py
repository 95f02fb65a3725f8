"""Losses beside the ranking loss of a news model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_news import SMALL, small_news
from torch.nn import functional

from pyrec.errors import ConfigError, StoppedError
from pyrec.models.news import MINER, NRMS
from pyrec.nn.dropout import NO_DROPOUT
from pyrec.nn.reader import Interests
from pyrec.nn.text import CNN
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.news.auxiliary import Disagreement, OthersClicks, Related, Views
from pyrec.train.news.trainer import NewsTrainer

OPTIONS = SMALL | {
    "text": CNN(16, 3, 16),
    "reader": Interests(4, 16),
    "word_size": 16,
    "tag_size": 16,
    "popularity": None,
}
"""Of widths whose products torch's BLAS makes the same at any number of threads."""


def trainer(model: MINER | NRMS) -> NewsTrainer:
    return model._begin(model._prepare(small_news().train, torch.device("cpu")), None, None)


def term_of(model: MINER | NRMS) -> tuple[torch.Tensor, NewsTrainer, SimpleNamespace]:
    """The term of the first batch, what trains, and what it was given."""
    run = trainer(model)
    batch = run.batches.at(0, 0)
    vectors = run.network.encode(batch.news.articles, run.store, run.dropout_of(batch))
    return run.terms[0](batch, vectors, run), run, SimpleNamespace(batch=batch, vectors=vectors)


def test_disagreement_is_the_mean_cosine_of_two_interests():
    value, run, given = term_of(MINER(**OPTIONS, auxiliary=Disagreement(0.5)))
    clicks, _ = run.network.sides(given.batch.news, run.store, given.vectors)
    found = []
    for reader, length in zip(run.network.reader.interests(clicks), clicks.segments.lengths, strict=True):
        if length:
            cosines = functional.cosine_similarity(reader[:, None], reader[None], dim=-1)
            found.append(cosines[~torch.eye(4, dtype=torch.bool)].mean())
    torch.testing.assert_close(value, 0.5 * torch.stack(found).mean())


def test_views_tell_whose_encoding_is_whose():
    value, run, given = term_of(NRMS(**SMALL | {"popularity": None}, auxiliary=Views(2.0, 0.5)))
    dropout = run.dropout_of(given.batch, 1)
    other = run.network.encode(given.batch.news.articles, run.store, dropout)
    assert not torch.equal(other, given.vectors)
    cosines = functional.cosine_similarity(given.vectors[:, None], other[None], dim=-1) / 0.5
    torch.testing.assert_close(value, 2 * functional.cross_entropy(cosines, torch.arange(len(cosines))))


@pytest.mark.parametrize("kind", [NRMS, MINER])
def test_clicks_are_told_from_those_of_others(kind):
    value, run, given = term_of(
        kind(**SMALL | {"popularity": None, "dropout": 0.0}, auxiliary=OthersClicks(0.5))
    )
    news = given.batch.news
    first = given.batch.place % given.batch.present.shape[1] == 0
    own, owners = news.candidates[first].tolist(), news.asked[first].tolist()
    histories = [part.tolist() for part in news.clicks.index.tensor_split(news.clicks.indptr[1:-1])]
    clicks, candidates = run.network.sides(news, run.store, given.vectors)
    losses = []
    for article, owner in zip(own, owners, strict=True):
        known = set(histories[owner]) | {a for a, o in zip(own, owners, strict=True) if o == owner}
        others = [article, *(sorted(set(own) - known))]
        asked = replace(candidates, index=torch.tensor(others), readers=torch.full((len(others),), owner))
        losses.append(-run.network.reader(clicks, asked, NO_DROPOUT).log_softmax(0)[0])
    torch.testing.assert_close(value, 0.5 * torch.stack(losses).mean(), rtol=1e-5, atol=1e-5)


def lists_of(auxiliary: Related):
    """Articles by id that each click is compared with, its own first, and what its reader clicked."""
    run = trainer(NRMS(**SMALL | {"popularity": None}))
    batch = run.batches.at(0, 0)
    news = batch.news
    term = auxiliary.make(8, 0)
    draw = np.random.Generator(np.random.Philox(5))
    first = batch.place % batch.present.shape[1] == 0
    pool = torch.arange(auxiliary.random)
    articles = torch.cat([news.articles[news.candidates[first]], pool])
    places, present = term._lists(draw, news, articles, news.asked[first])
    clicks = [
        news.articles[part].tolist() for part in news.clicks.index.tensor_split(news.clicks.indptr[1:-1])
    ]
    return articles[places], present, [set(clicks[of]) for of in news.asked[first]], len(pool)


def test_what_a_reader_clicked_is_never_held_against_it():
    articles, present, clicked, num_random = lists_of(Related(in_batch=6, random=20))
    assert articles.shape == (64, 27)
    assert present[:, 0].all()
    for row, there, known in zip(articles.tolist(), present.tolist(), clicked, strict=True):
        others = {one for one, is_there in zip(row[1:], there[1:], strict=True) if is_there}
        assert not others & (known | {row[0]})
        missing = set(row[-num_random:]) - others
        assert all(one in known or one == row[0] or one in row for one in missing)
    assert present.float().mean() > 0.5


def test_a_random_article_is_taken_for_related_at_the_rate():
    plain, *_ = lists_of(Related(random=20, rate=0.0))
    some, present, *_ = lists_of(Related(random=20, rate=0.5))
    swapped = some[:, 0] < 20
    assert 0.3 < swapped.float().mean() < 0.7
    assert ((some[:, 0] == plain[:, 0]) | swapped).all()
    assert not (present[:, 1:] & (some[:, 1:] == some[:, :1])).any()


def test_the_term_is_the_ranking_loss_by_content():
    value, run, given = term_of(
        NRMS(**SMALL | {"popularity": None}, auxiliary=Related(1.0, 4, 5), dropout=0.0)
    )
    assert value > 0
    assert value < 3 * np.log(10)
    value.backward()
    assert run.network.articles.words.grad.abs().sum() > 0
    double, *_ = term_of(NRMS(**SMALL | {"popularity": None}, auxiliary=Related(2.0, 4, 5), dropout=0.0))
    torch.testing.assert_close(double.detach(), 2 * value.detach())
    assert len(given.batch.slots) == 64


@pytest.mark.parametrize(
    "auxiliary", [Related(in_batch=4, random=5, rate=0.2), Views(), Disagreement(), OthersClicks()]
)
def test_training_with_a_term_goes_on_to_the_same_bits(auxiliary, tmp_path):

    def parameters(model: MINER) -> list[torch.Tensor]:
        return list(model.network_.state_dict().values())

    whole = MINER(**OPTIONS, auxiliary=auxiliary).fit(small_news().train)
    without = MINER(**OPTIONS, auxiliary=()).fit(small_news().train)
    assert whole.history_[0]["loss"] != without.history_[0]["loss"]
    kept = Checkpoints(tmp_path)

    def stop(_: MINER, record: dict) -> None:
        kept.stop.make()

    with pytest.raises(StoppedError):
        MINER(**OPTIONS, auxiliary=auxiliary).fit(small_news().train, callback=stop, checkpoints=kept)
    resumed = MINER(**OPTIONS, auxiliary=auxiliary)
    resumed.fit(small_news().train, checkpoints=Checkpoints(tmp_path), resume=True)
    assert all(torch.equal(a, b) for a, b in zip(parameters(whole), parameters(resumed), strict=True))


def test_terms_add_up():
    both = MINER(**OPTIONS, auxiliary=("disagreement", Views(temperature=0.2))).fit(small_news().train)
    assert both.get_params()["auxiliary__views__temperature"] == 0.2
    assert np.isfinite(both.history_[-1]["loss"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"auxiliary": "disagreement"}, "has no two of them"),
        ({"auxiliary": "disagreement", "reader": Interests(1)}, "has no two of them"),
        ({"auxiliary": "views", "dropout": 0.0}, "dropout = 0; give 0.2"),
        ({"auxiliary": Related(in_batch=0, random=0)}, "leave nothing to compare with"),
        ({"auxiliary": Related(random=0, rate=0.1)}, r"rate = 0.1 with auxiliary__random = 0"),
        ({"auxiliary": Related(rate=1.5)}, "a share of at most 1"),
    ],
)
def test_what_does_not_go_together_is_refused(options, told):
    with pytest.raises(ConfigError, match=told):
        NRMS(**SMALL | options).fit(small_news().train)


def test_same_bits_at_any_number_of_threads(threads):

    terms = (Related(in_batch=4, random=5), Views(), Disagreement(), OthersClicks())
    fitted = []
    for count in (1, 2, 3):
        threads(count)
        model = MINER(**OPTIONS | {"epochs": 1}, auxiliary=terms).fit(small_news().train)
        fitted.append(list(model.network_.state_dict().values()))
    for other in fitted[1:]:
        assert all(torch.equal(a, b) for a, b in zip(fitted[0], other, strict=True))
