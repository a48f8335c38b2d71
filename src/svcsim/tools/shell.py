"""
The shell line of a node: several commands joined, here-documents, a pipe into a filter.

A small part of the POSIX shell, read by a real tokenizer. What a shell would do and this one does not - variables,
substitutions, loops, globs, files - is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.errors import ConfigError, SvcsimError, UnsupportedError
from svcsim.tools.command import TOOLS, Completed

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["parse", "run"]

_BLANK = " \t"
_KEYWORDS = frozenset({"if", "then", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}"})


@attrs.frozen
class Command:
    """One simple command: its *words*, standard input, and whether its outputs are kept."""

    words: tuple[str, ...]
    stdin: str = ""
    keep_stdout: bool = True
    keep_stderr: bool = True
    merge: bool = False  # 2>&1
    negated: bool = False


@attrs.frozen
class Pipeline:
    """Commands joined by ``|``, and the operator that stands before them."""

    commands: tuple[Command, ...]
    after: str  # ";", "&&" or "||"


@attrs.define
class _Word:
    """A word or operator; *body* is a here-document's."""

    text: str
    kind: str  # word, operator, redirect
    body: str = ""


def _tokenize(text: str) -> list[_Word]:
    tokens: list[_Word] = []
    documents: list[tuple[_Word, str, bool]] = []
    at, end = 0, len(text)
    while at < end:
        c = text[at]
        if c in _BLANK:
            at += 1
        elif c == "\\" and text[at + 1 : at + 2] == "\n":
            at += 2
        elif c == "#":
            while at < end and text[at] != "\n":
                at += 1
        elif c == "\n":
            tokens.append(_Word("\n", "operator"))
            at += 1
            for word, delimiter, dashed in documents:
                at = _read_document(text, at, word, delimiter, dashed)
            documents.clear()
        elif text.startswith(("&&", "||"), at):
            tokens.append(_Word(text[at : at + 2], "operator"))
            at += 2
        elif c in ";|":
            tokens.append(_Word(c, "operator"))
            at += 1
        elif text.startswith("<<", at) and not text.startswith("<<<", at):
            at += 2
            dashed = text[at : at + 1] == "-"
            at += dashed
            while at < end and text[at] in _BLANK:
                at += 1
            delimiter, quoted, at = _read_word(text, at)
            word = _Word("<<" if quoted else "<<unquoted", "redirect")
            documents.append((word, delimiter, dashed))
            tokens.append(word)
        elif (redirect := _redirect_at(text, at)) is not None:
            tokens.append(_Word(redirect[0], "redirect"))
            at = redirect[1]
        elif c in "&()<>":
            raise UnsupportedError(f"{c!r} in a shell line", instead="join commands by ; && || or |")
        else:
            word_text, _, at = _read_word(text, at)
            tokens.append(_Word(word_text, "word"))
    if documents:
        raise ConfigError(f"here-document without its end {documents[0][1]!r}")
    return tokens


def _redirect_at(text: str, at: int) -> tuple[str, int] | None:
    """A redirection that is modelled: to /dev/null, or errors to where output goes."""
    for form, meaning in (
        ("2>&1", "2>&1"),
        ("1>&2", "1>&2"),
        (">&2", "1>&2"),
        ("&>", "&>"),
        ("2>", "2>"),
        ("1>", ">"),
        (">", ">"),
        ("<", "<"),
    ):
        if not text.startswith(form, at):
            continue
        after = at + len(form)
        if meaning in ("2>&1", "1>&2"):
            return meaning, after
        if meaning == ">" and text[after : after + 1] == ">":
            after += 1
        while after < len(text) and text[after] in _BLANK:
            after += 1
        target, _, after = _read_word(text, after)
        if target != "/dev/null":
            raise UnsupportedError(
                f"the file {target!r} in a shell line", instead="only /dev/null can be redirected to"
            )
        return meaning, after
    return None


def _read_document(text: str, at: int, word: _Word, delimiter: str, dashed: bool) -> int:
    lines = []
    while at < len(text):
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        line = text[at:stop]
        at = stop + 1
        if dashed:
            line = line.lstrip("\t")
        if line == delimiter:
            break
        lines.append(line + "\n")
    else:
        raise ConfigError(f"here-document without its end {delimiter!r}")
    body = "".join(lines)
    if word.text == "<<unquoted":
        if "$" in body.replace("\\$", "") or "`" in body:
            raise UnsupportedError("substitution in a here-document", instead="quote its delimiter: <<'E'")
        body = body.replace("\\\\", "\0").replace("\\$", "$").replace("\\\n", "").replace("\0", "\\")
    word.text, word.body = "<<", body
    return min(at, len(text))


def _read_word(text: str, at: int) -> tuple[str, bool, int]:
    """Read one word: (text, whether any of it was quoted, where it ends)."""
    out: list[str] = []
    quoted = False
    while at < len(text):
        c = text[at]
        if c in " \t\n;|&<>()":
            break
        if c == "'":
            close = text.find("'", at + 1)
            if close < 0:
                raise ConfigError("sh: 1: Syntax error: Unterminated quoted string", exit_code=2)
            out.append(text[at + 1 : close])
            quoted, at = True, close + 1
        elif c == '"':
            at += 1
            quoted = True
            while text[at : at + 1] != '"':
                if at >= len(text):
                    raise ConfigError("sh: 1: Syntax error: Unterminated quoted string", exit_code=2)
                if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`", "\n"):
                    at += 1
                    if text[at] == "\n":
                        at += 1
                        continue
                elif text[at] in "$`":
                    raise UnsupportedError("substitution in a shell line", instead="write the value out")
                out.append(text[at])
                at += 1
            at += 1
        elif c == "\\":
            if text[at + 1 : at + 2] == "\n":
                at += 2
                continue
            out.append(text[at + 1 : at + 2])
            quoted, at = True, at + 2
        elif c in "$`":
            raise UnsupportedError("substitution in a shell line", instead="write the value out")
        elif c in "*?":
            raise UnsupportedError(f"the pattern character {c!r} in a shell line", instead="quote it")
        else:
            out.append(c)
            at += 1
    return "".join(out), quoted, at


def parse(line: str) -> list[Pipeline]:
    """
    Read a shell line.

    >>> [(p.after, [c.words for c in p.commands]) for p in parse("a 'b c' | wc -l && d; e 2>/dev/null")]
    [(';', [('a', 'b c'), ('wc', '-l')]), ('&&', [('d',)]), (';', [('e',)])]
    """
    pipelines: list[Pipeline] = []
    commands: list[Command] = []
    words: list[str] = []
    after = ";"
    fields: dict[str, object] = {}

    def end_command(operator: str) -> None:
        if not words:
            if fields or commands or operator in ("&&", "||", "|", ";"):
                raise ConfigError(f'sh: 1: Syntax error: "{operator.strip() or "newline"}" unexpected', exit_code=2)
            return
        if words[0] in _KEYWORDS:
            raise UnsupportedError(f"the shell's {words[0]!r}", instead="write the commands out")
        if "=" in words[0] and words[0].partition("=")[0].isidentifier():
            raise UnsupportedError("shell variables", instead="write the value out")
        commands.append(Command(tuple(words), **fields))  # type: ignore[arg-type]
        words.clear()
        fields.clear()

    for token in _tokenize(line):
        if token.kind == "word":
            if token.text == "!" and not words:
                fields["negated"] = True
            else:
                words.append(token.text)
        elif token.kind == "redirect":
            if token.text == "<<":
                fields["stdin"] = token.body
            elif token.text == "2>&1":
                fields["merge"] = True
            elif token.text == "1>&2":
                raise UnsupportedError("output to standard error", instead="leave the redirection out")
            elif token.text != "<":
                fields.update(
                    {">": {"keep_stdout": False}, "2>": {"keep_stderr": False}}.get(
                        token.text, {"keep_stdout": False, "keep_stderr": False}
                    )
                )
        else:
            end_command(token.text)
            if token.text != "|" and commands:
                pipelines.append(Pipeline(tuple(commands), after))
                commands = []
            if token.text in ("&&", "||"):
                after = token.text
            elif token.text in (";", "\n") and not (token.text == "\n" and after != ";" and not commands):
                after = ";"
    end_command("end of file") if words or fields else None
    if commands:
        pipelines.append(Pipeline(tuple(commands), after))
    elif after != ";":
        raise ConfigError("sh: 1: Syntax error: end of file unexpected", exit_code=2)
    return pipelines


def run(node: Node, line: str) -> Completed:
    """Run a shell line on *node*: the output of all its commands, the exit code of the last that ran."""
    code = 0
    stdout: list[str] = []
    stderr: list[str] = []
    for pipeline in parse(line):
        if (pipeline.after == "&&" and code) or (pipeline.after == "||" and not code):
            continue
        flowing = None
        for command in pipeline.commands:
            done = _run_one(node, command, flowing)
            errors = done.stderr if command.keep_stderr else ""
            flowing = done.stdout if command.keep_stdout else ""
            if command.merge:
                flowing, errors = flowing + (errors if command.keep_stdout else ""), ""
            stderr.append(errors)
            code = int(not done.returncode) if command.negated else done.returncode
        stdout.append(flowing or "")
    return Completed(code, "".join(stdout), "".join(stderr))


def _run_one(node: Node, command: Command, stdin: str | None) -> Completed:
    name, args = command.words[0], list(command.words[1:])
    name = name.removeprefix("/usr").removeprefix("/sbin/").removeprefix("/bin/")
    if name not in TOOLS:
        if name in _KNOWN_ELSEWHERE:
            raise UnsupportedError(f"the command {name!r}", instead="known: " + ", ".join(TOOLS))
        return Completed(127, "", f"sh: 1: {name}: not found\n")
    try:
        return TOOLS[name](node, name, args, command.stdin if stdin is None else stdin)
    except UnsupportedError:
        raise
    except SvcsimError as error:
        return Completed(getattr(error, "exit_code", 1), "", f"{error}\n")


#: Real commands of an administrator that nothing here stands for; any other name is one that no shell would find.
_KNOWN_ELSEWHERE = frozenset(
    """
    arp awk bash brctl bridge cp curl cut dig docker ebtables ethtool find hostname ifconfig kubectl less ls lsmod mkdir
    modprobe mount mv nc netstat nft nsenter perl ping ping6 printf python python3 rm route sed sh ss sudo systemctl tc
    tcpdump tee touch tr traceroute uname uniq wget xargs
    """.split()
)
