"""The shell line of a node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcsim import ConfigError, Node, SvcsimError, UnsupportedError
from svcsim.tools.shell import parse


@pytest.fixture
def node():
    return Node()


@pytest.mark.parametrize(
    ("line", "code", "stdout"),
    [
        ("echo a; echo b", 0, "a\nb\n"),
        ("true && echo yes", 0, "yes\n"),
        ("false && echo no", 1, ""),
        ("false || echo yes", 0, "yes\n"),
        ("true || echo no", 0, ""),
        ("false && echo no || echo yes", 0, "yes\n"),
        ("! false", 0, ""),
        ("false; true", 0, ""),
        ("true; false", 1, ""),
        ("echo 'a  b' \"c d\" e\\ f", 0, "a  b c d e f\n"),
        ("echo -n x; echo y", 0, "xy\n"),
        ("echo a >/dev/null; echo b", 0, "b\n"),
        ("echo b\necho a | sort", 0, "b\na\n"),
        ("cat <<'E' | sort\nb\na\nE", 0, "a\nb\n"),
        ("cat <<-E\n\tone\n\tE", 0, "one\n"),
        ("cat <<A; cat <<B\n1\nA\n2\nB", 0, "1\n2\n"),
        ("echo a # a comment", 0, "a\n"),
        ("echo one \\\n two", 0, "one two\n"),
        ("echo a; # nothing", 0, "a\n"),
        ("", 0, ""),
    ],
)
def test_lines(node, line, code, stdout):
    """Lines do what a POSIX shell does with them."""
    done = node.run(line)

    assert (done.returncode, done.stdout) == (code, stdout)


def test_errors_are_output_too(node):
    """2>/dev/null drops error text, 2>&1 joins it to the output."""
    assert node.run("nosuch").stderr == "sh: 1: nosuch: not found\n"
    assert node.run("nosuch").returncode == 127
    assert node.run("nosuch 2>/dev/null").stderr == ""
    assert node.run("nosuch 2>&1 | grep -c found").stdout == "1\n"
    assert node.run("nosuch >/dev/null 2>&1") == node.run("nosuch &>/dev/null")


@pytest.mark.parametrize(
    "line",
    [
        "echo $HOME", "echo `date`", "echo \"$(x)\"", "for i in 1 2; do echo $i; done", "a=1", "ls *",
        "(echo a)", "echo a &",
        "echo a > file", "cat < file", "ping 192.0.2.1", "cat <<E\n$x\nE", 
        "if true; then echo a; fi", "sed s/a/b/", "grep -P a",
    ],
)  # fmt: skip
def test_what_is_not_modelled_is_named(node, line):
    """What a shell would do and this one does not is refused by name, never skipped."""
    with pytest.raises(UnsupportedError):
        node.run(line)


@pytest.mark.parametrize(
    "line", ["echo 'a", 'echo "a', "&& a", "a &&", "a || || b", "| a", "cat <<E\nno end", "; ;; a"]
)
def test_broken_lines_are_refused(node, line):
    """A line that no shell would take is refused before any of it runs."""
    with pytest.raises(ConfigError):
        node.run(f"{line}")


@given(st.text(alphabet="abc|&;<>\"'\\ \n$()*E12-", max_size=40))
def test_any_line_is_read_or_refused(line):
    """Arbitrary text is a line or refused by an error of ours."""
    try:
        parse(line)
    except SvcsimError:
        pass


@given(
    st.lists(st.text(min_size=1, max_size=8).filter(lambda s: "'" not in s and "\0" not in s), min_size=1, max_size=5)
)
def test_quoted_words_come_through(words):
    """Whatever stands between single quotes reaches the command."""
    (pipeline,) = parse("echo " + " ".join(f"'{word}'" for word in words))

    assert pipeline.commands[0].words == ("echo", *words)


TEXT = "b 2\na 10\nb 2\nc 1\n"


@pytest.mark.parametrize(
    ("command", "code", "stdout"),
    [
        ("grep b", 0, "b 2\nb 2\n"),
        ("grep -v b", 0, "a 10\nc 1\n"),
        ("grep -c b", 0, "2\n"),
        ("grep -q b", 0, ""),
        ("grep -q z", 1, ""),
        ("grep -E '^(a|c)'", 0, "a 10\nc 1\n"),
        ("grep '^a\\|^c'", 0, "a 10\nc 1\n"),
        ("grep 'a|c'", 1, ""),
        ("grep -o '[0-9]*'", 0, "2\n10\n2\n1\n"),
        ("grep -F .", 1, ""),
        ("grep -i B", 0, "b 2\nb 2\n"),
        ("grep -x 'a 10'", 0, "a 10\n"),
        ("wc -l", 0, "4\n"),
        ("sort", 0, "a 10\nb 2\nb 2\nc 1\n"),
        ("sort -u", 0, "a 10\nb 2\nc 1\n"),
        ("sort -r", 0, "c 1\nb 2\nb 2\na 10\n"),
        ("head -n 1", 0, "b 2\n"),
        ("head -2", 0, "b 2\na 10\n"),
        ("tail -n 1", 0, "c 1\n"),
        ("tail -n +3", 0, "b 2\nc 1\n"),
    ],
)
def test_filters(node, command, code, stdout):
    """The filters do what the real ones do."""
    done = node.run(f"cat <<'E' | {command}\n{TEXT}E")

    assert (done.returncode, done.stdout) == (code, stdout)
