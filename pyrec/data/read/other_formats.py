"""Files that are text, but no interactions in lines: said by their first bytes, with a way on."""

from __future__ import annotations

import re
from typing import Final

from pyrec.data.read.files import Content
from pyrec.errors import DataError

_FRAME: Final = "make a frame of it, which as_interactions takes"
_KINDS: Final = (
    (rb"\s*<[!?a-zA-Z]", "a page of HTML or XML, perhaps a server's message of an error; get the file anew"),
    (rb"""\s*(\{\s*["'}]|\[\s*[\[{"'\]])""", f"JSON; {_FRAME}: pandas.read_json(path, lines=...)"),
    (rb"%%MatrixMarket ", "a matrix of Matrix Market; Interactions.from_csr takes scipy.io.mmread(path)"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file; get it: git lfs pull"),
    (rb"%PDF-", "a PDF"),
    (rb"\{\\rtf", "rich text; save it as plain text"),
    (rb"(?i)\s*(--[^\n]*\n\s*)*(create|insert|drop|set)\s+(table|into|names)\b", "SQL; export it as CSV"),
    (rb"(?i)@relation\b", f"ARFF; {_FRAME}: scipy.io.arff.loadarff"),
)


def refuse_other(content: Content) -> None:
    """Refuses text of other formats.

    Raises:
        DataError: says which, and what to do.
    """
    start = content.head[:1000]
    for pattern, what in _KINDS:
        if re.match(pattern, start):
            raise DataError(f"{content.path}, line 1: this is {what}")
