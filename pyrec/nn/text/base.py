"""What a text encoder is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from pyrec.data.articles import Articles
from pyrec.nn.dropout import Dropout
from pyrec.nn.segments import Segments
from pyrec.options import Count
from pyrec.params import Component
from pyrec.store.arrays import State

TEXT_SIZE: Final = Count(low=1, high=4096, flag="--text-size", help="Dimension of a text's vector.")
TEXT_HIDDEN: Final = Count(
    low=1, high=512, flag="--text-hidden", help="Width of the attention that pools words."
)


@dataclass(frozen=True)
class TextInputs:
    """What a text encoder may be made for.

    Attributes:
        articles: Those known when the model is made; others may come later.
        view: Which text of an article: ``title`` or ``abstract``.
        word_size: Dimension of a word's vector.
        generator: Draws the first parameters.
        saved: The arrays of the module's state, where they will be restored; None for a module that is to be fitted.
    """

    articles: Articles
    view: str
    word_size: int
    generator: torch.Generator
    saved: State | None = None


@dataclass(frozen=True)
class TextBatch:
    """One text of each of some articles, as positions in the batch's distinct words.

    Attributes:
        words: (num_words, word_size), the vectors of the distinct words; without rows where none are asked for.
        tokens: A segment an article: rows of ``words``.
        rows: (num_articles,) int64, which articles.
    """

    words: Tensor
    tokens: Segments
    rows: Tensor


class TextModule(nn.Module):
    """Makes a vector of a text.

    Attributes:
        dim: Dimension of the vector.
        reads_words: Whether it reads `TextBatch.words`; else it knows the texts by the articles' rows.
        recordable: Whether nothing in it waits for a CUDA device.
    """

    dim: int
    reads_words: ClassVar[bool] = True
    recordable: ClassVar[bool] = True

    def forward(self, texts: TextBatch, dropout: Dropout) -> Tensor:
        """The vectors, (num_articles, dim); zeros for a text without words."""
        raise NotImplementedError

    def attention(self, texts: TextBatch) -> Tensor | None:
        """The weight of each token in its text's vector, (num_tokens,); None where it has none."""
        return None

    def step_floats(self, words: int, tokens: int, articles: int) -> int:
        """Numbers that a training step holds for it, gradients included.

        Args:
            words: Distinct words of the batch.
            tokens: Tokens of its texts.
            articles: Its texts.
        """
        widest = max((one.shape[0] for one in self.parameters() if one.ndim == 2), default=self.dim)
        return words * (6 * self.dim + 2 * widest) + tokens * 3 * self.dim + articles * 4 * self.dim

    def add_articles(self, articles: Articles, first: int) -> None:
        """Take articles that came after the model was made.

        Args:
            articles: All articles, those known before included.
            first: The row of the first new one.
        """


class TextEncoder(Component):
    """How a text becomes a vector; `make` gives the module that does it."""

    family = "text"

    def make(self, inputs: TextInputs) -> TextModule:
        """Return the module.

        Raises:
            ConfigError: It does not go with the inputs.
        """
        raise NotImplementedError
