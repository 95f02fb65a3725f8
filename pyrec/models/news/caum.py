"""CAUM: clicks that attend to each other know the candidate."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class CAUM(NewsRecommender, text="attention", reader="candidate-self-attention"):
    """Self-attention and a convolution over the clicks, both with the candidate, which weighs what they give.

    Source: Qi et al., "News recommendation with candidate-aware user modeling", SIGIR 2022.
    """

    model_name: ClassVar[str] = "caum"
