"""Whole tables as text: transactions, counters, what stays and what goes, and errors with their places."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulesets import fresh, rulesets, text_of
from svcsim.addr import Family
from svcsim.errors import RulesetError, UnsupportedError
from svcsim.node import Node
from svcsim.tables.forms import Forms, Stretch
from svcsim.tables.save import RestoreError, restore


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


def test_unmodelled_is_refused_by_name():
    """What the real tool can and svcsim cannot is named; the table is as it was."""
    rules = fresh()
    rules.restore("*filter\n-A INPUT -j DROP\nCOMMIT\n")
    with pytest.raises(UnsupportedError, match="-m hashlimit"):
        rules.restore("*filter\n-A INPUT -j ACCEPT\n-A INPUT -m hashlimit --hashlimit-above 1/s\nCOMMIT\n")
    assert saved(rules)[-2] == "-A INPUT -j DROP"


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


KUBE = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-{n} - [0:0]
:KUBE-SEP-{n} - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -m comment --comment "default/web-{n} cluster IP" -m tcp -p tcp -d 10.96.0.{n} --dport 8{n} -j KUBE-SVC-{n}
-A KUBE-SVC-{n} -m comment --comment "default/web-{n} -> 10.244.0.{n}:80" -m statistic --mode random --probability 0.{n} -j KUBE-SEP-{n}
-A KUBE-SVC-{n} -m comment --comment default/web-{n} ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SEP-{n} -m comment --comment default/web-{n} -m recent --name KUBE-SEP-{n} --set -m tcp -p tcp -j DNAT --to-destination 10.244.0.{n}:80
-A KUBE-MARK-MASQ -j MARK --or-mark 0x{n}
COMMIT
"""


def without_forms(rules, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore word by word."""
    with monkeypatch.context() as patched:
        patched.setattr(Forms, "stretch", lambda self, text, at, most: Stretch(at))
        restore(rules, text)


def test_lines_of_one_form_are_read_as_word_by_word(monkeypatch):
    """Reading a line by its form gives the same rules, tests and counters as reading it word by word."""
    first, second = fresh(), fresh()
    for number in (1, 2, 3):
        text = KUBE.format(n=number)
        first.restore(text)
        without_forms(second, text, monkeypatch)

        assert first.save("nat") == second.save("nat")
        for name, chain in first["nat"].chains.items():
            other = second["nat"].chains[name]
            assert [link.rule for link in chain] == [link.rule for link in other]
            assert [(link.key, len(link.tests), link.kind) for link in chain] == [
                (link.key, len(link.tests), link.kind) for link in other
            ]
            assert chain.references == other.references
    assert len(first["nat"].forms.known) >= 6


@pytest.mark.parametrize(
    "line",
    [
        "-A INPUT -s 10.0.0.0/33 -j A",
        "-A INPUT -s 0.0.0.0/0 -j A",
        "-A INPUT -s 10.0.0.1,10.0.0.2 -j A",
        "-A INPUT -s ! -j A",
        "-A INPUT -s 10.0.0.1/32 -j NONE",
        "-A INPUT -s 10.0.0.1/32 -j INPUT",
        "-A NONE -s 10.0.0.1/32 -j A",
        "-A INPUT  -s 10.0.0.1/32 -j A",
        "-A INPUT -s 10.0.0.1/32 -j A ",
        "-A INPUT -s 10.0.0.1/32 -g A",
        "-A INPUT -s 10.0.0.1/32 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 90:80 -j A",
        "-A INPUT -p tcp -m tcp --dport 99999 -j A",
        "-A INPUT -p tcp -m tcp --dport http -j A",
        "-A INPUT -p udp -m tcp --dport 80 -j A",
        '-A INPUT -m comment --comment "x -j ACCEPT',
        '-A INPUT -m comment --comment "" -j A',
        '-A INPUT -m comment --comment "a"b -j A',
        "-A INPUT -m comment --comment a\\ -j A",
        "[1:2] -A INPUT -s 10.0.0.1/32 -j A",
        "[1:x] -A INPUT -s 10.0.0.1/32 -j A",
        "-A FORWARD -i eth0 -j A",
        "-A OUTPUT -i eth0 -j A",
    ],
)
def test_lines_that_only_look_alike(line, monkeypatch):
    """A line that has a known form but is wrong, or means something else, is answered as if no form were known."""
    known = "\n".join(
        [
            *("*filter", ":A - [0:0]", "-A INPUT -s 10.0.0.9/32 -j A", "-A INPUT -p tcp -m tcp --dport 80 -j A"),
            *('-A INPUT -m comment --comment "x y" -j A', "-A INPUT -m comment --comment x -j A"),
            *("-A FORWARD -i eth0 -j A", "-A INPUT -s 10.0.0.9/32 -j ACCEPT"),
        ]
    )
    answers = []
    for formed in (True, False):
        rules = fresh()
        text = f"{known}\n{line}\nCOMMIT\n"
        try:
            if formed:
                rules.restore(text)
            else:
                without_forms(rules, text, monkeypatch)
            answers.append(rules.save("filter"))
        except RestoreError as error:
            answers.append((str(error), error.column))
    assert answers[0] == answers[1]


@settings(max_examples=60)
@given(rules=rulesets(), more=rulesets(), noflush=st.booleans())
def test_forms_learned_before_do_not_matter(rules, more, noflush):
    """What a ruleset has read before makes no difference to what it reads next."""
    first, second = fresh(), fresh()
    first.restore(text_of(rules))
    first.restore(text_of(rules))
    second.restore(text_of(rules))
    for one in (first, second):
        one.restore(text_of(more, "DROP"), flush=not noflush)

    assert first.save("filter") == second.save("filter")


def test_a_form_does_not_hide_a_check():
    """Rules that were read by their form are checked like all others, also if the first of them is gone again."""
    good = "*nat\n-A OUTPUT -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80\nCOMMIT\n"
    rules = fresh()
    rules.restore(good)
    for extra in ("", "-D OUTPUT 1\n"):
        bad = good.replace(
            "COMMIT", f"{extra}-A POSTROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:80\nCOMMIT"
        )
        with pytest.raises(RestoreError, match="DNAT: used from hooks POST_ROUTING"):
            rules.restore(bad)
    assert saved(rules, "nat")[-2].startswith("-A OUTPUT")


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
