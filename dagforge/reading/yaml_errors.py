"""What libyaml says about a text that is not YAML, in words that say what to do."""

from __future__ import annotations

import re

from yaml.error import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from dagforge.errors import Problem, SourceLocation

# Compiled when it is needed: it takes longer than reading a small project.
_NOT_ALLOWED = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
# libyaml's limit for a key on the line of its value.
_LONGEST_KEY = 1024
# The line that git puts before the first of two versions.
CONFLICT = "<<<<<<< "
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def split_lines(text: str) -> list[str]:
    """Return the lines of a YAML text, broken where YAML 1.1 breaks them."""
    return _LINE_BREAK.split(text)


def quoted(text: str) -> str:
    """Return `text` as a quoted YAML scalar."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def explain(error: YAMLError, source: bytes, file: str) -> Problem:
    """Return the problem behind an error of the parser.

    Args:
        error: what the parser raised.
        source: the text that was parsed, valid UTF-8.
        file: path to show.
    """
    text = source.decode("utf-8")
    if isinstance(error, ReaderError):
        return _unprintable(text, file)
    assert isinstance(error, MarkedYAMLError), error
    return _Explanation(error, split_lines(text), file).problem()


def _unprintable(text: str, file: str) -> Problem:
    match = re.search(_NOT_ALLOWED, text)
    if match is None:
        return Problem("yaml-syntax", "the file cannot be read as YAML", SourceLocation(file))
    before = split_lines(text[: match.start()])
    return Problem(
        "control-character",
        f"the control character U+{ord(match[0]):04X} is not allowed in YAML",
        SourceLocation(file, len(before), len(before[-1]) + 1),
        f'remove it, or write it as "\\x{ord(match[0]):02x}" in double quotes'
        if ord(match[0]) < 256
        else "remove it",
    )


class _Explanation:
    """One error, its line and the rules that know it."""

    def __init__(self, error: MarkedYAMLError, lines: list[str], file: str) -> None:
        self.error = error
        self.file = file
        self.lines = lines
        self.says = str(error.problem or "")
        self.context = str(error.context or "")
        mark = error.problem_mark or error.context_mark
        self.row, self.column = (mark.line, mark.column) if mark is not None else (0, 0)
        start = error.context_mark
        self.start_row, self.start = (
            (start.line, start.column) if start is not None else (self.row, self.column)
        )

    def problem(self) -> Problem:
        """Return what the first rule that fits makes of the error."""
        for rule in (
            self._conflict,
            self._long_key,
            self._tab,
            self._needs_quotes,
            self._template,
            self._colon_in_value,
            self._no_colon,
            self._dash_in_value,
            self._not_closed,
            self._after_the_end,
            self._escape,
            self._block_text,
            self._indentation,
            self._stray_bracket,
        ):
            found = rule()
            if found is not None:
                return found
        context = f" ({self.context})" if self.context else ""
        return self._at(self.row, self.column, f"{self.says}{context}")

    def _conflict(self) -> Problem | None:
        """Return the problem of a file that git could not merge: no line of it is a mistake."""
        for row, line in enumerate(self.lines):
            if line.startswith(CONFLICT):
                message = "git could not merge this file: both versions stand here"
                fix = "keep one of them, or both, and remove the lines <<<<<<<, ======= and >>>>>>>"
                return self._at(row, 0, message, fix, code="merge-conflict")
        return None

    def _quote(self, row: int, column: int, message: str, text: str) -> Problem:
        """Return a problem that quotes solve, with `text` in them."""
        return self._at(row, column, message, f"quote it: {quoted(text)}", code="quote-it")

    def _at(
        self,
        row: int,
        column: int,
        message: str,
        fix: str | None = None,
        code: str = "yaml-syntax",
    ) -> Problem:
        # The end of the text is after the last line break, where there is nothing to see.
        while row > 0 and row >= len(self.lines) - 1 and not self._line(row).strip():
            row -= 1
            column = len(self._line(row).rstrip())
        where = SourceLocation(self.file, row + 1, column + 1)
        return Problem(code, message, where, fix)

    def _line(self, row: int) -> str:
        return self.lines[row] if 0 <= row < len(self.lines) else ""

    def _rest(self, row: int, column: int) -> str:
        """Return the value that begins here: up to a comment, or a bracket around it."""
        rest = re.sub(r"\s+#.*", "", self._line(row)[column:]).strip()
        before = self._line(row)[:column]
        if before.count("[") > before.count("]") or before.count("{") > before.count("}"):
            rest = re.split(r"[,\]}]", rest)[0].strip()
        return re.split(r":(?:\s|$)", rest)[0].strip()

    def _long_key(self) -> Problem | None:
        found = re.match(
            rf"[-\s]*(?P<key>[^\s:]{{{_LONGEST_KEY},}}):(?:\s|$)", self._line(self.row)
        )
        if found is None:
            return None
        message = f"this key has {len(found['key']):,} characters, YAML reads {_LONGEST_KEY:,}"
        return self._at(self.row, found.start("key"), message, "shorten it")

    def _tab(self) -> Problem | None:
        before = self._line(self.row)[: self.column + 1]
        if "\t" not in before or before.strip() or "token" not in self.says + self.context:
            return None if "tab character" not in self.says else self._tab_here()
        return self._tab_here()

    def _tab_here(self) -> Problem:
        column = max(self._line(self.row).find("\t"), 0)
        return self._at(
            self.row,
            column,
            "a tab indents this line, YAML takes spaces only",
            "replace it by spaces",
        )

    def _needs_quotes(self) -> Problem | None:
        line = self._line(self.row)
        if "cannot start any token" in self.says:
            row, column = self.row, self.column
        elif re.search("an alias|an anchor|a directive|a tag|tag handle", self.context + self.says):
            row, column = self.start_row, self.start
        elif self.says.startswith("mapping keys are not allowed"):
            row, column = self.row, self.column
        else:
            return None
        line = self._line(row)
        sign = line[column : column + 1]
        message = f"an unquoted value cannot begin with '{sign}' here"
        return self._quote(row, column, message, self._rest(row, column))

    def _template(self) -> Problem | None:
        for row in dict.fromkeys((self.row, self.start_row)):
            match = re.search(r"(?:^|[\s:\[,])(?P<value>\{.*)", self._line(row))
            if match is None or "'" in match[0][:2] or '"' in match[0][:2]:
                continue
            value = re.sub(r"\s+#.*", "", match["value"]).strip()
            value = re.sub(r"^(\{+[^{}]*\}+[^\s:]*):(?:\s.*)?$", r"\1", value)
            if not value.startswith("{{") and not re.match(r"\{[\w.]+\}\S", value):
                continue
            message = "an unquoted { begins a mapping in YAML"
            return self._quote(row, match.start("value"), message, value)
        return None

    def _colon_in_value(self) -> Problem | None:
        if not self.says.startswith("mapping values are not allowed"):
            return None
        line = self._line(self.row)
        before = line[: self.column]
        earlier = re.match(r"(?P<key>[-\s]*[^\s:][^:]*):\s+(?P<value>.+)", before)
        if earlier is not None:
            value = re.sub(r"\s+#.*", "", line[earlier.start("value") :]).strip()
            message = "an unquoted value cannot hold ': '"
            return self._quote(self.row, self.column, message, value)
        above = self.row - 1
        while above > 0 and not self._line(above).split("#")[0].strip():
            above -= 1
        text = self._line(above).strip()
        if self.row == 0 or above < 0:
            return self._at(self.row, self.column, "a ':' is not expected here")
        if re.search(r":(\s|$)", text) is None:
            near = re.match(r"[-\s]*[\w.-]+:(?=\S)", self._line(above))
            fix = (
                f"put a space after the colon: {text.replace(':', ': ', 1)}"
                if near is not None
                else f"write {text}: value, or quote a text of several lines"
            )
            column = len(self._line(above)) - len(self._line(above).lstrip())
            return self._at(above, column, f"there is no ': ' after '{text}'", fix)
        return self._at(
            self.row,
            len(line) - len(line.lstrip()),
            f"this line continues the value of line {above + 1}, so it cannot be 'key: value'",
            f"indent it as the keys around it, or leave the value of line {above + 1} empty",
        )

    def _no_colon(self) -> Problem | None:
        if not self.says.startswith("could not find expected ':'"):
            return None
        text = self._line(self.start_row)[self.start :].strip()
        return self._at(
            self.start_row,
            self.start,
            f"there is no ': ' after '{text}'",
            f"write {text}: value, or - {text} for a list",
        )

    def _dash_in_value(self) -> Problem | None:
        if not self.says.startswith("block sequence entries are not allowed"):
            return None
        rest = self._line(self.row)[self.column :].strip()
        if rest == "-":
            fix = 'quote it: "-"'
        else:
            fix = (
                f"begin the list on a line of its own, or write [{rest.removeprefix('-').strip()}]"
            )
        return self._at(self.row, self.column, "a list cannot begin on the line of its key", fix)

    def _not_closed(self) -> Problem | None:
        opened = {"'": "quote", '"': "quote", "[": "bracket", "{": "bracket"}
        sign = self._line(self.start_row)[self.start : self.start + 1]
        if "scanning a quoted scalar" in self.context and "end of stream" in self.says:
            return self._at(
                self.start_row,
                self.start,
                f"the quote {sign} is never closed",
                f"close it with {sign}",
            )
        if "scanning a quoted scalar" in self.context and "document indicator" in self.says:
            return self._at(
                self.start_row,
                self.start,
                f"the quote {sign} is never closed",
                f"close it with {sign}",
            )
        if "parsing a flow" not in self.context or sign not in opened:
            return None
        close = {"[": "]", "{": "}"}.get(sign, sign)
        if self.row == self.start_row:
            return self._at(self.row, self.column, f"a ',' or the '{close}' is missing before this")
        return self._at(
            self.start_row,
            self.start,
            f"the '{sign}' is not closed; a ',' or the '{close}' is missing before"
            f" {self._shown_row()}",
            f"close it with '{close}'",
        )

    def _shown_row(self) -> str:
        is_end = not any(line.strip() for line in self.lines[self.row :])
        return "the end of the file" if is_end else f"line {self.row + 1}"

    def _after_the_end(self) -> Problem | None:
        if not self.says.startswith("did not find expected key"):
            return None
        line = self._line(self.row)
        before = line[: self.column].rstrip()
        if not before or before[-1] not in "\"']}":
            return None
        if before[-1] in "]}":
            return self._at(
                self.row, self.column, f"there is more after the closing '{before[-1]}'"
            )
        quote = before[-1]
        start = re.search(r"(?:^|[:\-,\[{]\s+|^\s*)(?P<quote>[\"'])", line)
        whole = line[start.start("quote") :].strip() if start is not None else ""
        if whole.endswith(quote) and len(whole) > 1:
            whole = whole[1:-1]
        other = '"' if quote == "'" else "'"
        fix = (
            f"put {other} around the whole value: {other}{whole}{other}"
            if whole and other not in whole and "\\" not in whole
            else "put quotes around the whole value"
        )
        return self._at(self.row, self.column, f"there is more after the closing {quote}", fix)

    def _escape(self) -> Problem | None:
        if "hexdecimal" in self.says:
            row, column = self.start_row, self.start
            return self._at(row, column, "an escape in this text lacks hexadecimal digits")
        if "escape" not in self.says:
            return None
        shown = self._line(self.row)[self.column : self.column + 2]
        if "unknown escape" not in self.says:
            message = "this escape stands for no character"
            return self._at(self.row, self.column, message, "write the character itself")
        return self._at(
            self.row,
            self.column,
            f"{shown} means nothing in double quotes",
            f"write \\{shown}, or use single quotes",
        )

    def _block_text(self) -> Problem | None:
        if "scanning a block scalar" not in self.context:
            return None
        sign = self._line(self.start_row)[self.start : self.start + 1]
        value = self._rest(self.start_row, self.start)
        message = f"an unquoted '{sign}' begins a text on the lines below it"
        return self._quote(self.start_row, self.start, message, value)

    def _indentation(self) -> Problem | None:
        column = len(self._line(self.row)) - len(self._line(self.row).lstrip())
        if "'-' indicator" in self.says:
            return self._at(
                self.row,
                column,
                f"this stands where line {self.start_row + 1} began a list, but has no '- '",
                "begin it with '- ', or indent it as what it belongs to",
            )
        if self.says.startswith("did not find expected key"):
            return self._at(
                self.row,
                column,
                "this line is indented like nothing above it",
                "indent it as the keys that it belongs with",
            )
        return None

    def _stray_bracket(self) -> Problem | None:
        sign = self._line(self.row)[self.column : self.column + 1]
        if self.says.startswith("found unexpected ':'"):
            line = re.sub(r"\s+#.*", "", self._line(self.start_row))
            value = re.split(r"[,\]}]", line[self.start :])[0].strip()
            fix = f"quote it: {quoted(value)}" if value else None
            return self._at(
                self.start_row, self.start, "an unquoted value in brackets cannot hold ':'", fix
            )
        if not self.says.startswith("did not find expected node content"):
            return None
        if not sign:
            message = "the file ends where a value or a closing bracket should be"
            return self._at(self.row, self.column, message)
        return self._at(self.row, self.column, f"'{sign}' is not expected here")
