"""The command line: a thin skin. Results on stdout; progress and everything else on stderr.

Exit status: 0 done; 1 finished, but some runs failed or ``--fail-on``
fired; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from metriscope.cli import compare, diagnose, embed, listing, report, reproduce
from metriscope.cli._app import cli, say
from metriscope.cli.listing import KINDS
from metriscope.types import MetriscopeError

__all__ = ["KINDS", "cli", "main"]

for command in (
    compare.compare,
    diagnose.diagnose,
    embed.embed,
    report.report,
    reproduce.reproduce,
    listing.list_,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors become one or two lines on stderr."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(cli.main(arguments, prog_name="metriscope", standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "metriscope")
        say(f"error: {error.format_message().rstrip('.')}. See `{where} --help`.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted. What is finished is kept; the same command goes on from there.")
        sys.exit(130)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
            sys.exit(2)
        if not isinstance(error, MetriscopeError):
            say(f"{type(error).__name__}: {error}. This is a bug: please report it with --debug.")
            sys.exit(2)
        say(f"error: {error}")
        sys.exit(2)
