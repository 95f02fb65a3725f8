"""Fitted models as files that other programs read."""

from pyrec.export.files import FORMATS, MANIFEST, export

__all__ = ["FORMATS", "MANIFEST", "export"]
