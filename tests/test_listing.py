"""``metriscope list`` and ``--help``: what there is, at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from metriscope.cli import KINDS, cli
from tests.test_cli import error_of, metriscope


@pytest.mark.parametrize("kind", KINDS)
def test_list_knows_every_kind(kind: str) -> None:
    text = CliRunner().invoke(cli, ["list", kind])
    data = CliRunner().invoke(cli, ["list", kind, "--json"])
    assert text.exit_code == data.exit_code == 0
    entries = json.loads(data.stdout)
    assert len(entries) >= 2
    assert all(e["summary"].endswith((".", "?")) for e in entries)
    assert all(e["name"] in text.stdout for e in entries)


def test_list_losses_shows_the_papers_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(CliRunner().invoke(cli, ["list", "losses", "--json"]).stdout)
    parameters = {e["name"]: e["parameters"] for e in entries}
    assert parameters["contrastive"]["margin"] == parameters["triplet"]["margin"] == 1.0
    assert parameters["triplet"]["mining"] == "batch_hard"
    assert parameters["infonce"]["temperature"] == parameters["scl"]["temperature"] == 0.07
    assert parameters["npair"]["scale"] == 1.0
    assert (parameters["arcface"]["scale"], parameters["arcface"]["margin"]) == (64.0, 0.5)
    assert parameters["ccl"]["weight"] == 10.0
    assert "did you mean losses?" in error_of(capsys, "list", "loses")


def test_listing_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys; from metriscope.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pyarrow', 'matplotlib', 'rich', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    for arguments in (["--help"], *(["list", kind] for kind in KINDS)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert metriscope("--version").stdout.startswith("metriscope, version ")


def test_every_command_and_option_has_help() -> None:
    for name, command in cli.commands.items():
        page = CliRunner().invoke(cli, [name, "--help"]).stdout
        assert command.help
        for option in command.params:
            if option.param_type_name == "option":
                assert option.opts[0] in page  # type: ignore[attr-defined]
                assert option.help  # type: ignore[attr-defined]
