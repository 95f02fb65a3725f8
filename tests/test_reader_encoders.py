"""Reader encoders are their papers' equations: scores, gradients, and readers who have no click yet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import padded_news
import pytest
import torch
from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.reader import (
    CandidateAttention,
    Candidates,
    CandidateSelfAttention,
    ClickAttention,
    ClickPooling,
    Clicks,
    Interests,
    LongShort,
    ReaderInputs,
    ReaderModule,
)
from pyrec.nn.recurrent import RaggedGRU
from pyrec.nn.segments import Segments

DIM = 8
NUM_READERS, NUM_CATEGORIES = 4, 3
CASES = {
    "attention": (ClickAttention(2, 5), partial(padded_news.reader_attention, heads=2)),
    "pooling": (ClickPooling(5), padded_news.reader_pooling),
    "candidate": (CandidateAttention(5), padded_news.reader_candidate),
    "con": (LongShort("con", 3), partial(padded_news.reader_long_short, join="con", recent=3)),
    "ini": (LongShort("ini", 3), partial(padded_news.reader_long_short, join="ini", recent=3)),
    "max": (Interests(3, 5, "max"), partial(padded_news.reader_interests, score="max")),
    "mean": (Interests(3, 5, "mean"), partial(padded_news.reader_interests, score="mean")),
    "weighted": (Interests(3, 5), partial(padded_news.reader_interests, score="weighted")),
    "linear": (Interests(3, None, "mean"), partial(padded_news.reader_interests, score="mean")),
    "category": (
        Interests(3, 5, "weighted", by_category=True),
        partial(padded_news.reader_interests, score="weighted"),
    ),
    "candidate-self": (
        CandidateSelfAttention(2, 3, 5),
        partial(padded_news.reader_candidate_self_attention, heads=2),
    ),
}
LONG = ("con", "ini")


def made(encoder, dim: int = DIM) -> ReaderModule:
    generator = torch.Generator("cpu").manual_seed(1)
    module = encoder.make(ReaderInputs(dim, NUM_READERS, NUM_CATEGORIES, generator))
    with torch.no_grad():
        for one in module.parameters():
            one.normal_(0, 0.4, generator=generator)
    return module


def asked() -> tuple[Clicks, Candidates]:
    """Histories of 3, 0, 5 and 1 clicks among six articles, two more articles, and nine candidates."""
    vectors = torch.randn(8, DIM, generator=torch.Generator("cpu").manual_seed(2)).requires_grad_()
    category = torch.tensor([0, 1, 2, -1, 1, 0, 2, -1])
    clicks = Segments(torch.tensor([0, 3, 3, 8, 9]), torch.tensor([0, 1, 2, 3, 4, 5, 0, 2, 5]))
    readers = torch.tensor([2, 0, -1, 3])
    owners = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3, 0])
    index = torch.tensor([6, 7, 6, 0, 7, 1, 6, 3, 5])
    return (
        Clicks(vectors[:6], clicks, readers, category[:6]),
        Candidates(vectors, index, owners, category),
    )


def expected(name: str, module: ReaderModule, clicks: Clicks, candidates: Candidates) -> Tensor:
    _, reference = CASES[name]
    segments = clicks.segments
    x, mask = padded_news.padded(clicks.vectors, segments.indptr, segments.index)
    more = {"ids": clicks.readers} if name in LONG else {}
    if name == "category":
        of_clicks, _ = padded_news.padded(clicks.category[:, None], segments.indptr, segments.index)
        more["categories"] = of_clicks[..., 0], candidates.category[candidates.index]
    own = candidates.vectors[candidates.index]
    return reference(dict(module.named_parameters()), x, mask, own, candidates.readers, **more)


@pytest.mark.parametrize("name", CASES)
def test_scores_and_gradients_are_those_of_the_equation(name):
    module = made(CASES[name][0])
    clicks, candidates = asked()
    found = module(clicks, candidates, NO_DROPOUT)
    wanted = expected(name, module, clicks, candidates)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    probe = torch.randn(found.shape, generator=torch.Generator("cpu").manual_seed(3))
    inputs = [candidates.vectors, *module.parameters()]
    for a, b in zip(
        *(torch.autograd.grad((out * probe).sum(), inputs) for out in (found, wanted)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_score_does_not_depend_on_who_else_is_asked(name):
    module = made(CASES[name][0])
    clicks, candidates = asked()
    whole = module(clicks, candidates, NO_DROPOUT)
    for one in range(len(whole)):
        owner = candidates.readers[one : one + 1]
        alone = replace(clicks, segments=clicks.segments.take(owner), readers=clicks.readers[owner])
        only = replace(
            candidates, index=candidates.index[one : one + 1], readers=torch.zeros(1, dtype=torch.int64)
        )
        torch.testing.assert_close(module(alone, only, NO_DROPOUT), whole[one : one + 1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_readers_without_clicks_have_the_learned_vector(name):
    module = made(CASES[name][0])
    clicks, candidates = asked()
    scores = module(clicks, candidates, NO_DROPOUT)[2:4]
    torch.testing.assert_close(scores, candidates.vectors[[6, 0]] @ module.absent, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_nobody_has_clicked_yet(name):
    module = made(CASES[name][0])
    clicks, candidates = asked()
    nothing = Segments(torch.zeros(3, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    none = Clicks(clicks.vectors[:0], nothing, torch.tensor([-1, -1]), clicks.category[:0])
    few = Candidates(
        candidates.vectors, torch.tensor([1, 2, 3]), torch.tensor([0, 1, 1]), candidates.category
    )
    scores = module(none, few, NO_DROPOUT)
    torch.testing.assert_close(scores, candidates.vectors[[1, 2, 3]] @ module.absent, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["attention", "pooling", "max", "category"])
def test_weights_of_clicks_are_a_distribution(name):
    module = made(CASES[name][0])
    clicks, _ = asked()
    weights = module.attention(clicks)
    sums = torch.zeros(4).index_add(0, clicks.segments.owners(), weights)
    torch.testing.assert_close(sums, torch.tensor([1.0, 0, 1, 1]))


# Long and short term.


@pytest.mark.parametrize("join", LONG)
def test_only_the_latest_clicks_are_read_in_their_order(join):
    module = made(LongShort(join, recent=2))
    clicks, candidates = asked()
    with torch.no_grad():
        module.projection.zero_()
    whole = module(clicks, candidates, NO_DROPOUT)
    changed = clicks.segments.index.clone()
    changed[[0, 3, 4, 5]] = torch.tensor([5, 1, 1, 1])  # all but the last two
    other = replace(clicks, segments=Segments(clicks.segments.indptr, changed))
    torch.testing.assert_close(module(other, candidates, NO_DROPOUT), whole)
    changed[7] = 4
    latest = replace(clicks, segments=Segments(clicks.segments.indptr, changed))
    assert not torch.equal(module(latest, candidates, NO_DROPOUT)[4:7], whole[4:7])


def test_the_unit_is_that_of_torch():
    generator = torch.Generator("cpu").manual_seed(4)
    unit, peer = RaggedGRU(5, 6, generator), torch.nn.GRU(5, 6, batch_first=True)
    with torch.no_grad():
        for name, value in zip(
            ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
            (unit.weight.T, unit.recurrent.T, unit.bias, unit.recurrent_bias),
            strict=True,
        ):
            getattr(peer, name).copy_(value)
    x = torch.randn(20, 5, generator=generator)
    lengths = torch.tensor([4, 1, 7, 2])
    segments = Segments(torch.nn.functional.pad(lengths.cumsum(0), (1, 0)), torch.arange(14))
    rows, _ = padded_news.padded(x, segments.indptr, segments.index)
    packed = torch.nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
    torch.testing.assert_close(unit(x, segments, 64), peer(packed)[1][0])


def test_readers_who_share_an_empty_history_have_a_vector_of_their_own():
    module = made(LongShort())
    clicks, _ = asked()
    empty = Segments(torch.zeros(4, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    three = replace(clicks, segments=empty, readers=torch.tensor([0, 1, -1]))
    vectors = module.vectors(three)
    long = DIM // 2
    torch.testing.assert_close(vectors[:2, long:], module.ids[:2] + module.absent[long:])
    torch.testing.assert_close(vectors[2, long:], module.absent[long:])


def test_every_reader_has_a_row_and_ids_are_masked_in_training_alone():
    module = made(LongShort(masked=0.5))
    assert len(module.ids) == NUM_READERS
    clicks, _ = asked()
    many = replace(
        clicks,
        segments=Segments(torch.zeros(401, dtype=torch.int64), torch.empty(0, dtype=torch.int64)),
        readers=torch.zeros(400, dtype=torch.int64),
    )
    assert len(module.vectors(many).unique(dim=0)) == 1
    drop = Dropout(0.0, torch.tensor([0]))
    rows, counts = module.vectors(many, drop).unique(dim=0, return_counts=True)
    assert len(rows) == 2
    assert 150 < int(counts[0]) < 250


@pytest.mark.parametrize(
    ("encoder", "dim", "told"),
    [
        (CandidateSelfAttention(3), 8, "reader__heads = 3 does not divide the 8 columns"),
        (LongShort("con"), 1, "which has 1 column"),
    ],
)
def test_what_does_not_fit_is_refused(encoder, dim, told):
    with pytest.raises(ConfigError, match=told):
        made(encoder, dim)


def test_categories_have_to_be_there():
    with pytest.raises(ConfigError, match="needs articles with categories"):
        Interests(by_category=True).make(ReaderInputs(8, 3, 0, torch.Generator("cpu")))


@pytest.mark.parametrize(
    ("encoder", "told"),
    [
        (LongShort(masked=1.0), "reader__masked = 1.0 must be below 1"),
        (CandidateSelfAttention(window=2), "reader__window = 2 has no middle"),
        (Interests(score="least"), "must be one of"),
    ],
)
def test_parameters_out_of_range_are_refused(encoder, told):
    with pytest.raises(ConfigError, match=told):
        encoder.check_params("reader__")
