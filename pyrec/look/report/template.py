"""The templates of reports, with what they share."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from pyrec._optional import need


def load_template(name: str) -> Any:
    """Return a template of this folder; whatever it is given is text, but for the style.

    Raises:
        ConfigError: If Jinja is missing.
    """
    jinja2 = need("jinja2", "a report", "report")
    from markupsafe import Markup  # which Jinja stands on

    folder = files("pyrec.look.report")

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup(read("page.css"))
    return environment.get_template(name)
