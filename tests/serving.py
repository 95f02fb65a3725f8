"""A model served over HTTP on the loopback, for tests."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray

from pyrec.models import Recommender
from pyrec.serve import create_app, listen


@contextmanager
def serving(source: Recommender | PathLike[str], **options: Any) -> Iterator[httpx.Client]:
    """A client of a server on the loopback, for what `create_app` takes."""
    config = uvicorn.Config(create_app(source, **options), log_level="critical", ws="none")
    server = uvicorn.Server(config)
    with listen() as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def same(response: httpx.Response, expected: tuple[NDArray, NDArray]) -> None:
    """The answer holds these lists of items and scores, without the places behind the end of a short one."""
    assert response.status_code == 200, response.text
    answer, (items, scores) = response.json(), expected
    finite = np.isfinite(scores)
    assert answer["items"] == [row[keep].tolist() for row, keep in zip(items, finite, strict=True)]
    for row, values, keep in zip(answer["scores"], scores, finite, strict=True):
        np.testing.assert_allclose(row, values[keep], rtol=1e-6)


def refused(response: httpx.Response, status: int, argument: str | None, message: str) -> None:
    """The answer is an error about this argument, with a message like this."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["argument"] == argument
    assert re.search(message, error["message"]), error["message"]
