"""``report.html`` of a comparison: the answer first, then everything it rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from metriscope.disk import storage_errors, write_text
from metriscope.report import style
from metriscope.report.evidence import Evidence
from metriscope.report.overall import overall
from metriscope.report.page import Page, Part, Section, terms, to_html
from metriscope.report.panels import PANELS
from metriscope.report.panels.base import Panel
from metriscope.report.tables import answer
from metriscope.report.words import listed
from metriscope.types import Results, RunResult

_SHOWN = 3  # names of datasets in the title
_NAMED = 5  # runs that a warning names


def write(results: Results, path: Path) -> None:
    """Write the report, whole or not at all.

    The page needs no network and no font; without scripts its tables can still be read. It follows
    the reader's light or dark setting, prints, and works from 320 pixels up. Results that are
    equal give the same bytes.

    Args:
        results: a comparison. All its texts are shown as text, whatever they contain.
        path: the file; replaced if it is there. What the runs left is read from ``runs/`` beside
            it, if that is there.

    Raises:
        StorageError: the file cannot be written.
    """
    path = Path(path)
    folder = path.parent if (path.parent / "runs").is_dir() else None
    with storage_errors(path):
        write_text(path, page(Evidence(results, folder)))


def page(evidence: Evidence) -> str:
    """The report as HTML."""
    results, parts = evidence.results, evidence.parts
    several = len(parts) > 1
    sections = _sections(evidence, ("all",) if several else ("all", "dataset"), several=several)
    return to_html(
        Page(
            name=_name(results),
            what="losses compared",
            facts=_facts(results),
            sections=sections,
            footer="from results.json. ± is the standard deviation over seeds (with n − 1); – is "
            "undefined, which is not 0.",
            lead=overall(evidence) if several else answer(results),
            warnings=_warnings(evidence),
            parts=[_part(i, name, part) for i, (name, part) in enumerate(parts.items(), 1)]
            if several
            else [],
            command=str(results.about.get("command") or ""),
            versions=_versions(results.runs),
            looks={loss: style.look(loss) for loss in results.by_loss()},
        )
    )


def _part(place: int, name: str, evidence: Evidence) -> Part:
    shown = _sections(evidence, ("dataset",), several=True, prefix=f"d{place}-")
    results = evidence.results
    return Part(f"d{place}", name, _facts(results), shown, answer(results))


def _sections(
    evidence: Evidence, of: Collection[str], *, several: bool, prefix: str = ""
) -> list[Section]:
    panels = sorted(PANELS.all().items(), key=lambda item: (item[1].order, item[0]))
    made = [
        _section(name, prefix, panel(), evidence)
        for name, panel in panels
        if panel.about in of and (several or not panel.several)
    ]
    return [section for section in made if section is not None]


def _section(name: str, prefix: str, panel: Panel, evidence: Evidence) -> Section | None:
    """What a panel shows, if anything; that nothing was found is worth a sentence."""
    table = panel.frame(evidence)
    if not table.rows and panel.layout != "cards":
        return None
    return Section(
        prefix + name.replace("_", "-"),
        panel.title,
        panel.caption(evidence),
        table,
        panel.layout,
        panel.plot(evidence),
        terms(table),
        panel.sortable,
    )


def _name(results: Results) -> str:
    names = results.datasets
    return listed(names, _SHOWN) if names else str(results.about.get("source") or "results")


def _facts(results: Results) -> list[str]:
    about: dict[str, Any] = dict(results.about)
    done = sum(run.status == "done" for run in results.runs)
    seeds = len({run.spec.seed for run in results.runs})
    counted = [_count(len(results.by_loss()), "loss", "losses"), _count(seeds, "seed")]
    if len(results.datasets) > 1:
        counted.append(_count(len(results.datasets), "dataset"))
    facts = [f"{' × '.join(counted)}, {_count(done, 'run')} finished"]
    failed = len(results.runs) - done
    if failed:
        facts.append(f"{failed} failed")
    rows = ("train_rows", "training"), ("validation_rows", "validation"), ("test_rows", "test")
    sizes = [f"{about[key]:,} {word}" for key, word in rows if about.get(key)]
    if sizes:
        facts.append(f"rows: {', '.join(sizes)}")
    if about.get("classes"):
        facts.append(f"{about['classes']:,} classes")
    if about.get("split"):
        facts.append(f"split: {about['split']}")
    if about.get("backbone") not in (None, "features"):
        facts.append(f"features: {about['backbone']}")
    return facts


def _count(n: int, one: str, many: str = "") -> str:
    """``1 seed``, ``3 losses``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _warnings(evidence: Evidence) -> list[str]:
    if not evidence.edited:
        return []
    return [
        f"results.json differs from what {_count(len(evidence.edited), 'run')} left in runs/: "
        f"{listed(evidence.edited, _NAMED)}. Tables of means show results.json; intervals, "
        "comparisons, ranks and the recommendation are computed from what each query retrieved "
        "(queries.parquet in runs/), where that was kept, and may disagree with them. The same "
        "comparison run again restores results.json."
    ]


def _versions(runs: Iterable[RunResult]) -> list[str]:
    """Every version that some run was made with."""
    found = {f"{name} {version}": None for run in runs for name, version in run.versions.items()}
    return sorted(found)
