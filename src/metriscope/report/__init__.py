"""Results for people: tables, the terminal, and the self-contained ``report.html``.

Reads :class:`~metriscope.types.Results` only, so a report can be made anywhere, at any time.
"""
