"""Lines read by their form: the same rules, counters, draws and errors as reading them word by word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulesets import fresh, rulesets, text_of
from svcsim.addr import Family
from svcsim.errors import RulesetError
from svcsim.tables import restore as restoring
from svcsim.tables.forms import Forms, Stretch
from svcsim.tables.restore import RestoreError, restore

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
    assert "-A OUTPUT" in rules.save("nat")


LINES = (
    *("-A INPUT -s 10.0.0.1/32 -j A", "-A A -p tcp -m tcp --dport 80 -j ACCEPT", "-A FORWARD -d 10.0.0.1/32 -j DROP"),
    *("-A INPUT -m statistic --mode random --probability 0.5 -j A", "-A A -m limit --limit 5/sec -j RETURN"),
)


@pytest.mark.parametrize("at", [0, 1, 62, 255, 399])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-A INPUT -s 10.0.0.1/33 -j A", "invalid mask"),
        ("-A NONE -s 10.0.0.1/32 -j A", "No chain/target/match"),
        ("-A A -p tcp -m tcp --dport eighty -j ACCEPT", "invalid port/service"),
        (":A - [0:0]", "File exists"),
    ],
)
def test_a_wrong_line_among_many_is_found(at, line, said):
    """Lines are taken many at once; an error still names its own line, and nothing is changed."""
    rules = fresh()
    lines = [LINES[number % len(LINES)] for number in range(400)]
    rules.restore("\n".join(["*filter", ":A - [0:0]", *lines, "COMMIT", ""]))
    before = rules.save("filter")
    lines[at] = line
    for _ in range(2):
        with pytest.raises(RulesetError, match=said) as caught:
            rules.restore("\n".join(["*filter", ":A - [0:0]", *lines, "COMMIT", ""]))
        assert (caught.value.line, caught.value.text) == (at + 3, line)
    assert rules.save("filter") == before


@settings(max_examples=40)
@given(rules=rulesets(), counted=st.booleans(), noflush=st.booleans(), most=st.sampled_from([1, 2, 3, 7]))
def test_how_many_lines_are_taken_at_once_does_not_matter(rules, counted, noflush, most):
    """Short stretches give what long ones give, over rules that are there and in the same order."""
    lines = [
        f"[{number}:{number}] {line}" if line[:2] == "-A" else line
        for number, line in enumerate(text_of(rules).splitlines())
    ]
    text = "\n".join([*lines, ""])
    answers = []
    for reach in (most, restoring._LONGEST_REACH):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(restoring, "_LONGEST_REACH", reach)
            own = fresh()
            for flush in (True, not noflush):
                restore(own, text, flush=flush, counters=counted)
        table = own["filter"]
        answers.append((own.save("filter", counters=True), [chain.references for chain in table.listed()]))
    assert answers[0] == answers[1]


def test_draws_do_not_depend_on_how_a_line_was_read(monkeypatch):
    """Rules that draw by chance get the same sequences whether their forms were known or not."""
    text = "\n".join(["*filter", ":A - [0:0]", *LINES * 5, "COMMIT", ""])
    first, second = fresh(), fresh()
    first.restore(text)
    without_forms(second, text, monkeypatch)
    keys = [
        [link.tests[0].stream.key for link in rules["filter"].chains["INPUT"] if "statistic" in str(link.rule)]
        for rules in (first, second)
    ]
    assert keys[0] == keys[1] and len(set(keys[0])) == 5


def test_appended_rules_are_undone():
    """What a refused text had appended to chains that were there before is gone again."""
    rules = fresh()
    text = "\n".join(["*filter", ":A - [0:0]", *LINES * 3, "COMMIT", ""])
    rules.restore(text)
    before = rules.save("filter")
    with pytest.raises(RestoreError, match="a loop"):
        rules.restore("\n".join(["*filter", *LINES[::2] * 4, "-A A -j A", "COMMIT", ""]), flush=False)
    assert rules.save("filter") == before
    rules.restore("\n".join(["*filter", *LINES[::2], "COMMIT", ""]), flush=False)
    assert len(rules["filter"].chains["INPUT"]) == 7 and rules["filter"].chains["A"].references == 7


@pytest.mark.parametrize(
    ("family", "values"),
    [
        (
            Family.IPV4,
            ("10.0.0.1:80", "10.0.0.2", "10.0.0.3-10.0.0.4:1-9", ":81", "10.0.0.5:08", "10.1:80", "10.0.0.6:http"),
        ),
        (Family.IPV6, ("[2001:db8::1]:80", "2001:db8::1", "[2001:db8::1-2001:db8::2]:80-90", ":81")),
    ],
)
def test_destinations(family, values, monkeypatch):
    """Endpoints that are read many at once are what they are one by one."""
    lines = [f"-A OUTPUT -p tcp -j DNAT --to-destination {value}" for value in values for _ in range(3)]
    first, second = fresh(family), fresh(family)
    for chosen in (lines, lines[:6]):
        answers = []
        for rules, how in ((first, restore), (second, lambda *given: without_forms(*given, monkeypatch))):
            try:
                how(rules, "\n".join(["*nat", *chosen, "COMMIT", ""]))
                answers.append(rules.save("nat"))
            except RestoreError as error:
                answers.append((error.line, error.column, str(error)))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("text", ["x" * 63, "y " * 40, "z" * 254 + "\u00e9", "\u00e9\u2126" * 60, "it's", "a\tb"])
def test_remarks(text, monkeypatch):
    """Remarks too long for the kernel are cut at a byte, known form or not."""
    lines = [f'-A INPUT -m comment --comment "{one}" -j ACCEPT' for one in ("a b", text, text, "c d")]
    first, second = fresh(), fresh()
    first.restore("\n".join(["*filter", *lines, "COMMIT", ""]))
    without_forms(second, "\n".join(["*filter", *lines, "COMMIT", ""]), monkeypatch)
    assert first.save("filter") == second.save("filter")


def test_long_ways_and_circles():
    """A thousand chains may lead to one another in a row; back to the first they may not."""
    rules = fresh()
    chains = [f"C{number}" for number in range(1000)]
    heads = [f":{chain} - [0:0]" for chain in chains]
    ways = [f"-A {here} -s 10.0.0.1/32 -j {there}" for here, there in zip(["INPUT", *chains], chains, strict=False)]
    rules.restore("\n".join(["*filter", *heads, *ways, "COMMIT", ""]))
    before = rules.save("filter")
    with pytest.raises(RestoreError, match="leads back to itself"):
        rules.restore("\n".join(["*filter", *heads, *ways, f"-A {chains[-1]} -g {chains[0]}", "COMMIT", ""]))
    assert rules.save("filter") == before
