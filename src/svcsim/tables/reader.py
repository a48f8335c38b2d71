"""
Reading command lines as the tool reads them, complaints included.

Behaviour of: the argument parser of iptables 1.8.9 (legacy).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from svcsim.addr import Family, Prefix
from svcsim.tables.command import OPTIONAL_CHAIN, Command
from svcsim.tables.match import Match
from svcsim.tables.names import protocol_number
from svcsim.tables.native import native_matches
from svcsim.tables.options import c_integer, read_network
from svcsim.tables.parser import Parser, Use
from svcsim.tables.problems import UsageError
from svcsim.tables.rule import Header, Jump, Rule
from svcsim.tables.target import TARGETS, Target
from svcsim.tables.words import Words

__all__ = ["Reading", "read_command", "read_counters"]

_COUNTER = re.compile(r"\s*([0-9]{1,40})").match

ChainsOf = Callable[[str], Container[str]]

#: Names of 28 bytes and a zero fit the kernel's structures.
_NAME_LENGTH = 29
_DEVICE_LENGTH = 15
_RULE_VERBS = frozenset("ACDIR")
#: Verbs that may have a rule's number behind the chain.
_NUMBERED = frozenset("DIRLSZ")
_VERBS = frozenset("ACDIRLSFZNXPE")
_INVERTIBLE = frozenset("sdpiof")
#: The version, and help.
_ANSWERED_AT_ONCE = frozenset("Vh")
#: What a line may consist of that others can be like.
_FORMED = frozenset("Asdpiojgfm")
#: Chains through which no packet has the one or the other device.
_NO_OUTPUT, _NO_INPUT = ("PREROUTING", "INPUT"), ("POSTROUTING", "OUTPUT")
#: IPv6 extension headers: as protocols they are never found behind the chain of headers.
_EXTENSION_HEADERS = {43: "ipv6-route", 44: "ipv6-frag", 51: "ah", 60: "ipv6-opts"}
_NO_FILTERING = '\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'


def read_command(
    parser: Parser, words: list[str], chains: ChainsOf, table: str = "filter", *, restoring: bool = False
) -> Command:
    """
    Read one line, without the command's name; *table* is what it is about unless it says otherwise.

    *chains* answers with the names that ``-j`` may mean in a table besides targets.

    >>> words = "-A INPUT -s 10.0.0.1 -p tcp --dport http -j ACCEPT".split()
    >>> command = read_command(Parser(Family.IPV4), words, lambda table: ())
    >>> command.verb, command.chain, [str(rule) for rule in command.rules]
    ('A', 'INPUT', ['-s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j ACCEPT'])
    """
    return Reading(parser, words, chains, table, restoring=restoring).read()


def read_counters(packets: str, size: str) -> tuple[int, int]:
    """Two counters; what follows the digits is not looked at."""
    counts = []
    for text, what in ((packets, "packet"), (size, "byte")):
        found = _COUNTER(text)
        if found is None:
            raise UsageError(f"-c {what} counter not numeric")
        counts.append(int(found[1]) & (1 << 64) - 1)
    return counts[0], counts[1]


class Reading(Words):
    """One line being read."""

    def __init__(
        self, parser: Parser, words: list[str], chains: ChainsOf, table: str, *, restoring: bool = False
    ) -> None:
        super().__init__(parser, words)
        self.chains, self.restoring = chains, restoring
        self.family = parser.family
        self.command = Command(table=table)
        self.texts: dict[str, str] = {}
        self.jump = ""
        self.goto = False
        self.aim: Use | None = None

    def read(self) -> Command:
        """Read all words, then put them together; a complaint says at which word."""
        command = self.command
        try:
            self.scan()
            if self.answered or command.other_family:
                return command
            if self.inverted:
                raise UsageError("nothing appropriate following !")
            if not command.verb:
                raise UsageError("no command specified")
            self._finish()
        except UsageError as error:
            error.word = max(self.at - 1, 0)
            raise
        return command

    # -- options -------------------------------------------------------------------------------------------------------

    def option(self, letter: str, value: str | None) -> None:
        """Take one general option."""
        command = self.command
        if self.inverted and letter not in _INVERTIBLE:
            raise UsageError(f"unexpected ! flag before -{letter}")
        if letter not in _FORMED:
            self.plan.plain = False
        if letter in _VERBS:
            self._verb(letter, value)
        elif letter in "sdpiojgf":
            self._rule_option(letter, value or "")
        elif letter == "m":
            self.uses.append(Use(self.parser.match(value or "")))
        elif letter == "t":
            if self.restoring:
                raise UsageError("The -t option cannot be used in iptables-restore.", spaced=True)
            command.table = value or ""
        elif letter == "v":
            command.verbose += 1
            command.given.add("v")
        elif letter == "c":
            self._once("c")
            self._counters(value or "")
        elif letter == "w":
            seconds = self.next_plain() if value is None else value
            if seconds is not None and c_integer(seconds) is None:
                raise UsageError("wait seconds not numeric")
        elif letter == "W":
            command.warnings.append("Ignoring deprecated --wait-interval option.")
        elif letter in "46":
            command.other_family = command.other_family or int(letter) != self.family
        elif letter != "M":
            self._once(letter)
            self.answered = letter in _ANSWERED_AT_ONCE

    def _once(self, letter: str) -> None:
        if letter in self.command.given:
            raise UsageError(f"multiple -{letter} flags not allowed")
        self.command.given.add(letter)

    def _verb(self, letter: str, value: str | None) -> None:
        """A command, with the chain, number and name that may follow."""
        command = self.command
        command.begin(letter)
        if letter in OPTIONAL_CHAIN and value is None:
            value = self.next_plain()
        if value is not None:
            command.chain = value
        if letter == "N":
            self._check_new_name(value or "")
        elif letter == "E":
            name = self.next_plain()
            if name is None:
                raise UsageError("-E requires old-chain-name and new-chain-name")
            command.new_name = name
        elif letter == "P":
            policy = self.next_plain()
            if policy is None:
                raise UsageError("-P requires a chain and a policy")
            command.policy = policy
        elif letter in _NUMBERED and value is not None:
            number = self.next_plain()
            if number is not None:
                command.number = c_integer(number, 1, 2**31 - 1) or 0
                if not command.number:
                    raise UsageError(f"Invalid rule number `{number}'")
                command.by_number = letter == "D"
            elif letter == "R":
                raise UsageError("-R requires a rule number")

    def _check_new_name(self, name: str) -> None:
        if name[:1] in ("-", "!"):
            raise UsageError(f"chain name not allowed to start with `{name[0]}'")
        if not name or TARGETS.find(name, self.family) is not None:
            raise UsageError("chain name may not clash with target name")
        if any(c in name for c in " \t\n\v\f\r"):
            raise UsageError(f"Invalid chain name `{name}'")

    def _counters(self, value: str) -> None:
        packets, comma, size = value.partition(",")
        if not comma:
            second = self.next_plain()
            if second is None:
                raise UsageError("-c requires packet and byte counter")
            size = second
        self.command.counters = read_counters(packets, size)

    def _rule_option(self, letter: str, value: str) -> None:
        """Addresses, protocol, devices, fragment, target."""
        # The tool looks at the whole last word for these, so that an attached value does not work.
        whole = self.words[self.at - 1] if letter in "sdpio" else value
        self._once("j" if letter == "g" else letter)
        if self.inverted:
            self.signs.add(letter)
        if letter == "f":
            if self.family is Family.IPV6:
                raise UsageError("`-f' is not supported in IPv6, use -m frag instead")
        elif letter == "p":
            self._protocol(whole)
        elif letter in "io":
            self._device(whole)
        elif letter in "jg":
            self.jump, self.goto = value, letter == "g"
            self._target()
        if whole != value or (self.words[self.at - 1] != value and letter != "f"):
            self.plan.plain = False
        elif letter in "sd":
            self.plan.networks[self.at - 1] = letter
        elif letter in "jg" and self.aim is None:
            self.plan.jump, self.plan.goto = self.at - 1, self.goto
        self.texts[letter] = whole

    def _protocol(self, text: str) -> None:
        name = text.lower()
        number = c_integer(name, 0, 255)
        number = protocol_number(name) if number is None else number
        if number is None:
            raise UsageError(f'unknown protocol "{name}" specified')
        if number == 0 and self.inverted:
            raise UsageError("rule would never match protocol")
        if self.family is Family.IPV6 and number in _EXTENSION_HEADERS and not self.inverted:
            name = _EXTENSION_HEADERS[number]
            self.command.warnings.append(f"Warning: never matched protocol: {name}. use extension match instead.")
        self.proto = number

    def _device(self, name: str) -> None:
        if not name:
            raise UsageError("Empty interface is likely to be undesired")
        if len(name) > _DEVICE_LENGTH:
            raise UsageError(f"interface name `{name}' must be shorter than IFNAMSIZ ({_DEVICE_LENGTH})")
        if "/" in name or " " in name:
            self.command.warnings.append(
                f"Warning: weird character in interface `{name}' ('/' and ' ' are not allowed by the kernel)."
            )

    def _target(self) -> None:
        name = self.jump
        if not name:
            raise UsageError("Invalid target name (too short)")
        if len(name) >= _NAME_LENGTH:
            raise UsageError(f"Invalid target name `{name}' ({_NAME_LENGTH - 1} chars max)")
        if any(c in name for c in " \t\n\v\f\r"):
            raise UsageError(f"Invalid target name `{name}'")
        if not self.goto and TARGETS.find(name, self.family) is not None:
            self.aim = Use(self.parser.target(name))
            self.uses.append(self.aim)

    # -- putting it together -------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        command, chain = self.command, self.command.chain
        if command.table == "nat" and "DROP" in (self.jump, command.policy):
            raise UsageError(_NO_FILTERING)
        made = [(use, self.parser.extension(use)) for use in self.uses]
        sources: list[Prefix | None] = [None]
        destinations: list[Prefix | None] = [None]
        if command.verb in _RULE_VERBS:
            sources, destinations = self._networks("s"), self._networks("d")
            if len(sources) + len(destinations) > 2 and self.signs & {"s", "d"}:
                raise UsageError("! not allowed with multiple source or destination IP addresses")
            if command.verb == "R" and (len(sources) != 1 or len(destinations) != 1):
                raise UsageError("Replacement rule does not specify a unique address")
        command.check_options()
        if chain is not None and len(chain) >= _NAME_LENGTH:
            raise UsageError(f"chain name `{chain}' too long (must be under {_NAME_LENGTH} chars)")
        if command.verb not in _RULE_VERBS or command.by_number:
            return
        if chain in _NO_OUTPUT and "o" in self.texts:
            raise UsageError(f"Can't use -o with {chain}", spaced=True)
        if chain in _NO_INPUT and "i" in self.texts:
            raise UsageError(f"Can't use -i with {chain}", spaced=True)
        matches = tuple(extension for _, extension in made if isinstance(extension, Match))
        if self.parser.native:
            matches, self.plan.plain = native_matches(matches), False
        named = next((e for use, e in made if use is self.aim and isinstance(e, Target)), None)
        target: Target | Jump | None = self._jump_or(named) if self.jump else named
        header = Header(
            self.texts.get("i", ""),
            self.texts.get("o", ""),
            self.proto,
            "f" in self.texts,
            *(letter in self.signs for letter in "sdiopf"),
        )
        command.rules += [
            Rule(source, destination, header, matches, target) for source in sources for destination in destinations
        ]

    def _jump_or(self, target: Target | None) -> Target | Jump:
        """A jump to the chain that ``-j`` names; *target* if there is no chain of that name."""
        if self.jump in self.chains(self.command.table):
            self.plan.plain = self.plan.plain and target is None
            return Jump(self.jump, self.goto)
        if self.goto:
            raise UsageError(f"goto '{self.jump}' is not a chain")
        if target is None:
            self.parser.target(self.jump)  # complains
        assert target is not None
        return target

    def _networks(self, letter: str) -> list[Prefix | None]:
        """The networks behind ``-s`` or ``-d``; None where all addresses will do."""
        text = self.texts.get(letter)
        if text is None:
            return [None]
        networks = [read_network(part, self.family) for part in text.split(",")]
        if letter in self.signs:
            return [*networks]
        return [network if network.mask else None for network in networks]
