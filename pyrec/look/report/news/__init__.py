"""A report on a fitted model of news: one HTML file without scripts, links or other files.

What the page says is put together in `facts`, `slices` and `readers`; how it looks is in ``frame.html``,
``news.html`` and ``page.css``.
"""

from pyrec.look.report.news.page import write_news_report

__all__ = ["write_news_report"]
