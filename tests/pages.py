"""What tests of pages and terminals share: a reader of HTML, and names that mean harm."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
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
    """Tags, attributes and visible text; fails on tags that do not nest.

    Attributes:
        tables: id of a section to its rows: what each cell shows, and the number it is sorted by.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[tuple[str, float | None]]]] = {}
        self._section = ""
        text = _SCRIPT.sub(_opened, text)
        self.feed(re.sub(r"(<script[^>]*>)[^<]*", r"\1", text))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        named = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._section = named["id"]
        elif tag == "tr":
            self.tables.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            value = named.get("data-value")
            self.tables[self._section][-1].append(("", None if value is None else float(value)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            return
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            row = self.tables[self._section][-1]
            row[-1] = (row[-1][0] + data, row[-1][1])


_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
_PACKED = ' type="application/zlib" class="'


def unpack(text: str) -> Any:
    """What a page keeps for its script."""
    return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))


def _opened(found: re.Match[str]) -> str:
    """A table that a script would show, or a script that has nothing to show, without its text."""
    kind, text = found.groups()
    return unpack(text) if kind == f'{_PACKED}table"' else f"<script{kind}></script>"


def scripts(page: str) -> tuple[list[str], dict[str, list[Any]]]:
    """What a browser runs, and the data: by class, what they are unpacked."""
    code, data = [], {}
    for kind, text in _SCRIPT.findall(page):
        if kind:
            assert kind.startswith(_PACKED)
            data.setdefault(kind.removeprefix(_PACKED).rstrip('"'), []).append(unpack(text))
        else:
            code.append(text)
    inside = [scripts(table)[1] for table in data.get("table", [])]
    data["texts"] = [t for found in [data, *inside] for t in found.get("texts", [])]
    return code, data


def charts(page: str) -> dict[str, list[dict[str, Any]]]:
    """Id of a section to what plotly is given for each of its planes."""
    found = {}
    for section in page.split("<section ")[1:]:
        for text in re.findall(f'{_PACKED}drawn">([^<]*)', section):
            found[section.split('"')[1]] = unpack(text)
    return found


def loads_nothing(page: str) -> None:
    """And runs nothing but its own two scripts: a page is one file."""
    code, data = scripts(page)
    assert len(code) in (1, 2)
    for table in data.get("table", []):
        assert re.findall(r"<script(?! type=\"application/zlib\")", table) == []
    bare = _SCRIPT.sub(_opened, page)
    read = Reader(page)
    assert not {"link", "iframe", "object", "embed", "form", "base", "img"} & set(read.tags)
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith("#"), (tag, name, value)
    assert "@import" not in bare
    addresses = re.findall(r"url\(([^)]*)\)", bare)
    assert all(re.fullmatch("data:image/jpeg;base64,[A-Za-z0-9+/=]+", a) for a in addresses)
    assert re.findall(r"https?://", bare) == []
    hashes = [hashlib.sha256(text.encode()).digest() for text in code]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
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
