"""A real browser without a window, and what a page did in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str:
    """Where Chromium is; without one the test is skipped, and fails where ``CI`` is set."""
    found = os.environ.get("METRISCOPE_BROWSER") or next(
        filter(None, (shutil.which(name) for name in _NAMES)), ""
    )
    if found:
        return found
    reason = "there is no Chromium: install one, or name it in METRISCOPE_BROWSER"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = executable()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, path: Path, *, width: int = 1280, **options: Any) -> Iterator[Page]:
    """A page on screen, without a network; afterwards, that it did nothing but show itself."""
    size = {"width": width, "height": 800}
    context = browser.new_context(viewport=size, offline=True, **options)  # type: ignore[arg-type]
    did: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            did.append(f"{message.type}: {message.text}")

    context.on("console", told)
    context.on("weberror", lambda error: did.append(f"error: {error.error}"))
    context.on("dialog", lambda dialog: (did.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    context.on("request", lambda request: did.append(f"request: {request.url[:200]}"))
    try:
        page = context.new_page()
        page.goto(path.as_uri())
        yield page
    finally:
        context.close()
    inside = ("request: data:", "request: blob:")
    assert {what for what in did if not what.startswith(inside)} == {f"request: {path.as_uri()}"}
