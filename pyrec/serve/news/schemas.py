"""What a request to a model of news may hold, and what an answer does."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from pyrec.serve.schemas import MOST_IDS, MOST_USERS, Id, Ids, ListLength, Names, Request, SomeIds

MOST_ARTICLES = 1000
"""Of a request that posts some; so many impressions as well."""
MOST_WORDS = 100
"""Entities or subcategories of an article."""
LONGEST = 20_000
"""Characters of a text."""

Time = Annotated[StrictInt | StrictFloat, Field(description="seconds since 1970")]
At = Annotated[
    Time | None,
    Field(
        description="the time of asking; by default right after the latest impression that the model knows of"
    ),
]
Text = Annotated[StrictStr, Field(max_length=LONGEST)]
Words = Annotated[
    list[Annotated[StrictStr, Field(min_length=1, max_length=200)]], Field(max_length=MOST_WORDS)
]
Readers = Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)]
Clicks = Annotated[
    list[Ids],
    Field(
        min_length=1, max_length=MOST_USERS, description="articles that each new reader clicked, oldest first"
    ),
]


class _Asking(Request):
    """Known readers by their ids, or new ones by what they clicked; one of the two."""

    users: Readers | None = None
    histories: Clicks | None = None
    at: At = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.users is None) == (self.histories is None):
            raise PydanticCustomError("one_of", "give users or histories, one of the two")
        return self


class RecommendRequest(_Asking):
    """Readers who want articles; by default of those that are alive: shown or published within three days."""

    n: ListLength | None = None
    filter_seen: StrictBool = True
    items: SomeIds | None = None
    names: Names = False


class RankRequest(_Asking):
    """Readers, and the articles that are ranked for each."""

    items: SomeIds


class SimilarRequest(Request):
    """Articles whose neighbours are wanted."""

    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)]
    n: ListLength | None = None
    names: Names = False


class Article(Request):
    """An article as it is written."""

    id: Id
    title: Text
    abstract: Text = ""
    category: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    subcategories: Words = Field(default_factory=list)
    entities: Words = Field(default_factory=list)
    published: Time | None = None


class ArticlesRequest(Request):
    """Articles that came after training."""

    articles: Annotated[list[Article], Field(min_length=1, max_length=MOST_ARTICLES)]


class Impression(Request):
    """What was shown to a reader, and what of it was clicked; null for a reader whom nobody knows."""

    user: Id | None
    time: Time
    shown: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)]
    clicked: Ids = Field(default_factory=list)

    @model_validator(mode="after")
    def _shown(self) -> Self:
        if set(self.clicked) - set(self.shown):
            raise PydanticCustomError("shown", "an article was clicked that was not shown")
        return self


class ClicksRequest(Request):
    """Impressions that came after what the model knows of."""

    impressions: Annotated[list[Impression], Field(min_length=1, max_length=MOST_ARTICLES)]


class Lists(BaseModel):
    """A list for each reader or article asked for, best first; it may be shorter than n.

    Attributes:
        names: Titles, if the request asks for them.
    """

    items: list[list[int | str]]
    scores: list[list[float]]
    names: list[list[str]] | None = None


class Ranks(BaseModel):
    """The rank of each article for each reader, 1 for the best, in the order in which they were named."""

    ranks: list[list[int]]


class Added(BaseModel):
    """How many of the articles are new, and how many are known now."""

    added: int
    known: int


class Observed(BaseModel):
    """How many impressions were taken in, and the time of the latest that the model knows of; null without times."""

    observed: int
    latest: float | None


class Health(BaseModel):
    """What is served; see `pyrec.serve.schemas.Health`.

    Attributes:
        num_posted: Articles that came after training.
        latest: The time of the latest impression that the model knows of; null where it counts no time.
    """

    status: str
    model: str
    label: str
    num_users: int
    num_items: int
    num_posted: int
    latest: float | None
    user_ids: str
    item_ids: str
    version: str
    saved_at: str | None
    loaded_at: str | None
    reload: str
