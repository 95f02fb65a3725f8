"""A report on a fitted model: one HTML file without scripts, links or other files.

`write_report` measures the model beside popularity and writes the page; it needs matplotlib and Jinja
(``pip install '.[report]'``). What the page says is put together in `facts`, `examples` and `pictures`; how
it looks is in ``frame.html``, ``page.html`` and ``page.css``.
"""

from pyrec.look.report.page import write_report

__all__ = ["write_report"]
