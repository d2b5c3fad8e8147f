"""What options hold, beyond what click reads."""

from __future__ import annotations

from metriscope.types import InputError


def names(text: str) -> list[str]:
    """``a,b`` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str) -> int | list[int]:
    """How many seeds (``3``), or which (``0,7,42``).

    Raises:
        InputError: it is neither.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds is {text!r}; give a number (3) or a list (0,7,42).") from None
    if "," in text:
        return found
    return found[0]


def setting(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` in two.

    Raises:
        InputError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text!r} has no '='; write it as triplet.margin=0.5.")
    return name.strip(), value.strip()
