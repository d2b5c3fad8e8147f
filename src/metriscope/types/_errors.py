"""What is raised for input that cannot be used."""

from __future__ import annotations


class MetriscopeError(Exception):
    """Bad input. The message says what is wrong, why, and what to do; the command line exits 2."""


class InputError(MetriscopeError, ValueError):
    """Data, a name or a parameter that cannot be used."""


def require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise InputError(f"{name} is {value!r}; it must be {wanted}.")


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    require(value in choices, name, value, "one of " + ", ".join(choices))
