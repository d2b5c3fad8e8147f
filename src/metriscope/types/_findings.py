"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["problem", "warning", "ok", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """Something a person should know, with the number it rests on.

    Attributes:
        code: stable, ``MS101``.
        severity: ``problem`` or ``warning``, of a check that fired; ``ok``, of one that looked and
            saw nothing wrong; ``not applicable``, of one that cannot say anything here.
        title: a few words.
        message: one sentence with the number in it, or why the check does not apply.
        value, threshold: what was measured, and the limit it was held against.
        cause: the likely reason. ``next_step``: what to try.
        runs: keys of the runs it is about. ``loss``: their loss.
        verify: how to see that the next step helped.
        classes: names of the classes it is about.
        dataset: whose, where there are several.
    """

    code: str
    severity: Severity
    title: str
    message: str
    value: float | None
    threshold: float | None
    cause: str = ""
    next_step: str = ""
    runs: tuple[str, ...] = ()
    loss: str = ""
    verify: str = ""
    classes: tuple[str, ...] = ()
    dataset: str = ""

    @property
    def fired(self) -> bool:
        """Whether something is wrong."""
        return self.severity in ("problem", "warning")
