"""Pictures: one description, drawn by matplotlib for paper and by plotly for a page.

A panel says what is to be seen, as a :class:`Chart`; how it is drawn is decided here, once.
"""

from metriscope.report.charts._nouns import Chart, Dots, Line, Mark, Plane, Rule, Scale

__all__ = ["Chart", "Dots", "Line", "Mark", "Plane", "Rule", "Scale"]
