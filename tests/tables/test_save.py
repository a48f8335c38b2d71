"""Whole tables as text: transactions, counters, what stays and what goes, and errors with their places."""

from __future__ import annotations

import gc

import pytest

from rulesets import fresh
from svcsim.addr import Family
from svcsim.errors import RulesetError
from svcsim.node import Node
from svcsim.tables.restore import RestoreError


def saved(rules, table: str = "filter", *, counters: bool = False) -> list[str]:
    """The lines of a table as it is saved, without remarks."""
    return [line for line in rules.save(table, counters=counters).splitlines() if not line.startswith("#")]


def test_what_restore_replaces():
    """A table that is named is emptied first; one that is not stays; a policy that is not given stays as well."""
    rules = fresh()
    rules.restore("*filter\n:INPUT DROP [0:0]\n:U - [0:0]\n-A INPUT -j U\nCOMMIT\n*raw\n-A OUTPUT -j NOTRACK\nCOMMIT\n")
    rules.restore("*filter\n-A FORWARD -j DROP\nCOMMIT\n")

    assert saved(rules) == [
        *("*filter", ":INPUT DROP [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"),
        *("-A FORWARD -j DROP", "COMMIT"),
    ]
    assert saved(rules, "raw")[-2] == "-A OUTPUT -j NOTRACK"


def test_noflush():
    """Without flushing, rules are added; a user's chain that is declared is emptied, a built-in one is not."""
    rules = fresh()
    rules.restore("*filter\n:U - [0:0]\n-A INPUT -j U\n-A U -j ACCEPT\nCOMMIT\n")
    rules.restore("*filter\n:INPUT ACCEPT [0:0]\n:U - [0:0]\n:V - [0:0]\n-A U -j V\nCOMMIT\n", flush=False)

    assert saved(rules)[4:] == [":U - [0:0]", ":V - [0:0]", "-A INPUT -j U", "-A U -j V", "COMMIT"]
    assert rules["filter"].chains["U"].references == 1


@pytest.mark.parametrize("counters", [False, True])
def test_counters(counters):
    """Counters in the text count only if asked for; -c in a rule always does."""
    rules = fresh()
    text = "*filter\n:INPUT DROP [5:6]\n[3:4] -A INPUT -s 10.0.0.1/32\n[7:8]-A INPUT -s 10.0.0.2/32\n-A INPUT -c 1 2\nCOMMIT\n"
    rules.restore(text, counters=counters)

    chain = rules["filter"].chains["INPUT"]
    counts = [(link.packets, link.bytes) for link in (*chain, chain.end)]
    assert counts == ([(3, 4), (7, 8), (1, 2), (5, 6)] if counters else [(0, 0), (0, 0), (1, 2), (0, 0)])


def test_each_table_is_a_transaction():
    """A table that was committed stays although a later one fails; the one that fails is as it was."""
    rules = fresh()
    rules.restore("*nat\n-A PREROUTING -j ACCEPT\nCOMMIT\n")
    with pytest.raises(RestoreError):
        rules.restore("*filter\n-A INPUT -j DROP\nCOMMIT\n*nat\n-A OUTPUT -j ACCEPT\n-A OUTPUT -j NONE\nCOMMIT\n")

    assert saved(rules)[-2] == "-A INPUT -j DROP"
    assert saved(rules, "nat")[-2] == "-A PREROUTING -j ACCEPT"


def test_testing_changes_nothing():
    """A test reads everything and keeps nothing; what only the kernel would refuse is not noticed."""
    rules = fresh()
    rules.restore(
        "*filter\n-A INPUT -j DROP\nCOMMIT\n*filter\n-A INPUT -j DROP\n:L - [0:0]\n-A L -j L\nCOMMIT\n", test=True
    )
    assert saved(rules)[-2] == ":OUTPUT ACCEPT [0:0]"
    with pytest.raises(RestoreError):
        rules.restore("*filter\n-A INPUT -j NONE\nCOMMIT\n", test=True)


def test_only_one_table():
    """Of a text with many tables one alone can be restored; the others are not even read."""
    rules = fresh()
    rules.restore("*nat\n-A WHAT -j EVER\nCOMMIT\n*filter\n-A INPUT -j DROP\nCOMMIT\n", only="filter")
    assert saved(rules)[-2] == "-A INPUT -j DROP" and "nat" not in rules.tables


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("*filter\n-A INPUT -p tcp --dport 99999\nCOMMIT\n", 2, 25, "invalid port/service `99999' specified"),
        ('*filter\n-A INPUT -m comment --comment "a b" -j NONE\nCOMMIT\n', 2, 40, "Couldn't load target `NONE'"),
        ("*filter\n[1:2] -A INPUT --none\nCOMMIT\n", 2, 16, 'unknown option "--none"'),
        ("*filter\n-A INPUT extra\nCOMMIT\n", 2, 10, "Bad argument `extra'"),
        ("*filter\n:INPUT\nCOMMIT\n", 2, None, "policy invalid"),
        ("*filter\n:INPUT FOO [0:0]\nCOMMIT\n", 2, None, "Can't set policy `FOO' on `INPUT' line 2: Bad policy name"),
        ("*filter\n:ACCEPT - [0:0]\nCOMMIT\n", 2, None, "error creating chain 'ACCEPT':File exists"),
        ("*filter\n[5:6 -A INPUT\nCOMMIT\n", 2, None, "Bad line 2: need ]"),
        ("*filter\n-A NONE\nCOMMIT\n", 2, None, "No chain/target/match by that name."),
        ("*filter\n:L - [0:0]\n-A L -j L\n-A INPUT -j L\nCOMMIT\n", 5, None, "a loop: L leads back to itself"),
        ("*filter\n-A INPUT -j ACCEPT\n", 3, None, "COMMIT expected at line 3"),
        ("*filter\n-A INPUT -j ACCEPT\n-A INPUT -j ACCEPT\n", 4, None, "COMMIT expected at line 4"),
        ("-A INPUT -j ACCEPT\n", 1, None, "line 1 failed"),
        ("*none\nCOMMIT\n", 1, None, "unable to initialize table 'none'"),
        ("*filter\nCOMMIT", 2, 1, "Bad argument `COMMIT'"),
    ],
)
def test_errors_have_a_place(text, line, column, said):
    """An error names the line, for a word its column too, and says what the tool or the kernel's log would."""
    rules = fresh()
    with pytest.raises(RulesetError) as caught:
        rules.restore(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert said in error.message and error.text == text.split("\n")[line - 1]
    assert rules.save("filter").count("-A") == 0


def test_the_newest_table_is_saved_first():
    """Tables are saved in the order in which they came into use, the newest first."""
    rules = fresh()
    for name in ("filter", "nat", "raw"):
        rules[name]
    assert [line for line in rules.save().splitlines() if line.startswith("*")] == ["*raw", "*nat", "*filter"]


def test_saving_says_when():
    """The remark says the host's own time."""
    node = Node()
    node.advance(86400 * 59 + 3661)
    assert node.rules[Family.IPV4].save("raw").splitlines()[0].endswith("on Sun Mar  1 01:01:01 1970")


def test_the_collector_is_left_as_it_was():
    """Loading pauses the garbage collector, and turns it on again only if it was on."""
    for state in (gc.enable, gc.disable):
        state()
        before = gc.isenabled()
        with pytest.raises(RestoreError):
            fresh().restore("*filter\n-A NONE\nCOMMIT\n")
        assert gc.isenabled() is before
    gc.enable()


def test_large_rulesets_lie_together():
    """Long chains are put together in memory when they are loaded, and again when many rules came one by one."""
    rules = fresh()
    lines = "".join(
        f"-A FORWARD -d 10.0.{n // 256}.{n % 256}/32 -j ACCEPT\n-A INPUT -s 10.0.0.1/32\n" for n in range(300)
    )
    rules.restore(f"*filter\n{lines}COMMIT\n")
    chain = rules["filter"].chains["FORWARD"]
    assert chain.loose == 0 and len(chain) == 300
    rule = chain.first.rule
    for _ in range(120):
        with rules["filter"].edit() as edit:
            edit.insert("FORWARD", 1, rule)
    assert len(chain) == 420 and chain.loose < 120


@pytest.mark.parametrize(
    ("count", "counted", "fits"), [(251, False, True), (252, False, False), (248, True, True), (249, True, False)]
)
def test_how_many_words_the_tool_takes(count, counted, fits):
    """A line has at most 251 words; counters that are taken leave room for three fewer."""
    words = ["-A", "FORWARD", "-p", "tcp", *["-m", "tcp"] * ((count - 4) // 2), *["-f"] * (count % 2)]
    line = ("[1:2] " if counted else "") + " ".join(words)
    rules = fresh()
    if fits:
        rules.restore(f"*filter\n{line}\n{line}\nCOMMIT\n", counters=counted)
        assert len(rules["filter"].chains["FORWARD"]) == 2
        return
    with pytest.raises(RestoreError, match="Parser cannot handle more arguments") as caught:
        rules.restore(f"*filter\n{line}\nCOMMIT\n", counters=counted)
    assert caught.value.column == len(line) - len(words[-1]) + 1


@pytest.mark.parametrize(("letter", "most"), [("x", 1023), ("\u00e9", 512)])
def test_how_long_a_word_may_be(letter, most):
    """A word has at most 1023 bytes, also where lines like it are known."""
    lines = [f'-A INPUT -m comment --comment "a {letter * length}"' for length in (1, most - 2, most - 1)]
    rules = fresh()
    rules.restore("\n".join(["*filter", *lines[:2], "COMMIT", ""]))
    with pytest.raises(RestoreError, match="Parameter too long!") as caught:
        rules.restore("\n".join(["*filter", *lines, "COMMIT", ""]))
    assert (caught.value.line, caught.value.column) == (4, 31)


def test_a_long_line_goes_on_as_the_next():
    """A line of more than 10239 bytes is cut there, and the rest is read as a line of its own."""
    rules = fresh()
    first = "-A INPUT -j ACCEPT".ljust(10239)
    rules.restore(f"*filter\n{first}-A INPUT -j DROP\nCOMMIT\n")
    assert saved(rules)[-3:-1] == ["-A INPUT -j ACCEPT", "-A INPUT -j DROP"]
    rules.restore(f"*filter\n#{'x' * 10238}-A FORWARD -j DROP\nCOMMIT\n")
    assert saved(rules)[-2] == "-A FORWARD -j DROP"
    with pytest.raises(RestoreError, match="no command specified") as caught:
        rules.restore(f"*filter\n{first}  \nCOMMIT\n")
    assert caught.value.line == 3
