"""NRMS in plain torch, with the parameters of ours: padded as the known code lays it out, and by length buckets.

Both mask what is padded, so that answers agree; the known code of Wu et al. (EMNLP 2019) and of those who followed does
not. What a loader would prepare, padded rows of words and of clicks, they are given ready made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrec.nn.segments import Segments
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.trainer import NewsTrainer

BUCKETS = 6
Attention = Callable[[Tensor, Tensor, int], Tensor]


@dataclass
class Padded:
    """Rows side by side, those past a segment's end being row 0 and not there.

    Attributes:
        rows: (num_segments, longest) int64.
        there: (num_segments, longest) bool.
    """

    rows: Tensor
    there: Tensor

    @classmethod
    def of(cls, segments: Segments, longest: int) -> Padded:
        """Segments, padded to that length."""
        slots = torch.arange(longest)
        there = slots < segments.indptr.diff()[:, None]
        places = (segments.indptr[:-1, None] + slots).where(there, 0)
        rows = segments.index[places] if len(segments.index) else torch.zeros_like(places)
        return cls(rows.where(there, 0), there)


def explicit(qkv: Tensor, there: Tensor, heads: int) -> Tensor:
    """Attention as two products with a softmax between; qkv (num_segments, longest, 3 * dim)."""
    query, key, value = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    alpha = scores.masked_fill(~there[:, None, None], torch.finfo(scores.dtype).min).softmax(3)
    return (alpha @ value).transpose(1, 2).flatten(2)


def fused(qkv: Tensor, there: Tensor, heads: int) -> Tensor:
    """The same by torch's own kernel."""
    query, key, value = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    seen = there[:, None, None].expand(-1, heads, there.shape[1], -1)
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    return attended.transpose(1, 2).flatten(2)


class Encoder(nn.Module):
    """Self-attention and additive attention over padded segments: of words, or of clicks."""

    def __init__(self, of: nn.Module, heads: int, attention: Attention) -> None:
        super().__init__()
        self.projection = nn.Parameter(of.projection.detach().clone())
        self.weight, self.bias, self.vector = (
            nn.Parameter(getattr(of.pooling, name).detach().clone()) for name in ("weight", "bias", "vector")
        )
        self.heads, self.attention = heads, attention

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """(num_segments, dim) of x (num_segments, longest, columns); zeros for empty segments."""
        attended = self.attention(x @ self.projection, there | ~there.any(1, keepdim=True), self.heads)
        scores = torch.tanh(functional.linear(attended, self.weight, self.bias)) @ self.vector
        alpha = scores.masked_fill(~there, torch.finfo(scores.dtype).min).softmax(1) * there
        return (alpha[:, None] @ attended)[:, 0]


class Network(nn.Module):
    """NRMS with the parameters of a trainer's network."""

    def __init__(self, trainer: NewsTrainer, attention: Attention) -> None:
        super().__init__()
        articles, reader = trainer.network.articles, trainer.network.reader
        title = articles.texts["title"]
        self.words = nn.Parameter(articles.words.detach().clone())
        self.title = Encoder(title, title.heads, attention)
        self.clicks = Encoder(reader, reader.heads, attention)
        self.absent = nn.Parameter(reader.absent.detach().clone())

    def encode(self, titles: Padded) -> Tensor:
        """(num_titles, dim)."""
        return self.title(functional.embedding(titles.rows, self.words), titles.there)

    def readers(self, vectors: Tensor, there: Tensor) -> Tensor:
        """(num_readers, dim) of the vectors of what they clicked, (num_readers, latest, dim)."""
        return self.clicks(vectors, there) + (~there.any(1))[:, None] * self.absent


def loss_of(scores: Tensor, present: Tensor) -> Tensor:
    """The sum of the samples' cross-entropies; the click is each row's first."""
    logits = scores.masked_fill(~present, -torch.inf)
    return (logits.logsumexp(1) - logits[:, 0]).sum()


def adam(network: nn.Module, trainer: NewsTrainer) -> torch.optim.Optimizer:
    rates = trainer.optimisation
    return torch.optim.AdamW(network.parameters(), rates.learning_rate, weight_decay=rates.reg, fused=True)


def padded_step(
    trainer: NewsTrainer,
    batch: TrainingBatch,
    latest: int,
    longest: int,
    attention: Attention = explicit,
    at_once: int = 128,
) -> Callable[[], Tensor]:
    """A step with each slot of each sample encoded, (size, latest + candidates) titles of ``longest`` words.

    Args:
        trainer: Whose parameters and articles.
        batch: Its samples.
        latest: Clicks that a history is padded to.
        longest: Words that a title is padded to.
        attention: `explicit` or `fused`.
        at_once: Samples whose graph is held at a time; their gradients are added.
    """
    network = Network(trainer, attention)
    optimizer = adam(network, trainer)
    news = batch.news
    asked = torch.zeros(batch.present.numel(), dtype=torch.int64)
    asked[batch.place] = news.articles[news.candidates]
    owner = torch.zeros(batch.present.numel(), dtype=torch.int64)
    owner[batch.place] = news.asked
    clicks = Padded.of(news.clicks, latest)
    of = owner.view(batch.present.shape)[:, 0]  # a history for each sample, repeated as in a loader
    shown = torch.cat([news.articles[clicks.rows[of]], asked.view(batch.present.shape)], 1)
    titles = [
        Padded.of(trainer.store.at(part.flatten(), ["title"]).texts["title"], longest)
        for part in shown.split(at_once)
    ]
    words = [trainer.store.at(part.flatten(), ["title"]).words for part in shown.split(at_once)]
    for one, distinct in zip(titles, words, strict=True):
        one.rows = distinct[one.rows]
    there, present = clicks.there[of].split(at_once), batch.present.split(at_once)

    def step() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros(())
        for title, seen, real in zip(titles, there, present, strict=True):
            vectors = network.encode(title).unflatten(0, (len(seen), -1))
            readers = network.readers(vectors[:, :latest], seen)
            loss = loss_of((vectors[:, latest:] @ readers[:, :, None])[:, :, 0], real) / batch.size
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total

    return step


def buckets_of(segments: Segments) -> list[tuple[Tensor, Padded]]:
    """Segments in `BUCKETS` parts of like lengths, each padded to its longest."""
    lengths = segments.indptr.diff()
    parts = []
    for of in lengths.argsort(stable=True).chunk(BUCKETS):
        longest = max(1, int(lengths[of].max()))
        parts.append((of, Padded.of(segments.take(of), longest)))
    return parts


def bucketed_step(
    trainer: NewsTrainer, batch: TrainingBatch, attention: Attention = fused
) -> Callable[[], Tensor]:
    """A step with each distinct article and history encoded once, in six buckets of like lengths."""
    network = Network(trainer, attention)
    optimizer = adam(network, trainer)
    news = batch.news
    views = trainer.store.at(news.articles, ["title"])
    titles, histories = buckets_of(views.texts["title"]), buckets_of(news.clicks)
    for _, part in titles:
        part.rows = views.words[part.rows]
    back, back_of_readers = (torch.cat([of for of, _ in parts]).argsort() for parts in (titles, histories))

    def step() -> Tensor:
        optimizer.zero_grad()
        vectors = torch.cat([network.encode(part) for _, part in titles])[back]
        clicked = [network.readers(functional.embedding(p.rows, vectors), p.there) for _, p in histories]
        readers = torch.cat(clicked)[back_of_readers]
        scores = (vectors[news.candidates] * readers[news.asked]).sum(1)
        loss = loss_of(batch.lists(scores), batch.present) / batch.size
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
