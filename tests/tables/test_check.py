"""What may not be loaded, and what may: the kernel's own answers, and that a small check finds what a whole one does."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rulesets import fresh
from svcsim.addr import Family
from svcsim.errors import ConfigError
from svcsim.tables.problems import Refusal
from svcsim.tables.restore import RestoreError
from svcsim.tables.rule import Rule


def refused(table: str, *lines: str, family: Family = Family.IPV4) -> str | None:
    """Why a table with these lines is refused, None if it is loaded."""
    rules = fresh(family)
    try:
        rules.restore("\n".join([f"*{table}", *lines, "COMMIT", ""]))
    except RestoreError as error:
        refusal = error.cause
    else:
        return None
    assert isinstance(refusal, Refusal)
    return refusal.reason


HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


@pytest.mark.parametrize(
    ("table", "rule_", "allowed"),
    [
        ("nat", "-j DNAT --to-destination 10.0.0.1", "PREROUTING OUTPUT"),
        ("nat", "-j REDIRECT", "PREROUTING OUTPUT"),
        ("nat", "-j SNAT --to-source 10.0.0.1", "INPUT POSTROUTING"),
        ("nat", "-j MASQUERADE", "POSTROUTING"),
        ("nat", "-j NETMAP --to 10.0.0.0/24", "PREROUTING INPUT OUTPUT POSTROUTING"),
        ("filter", "-j REJECT", "INPUT FORWARD OUTPUT"),
        ("mangle", "-m owner --uid-owner 0", "OUTPUT POSTROUTING"),
        ("mangle", "-m addrtype --dst-type LOCAL --limit-iface-in", "PREROUTING INPUT FORWARD"),
        ("mangle", "-m addrtype --dst-type LOCAL --limit-iface-out", "FORWARD OUTPUT POSTROUTING"),
        ("mangle", "-j TTL --ttl-set 5", " ".join(HOOKS)),
        ("mangle", "-j DSCP --set-dscp 5", " ".join(HOOKS)),
        ("raw", "-j CT --notrack", "PREROUTING OUTPUT"),
        ("raw", "-j MARK --set-mark 1", "PREROUTING OUTPUT"),
    ],
)
def test_hooks(table, rule_, allowed):
    """A match or target stands only where a packet has what it needs; that goes for chains that lead there as well."""
    for hook in HOOKS:
        if hook not in fresh()[table].chains:
            continue
        for lines in ([f"-A {hook} {rule_}"], [":U - [0:0]", f"-A {hook} -j U", f"-A U {rule_}"]):
            assert (refused(table, *lines) is None) == (hook in allowed.split()), (hook, lines)
    assert refused(table, ":U - [0:0]", f"-A U {rule_}") is None, "a chain that nothing leads to may hold anything"


@pytest.mark.parametrize(
    ("table", "rule_"),
    [
        ("filter", "-j MASQUERADE"),
        ("filter", "-j DNAT --to-destination 10.0.0.1"),
        ("filter", "-j TOS --set-tos 1"),
        ("filter", "-j NOTRACK"),
        ("mangle", "-j REJECT"),
        ("nat", "-j REJECT"),
    ],
)
def test_tables(table, rule_):
    """Some targets belong to one table; that is checked even where no packet comes."""
    assert refused(table, ":U - [0:0]", f"-A U {rule_}") is not None


@pytest.mark.parametrize(
    "rule_",
    [
        "-m tcp --dport 80",
        "-p udp -m tcp --dport 80",
        "! -p tcp -m tcp --dport 80",
        "-p udplite -m udp --dport 80",
        "-j REJECT --reject-with tcp-reset",
        "-p udp -j REJECT --reject-with tcp-reset",
        "! -p tcp -j REJECT --reject-with tcp-reset",
        "-m icmp --icmp-type 8",
        "-m limit --limit 2/day --limit-burst 4",
        "-m limit --limit-burst 0",
        "-m recent --set --seconds 5",
        "-m recent --set --name a/b",
        "-m recent --rcheck --hitcount 65536",
        "-m owner --uid-owner 5-3",
    ],
)
def test_what_does_not_go_together(rule_):
    """A match needs the protocol that it looks into, numbers that make sense, names that can be files."""
    assert refused("filter", ":U - [0:0]", f"-A U {rule_}") is not None


@pytest.mark.parametrize(
    ("lines", "loads"),
    [
        ((":L - [0:0]", "-A L -j L"), True),
        ((":L - [0:0]", "-A L -j L", "-A INPUT -j L"), False),
        ((":L - [0:0]", "-A L -g L", "-A INPUT -j L"), False),
        ((":L - [0:0]", ":M - [0:0]", "-A L -j M", "-A M -j L", "-A INPUT -j M"), False),
        ((":L - [0:0]", "-A L -j ACCEPT", "-A L -j L", "-A INPUT -j L"), True),
        ((":L - [0:0]", "-A L -j RETURN", "-A L -j L", "-A INPUT -j L"), True),
        ((":L - [0:0]", "-A L -s 0/0 -p all -j DROP", "-A L -j L", "-A INPUT -j L"), True),
        ((":L - [0:0]", "-A L -i + -j ACCEPT", "-A L -j L", "-A INPUT -j L"), False),
        ((":L - [0:0]", "-A L -j REJECT", "-A L -j L", "-A INPUT -j L"), False),
        ((":L - [0:0]", "-A L -m comment --comment x -j ACCEPT", "-A L -j L", "-A INPUT -j L"), False),
        ((":L - [0:0]", "-A L -j L", "-A INPUT -j ACCEPT", "-A INPUT -j L"), True),
        (("-A INPUT -j ACCEPT", "-A INPUT -m owner --uid-owner 1"), True),
    ],
)
def test_how_far_the_kernel_looks(lines, loads):
    """Loops and hooks count only where a packet could come: not behind a rule that surely ends its chain."""
    assert (refused("filter", *lines) is None) is loads


def test_reasons():
    """A refusal says why, beside the little that the tool says."""
    with pytest.raises(RestoreError) as caught:
        fresh().restore("*nat\n-A PREROUTING -j MASQUERADE\nCOMMIT\n")
    cause = caught.value.cause
    assert isinstance(cause, Refusal) and isinstance(cause, ConfigError)
    assert cause.message == "Invalid argument. Run `dmesg' for more information."
    assert str(cause) == "MASQUERADE: used from hooks PRE_ROUTING, but only valid from POST_ROUTING"


def test_ipv6_address_types():
    """IPv6 has no broadcast, and none of the types that only IPv4's routing knows."""
    for name, loads in (("LOCAL", True), ("BROADCAST", False), ("PROHIBIT", False), ("MULTICAST", True)):
        reason = refused("filter", f"-A INPUT -m addrtype --dst-type {name}", family=Family.IPV6)
        assert (reason is None) is loads, name


CHAINS = ("INPUT", "OUTPUT", "A", "B", "C", "D")
TARGETS = ("A", "B", "C", "D")


class SmallChecksAreWhole(RuleBasedStateMachine):
    """Edit by edit, a table is refused exactly when the whole of it, loaded at once, would be."""

    def __init__(self) -> None:
        super().__init__()
        self.rules = fresh()
        self.rules.restore("*filter\n" + "".join(f":{name} - [0:0]\n" for name in TARGETS) + "COMMIT\n")
        self.table = self.rules["filter"]

    def reads(self, text: str) -> Rule:
        other = fresh()
        other.restore(f"*filter\n{''.join(f':{name} - [0:0]{chr(10)}' for name in TARGETS)}-A A {text}\nCOMMIT\n")
        found: Rule = other["filter"].chains["A"].first.rule
        return found

    def whole(self) -> bool:
        """Whether the table as it is would be loaded at once."""
        return refused("filter", *self.rules.save("filter").splitlines()[2:-2]) is None

    def change(self, *steps) -> None:
        """Make a change; afterwards the table is what it was, or what a whole check takes."""
        before = self.rules.save("filter")
        edit = self.table.edit()
        for name, *words in steps:
            getattr(edit, name)(*words)
        expected = self.whole()
        try:
            edit.commit()
        except Refusal:
            assert not expected
            assert self.rules.save("filter") == before
        else:
            assert expected

    texts = st.sampled_from(
        [
            *(f"{where}-j {target}" for target in TARGETS for where in ("", "-s 10.0.0.1 ")),
            *("-j ACCEPT", "-j RETURN", "-m owner --uid-owner 1", "-s 10.0.0.2 -j DROP"),
            "-m addrtype --dst-type LOCAL --limit-iface-in",
        ]
    )

    @rule(chain=st.sampled_from(CHAINS), text=texts)
    def append(self, chain, text):
        self.change(("append", chain, self.reads(text)))

    @rule(chain=st.sampled_from(CHAINS), text=texts)
    def insert(self, chain, text):
        self.change(("insert", chain, 1, self.reads(text)))

    @rule(chain=st.sampled_from(CHAINS), other=st.sampled_from(CHAINS), text=texts, second=texts)
    def two_at_once(self, chain, other, text, second):
        self.change(("insert", chain, 1, self.reads(text)), ("append", other, self.reads(second)))

    @rule(chain=st.sampled_from(CHAINS))
    def delete_first(self, chain):
        if len(self.table.chains[chain]):
            self.change(("delete", chain, 1))

    @rule(chain=st.sampled_from(CHAINS))
    def flush(self, chain):
        self.change(("flush", chain))

    @invariant()
    def references_are_counted(self):
        for name in TARGETS:
            lines = [line for line in self.rules.save("filter").splitlines() if line.endswith(f"-j {name}")]
            assert self.table.chains[name].references == len(lines)


TestSmallChecksAreWhole = SmallChecksAreWhole.TestCase
TestSmallChecksAreWhole.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
