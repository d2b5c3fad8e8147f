"""``report --figures``: a file a panel, tables beside them, whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from metriscope.disk import StorageError
from metriscope.report import figures
from metriscope.report.charts import Chart, Line, Plane, static
from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import PANELS
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table
from metriscope.types import Results
from tests.charts import HOSTILE
from tests.fakes import comparison, full


class Few(Panel):
    """A panel about a dataset."""

    title = "Few"
    order = 2

    def frame(self, evidence: Evidence) -> Table:
        cells = (Cell("0.5", 0.5),)
        rows = tuple(Row(loss, cells) for loss in evidence.results.by_loss())
        return Table("Table 3: recall", "* marks the best.", (Column("Recall"),), rows)

    def plot(self, evidence: Evidence) -> Chart | None:
        if not evidence.results.runs:
            return None
        return Chart((Plane((Line("a", (0.0, 1.0), (0.0, 1.0)),), "x", "y"),))


class All(Few):
    """The same, of everything."""

    order: ClassVar[int] = 1
    about = "all"


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"few_things": Few, "all": All}
    monkeypatch.setattr(PANELS, "all", lambda: found)


@pytest.mark.usefixtures("panels")
def test_a_file_a_panel_and_dataset(tmp_path: Path) -> None:
    written = figures.write(Evidence(full()), tmp_path / "new", "svg")
    names = [
        f"{name}.{end}" for name in ("all", "few-things") for end in ("svg", "tex", "md", "csv")
    ]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    latex = (tmp_path / "new" / "few-things.tex").read_text()
    assert r"\caption{Recall. Bold marks the best.}" in latex
    assert r"\label{tab:few-things}" in latex
    assert "</svg>" in (tmp_path / "new" / "all.svg").read_text()


@pytest.mark.usefixtures("panels")
def test_datasets_have_files_of_their_own_whatever_they_are_called(tmp_path: Path) -> None:
    names = ("a b", "a/b", "../../a-b", *HOSTILE[:3])
    found = comparison(None, names, losses=("scl", *HOSTILE), seeds=1, queries=4)
    written = figures.write(Evidence(found), tmp_path, "png")
    assert len(set(written)) == len(written) == 4 * (1 + len(names))
    assert {path.parent for path in written} == {tmp_path}
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert [path.name for path in written][4::4][:3] == [
        "a-b-few-things.png",
        "a-b-2-few-things.png",
        "a-b-3-few-things.png",
    ]


@pytest.mark.usefixtures("panels")
def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        figures.write(Evidence(full()), tmp_path / folder, "pdf")
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


@pytest.mark.usefixtures("panels")
def test_nothing_to_show_writes_nothing(tmp_path: Path) -> None:
    assert figures.write(Evidence(Results(())), tmp_path, "pdf") == []


@pytest.mark.usefixtures("panels")
def test_a_full_disk_is_said_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot write to .*taken"):
        figures.write(Evidence(full()), tmp_path / "taken", "pdf")

    def full_disk(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StorageError, match=r"No space left on device\. Free some space"):
        figures.write(Evidence(full()), tmp_path / "figures", "pdf")
    assert list((tmp_path / "figures").iterdir()) == []


def test_the_tables_of_the_paper_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "to_file", lambda *_: b"drawn")
    found = comparison(None, ("cub200",), losses=("triplet", "scl"), seeds=1, queries=8)
    written = {path.name for path in figures.write(Evidence(found), tmp_path, "svg")}
    assert {"table1.tex", "table2.tex", "table3.tex", "retrieval.svg"} <= written
    assert r"\toprule" in (tmp_path / "table3.tex").read_text()
