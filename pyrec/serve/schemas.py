"""What a request may hold, and what an answer does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from pyrec._checks import did_you_mean
from pyrec.data.ids import MAX_ID_LENGTH, text_problem

MOST_ITEMS_A_LIST = 1000
MOST_USERS = 1000
MOST_IDS = 10_000
MOST_HISTORIES = 100
"""Users of a request for what they had."""
MOST_FOUND = 100
MOST_TYPED = 200
"""Characters of a search."""


def _raw_id(value: Any) -> int | str:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if type(value) is str and text_problem(value) is None:
        return value
    raise PydanticCustomError(
        "id",
        "an id is a whole number of 64 bits, or 1 to {longest} characters of Unicode other than NUL",
        {"longest": MAX_ID_LENGTH},
    )


Id = Annotated[
    Any,
    PlainValidator(_raw_id, json_schema_input_type=int | str),
]
ListLength = Annotated[
    StrictInt, Field(ge=1, le=MOST_ITEMS_A_LIST, description="items a list; 10 by default")
]
Ids = Annotated[list[Id], Field(max_length=MOST_IDS)]
SomeIds = Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)]
FallBack = Annotated[
    Literal["popularity", "none"],
    Field(description="what those get of whom nothing is known, and what follows the last item with a score"),
]
Names = Annotated[StrictBool, Field(description="whether the answer has the items' names, too")]
IgnoreUnknown = Annotated[
    StrictBool,
    Field(description="skip unknown ids and tell them in the answer, instead of refusing the request"),
]


class Request(BaseModel):
    """A request; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        known = list(cls.model_fields)
        for name in body:
            if name not in cls.model_fields:
                hint = did_you_mean(name, known)
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field {name}; known are {known}{hint}",
                    {"argument": name, "name": repr(name), "known": ", ".join(known), "hint": hint},
                )
        return body


class RecommendRequest(Request):
    """Known users by their ids, or new users by the items they had, in that order, the oldest first; one of the two."""

    users: Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)] | None = None
    histories: (
        Annotated[
            list[Ids],
            Field(
                min_length=1,
                max_length=MOST_USERS,
                description="items of each new user, the oldest first; order and repeats reach the model",
            ),
        ]
        | None
    ) = None
    n: ListLength | None = None
    filter_seen: StrictBool = True
    items: SomeIds | None = None
    exclude: Ids | None = None
    fallback: FallBack = "popularity"
    ignore_unknown: IgnoreUnknown = False
    names: Names = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.users is None) == (self.histories is None):
            raise PydanticCustomError("one_of", "give users or histories, one of the two")
        return self


class SimilarRequest(Request):
    """Items whose neighbours are wanted."""

    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)]
    n: ListLength | None = None
    ignore_unknown: IgnoreUnknown = False
    names: Names = False


class HistoryRequest(Request):
    """Known users whose training items are wanted."""

    users: Annotated[list[Id], Field(min_length=1, max_length=MOST_HISTORIES)]
    n: Annotated[StrictInt, Field(ge=1, le=MOST_IDS, description="items a list, at most")] = MOST_IDS
    ignore_unknown: IgnoreUnknown = False
    names: Names = False


class ExplainRequest(Request):
    """A known user, or a new one by the items they had, and the item whose score is to be explained."""

    user: Id | None = None
    history: Ids | None = None
    item: Annotated[Id | None, Field(description="the best recommended one by default")] = None
    names: Names = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise PydanticCustomError("one_of", "give user or history, one of the two")
        return self


class Unknown(BaseModel):
    """The ids that were skipped, by argument; those of histories end to end."""

    users: list[int | str] | None = None
    histories: list[int | str] | None = None
    items: list[int | str] | None = None
    exclude: list[int | str] | None = None


class ItemLists(BaseModel):
    """A list for each user or item asked for.

    Attributes:
        names: Of the items, if the request asks for them; null for an item without one.
        unknown: If the request asks to ignore them.
    """

    items: list[list[int | str]]
    names: list[list[str | None]] | None = None
    unknown: Unknown | None = None


class Lists(ItemLists):
    """A list for each user or item asked for, best first; it may be shorter than n."""

    scores: list[list[float]]


class Recommended(Lists):
    """A list for each user, best first; it may be shorter than n.

    Attributes:
        is_fallback: Which entries are there by their popularity, for want of a score of their own.
    """

    is_fallback: list[list[bool]]


class Histories(ItemLists):
    """What each user had.

    Attributes:
        order: ``time``, the latest first; or ``id``, ascending, if the training data have no times.
    """

    order: str


class Found(BaseModel):
    """Ids that a search found, and of items their names; null for an item without one."""

    ids: list[int | str]
    names: list[str | None] | None = None


class Part(BaseModel):
    """An item of the history and what it has to do with the score; its name, if the request asks for names."""

    item: int | str
    value: float
    name: str | None = None


class Explained(BaseModel):
    """Why an item has its score; see `pyrec.models.Explanation` for what each entry says."""

    model: str
    user: int | str | None
    item: int | str
    item_name: str | None = None
    score: float
    rank: int | None
    seen: bool
    is_fallback: bool
    kind: str
    meaning: str
    notes: list[str]
    history: list[int | str]
    parts: list[Part]
    skipped: int
    remainder: float | None
    remainder_of: str | None
    layers: list[float] | None
    layer_weights: list[float] | None


class Health(BaseModel):
    """What is served.

    Attributes:
        label: The model's name with how it combines its layers, if it has any.
        user_ids: ``integers`` or ``text``; likewise ``item_ids``.
        item_names: Whether items have names.
        personal: Whether users get different lists; a model whose users do not compares no items.
        saved_at: When the model was saved, as ISO 8601 in UTC; null for one that was not read from a folder.
        loaded_at: When the service read it; likewise.
        reload: ``off``, ``on``, or ``failed`` if the newest model in the folder cannot be served and an older one is.
    """

    status: str
    model: str
    label: str
    num_users: int
    num_items: int
    user_ids: str
    item_ids: str
    item_names: bool
    personal: bool
    version: str
    saved_at: str | None
    loaded_at: str | None
    reload: str


class Entrance(BaseModel):
    """Where a program goes on from ``/``."""

    name: str
    openapi: str
    paths: list[str]


class Problem(BaseModel):
    """What is wrong with a request: the argument, such as ``users[3]``, if it is one; and why."""

    argument: str | None
    message: str


class Refusal(BaseModel):
    """The answer to a request that fails."""

    error: Problem
