"""Pages as a program reads them."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href", "ping"}


class Parsed(HTMLParser):
    """The text of a page, its elements, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.code: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        where = self.code if self.open and self.open[-1] in {"style", "script"} else self.words
        where.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def loads(self) -> list[str]:
        """Everything that a browser would ask for."""
        found = [
            f"{tag} {name}={value}"
            for tag, attributes in self.elements
            for name, value in attributes.items()
            if name in LOADING
        ]
        found += [tag for tag, _ in self.elements if tag in {"link", "iframe", "img", "object"}]
        return found + [code for code in self.code if "url(" in code or "@import" in code]

    def labels(self) -> list[str]:
        """What the marks of the drawings say."""
        return [
            attributes["aria-label"] or ""
            for tag, attributes in self.elements
            if tag == "g" and "aria-label" in attributes
        ]
