"""One chart of every kind, and names that hope to be read as something else."""

from __future__ import annotations

from metriscope.report.charts import Chart, Dots, Line, Plane, Rule
from metriscope.report.style import look

NAMES = ("contrastive", "triplet", "npair", "infonce", "arcface", "scl", "ccl")
LEGEND = tuple((name, look(name)) for name in NAMES)
HOSTILE = (
    "</script><b>bold</b><script>alert(1)</script>",
    "$x^2$ %{x} %{customdata[0]} 50% &amp; &#60;i&#62;",
    '<a href="javascript:alert(1)">link</a>',
    "_under\x1b[31m",
    "\u202etxt.exe",
    "a" * 300,
    "[4pt] * \\textbf{b} ~^`'\" {} # --",
    "=SUM(A1)",
    "猫 ñ",
)

_EPOCHS = tuple(float(e) for e in range(9))


def _curve(name: str, scale: float) -> Line:
    y = tuple(scale * 0.5**e for e in range(9))
    low, high = (tuple(v * by for v in y) for by in (0.8, 1.25))
    return Line(name, _EPOCHS, y, look(name), low, high)


def _place(name: str, i: int) -> Dots:
    x, y = 2.0 * i + 1, 0.01 * 2.0**i
    bars = ((x - 0.5,), (x + 1,), (y * 0.8,), (y * 1.3,))
    return Dots(name, (x,), (y,), look(name), *bars, labelled=True)


def _row(name: str, i: int) -> Dots:
    at = 0.9 + 0.0123456 * i
    return Dots(name, (at,), (float(i),), look(name), x_low=(at - 0.01,), x_high=(at + 0.02,))


_CURVES = tuple(_curve(name, 4.0 + i) for i, name in enumerate(NAMES))
_POINTS = Dots(
    "samples",
    (0.0, 30.0, -20.0),
    (5.0, -5.0, 0.0),
    colours=("#3b6fd4", "#d55e00", "#009e73"),
    texts=("cat", "dog", "eel"),
    alpha=0.7,
)
_BINS = Line("within", (0.0, 0.5, 1.0, 2.0), (1.0, 3.0, 0.5), look("scl"), filled=True, steps=True)

CHARTS = {
    "curves": Chart(
        (
            Plane(_CURVES, "Epoch", "Loss", y_scale="symlog", linear_below=0.1, whole=True),
            Plane(_CURVES, "Epoch", "Loss, relative", y_range=(0.0, 12.0)),
        ),
        legend=LEGEND,
    ),
    "places": Chart(
        (
            Plane(
                (
                    *(_place(name, i) for i, name in enumerate(NAMES)),
                    Rule("end", x=12.0),
                    Rule("goal", y=0.1),
                ),
                "Epochs",
                "Variance",
                "Efficiency",
                y_scale="log",
            ),
        ),
        legend=LEGEND,
        lines=False,
    ),
    "rows": Chart(
        tuple(
            Plane(
                (*(_row(name, i) for i, name in enumerate(NAMES)), Rule("before", x=0.92)),
                label,
                y_names=NAMES,
            )
            for label in ("Recall@1", "Recall@5", "MAP@R")
        ),
        columns=3,
        width=2.9,
        height=3.0,
        same_y=True,
    ),
    "projections": Chart(
        tuple(Plane((_POINTS,), "0.9 kept", title=name, bare=True) for name in NAMES),
        columns=4,
        width=1.7,
        height=1.9,
    ),
    "histograms": Chart(
        tuple(Plane((_BINS,), "Distance", "Density", name) for name in NAMES[:2]),
        legend=(("within", look("scl")),),
        same_y=True,
    ),
    "hostile": Chart(
        (
            Plane(
                (
                    *(
                        Dots(n, (1.0,), (float(i),), look(n), texts=(n,), labelled=True)
                        for i, n in enumerate(HOSTILE)
                    ),
                    Rule(HOSTILE[0], x=1.5),
                    Rule(HOSTILE[1], y=1.5),
                ),
                HOSTILE[1],
                HOSTILE[0],
                HOSTILE[2],
                y_names=HOSTILE,
            ),
            Plane(
                tuple(Line(n, (0.0, 1.0), (0.0, 1.0), look(n)) for n in HOSTILE),
                *HOSTILE[:3],
            ),
        ),
        legend=tuple((name, look(name)) for name in HOSTILE),
    ),
    "empty": Chart((Plane(()),)),
}
