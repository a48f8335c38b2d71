"""
The shell line of a node: several commands joined, here-documents, pipes into filters.

Behaviour of: dash, for the part of the language that `svcsim.tools.shell_syntax` reads. Between one command and the
next no time passes, and no file exists but what `cat` shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import attrs

from svcsim.errors import SvcsimError, UnsupportedError
from svcsim.tools.command import TOOLS, Completed
from svcsim.tools.shell_syntax import Command, Loop, Pipeline, parse
from svcsim.tools.shell_words import Redirect, Word

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["run"]

_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})
_BLANKS = re.compile(r"[ \t\n]+")
#: What loops can multiply a short line to; more is refused rather than waited for.
_MAX_COMMANDS = 100_000
#: Real commands that nothing here stands for; any other name is one that no shell would find.
_ELSEWHERE = """
. [ alias arp arping arptables awk base64 basename bash bg bpftool brctl break bridge bunzip2 bzip2 cd chgrp chmod
chown cmp command continue cp crictl ctr curl cut dash date dd df diff dig dirname dmesg docker du ebtables env eval
exec exit expand export expr fg file find firewall-cmd fold getopts gunzip gzip hash host hostname id ifconfig insmod
install ipcalc iperf iperf3 ipmaddr iptunnel jobs jq kill killall kmod kubectl less link ln local logger ls lsmod lsof
md5sum mkdir mktemp modinfo modprobe more mount mv nc ncat netcat netstat nft nl nohup nping nproc nsenter nslookup
numfmt od paste perl pgrep ping ping6 pkill printf ps pwd python python3 read readlink readonly realpath return rev rm
rmdir rmmod route rtmon sed seq service set sh sha1sum sha256sum shift shuf ss stat su sudo sync systemctl tac tar tc
tcpdump tee test time timeout tipc touch tr traceroute trap truncate tshark tty type ufw ulimit umask umount unalias
uname uniq unset unshare uptime vi vim wait wget which who whoami xargs xtables-monitor yes zcat
"""
_KNOWN_ELSEWHERE = frozenset(_ELSEWHERE.split())


def run(node: Node, line: str) -> Completed:
    """
    Run a shell line on *node*: the output of all its commands, the exit code of the last that ran.

    What is not modelled raises `UnsupportedError`, before anything runs where the line itself shows it. A line that no
    shell could read ends like one: exit code 2, with what stands before the error done.
    """
    program = parse(line)
    for pipelines in program.lines:
        for command in _commands(pipelines):
            if command.words and not command.words[0].names:
                _refuse_elsewhere(_basename(command.words[0].literal))
    state = _Run(node)
    code = 0
    for pipelines in program.lines:
        code = state.run_list(pipelines, code)
    if program.error:
        state.stderr.append(program.error + "\n")
        code = 2
    return Completed(code, "".join(state.stdout), "".join(state.stderr))


def _commands(pipelines: Iterable[Pipeline]) -> Iterator[Command]:
    """Every simple command of a list, those in loops too."""
    for pipeline in pipelines:
        for command in pipeline.commands:
            if isinstance(command, Loop):
                yield from _commands(command.body)
            else:
                yield command


def _basename(name: str) -> str:
    """The name of a command without the folder that it stands in."""
    folder, slash, last = name.rpartition("/")
    return last if slash and folder in _FOLDERS else name


def _refuse_elsewhere(name: str) -> None:
    if name in _KNOWN_ELSEWHERE and name not in TOOLS:
        raise UnsupportedError(f"the command {name!r}", instead="known: " + ", ".join(TOOLS))


@attrs.define(eq=False)
class _Run:
    """A line being run: the loops' variables, and what has come out so far."""

    node: Node
    stdout: list[str] = attrs.field(factory=list)
    stderr: list[str] = attrs.field(factory=list)
    values: dict[str, str] = attrs.field(factory=dict)
    count: int = 0

    def run_list(self, pipelines: tuple[Pipeline, ...], code: int) -> int:
        """Run pipelines in order, as far as their operators let them; *code* is that of what ran before."""
        for pipeline in pipelines:
            if (pipeline.after == "&&" and code) or (pipeline.after == "||" and not code):
                continue
            code = self._run_pipeline(pipeline)
        return code

    def _run_pipeline(self, pipeline: Pipeline) -> int:
        code, flowing = 0, ""
        for command in pipeline.commands:
            done = self._run_loop(command, flowing) if isinstance(command, Loop) else self._run_simple(command, flowing)
            code, flowing = done.returncode, done.stdout
            self.stderr.append(done.stderr)
        self.stdout.append(flowing)
        return int(not code) if pipeline.negated else code

    def _run_loop(self, loop: Loop, stdin: str) -> Completed:
        if stdin or any(redirect.fd == 0 for redirect in loop.redirects):
            raise UnsupportedError("the input of a loop", instead="give it to the commands in the loop")
        inner = _Run(self.node, values=self.values, count=self.count)
        code = 0
        for value in self._fields(loop.words):
            self.values[loop.name] = value
            code = inner.run_list(loop.body, 0)
        self.count = inner.count
        done = Completed(code, "".join(inner.stdout), "".join(inner.stderr))
        return self._redirected(loop.redirects, done)

    def _run_simple(self, command: Command, stdin: str) -> Completed:
        self.count += 1
        if self.count > _MAX_COMMANDS:
            raise UnsupportedError(f"a line of more than {_MAX_COMMANDS} commands", instead="call run more often")
        for redirect in command.redirects:
            if redirect.fd == 0:
                stdin = "".join(self._expand(redirect.document)) if redirect.document is not None else ""
        words = self._fields(command.words)
        done = self._call(words, stdin, command.line) if words else Completed()
        return self._redirected(command.redirects, done)

    def _call(self, words: list[str], stdin: str, line: int) -> Completed:
        name = _basename(words[0])
        _refuse_elsewhere(name)
        if name not in TOOLS:
            return Completed(127, "", f"sh: {line}: {words[0]}: not found\n")
        try:
            return TOOLS[name](self.node, name, words[1:], stdin)
        except UnsupportedError:
            raise
        except SvcsimError as error:
            return Completed(getattr(error, "exit_code", 1), "", f"{error}\n")

    @staticmethod
    def _redirected(redirects: tuple[Redirect, ...], done: Completed) -> Completed:
        """Put both outputs where the redirections, read from left to right, send them."""
        if not redirects:
            return done
        ways: dict[int, int | None] = {1: 1, 2: 2}
        for redirect in redirects:
            if redirect.fd is None:
                ways = {1: None, 2: None}
            elif redirect.fd:
                ways[redirect.fd] = None if redirect.target is None else ways[redirect.target]
        texts = {1: "", 2: ""}
        for fd, text in ((2, done.stderr), (1, done.stdout)):  # a tool writes errors at once and output at its end
            way = ways[fd]
            if way is not None:
                texts[way] += text
        return Completed(done.returncode, texts[1], texts[2])

    def _expand(self, word: Word) -> Iterator[str]:
        """The text of a word's parts, variables replaced."""
        for part in word.parts:
            yield self.values[part.text] if part.name else part.text

    def _fields(self, words: Iterable[Word]) -> list[str]:
        """The words with their variables replaced; an unquoted variable is cut at its blanks, and may be nothing."""
        fields: list[str] = []
        for word in words:
            pieces: list[str | None] = []  # None: a gap between two fields
            for part, text in zip(word.parts, self._expand(word), strict=True):
                cut = [text] if part.quoted or not part.name else _BLANKS.split(text)
                for number, piece in enumerate(cut):
                    pieces += [None] if number else []
                    pieces += [piece] if piece or part.quoted else []
            runs = groupby(pieces, lambda piece: piece is None)
            fields += ["".join(filter(None, run)) for is_gap, run in runs if not is_gap]
        return fields
