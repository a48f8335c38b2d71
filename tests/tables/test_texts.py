"""Rules as text: what iptables 1.8.9 makes of each of hundreds of rules, and round trips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulesets import fresh, rulesets, text_of
from svcsim.addr import Family
from svcsim.node import Node
from svcsim.tables import grammar
from svcsim.tables.grammar import next_line, split_line, word_columns
from svcsim.tables.options import c_integer, read_network
from svcsim.tables.texts import quote
from svcsim.tools.iptables import iptables

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "iptables-1.8.9.jsonl").read_text().splitlines()]
#: The tool warns of these on standard error besides doing as it is told.
WARNED = {"--nflog-range", "echo-reply", "10.0.0.5-10.0.0.1"}


def said(node: Node, family: int, *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of iptables or ip6tables."""
    done = iptables(node, "iptables" if family == 4 else "ip6tables", list(words), "")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("family", [4, 6])
def test_recorded_rules(family):
    """Each recorded rule is saved and listed as iptables 1.8.9 does it, or refused with the same code and words."""
    node = Node()
    for rule in RECORDED:
        if rule["family"] != family:
            continue
        table, words = rule["table"], rule["words"]
        for name in ("filter", "nat", "mangle", "raw", "security"):
            for command in (("-F",), ("-X",), ("-N", "U")):
                said(node, family, "-t", name, *command)
        code, _, errors = said(node, family, "-t", table, "-A", *words)

        assert code == rule["rc"], words
        if code:
            if not WARNED & set(words):
                assert errors.split("\nTry `")[0] == rule["says"], words
            continue
        saved = [line for line in said(node, family, "-t", table, "-S")[1].splitlines() if line.startswith("-A")]
        listing = said(node, family, "-t", table, "-n", "-v", "-L")[1].splitlines()
        assert saved == rule["saved"], words
        assert [line for line in listing if line and not line.startswith(("Chain", " pkts"))] == rule["listed"], words


def test_saved_rules_read_as_themselves():
    """What is saved is read as the same rule again: -C finds it."""
    for rule in RECORDED:
        if rule["rc"] or "a b" in rule["words"]:
            continue
        ruleset = fresh(Family(rule["family"]))
        chains = "".join(f":{name} - [0:0]\n" for name in ("U",))
        text = f"*{rule['table']}\n{chains}" + "".join(f"{line}\n" for line in rule["saved"]) + "COMMIT\n"
        ruleset.restore(text)
        lines = [line for line in ruleset.save(rule["table"]).splitlines() if line.startswith("-A")]

        assert lines == rule["saved"]


@settings(max_examples=100)
@given(rules=rulesets())
def test_round_trip(rules):
    """Text to rules to text to rules: the second text and the second rules are the first."""
    first, second = fresh(), fresh()
    first.restore(text_of(rules))
    text = first.save("filter", counters=True)
    second.restore(text, counters=True)

    assert second.save("filter", counters=True) == text
    for name, chain in first["filter"].chains.items():
        assert [link.rule for link in chain] == [link.rule for link in second["filter"].chains[name]]


@given(text=st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\0"), max_size=70))
def test_comments_survive(text):
    """Any comment is printed so that reading it gives the comment again."""
    assert split_line(f"--comment {quote(text)} -j X") == ["--comment", text, "-j", "X"]


@given(words=st.lists(st.text("ab-'\"\\ \t", max_size=4), max_size=5))
def test_columns_of_words(words):
    """A word's column is where it begins in the line, its quote included."""
    line = " ".join(map(quote, words))
    for word, column in word_columns(line):
        begun = line[column - 1 :]
        assert begun.startswith(('"', word))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ('a"b c"d', ["ab c", "d"]),
        ('""', [""]),
        ('"a\\"b"', ['a"b']),
        ("a\\ b", ["a\\", "b"]),
        ("'a b'", ["'a", "b'"]),
        ('"open', ["open"]),
        ("", []),
    ],
)
def test_words(line, words):
    """Double quotes hold words together and end them; nothing else does, and a backslash counts only within quotes."""
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("text", "number"),
    [("80", 80), ("0x50", 80), ("010", 8), ("08", None), ("+5", 5), (" 7", 7), ("7 ", None), ("-1", None), ("", None)],
)
def test_c_integers(text, number):
    """Numbers are C's: hexadecimal and octal by their beginnings, nothing behind them."""
    assert c_integer(text) == number


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.1/16", "10.1.0.0/16"),
        ("10.1.2.3/255.0.255.0", "10.0.2.0/255.0.255.0"),
        ("0x0a.1.2.3", "10.1.2.3/32"),
        ("localhost", "127.0.0.1/32"),
    ],
)
def test_networks(text, shown):
    """A network may be shortened, masked by an address, or written in hexadecimal; its host bits are cleared."""
    assert str(read_network(text, Family.IPV4)) == shown


@given(st.text("a\u00e9\U0001f600\udc80\n", max_size=40), st.integers(1, 9))
def test_lines_fit_into_a_buffer(text, size):
    """Whatever a text holds, its lines put together are the text, and none is longer than the buffer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(grammar, "LONGEST_LINE", size + 4)
        at, parts = 0, []
        while at < len(text):
            line, following, whole = next_line(text, at)
            assert following > at and "\n" not in line
            assert len(line.encode(errors="surrogateescape")) + whole <= size + 4
            parts.append(line + "\n" * whole)
            at = following
    assert "".join(parts) == text
