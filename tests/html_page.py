"""A strict look at HTML that a test was given."""

from html.parser import HTMLParser

VOID = {"meta"}


class Page(HTMLParser):
    """A page's elements in their order, each with its attributes and all the text inside it.

    Fails where a tag is closed that is not open, or left open.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    def texts(self, tag: str) -> list[str]:
        return [text for _, text in self.all(tag)]

    def rows(self, caption: str) -> list[list[str]]:
        """The cells of the body of the table with this caption."""
        found: list[list[str]] = []
        inside = False
        for tag, attrs, text in self.elements:
            if tag == "caption":
                inside = "".join(text) == caption
            elif inside and tag == "tr":
                found.append([])
            elif inside and (tag == "td" or (tag == "th" and attrs.get("scope") == "row")):
                found[-1].append("".join(text).strip())
        return [row for row in found if row]
