"""NRMS: multi-head self-attention over words and over clicks."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class NRMS(NewsRecommender, text="attention", reader="attention"):
    """Words attend to each other and make a title; clicks attend to each other and make a reader.

    Source: Wu et al., "Neural news recommendation with multi-head self-attention", EMNLP 2019, whose articles are
    titles alone (``views="title"``) and which has no term of popularity (``popularity=None``).
    """

    model_name: ClassVar[str] = "nrms"
