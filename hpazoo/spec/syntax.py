"""What PyYAML cannot read, said in the words of somebody who writes a spec.

PyYAML speaks of tokens. The mistakes behind its messages are few, and most are not where it
stumbles but where something began: a quote, a bracket, a line indented too far.
"""

from __future__ import annotations

import re

import yaml

from hpazoo.spec.problems import Place, Problem, Source

_END = {"<stream end>", "<document start>", "<document end>", "<directive>"}
_CLOSING = {"[": "]", "{": "}"}
_KEYLESS = ("a key without ':'", "write 'key: value'")
_QUOTE_TEXT = "put the text in quotes"


class Loader(yaml.SafeLoader):
    """PyYAML, except that tabs may part things on a line and stand on empty ones, as YAML says."""

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.peek() == "\t" and self._parts():
            while self.peek() in " \t":
                self.forward()
            super().scan_to_next_token()

    def _parts(self) -> bool:
        """Whether the tab ahead is more than indentation."""
        if self.flow_level or not self.allow_simple_key:
            return True
        ahead = 0
        while (character := self.peek(ahead)) in " \t":
            ahead += 1
        return character in "\0\r\n\x85\u2028\u2029#"


def clamp(source: Source, line: int, column: int, length: int = 1) -> Place:
    """A place inside the source, for marks (counted from 0) that stand behind its end."""
    if line >= len(source.lines):
        line = len(source.lines) - 1
        column = len(source.lines[line])
    return Place(source, line + 1, min(column, len(source.lines[line])) + 1, max(1, length))


def syntax_problem(source: Source, error: yaml.MarkedYAMLError, loader: Loader) -> Problem:
    return _Reading(source, error, loader).problem()


class _Reading:
    """One error of PyYAML, and the lines around it."""

    def __init__(self, source: Source, error: yaml.MarkedYAMLError, loader: Loader) -> None:
        self.source = source
        self.context = error.context or ""
        self.what = error.problem or ""
        mark = error.problem_mark or error.context_mark
        self.line, self.column = (mark.line, mark.column) if mark else (0, 0)
        start = error.context_mark
        self.start = (start.line, start.column) if start else (self.line, self.column)
        self.opening: tuple[int, int] | None = None
        """The innermost bracket that is still open; the scanner may be past its end already."""
        if loader.marks and (loader.flow_level or "flow" in self.context):
            mark = loader.marks[-1]
            if self.text(mark.line)[mark.column :][:1] in _CLOSING:
                self.opening = mark.line, mark.column
        found = re.search(r"(?:found|got) '(.+)'$", self.what)
        self.found = found[1] if found else ""

    def problem(self) -> Problem:
        context, what = self.context, self.what
        if "tag" in context or "tag" in what:
            cure = f"a spec is plain data: remove it, or {_QUOTE_TEXT}"
            return self.at(self.start, "a tag ('!...') is not allowed", cure)
        if "directive" in context or "YAML d" in what:
            return self.directive(self.line)
        if "quoted scalar" in context:
            return self.quoted()
        if "alias" in context or "anchor" in context or "block scalar" in context:
            return self.must_be_quoted(self.start)
        if "cannot start any token" in what:
            if self.text(self.line)[self.column : self.column + 1] == "\t":
                return self.here("a tab cannot be used for indentation", "use spaces")
            return self.must_be_quoted((self.line, self.column))
        if "simple key" in context:
            return self.keyless(self.start[0])
        if "mapping values" in what:
            return self.colon()
        if "sequence entries" in what:
            cure = "begin it on the next line, or write [a, b]"
            return self.here("a list cannot begin on the line of its key", cure)
        if "mapping keys" in what:
            return self.here("a '?' that fits nowhere", _QUOTE_TEXT)
        if self.opening and ("flow" in context or self.found in _END):
            return self.inside_brackets(self.opening)
        if "<document start>'," in what:
            return self.after_the_document()
        return self.in_block()

    def quoted(self) -> Problem:
        if "end of stream" in self.what or "separator" in self.what:
            mark = self.text(self.start[0])[self.start[1] :][:1]
            return self.at(self.start, "this quote is never closed", f"close it with {mark}")
        cure = "write \\\\ for a backslash, or use single quotes"
        line = self.text(self.line)
        start = line.rfind("\\", 0, self.column + 1)
        if start < 0:
            return self.here("an escape that means nothing inside double quotes", cure)
        escape = line[start : start + 2]
        text = f"'{escape}' means nothing inside double quotes"
        if "escape sequence of" in self.what:
            text = f"'{escape}' needs more digits of a character's number"
        return self.at((self.line, start), text, cure, len(escape))

    def colon(self) -> Problem:
        """A ':' that PyYAML did not expect: too many on a line, or none on the line above."""
        line = self.text(self.line)
        if self.column > 1024:
            return self.at((self.line, 0), "a key of more than 1024 characters")
        if found := re.match(r"\s*-(?=[{\[])", line):
            where = (self.line, found.end() - 1)
            return self.at(where, "a space is missing after '-'", "write '- ' before each item")
        if re.search(r":\s", line[: self.column]):
            return self.here("a second ':' on this line", _QUOTE_TEXT)
        above = self.above(self.line)
        if above is not None:
            before = self.text(above)
            value = re.search(r":(\s|$)", before)
            if value is None and _indent(before) >= _indent(line):
                return self.keyless(above)
            if value and _indent(line) > _indent(before):
                cure = "begin it where the keys beside it begin"
                where = (self.line, _indent(line))
                return self.at(where, "this line is indented too far", cure)
        return self.here("a ':' that fits nowhere", f"{_QUOTE_TEXT}, or mend the indentation")

    def keyless(self, number: int) -> Problem:
        line = self.text(number)
        found = re.match(r"[\s-]*([^\s:#'\"]+)(:)([^\s:].*)", line)
        if found and not found[3].startswith("//"):
            cure = f"write '{found[1]}: {found[3].strip()}'"
            text = "a space is missing after ':'"
            return self.at((number, found.start(2)), text, cure if len(cure) < 60 else "")
        length = len(line.strip())
        return self.at((number, _indent(line)), *_KEYLESS, length)

    def inside_brackets(self, opening: tuple[int, int]) -> Problem:
        bracket = self.text(opening[0])[opening[1] :][:1]
        closing = _CLOSING.get(bracket, "]")
        if self.found in ("]", "}") and self.found != closing:
            note = f"the '{bracket}' is on line {opening[0] + 1}"
            return self.here(f"'{self.found}' where '{closing}' is expected", "", note)
        if self.found == "," and "node" in self.context:
            return self.here("a value is missing before this ','", "remove one ','")
        later = self.line > opening[0]
        same_block = _indent(self.text(self.line)) <= _indent(self.text(opening[0]))
        if self.found in _END or (later and same_block):
            notes = [
                f"line {number + 1}: what follows ' #' is a comment"
                for number in range(opening[0], min(self.line + 1, len(self.source.lines)))
                if re.search(rf"\s#.*\{closing}", self.text(number))
            ]
            text = f"this '{bracket}' is never closed"
            return self.at(opening, text, f"close it with '{closing}'", 1, *notes[:1])
        if self.found == ":" and later:
            where = (self.line, _indent(self.text(self.line)))
            return self.at(
                where, "a ',' is missing before this line", "end the line above with ','"
            )
        if self.found == ":":
            cure = f"put a ',' between the parts, or {_QUOTE_TEXT}"
            return self.here("a ':' too many, or a ',' too few", cure)
        if self.found == "-":
            cure = f"write {bracket}a, b{closing}"
            return self.here(f"'-' begins no item inside '{bracket}'", cure)
        if self.after_quote():
            return self.apostrophe()
        return self.here("a ',' is missing before this")

    def in_block(self) -> Problem:
        found = self.found
        first = (self.line, _indent(self.text(self.line)))
        if found in ("]", "}"):
            other = {"]": "[", "}": "{"}[found]
            return self.here(f"a '{found}' without its '{other}'", f"remove it, or {_QUOTE_TEXT}")
        if found in ("<block mapping start>", "<block sequence start>"):
            text = "this line does not begin where those beside it begin"
            return self.at(first, text, "mend its indentation")
        if found == "-":
            text, cure = "a list item where a key is expected", "indent it below its key"
            return self.at(first, text, cure)
        if found == "?":
            text = "a key where a list item is expected"
            return self.at(first, text, "begin it with '- ', or mend its indentation")
        if found == ":":
            return self.here("a ':' without a key", "write 'key: value'")
        if found == ",":
            return self.here("a ',' that fits nowhere", f"remove it, or {_QUOTE_TEXT}")
        if self.text(self.line)[: self.column].endswith("\t"):
            return self.here("a tab inside a text", _QUOTE_TEXT)
        if self.after_quote():
            return self.apostrophe()
        if found.startswith("<") or found in ("[", "{"):
            text = "this stands after the end of the value"
            return self.here(text, "put the whole text in quotes")
        return self.here("this cannot be read as YAML")

    def after_quote(self) -> bool:
        return self.text(self.line)[: self.column].rstrip()[-1:] in ("'", '"')

    def apostrophe(self) -> Problem:
        quote = self.text(self.line)[: self.column].rstrip()[-1]
        twice = "write '' for an apostrophe inside single quotes"
        cure = twice if quote == "'" else 'write \\" for a quote inside double quotes'
        return self.here("text after the closing quote", cure)

    def after_the_document(self) -> Problem:
        above = [self.text(number) for number in range(min(self.line, len(self.source.lines)))]
        for number, line in enumerate(above):
            if line.startswith("%"):
                return self.directive(number)
        if any(re.match(r"\.\.\.(\s|$)", line) for line in above):
            return self.here("text after '...', which ends the spec", "remove the '...'")
        if self.after_quote():
            return self.apostrophe()
        if not self.text(self.line)[: self.column].strip():
            text = "this line does not begin where the first one begins"
            return self.here(text, "begin all keys of the spec alike")
        text = "this stands after the end of the value"
        return self.here(text, "a spec is a mapping: write 'key: value'")

    def directive(self, number: int) -> Problem:
        text = self.text(number)
        return self.at((number, 0), "a line cannot begin with '%'", "remove it", len(text))

    def must_be_quoted(self, where: tuple[int, int]) -> Problem:
        rest = self.text(where[0])[where[1] :]
        end = r"[\s,\]}]" if self.opening else r"\s+#|$"
        word = re.split(end, rest, maxsplit=1)[0].strip()
        quote = '"' if "'" in word else "'"
        text = f"a text that begins with {rest[:1]} must be in quotes"
        cure = f"write {quote}{word}{quote}" if 0 < len(word) <= 60 else _QUOTE_TEXT
        return self.at(where, text, cure, len(word))

    def text(self, number: int) -> str:
        lines = self.source.lines
        return lines[number] if number < len(lines) else ""

    def above(self, number: int) -> int | None:
        """The nearest line above that is more than a comment."""
        for other in range(number - 1, -1, -1):
            text = self.text(other).strip()
            if text and not text.startswith("#"):
                return other
        return None

    def here(self, message: str, hint: str = "", *notes: str) -> Problem:
        return self.at((self.line, self.column), message, hint, 1, *notes)

    def at(
        self, where: tuple[int, int], message: str, hint: str = "", length: int = 1, *notes: str
    ) -> Problem:
        return Problem(message, clamp(self.source, *where, length), hint, notes)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
