"""DKN: the candidate weighs the clicks, and the entities of a title are a view of it."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class DKN(NewsRecommender, text="cnn", reader="candidate", views="title,entities,category,subcategory"):
    """A convolution over words, entities beside it, and a reader's clicks weighed by a network that sees the candidate.

    Source: Wang et al., "DKN: Deep knowledge-aware network for news recommendation", WWW 2018. There entities are
    channels of the convolution; here they are a view, so that articles without any are nothing special.
    """

    model_name: ClassVar[str] = "dkn"
