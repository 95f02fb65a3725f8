"""What a request may hold, and what an answer does."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from pyrec.data.ids import MAX_ID_LENGTH, text_problem

MOST_ITEMS_A_LIST = 1000
MOST_USERS = 1000
MOST_IDS = 10_000


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


class Request(BaseModel):
    """A request; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid")


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
    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_IDS)] | None = None
    exclude: Ids | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.users is None) == (self.histories is None):
            raise PydanticCustomError("one_of", "give users or histories, one of the two")
        return self


class SimilarRequest(Request):
    """Items whose neighbours are wanted."""

    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_USERS)]
    n: ListLength | None = None


class Lists(BaseModel):
    """A list for each user or item asked for, best first; it may be shorter than n."""

    items: list[list[int | str]]
    scores: list[list[float]]


class Health(BaseModel):
    """What is served."""

    status: str
    model: str
    num_users: int
    num_items: int
    version: str


class Problem(BaseModel):
    """What is wrong with a request: the argument, such as ``users[3]``, if it is one; and why."""

    argument: str | None
    message: str


class Refusal(BaseModel):
    """The answer to a request that fails."""

    error: Problem
