"""What tests of pages and terminals share: a reader of HTML, and names that mean harm."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from rich.console import Console

HOSTILE = (
    "<script>alert(1)</script>\"'>&amp; "
    "\x1b[31mred\x9b0m \u202eabc\u2066 [bold red]x[/] $x^2$ \udc80"
)
VOID = {"meta", "link", "br", "img", "input", "hr"}
# What no terminal and no page may get: control characters, marks of direction, half surrogates.
CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"


class Reader(HTMLParser):
    """Tags, attributes and visible text; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open[-1:]:
            self.text.append(data)


def loads_nothing(page: str) -> None:
    """And runs nothing: a page is one file."""
    read = Reader(page)
    assert not {"script", "link", "iframe", "object", "embed", "img", "form"} & set(read.tags)
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= set(re.findall(r"url\((#[^)]*)\)", page))
    addresses = set(re.findall(r'https?://[^"\s<]+', page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", "content", policy) in read.attributes


def links_lead_somewhere(page: str) -> None:
    """And ids are unique."""
    attributes = Reader(page).attributes
    ids = Counter(value for _, name, value in attributes if name == "id")
    assert [i for i, n in ids.items() if n > 1] == []
    targets = {v[1:] for _, name, v in attributes if name in ("href", "xlink:href")}
    targets |= {
        v
        for _, name, value in attributes
        if name.startswith("aria-labelledby")
        for v in value.split()
    }
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)


def printed(
    render: Callable[[Console], None], width: int, encoding: str = "utf-8", **options: Any
) -> str:
    """What is printed on a terminal of this width and encoding."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    render(Console(file=file, width=width, **options))
    file.flush()
    return raw.getvalue().decode(encoding)
