"""``--fail-on``: which findings stop a pipeline."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from metriscope.types import Examined, InputError

_SEVERITIES = {"problem": ("problem",), "warning": ("problem", "warning")}


@dataclass(frozen=True)
class Gate:
    """What must not be there. ``severities`` and ``codes`` of findings."""

    severities: Collection[str]
    codes: tuple[str, ...]

    def closed_by(self, examined: Examined) -> str:
        """A sentence that says what fired; empty if nothing did.

        A check that was named and does not apply closes the gate too: what could not be looked at
        has not passed.
        """
        fired = [
            f.code for f in examined.fired if f.code in self.codes or f.severity in self.severities
        ]
        silent = [
            f"{f.code} was asked for and does not apply here: {f.message.rstrip('.')}"
            for f in examined.findings
            if f.code in self.codes and f.severity == "not applicable"
        ]
        said = [f"{', '.join(dict.fromkeys(fired))} fired"] if fired else []
        return "; ".join([*said, *silent])


def parse(text: str) -> Gate:
    """``problem``, ``warning`` (or worse), codes, or several of these with commas between.

    Raises:
        InputError: neither a severity nor the code of a check of embedding spaces.
    """
    from metriscope.findings import FINDINGS
    from metriscope.registry import unknown

    wanted = [part.strip() for part in text.split(",") if part.strip()]
    if not wanted:
        raise InputError("--fail-on names nothing; give problem, warning or codes (MS101,MS403).")
    kinds = {check.code: check.of for check in FINDINGS.all().values()}
    spaces = [code for code, of in kinds.items() if "space" in of]
    severities: set[str] = set()
    codes = []
    for name in wanted:
        if name.lower() in _SEVERITIES:
            severities.update(_SEVERITIES[name.lower()])
        elif name.upper() in spaces:
            codes.append(name.upper())
        elif name.upper() in kinds:
            raise InputError(
                f"--fail-on {name}: this is a check of training or of comparisons, not of "
                f"embeddings. Available: {', '.join(spaces)}."
            )
        else:
            wrong = name.upper() if any(c.isdigit() for c in name) else name.lower()
            near = unknown("severity or code", wrong, [*_SEVERITIES, *spaces])
            raise InputError(f"--fail-on: {near}")
    return Gate(severities, tuple(codes))
