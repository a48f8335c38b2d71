"""The small commands of a shell line, and the expressions that grep reads."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcsim import ConfigError, Node, SvcsimError, UnsupportedError
from svcsim.tools.command import TOOLS
from svcsim.tools.regex import Expression

TEXT = "b 2\na 10\nb 2\nc 1\n-1.5 x\n-1.25\n"


@pytest.fixture(scope="module")
def node():
    return Node()


def ask(command, text):
    name, *args = command if isinstance(command, list) else command.split()
    return TOOLS[name](Node(), name, args, text)


#: What the real ones make of TEXT.
COMMANDS = [
    ("grep b", 0, "b 2\nb 2\n"),
    ("grep -v b", 0, "a 10\nc 1\n-1.5 x\n-1.25\n"),
    ("grep -c b", 0, "2\n"),
    ("grep --count -e b -e c", 0, "3\n"),
    ("grep -vc b", 0, "4\n"),
    ("grep -m 1 b", 0, "b 2\n"),
    ("grep -q b", 0, ""),
    ("grep -q z", 1, ""),
    ("grep -c z", 1, "0\n"),
    ("grep -E ^(a|c)", 0, "a 10\nc 1\n"),
    ("egrep ^(a|c)", 0, "a 10\nc 1\n"),
    (r"grep ^a\|^c", 0, "a 10\nc 1\n"),
    ("grep a|c", 1, ""),
    ("grep -o [0-9]*", 0, "2\n10\n2\n1\n1\n5\n1\n25\n"),
    ("grep -oE [0-9]+|x", 0, "2\n10\n2\n1\n1\n5\nx\n1\n25\n"),
    ("grep -F .", 0, "-1.5 x\n-1.25\n"),
    ("fgrep -c .", 0, "2\n"),
    ("grep -i B", 0, "b 2\nb 2\n"),
    ("grep -x c.1", 0, "c 1\n"),
    ("grep -w 1", 0, "c 1\n-1.5 x\n-1.25\n"),
    (r"grep \<1\>", 0, "c 1\n-1.5 x\n-1.25\n"),
    (r"grep -E \b25$", 0, "-1.25\n"),
    ("grep [[:alpha:]]$", 0, "-1.5 x\n"),
    ("grep -e -1", 0, "-1.5 x\n-1.25\n"),
    ("grep -- -1", 0, "-1.5 x\n-1.25\n"),
    ("grep", 2, ""),
    ("grep [a", 2, ""),
    (r"grep a\(", 2, ""),
    ("grep a\\", 2, ""),
    ("grep -m x a", 2, ""),
    ("wc -l", 0, "6\n"),
    ("wc -lw", 0, "      6      11\n"),
    ("wc", 0, "      6      11      30\n"),
    ("sort", 0, "-1.25\n-1.5 x\na 10\nb 2\nb 2\nc 1\n"),
    ("sort -u", 0, "-1.25\n-1.5 x\na 10\nb 2\nc 1\n"),
    ("sort -r", 0, "c 1\nb 2\nb 2\na 10\n-1.5 x\n-1.25\n"),
    ("sort -n", 0, "-1.5 x\n-1.25\na 10\nb 2\nb 2\nc 1\n"),
    ("sort -nu", 0, "-1.5 x\n-1.25\nb 2\n"),
    ("sort -rn", 0, "c 1\nb 2\nb 2\na 10\n-1.25\n-1.5 x\n"),
    ("head -n 1", 0, "b 2\n"),
    ("head -2", 0, "b 2\na 10\n"),
    ("head -n -4", 0, "b 2\na 10\n"),
    ("head --lines=1", 0, "b 2\n"),
    ("head -n x", 1, ""),
    ("tail -n 1", 0, "-1.25\n"),
    ("tail -n +5", 0, "-1.5 x\n-1.25\n"),
    ("tail -n 0", 0, ""),
    ("head", 0, TEXT),
    ("tail", 0, TEXT),
    ("cat", 0, TEXT),
    ("cat - -", 0, TEXT),
    ("true", 0, ""),
    ("false", 1, ""),
]


@pytest.mark.parametrize(("command", "code", "stdout"), COMMANDS)
def test_filters(node, command, code, stdout):
    """The filters do what the real ones do."""
    quoted = " ".join(f"'{word}'" for word in command.split())
    done = node.run(f"cat <<'E' | {quoted}\n{TEXT}E")

    assert (done.returncode, done.stdout) == (code, stdout)


@pytest.mark.parametrize(("command", "code", "stdout"), COMMANDS)
def test_the_table_is_right(command, code, stdout):
    """The real commands say what the table says."""
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"there is no {command.split()[0]} here")
    done = subprocess.run(
        command.split(),
        input=TEXT,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert (done.returncode, done.stdout) == (code, stdout)


@pytest.mark.parametrize(
    ("line", "stdout"),
    [
        ("echo", "\n"),
        ("echo -n", ""),
        ("echo -n x; echo y", "xy\n"),
        ("echo -e x", "-e x\n"),
        ("echo 'a\\nb\\tc\\\\d\\0101e\\q'", "a\nb\tc\\dAe\\q\n"),
        ("echo 'a\\c' b; echo c", "ac\n"),
    ],
)
def test_echo_is_the_shells(node, line, stdout):
    """echo reads escapes and knows -n alone, as dash's does."""
    assert node.run(line).stdout == stdout


def test_sleep_lets_time_pass():
    """sleep moves the node's clock."""
    node = Node()
    node.run("sleep 1.5; sleep 2m 1s")

    assert node.clock.now == 122_500_000_000
    assert node.run("sleep x").returncode == 1
    assert node.run("sleep").returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        "grep -n a",
        "grep -P a",
        "grep --color a",
        "grep a file",
        "sort -k 2",
        "wc -m",
        "head -c 1",
        "tail -f",
        "wc file",
    ],
)
def test_other_options_are_named(command):
    """An option or a file that is not modelled is refused by name."""
    with pytest.raises(UnsupportedError):
        ask(command, TEXT)


def test_only_a_newline_ends_a_line():
    """Other characters that Python takes for line ends do not count."""
    text = "a\x0bb\x0cc\x85d\u2028e\rf\ng"

    assert ask("wc -l", text).stdout == "1\n"
    assert ask("grep g", text).stdout == "g\n"
    assert ask("head -n 1", text).stdout == text[:-1]
    assert ask("tail -n 1", text).stdout == "g"
    assert ask("sort -r", text).stdout == f"g\n{text[:-2]}\n"


@given(st.lists(st.text(alphabet="ab1 -.", max_size=6), max_size=8), st.sampled_from(["-n", "-rn", "-r", "-nu", "-u"]))
def test_sorting_keeps_the_lines(lines, option):
    """What comes out of sort is what went in, or with -u a part of it, and sorting again changes nothing."""
    text = "".join(line + "\n" for line in lines)
    out = ask(["sort", option], text).stdout

    assert ask(["sort", option], out).stdout == out
    if "u" in option:
        assert set(out.split("\n")) <= {*lines, ""}
    else:
        assert sorted(out.split("\n")) == sorted(text.split("\n"))


# -- regular expressions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "extended", "text", "found"),
    [
        ("a|ab|abc", True, "xabcd", ["abc"]),  # the longest, not the first that does
        ("(a|ab)(c|bcd)", True, "abcd", ["abcd"]),
        (r"\(a\|b\)\{2\}", False, "abbab", ["ab", "ba"]),
        ("a{2,3}", True, "aaaaaaa", ["aaa", "aaa"]),
        ("a{,2}b", True, "aaab b", ["aab", "b"]),
        ("x*", False, "axxb", ["xx"]),
        ("*a", False, "*a", ["*a"]),
        ("^*a", False, "*a", ["*a"]),
        ("a^b$c", False, "a^b$c", ["a^b$c"]),
        (r"\w\+\b", False, "one, two_3", ["one", "two_3"]),
        (r"\W", False, "a-b", ["-"]),
        ("[]a]", False, "]a", ["]", "a"]),
        ("[^]a]+", True, "]bc", ["bc"]),
        ("[a-]", False, "a-b", ["a", "-"]),
        (r"[\n]", False, "\\n", ["\\", "n"]),
        ("[[:digit:][:upper:]_]+", True, "aB1_c", ["B1_"]),
        ("[[=a=][.-.]]+", True, "a-", ["a-"]),
        (r"\.", False, "a.b", ["."]),
        ("dpt:80$", False, "tcp dpt:80", ["dpt:80"]),
        ("a+?", True, "aa", ["aa"]),
        ("()", True, "aa", []),
    ],
)
def test_expressions(pattern, extended, text, found):
    """The leftmost matches are found, each as long as can be."""
    expression = Expression([pattern], extended=extended)

    assert expression.find_all(text) == found
    assert expression.search(text) is (bool(found) or pattern == "()")


@pytest.mark.parametrize(
    ("pattern", "extended", "message"),
    [
        ("[a", False, "Unmatched ["),
        ("[[:foo:]]", False, "Invalid character class name"),
        ("[:alpha:]", False, "character class syntax is"),
        ("[b-a]", False, "Invalid range end"),
        (r"\(a", False, "Unmatched ("),
        (r"a\)", False, "Unmatched )"),
        (r"a\{1", False, "Unmatched {"),
        (r"a\{2,1\}", False, "Invalid content"),
        ("a{40000}", True, "Regular expression too big"),
        (f"a{{{'1' * 5000}}}", True, "Regular expression too big"),
        ("a\\", False, "Trailing backslash"),
    ],
)
def test_broken_expressions(pattern, extended, message):
    """What is no expression is refused in grep's words."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        Expression([pattern], extended=extended)

    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("pattern", "extended"),
    [
        (r"\(a\)\1", False),
        ("*a", True),
        ("a|*", True),
        ("{1}", True),
        ("a{x", True),
        ("a)", True),
        (r"\b*", False),
        (r"\d", False),
        ("(((a{255}){255}){255})", True),
        ("(" * 1000, True),
        ("a" + "*" * 1000, True),
    ],
)
def test_expressions_that_are_not_modelled(pattern, extended):
    """What grep itself reads in odd ways, or would take for ever, is refused by name."""
    with pytest.raises(UnsupportedError):
        Expression([pattern], extended=extended)
    with pytest.raises(UnsupportedError):
        Expression(["a*"], whole_words=True)


def test_no_expression_is_slow():
    """What makes a backtracking matcher take for ever takes no time here."""
    expression = Expression(["(a*)*(a|aa)*(.*.*=.*)*$"], extended=True)

    assert expression.search("a" * 20_000 + "b")
    assert not Expression(["(a|aa)+b"], extended=True).search("a" * 20_000)


SIMPLE = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "1", r"\w"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("({0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{,2}"])).map("({0[0]}){0[1]}".format),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(SIMPLE, st.text(alphabet="ab1 ", max_size=8), st.booleans())
def test_searching_agrees_with_python(pattern, text, whole):
    """Where both read an expression alike, it is found by both or by neither."""
    theirs = re.compile(f"^({pattern})$" if whole else pattern)

    assert Expression([pattern], extended=True, whole_lines=whole).search(text) is bool(theirs.search(text))


@settings(max_examples=300)
@given(st.text(alphabet="ab.*+?()[]{}|^$\\-:1,w<", max_size=12), st.booleans())
def test_any_expression_is_read_or_refused(pattern, extended):
    """Arbitrary text is an expression or refused by an error of ours."""
    try:
        expression = Expression([pattern], extended=extended)
    except SvcsimError:
        return
    assert all(match in "ab 1a" for match in expression.find_all("ab 1a"))
