"""HTML that is escaped by construction: text becomes part of a page through `element` alone.

Whatever is not Markup is text from somewhere else. It is escaped, in content and in attributes, and
its control and direction characters are shown, so that a name can neither close a tag nor turn the
words around it. Only `raw` trusts a text, and nothing that comes from outside goes there.
"""

import html
from dataclasses import dataclass

from oauthsync.text import inline

_VOID = frozenset({"meta", "path", "line"})
"""Elements that hold nothing; in HTML's SVG, closing them at once is as good."""

_INLINE = frozenset({"a", "b", "bdi", "code", "span", "time"})


@dataclass(frozen=True)
class Markup:
    """A piece of a page, escaped already."""

    html: str


Content = Markup | str | int


def element(tag: str, /, *content: Content, **attributes: str | int) -> Markup:
    """An HTML element; `class_` and `aria_label` stand for the attributes `class`, `aria-label`."""
    written = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for attribute, value in attributes.items()
    )
    # A line for each block keeps the page's source readable, and changes nothing on the page.
    end = "" if tag in _INLINE else "\n"
    if tag in _VOID:
        return Markup(f"<{tag}{written}/>{end}")
    return Markup(f"<{tag}{written}>{join(*content).html}</{tag}>{end}")


def join(*content: Content) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(_piece(each) for each in content))


def raw(text: str) -> Markup:
    """Text of this program that is HTML, or CSS, as it stands."""
    return Markup(text)


def _piece(content: Content) -> str:
    return content.html if isinstance(content, Markup) else _escaped(content)


def _escaped(text: str | int) -> str:
    return html.escape(inline(str(text)), quote=True)
