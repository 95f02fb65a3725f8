"""LSTUR: what a reader wants now beside what the reader is like."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class LSTUR(NewsRecommender, text="cnn", reader="long-short"):
    """A recurrent unit reads the latest clicks; a long-term vector stands beside it or before it.

    Source: An et al., "Neural news recommendation with long- and short-term user representations", ACL 2019, which has
    no term of popularity (``popularity=None``), and whose long-term vector is of the reader's id alone.
    """

    model_name: ClassVar[str] = "lstur"
