"""Changing tables: transactions, what survives them, and what a refused one leaves behind."""

from __future__ import annotations

import pytest

from rulesets import fresh, load, skb_of, state_at
from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError, MissingError, UnsupportedError
from svcsim.hooks import Hook, HookState, Verdict
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tables.edit import Edit
from svcsim.tables.rule import Jump, Rule
from svcsim.tables.table import Ruleset
from svcsim.tables.targets import Accept
from svcsim.tables.walk import walk

ACCEPT = Rule(target=Accept())
BASE = """*filter
:INPUT DROP [0:0]
:U - [0:0]
:V - [0:0]
-A INPUT -j U
-A INPUT -m statistic --mode nth --every 3 --packet 0
-A INPUT -d 10.0.0.1/32
-A U -s 10.0.0.0/8 -j V
-A V -p tcp -j DROP
COMMIT
"""
UDP = Packet.udp("10.0.0.1:1", "10.0.0.2:1")


def walked(rules: Ruleset, times: int, hook: Hook = Hook.LOCAL_IN) -> None:
    """Send a few packets through the filter table."""
    state = HookState(hook, Family.IPV4, "eth0", "", rules.host)
    for _ in range(times):
        walk(rules["filter"], skb_of(UDP), state)


def picture(rules: Ruleset) -> tuple[object, ...]:
    """Everything that can be seen of a ruleset."""
    table = rules["filter"]
    chains = [
        (chain.name, chain.references, len(chain), [(link.rule, link.packets, asked) for link, asked in chain.asked()])
        for chain in table.listed()
    ]
    return rules.save(counters=True), chains


def refuse_unknown_target(edit: Edit) -> None:
    edit.append("INPUT", Rule(target=Jump("NONE")))


def refuse_builtin_target(edit: Edit) -> None:
    edit.append("INPUT", Rule(target=Jump("FORWARD")))


def refuse_loop(edit: Edit) -> None:
    edit.insert("INPUT", 1, Rule(target=Jump("U")))
    edit.append("V", Rule(target=Jump("U")))
    edit.commit()


def refuse_misplaced(edit: Edit) -> None:
    rules = fresh()
    rules.restore("*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n")
    edit.append("V", rules["nat"].chains["POSTROUTING"].first.rule)
    edit.commit()


@pytest.mark.parametrize(
    ("refused", "change"),
    [
        (MissingError, refuse_unknown_target),
        (ConfigError, refuse_builtin_target),
        (ConfigError, refuse_loop),
        (ConfigError, refuse_misplaced),
        (MissingError, lambda edit: edit.append("NONE", ACCEPT)),
        (MissingError, lambda edit: edit.insert("INPUT", 9, ACCEPT)),
        (MissingError, lambda edit: edit.insert("INPUT", 0, ACCEPT)),
        (MissingError, lambda edit: edit.replace("INPUT", 9, ACCEPT)),
        (MissingError, lambda edit: edit.delete("INPUT", 9)),
        (MissingError, lambda edit: edit.delete_rule("V", ACCEPT)),
        (MissingError, lambda edit: edit.zero("INPUT", 9)),
        (MissingError, lambda edit: edit.flush("NONE")),
        (MissingError, lambda edit: edit.remove("NONE")),
        (ConfigError, lambda edit: edit.remove("INPUT")),
        (ConfigError, lambda edit: edit.remove("U")),
        (ConfigError, lambda edit: edit.create("V")),
        (ConfigError, lambda edit: edit.create("RETURN")),
        (ConfigError, lambda edit: edit.rename("U", "V")),
        (ConfigError, lambda edit: edit.rename("U", "x" * 32)),
        (MissingError, lambda edit: edit.rename("INPUT", "X")),
        (ConfigError, lambda edit: edit.policy("U", "DROP")),
        (ConfigError, lambda edit: edit.policy("INPUT", "RETURN")),
    ],
)
def test_a_refused_edit_leaves_everything(refused, change):
    """Whatever was done before the refusal is undone: rules, counters, references, chains, policies."""
    rules = fresh()
    rules.restore(BASE)
    walked(rules, 5)
    before = picture(rules)

    def much(edit):
        edit.policy("FORWARD", "DROP", (5, 6))
        edit.create("W")
        edit.append("W", Rule(target=Jump("V")))
        edit.append("INPUT", ACCEPT)
        edit.insert("INPUT", 1, Rule(Prefix.parse("10.9.9.9")))
        edit.delete("INPUT", 2)
        edit.delete("INPUT", 2)
        edit.append("INPUT", Rule(target=Jump("U")))
        edit.rename("V", "VV")
        edit.rename("VV", "V")
        edit.delete("INPUT", 1)
        edit.zero()
        edit.insert("INPUT", 1, ACCEPT)

    def then_refused():
        with rules["filter"].edit() as edit:
            much(edit)
            change(edit)

    with pytest.raises(refused):
        then_refused()
    assert picture(rules) == before
    walked(rules, 1)
    assert rules["filter"].chains["INPUT"].first.packets == 6


def test_what_cannot_be_loaded_is_undone_too():
    """A rule that svcsim cannot work with is refused by name when it is loaded, and leaves no trace."""
    rules = fresh()
    rules.restore(BASE)
    before = picture(rules)

    class Strange(Accept):
        def load(self, loader):
            raise UnsupportedError("a strange target")

    Strange.verdict = None
    with pytest.raises(UnsupportedError), rules["filter"].edit() as edit:
        edit.append("INPUT", Rule(target=Strange()))
    assert picture(rules) == before


def test_rules_keep_their_counters_and_policies_do_not():
    """Any change sets the policies' counters of its table to zero; those of rules stay, except of the changed one."""
    rules = fresh()
    rules.restore(BASE)
    walked(rules, 4)
    table = rules["filter"]
    assert table.chains["INPUT"].end.packets == 4
    with table.edit() as edit:
        edit.replace("INPUT", 3, ACCEPT, (7, 8))

    chain = table.chains["INPUT"]
    assert [link.packets for link in chain] == [4, 2, 7]
    assert chain.end.packets == 0
    with table.edit() as edit:
        edit.policy("INPUT", "ACCEPT", (9, 10))
    assert (chain.end.packets, chain.end.bytes, chain.policy) == (9, 10, Verdict.ACCEPT)


def test_an_edit_without_changes_changes_nothing():
    """A transaction in which nothing was changed does not even touch the policies' counters."""
    rules = fresh()
    rules.restore(BASE)
    walked(rules, 4)
    before = picture(rules)
    with rules["filter"].edit() as edit:
        edit.find("INPUT", Rule(target=Jump("U")))
    assert picture(rules) == before


def test_memories_of_rules_begin_anew():
    """Every change of a table restarts the counters of nth and fills the buckets of limit, in all its rules."""
    rules = fresh()
    lines = "-A INPUT -m statistic --mode nth --every 4 --packet 0\n-A INPUT -m limit --limit 1/hour --limit-burst 2\n"
    rules.restore(f"*filter\n{lines}COMMIT\n")
    nth, limit = rules["filter"].chains["INPUT"]
    walked(rules, 3)
    assert (nth.packets, limit.packets) == (1, 2)
    with rules["filter"].edit() as edit:
        edit.append("FORWARD", ACCEPT)
    walked(rules, 3)
    assert (nth.packets, limit.packets) == (2, 4)


def test_rename_reaches_the_rules_that_lead_there():
    """Rules that jump to a chain say its new name, and still lead there."""
    table = load(BASE)
    with table.edit() as edit:
        edit.rename("U", "W")
        edit.append("INPUT", Rule(target=Jump("W", goto=True)))
    assert [str(link.rule) for link in table.chains["INPUT"]][::3] == ["-j W", "-g W"]
    assert table.chains["W"].references == 2 and "U" not in table.chains
    with table.edit() as edit:
        edit.rename("W", "U")
    assert str(table.chains["INPUT"].first.rule) == "-j U"


def test_clear_empties_and_keeps_policies():
    """A cleared table has its built-in chains alone, empty, with the policies that they had."""
    table = load(BASE)
    with table.edit() as edit:
        edit.clear()
    assert [(chain.name, len(chain)) for chain in table.listed()] == [("INPUT", 0), ("FORWARD", 0), ("OUTPUT", 0)]
    assert table.chains["INPUT"].policy is Verdict.DROP


def test_what_is_undone_within_an_edit_is_not_checked():
    """A rule that is gone again before the end may have been anything."""
    table = load(BASE)
    with table.edit() as edit:
        edit.append("V", Rule(target=Jump("U")))
        edit.delete("V", 2)
    assert len(table.chains["V"]) == 1 and table.chains["U"].references == 1


def test_tables_hang_at_their_hooks_when_first_used():
    """A table that nobody has used is not asked; its first use, if only to look, hangs it up."""
    node = Node()
    hooks = node.hooks[Family.IPV4]
    assert hooks.at(Hook.FORWARD) == ()
    node.run("iptables -L")
    node.run("iptables -t mangle -S")
    node.run("iptables -t security -S")
    assert [entry.name for entry in hooks.at(Hook.FORWARD)] == ["mangle", "filter", "security"]
    assert node.rules[Family.IPV6].tables == {}
    with pytest.raises(MissingError, match="no table 'foo'"):
        node.rules[Family.IPV4]["foo"]


def test_tracking_runs_while_a_rule_needs_it():
    """Connections are tracked as long as some rule of the family asks for it, of whichever table."""
    node = Node()
    tracking = node.tracking[Family.IPV4]
    for command, enabled in (
        ("iptables -t nat -S", False),
        ("iptables -t raw -A PREROUTING -j NOTRACK", False),
        ("iptables -A INPUT -m state --state NEW", True),
        ("iptables -t nat -A POSTROUTING -j MASQUERADE", True),
        ("iptables -F", True),
        ("iptables -t nat -D POSTROUTING 1", False),
        ("iptables -t mangle -A INPUT -j CONNMARK --save-mark", True),
    ):
        assert node.run(command).returncode == 0

        assert tracking.enabled is enabled, command
    assert not node.tracking[Family.IPV6].enabled


def test_evaluated_counts_begin_with_the_rule():
    """A rule that comes later was not asked about what came before it, wherever it is put."""
    rules = fresh()
    rules.restore("*filter\n-A INPUT -p tcp\n-A INPUT -p udp\nCOMMIT\n")
    walked(rules, 3)
    with rules["filter"].edit() as edit:
        edit.insert("INPUT", 2, Rule())
        edit.append("INPUT", Rule())
    walked(rules, 2)
    assert [asked for _, asked in rules["filter"].chains["INPUT"].asked()] == [5, 2, 5, 2]
    assert state_at(rules["filter"], rules).family is Family.IPV4
