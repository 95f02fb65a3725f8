"""Text encoders are their papers' equations, whatever stands beside a text."""

from __future__ import annotations

from functools import partial

import padded_news
import pytest
import torch
from small_news import small_news
from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.dropout import NO_DROPOUT
from pyrec.nn.segments import Segments
from pyrec.nn.text import CNN, TextBatch, TextInputs, TextModule, Transformer, WordAttention, WordPooling

SIZE = 6
CASES = {
    "attention": (WordAttention(2, 4, 5), partial(padded_news.text_attention, heads=2)),
    "cnn": (CNN(8, 3, 5), padded_news.text_cnn),
    "cnn-5": (CNN(8, 5, 5), padded_news.text_cnn),
    "cnn-1": (CNN(8, 1, 5), padded_news.text_cnn),
    "pooling": (WordPooling(8, 5), padded_news.text_pooling),
    "transformer": (Transformer(2, 4, 2, 5), partial(padded_news.text_transformer, heads=2, layers=2)),
}


@pytest.fixture(params=CASES)
def case(request):
    encoder, reference = CASES[request.param]
    return made(encoder), reference


def made(encoder) -> TextModule:
    generator = torch.Generator("cpu").manual_seed(1)
    module = encoder.make(TextInputs(small_news().train.articles, "title", SIZE, generator))
    with torch.no_grad():
        for one in module.parameters():
            one.normal_(0, 0.4, generator=generator)
    return module


def texts() -> tuple[Tensor, Segments]:
    """Seven words, and texts of 3, 0, 1, 5 and 2 of them; the last ends in what the next one would begin with."""
    words = torch.randn(7, SIZE, generator=torch.Generator("cpu").manual_seed(2)).requires_grad_()
    indptr = torch.tensor([0, 3, 3, 4, 9, 11])
    return words, Segments(indptr, torch.tensor([0, 1, 2, 2, 3, 4, 5, 6, 0, 1, 6]))


def run(module: TextModule, words: Tensor, tokens: Segments) -> Tensor:
    return module(TextBatch(words, tokens, torch.arange(len(tokens.indptr) - 1)), NO_DROPOUT)


def test_vectors_and_gradients_are_those_of_the_equation(case):
    module, reference = case
    words, tokens = texts()
    parameters = dict(module.named_parameters())
    found = run(module, words, tokens)
    wanted = reference(parameters, *padded_news.padded(words, tokens.indptr, tokens.index))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    probe = torch.randn(found.shape, generator=torch.Generator("cpu").manual_seed(3))
    inputs = [words, *parameters.values()]
    for a, b in zip(
        *(torch.autograd.grad((out * probe).sum(), inputs) for out in (found, wanted)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_a_text_knows_nothing_of_its_neighbours(case):
    module, _ = case
    words, tokens = texts()
    whole = run(module, words, tokens)
    for row in range(len(whole)):
        alone = run(module, words, tokens.take(torch.tensor([row])))
        torch.testing.assert_close(alone[0], whole[row], rtol=0, atol=1e-6)


def test_a_text_without_words_is_zeros(case):
    module, _ = case
    words, tokens = texts()
    assert not run(module, words, tokens)[1].any()
    none = Segments(torch.tensor([0, 0, 0]), torch.empty(0, dtype=torch.int64))
    assert run(module, words[:0], none).shape == (2, module.dim)


def test_weights_of_words_are_a_distribution(case):
    module, _ = case
    words, tokens = texts()
    weights = module.attention(TextBatch(words, tokens, torch.arange(5)))
    sums = torch.zeros(5).index_add(0, tokens.owners(), weights)
    torch.testing.assert_close(sums, torch.tensor([1.0, 0, 1, 1, 1]))


def test_a_window_has_a_middle():
    with pytest.raises(ConfigError, match="text__window = 4 has no middle; give 3 or 5"):
        CNN(window=4).check_params("text__")
