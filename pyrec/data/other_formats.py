"""Files that are text, but no interactions in lines: said by their first bytes, with a way on."""

from __future__ import annotations

import re
from typing import Final

from pyrec.data.files import Content
from pyrec.errors import DataError

_JSON: Final = "JSON; make a frame of it, which as_interactions takes: pandas.read_json(path, lines=...)"
_KINDS: Final = {
    re.compile(
        rb"\s*<[!?a-zA-Z]"
    ): "a page of HTML or XML, perhaps a server's message of an error; get the file anew",
    re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{"\]])'): _JSON,
    re.compile(
        rb"%%MatrixMarket "
    ): "a matrix of Matrix Market; Interactions.from_csr takes scipy.io.mmread(path)",
    re.compile(rb"version https://git-lfs"): "a pointer of Git LFS, not the file; get it: git lfs pull",
    re.compile(rb"%PDF-"): "a PDF",
    re.compile(rb"\{\\rtf"): "rich text; save it as plain text",
    re.compile(
        rb"\s*(--[^\n]*\n\s*)*(?i:(create|insert|drop|set)\s+(table|into|names))\b"
    ): "SQL; export it as CSV",
    re.compile(rb"@relation\b", re.IGNORECASE): "ARFF; make a frame of it, which as_interactions takes",
}


def refuse_other(content: Content) -> None:
    """Refuses text of other formats.

    Raises:
        DataError: says which, and what to do.
    """
    start = content.head[:1000]
    for pattern, what in _KINDS.items():
        if pattern.match(start):
            raise DataError(f"{content.path}, line 1: this is {what}")
