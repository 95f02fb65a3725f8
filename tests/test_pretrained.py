"""A pretrained language model as a text encoder, with a tiny one that is made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_news import SMALL, small_news

from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.models.news import NRMS
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.nn.reader import ClickPooling
from pyrec.nn.segments import Segments
from pyrec.nn.text import Pretrained, TextBatch, TextInputs
from pyrec.nn.text.pretrained import PretrainedModule
from pyrec.store.training_checkpoint import Checkpoints

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of 16 columns over the words of the articles."""
    path = tmp_path_factory.mktemp("language")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *small_news().train.articles.words.tolist()]
    model = tokenizers.models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(path / "tokenizer.json"))
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(path)
    return path


def options(folder: Path, **changed: Any) -> dict[str, Any]:
    text = Pretrained(str(folder), 16, layers=1, words=12, fresh=20, refresh=2)
    common = {"popularity": None, "reader": ClickPooling(16), "tag_size": 16, "learning_rate": 0.01}
    return SMALL | common | {"text": text.replaced(**changed)}


def module_of(folder: Path, **changed: Any) -> PretrainedModule:
    encoder = options(folder, **changed)["text"]
    generator = torch.Generator("cpu").manual_seed(0)
    return encoder.make(TextInputs(small_news().train.articles, "title", 8, generator))


def texts(rows: list[int]) -> TextBatch:
    none = Segments(torch.zeros(len(rows) + 1, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    return TextBatch(torch.empty(0, 0), none, torch.tensor(rows))


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_vectors_are_those_of_the_language_model(folder, pool):
    module = module_of(folder, pool=pool)
    found = module(texts([3, 0, 7]), NO_DROPOUT)
    peer = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(12)
    for row, vector in zip([3, 0, 7], found, strict=True):
        ids = tokenizer.encode(small_news().train.articles.titles[row]).ids
        states = peer(torch.tensor([ids])).last_hidden_state[0]
        pooled = states[0] if pool == "cls" else states.mean(0)
        torch.testing.assert_close(vector, pooled @ module.weight + module.bias, rtol=1e-4, atol=1e-5)


def test_the_last_layers_are_learned_alone(folder):
    module = module_of(folder)
    learned = {name for name, one in module.language.named_parameters() if one.requires_grad}
    assert learned
    assert all(name.startswith("encoder.layer.1.") for name in learned)
    with pytest.raises(ConfigError, match=r"text__layers = 3, but the language model has 2 layers"):
        module_of(folder, layers=3)


def test_a_step_learns_from_the_oldest_and_takes_the_others_as_they_were(folder):
    module = module_of(folder, fresh=2, refresh=2)
    drop = Dropout(0.0, torch.tensor([0]))
    first = module(texts([0, 1, 2, 3]), drop)
    torch.testing.assert_close(first, module(texts([0, 1, 2, 3]), NO_DROPOUT))
    assert module.since[:5].tolist() == [1, 1, 1, 1, -1]
    with torch.no_grad():
        for one in module.language.encoder.layer[1].parameters():
            one.mul_(torch.linspace(0.5, 2, one.shape[-1]))
    now = module(texts([0, 1, 2, 3]), NO_DROPOUT)
    assert not torch.allclose(now, first)
    torch.testing.assert_close(module(texts([0, 1, 2, 3]), drop), first)  # a step later: as they were
    third = module(texts([0, 1, 2, 3]), drop)
    torch.testing.assert_close(third[:2], now[:2])
    torch.testing.assert_close(third[2:], first[2:])
    assert module.since[:4].tolist() == [3, 3, 1, 1]
    learned = [one for one in module.language.parameters() if one.requires_grad]
    fresh, kept = (
        torch.autograd.grad(part.sum(), learned, allow_unused=True, retain_graph=True)
        for part in (third[:2], third[2:])
    )
    assert all(one is not None for one in fresh)
    assert all(one is None or not one.any() for one in kept)


def test_a_text_without_words_is_zeros(folder):
    articles = small_news().train.articles
    encoder = options(folder)["text"]
    titles = ("", *articles.titles[1:])
    module = encoder.make(TextInputs(replace(articles, titles=titles), "title", 8, torch.Generator("cpu")))
    found = module(texts([0, 1]), NO_DROPOUT)
    assert not found[0].any()
    assert found[1].any()


@pytest.fixture(scope="module")
def model(folder) -> NRMS:
    return NRMS(**options(folder)).fit(small_news().train)


def same(one: NRMS, other: NRMS) -> bool:
    states = zip(one.network_.state_dict().values(), other.network_.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in states)


def test_a_model_learns_and_has_the_same_bits(folder, model, threads):
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]
    for count in (1, 2, 3):
        threads(count)
        assert same(NRMS(**options(folder)).fit(small_news().train), model)


def test_a_saved_model_needs_no_folder(folder, model, tmp_path):
    own = tmp_path / "language"
    own.mkdir()
    for file in folder.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    fitted = NRMS(**options(own)).fit(small_news().train)
    fitted.save(tmp_path / "model")
    for file in own.iterdir():
        file.unlink()
    loaded = NRMS.load(tmp_path / "model")
    news = small_news().test
    np.testing.assert_array_equal(loaded.score_impressions(news), model.score_impressions(news))
    with pytest.raises(DataError, match="does not exist"):
        loaded.clone().fit(small_news().train)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(folder, model, tmp_path):
    kept = Checkpoints(tmp_path)

    def stop(_: NRMS, record: dict) -> None:
        kept.stop.make()

    with pytest.raises(StoppedError):
        NRMS(**options(folder)).fit(small_news().train, callback=stop, checkpoints=kept)
    again = NRMS(**options(folder)).fit(small_news().train, checkpoints=Checkpoints(tmp_path), resume=True)
    assert same(again, model)


def test_articles_that_come_later_are_read(folder, tmp_path):
    fitted = NRMS(**options(folder) | {"epochs": 1}).fit(small_news().train)
    articles = fitted.known_.articles
    twin = replace(articles, ids=articles.ids.max() + 1 + np.arange(len(articles)))
    fitted.add_articles(twin)
    n = len(articles)
    vectors = fitted._scorer.vectors
    torch.testing.assert_close(vectors[:n], vectors[n:], rtol=0, atol=1e-5)
    fitted.save(tmp_path)
    torch.testing.assert_close(NRMS.load(tmp_path)._scorer.vectors, vectors, rtol=0, atol=1e-5)


def test_a_folder_has_to_be_there(tmp_path):
    with pytest.raises(ConfigError, match="needs the folder of a language model"):
        NRMS(**SMALL | {"text": Pretrained()}).fit(small_news().train)
    with pytest.raises(DataError, match=r"config\.json does not exist"):
        NRMS(**SMALL | {"text": Pretrained(str(tmp_path))}).fit(small_news().train)
