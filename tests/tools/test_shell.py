"""The shell line of a node."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcsim import Node, UnsupportedError
from svcsim.tools.shell_syntax import parse

NOT_FOUND = "sh: 1: nosuch: not found\n"


@pytest.fixture(scope="module")
def node():
    return Node()


#: What dash does: the line, the exit code, standard output, standard error.
LINES = [
    ("", 0, "", ""),
    ("echo a; echo b", 0, "a\nb\n", ""),
    ("echo a;\n\necho b\n", 0, "a\nb\n", ""),
    ("true && echo yes", 0, "yes\n", ""),
    ("false && echo no", 1, "", ""),
    ("false || echo yes", 0, "yes\n", ""),
    ("true || echo no", 0, "", ""),
    ("false && echo no || echo yes", 0, "yes\n", ""),
    ("true ||\nfalse &&\n\n echo y", 0, "y\n", ""),
    ("! false", 0, "", ""),
    ("! true | false", 0, "", ""),
    ("'!' true", 127, "", "sh: 1: !: not found\n"),
    ("false; true", 0, "", ""),
    ("true; false", 1, "", ""),
    ("false; >/dev/null", 0, "", ""),
    ("! >/dev/null", 1, "", ""),
    ("echo b | cat; echo a", 0, "b\na\n", ""),
    ("echo a |\n cat", 0, "a\n", ""),
    ("nosuch", 127, "", NOT_FOUND),
    ("\n\n nosuch", 127, "", "sh: 3: nosuch: not found\n"),
    ("/usr/bin/echo a; /foo/echo a", 127, "a\n", "sh: 1: /foo/echo: not found\n"),
    # Quotes and escapes.
    ("echo 'a  b' \"c d\" e\\ f", 0, "a  b c d e f\n", ""),
    ("echo a\"b\"'c'd '' x", 0, "abcd  x\n", ""),
    ('echo "\\a \\$ \\" \\\\"', 0, '\a $ " \\\n', ""),
    ('echo $ a$ "$" "a$" \'$\'', 0, "$ a$ $ a$ $\n", ""),
    ('echo one \\\n two a\\\nb "c\\\nd"', 0, "one two ab cd\n", ""),
    ("echo 'a\nb'", 0, "a\nb\n", ""),
    ("echo a\\", 0, "a\\\n", ""),
    ("echo {a,b} [2001:db8::1]:80", 0, "{a,b} [2001:db8::1]:80\n", ""),
    ("echo a#b # a comment", 0, "a#b\n", ""),
    ("echo a; # nothing", 0, "a\n", ""),
    ("echo done fi", 0, "done fi\n", ""),
    # Redirections.
    ("echo a >/dev/null; echo b", 0, "b\n", ""),
    ("nosuch 2>/dev/null", 127, "", ""),
    ("nosuch 2>&1", 127, NOT_FOUND, ""),
    ("nosuch >/dev/null 2>&1", 127, "", ""),
    ("nosuch 2>&1 >/dev/null", 127, NOT_FOUND, ""),
    ("echo a >&2", 0, "", "a\n"),
    ("nosuch &>/dev/null", 127, "", ""),
    ("nosuch 2>&1 | grep -c found", 0, "1\n", ""),
    ("echo a2>/dev/null", 0, "", ""),
    ("echo a | cat </dev/null", 0, "", ""),
    # Here-documents.
    ("cat <<'E' | sort\nb\na\nE", 0, "a\nb\n", ""),
    ("cat <<-E\n\t\tone\n\ttwo\n\t\tE\necho x", 0, "one\ntwo\nx\n", ""),
    ("cat <<A; cat <<B\n1\nA\n2\nB", 0, "1\n2\n", ""),
    ("cat <<A <<B\n1\nA\n2\nB", 0, "2\n", ""),
    ("<<E cat\nx\nE", 0, "x\n", ""),
    ('cat << "E F"\nx\nE F', 0, "x\n", ""),
    ("cat <<E;echo after\nx\nE", 0, "x\nafter\n", ""),
    ('cat <<E\n\\$a \\\\ \\x \\` a\\\nb $ "q"\nE', 0, '$a \\ \\x ` ab $ "q"\n', ""),
    ("cat <<'E'\n\\$a $x `y` \\\\\nE", 0, "\\$a $x `y` \\\\\n", ""),
    ("cat <<E\nno end", 0, "no end", ""),
    ("cat <<E\na\nE \nE", 0, "a\nE \n", ""),
    ("cat <<E\nE\necho x", 0, "x\n", ""),
    # Loops.
    ("for i in a 'b c'; do echo $i; echo \"$i\"; done", 0, "a\na\nb c\nb c\n", ""),
    ("for i in 'b  c'; do echo x${i}y; done", 0, "xb cy\n", ""),
    ("for i in ' b '; do echo x${i}y; done", 0, "x b y\n", ""),
    ("for i in; do echo x; done", 0, "", ""),
    ("for i in a b\ndo echo $i\ndone | wc -l", 0, "2\n", ""),
    ("for i in a b; do for j in 1 2; do echo $i$j; done; done", 0, "a1\na2\nb1\nb2\n", ""),
    ("for i in a b; do cat <<E\n-$i-\nE\ndone", 0, "-a-\n-b-\n", ""),
    ("for i in a; do false; done || echo no; echo $i", 0, "no\na\n", ""),
    ("for i in a; do echo $i; nosuch; done >/dev/null 2>&1", 127, "", ""),
    # What no shell could read, and what stands before it.
    ("echo x\necho 'b", 2, "x\n", "sh: 2: Syntax error: Unterminated quoted string\n"),
    ('echo "a', 2, "", "sh: 1: Syntax error: Unterminated quoted string\n"),
    ("echo x\n&& b", 2, "x\n", 'sh: 2: Syntax error: "&&" unexpected\n'),
    ("echo a &&", 2, "", "sh: 1: Syntax error: end of file unexpected\n"),
    ("true || || b", 2, "", 'sh: 1: Syntax error: "||" unexpected\n'),
    ("| a", 2, "", 'sh: 1: Syntax error: "|" unexpected\n'),
    ("; ;; a", 2, "", 'sh: 1: Syntax error: ";" unexpected\n'),
    ("echo a ;; echo b", 2, "", 'sh: 1: Syntax error: ";;" unexpected\n'),
    ("true; ; true", 2, "", 'sh: 1: Syntax error: ";" unexpected\n'),
    ("! ! true", 2, "", 'sh: 1: Syntax error: "!" unexpected\n'),
    ("true | ! true", 2, "", 'sh: 1: Syntax error: "!" unexpected\n'),
    ("done", 2, "", 'sh: 1: Syntax error: "done" unexpected\n'),
    ("for 1 in a; do echo; done", 2, "", "sh: 1: Syntax error: Bad for loop variable\n"),
    ("for i in a; done", 2, "", 'sh: 1: Syntax error: "done" unexpected (expecting "do")\n'),
    ("for i in a; do done", 2, "", 'sh: 1: Syntax error: "done" unexpected\n'),
]


@pytest.mark.parametrize(("line", "code", "stdout", "stderr"), LINES)
def test_lines(node, line, code, stdout, stderr):
    """Lines do what dash does with them."""
    done = node.run(line)

    assert (done.returncode, done.stdout, done.stderr) == (code, stdout, stderr)


@pytest.mark.skipif(shutil.which("dash") is None, reason="there is no dash here")
def test_the_table_is_right(tmp_path):
    """dash itself says what the table says (but for &>, which it does not know)."""
    for line, code, stdout, stderr in LINES:
        if "&>" in line:
            continue
        done = subprocess.run(
            ["sh", "-c", line],
            executable=shutil.which("dash"),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            timeout=10,
            check=False,
        )

        assert (done.returncode, done.stdout, done.stderr) == (code, stdout, stderr), line


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("echo $HOME", "variable 'HOME'"),
        ("echo `date`", "substitution"),
        ('echo "$(x)"', "substitution"),
        ("echo $?", "substitution"),
        ("cat <<E\n$x\nE", "variable 'x'"),
        ("a=1", "a shell variable"),
        ("LC_ALL=C sort", "a shell variable"),
        ("ls *", "pattern character '\\*'"),
        ("(echo a)", "a subshell"),
        ("f() { echo a; }", "a shell function"),
        ("echo a &", "background"),
        ("echo a | { cat; }", "the shell's '{'"),
        ("if true; then echo a; fi", "the shell's 'if'"),
        ("while true; do echo a; done", "the shell's 'while'"),
        ("for i; do echo a; done", "the shell's own arguments"),
        ("echo a | for i in b; do cat; done", "the input of a loop"),
        ("echo a > file", "the file 'file'"),
        ("cat < file", "the file 'file'"),
        ("cat <<< a", "the redirection"),
        ("echo a 2>&-", "the redirection"),
        ("echo a 3>/dev/null", "the redirection '3>'"),
        ("echo ~", "a home directory"),
        ("ping 192.0.2.1", "the command 'ping'"),
        ("/usr/bin/sed s/a/b/", "the command 'sed'"),
        ("exit 3", "the command 'exit'"),
        ("grep -P a", "grep -P"),
        (" ".join("for i in a; do" for _ in range(40)), "loops within each other"),
    ],
)
def test_what_is_not_modelled_is_named(node, line, what):
    """What a shell would do and this one does not is refused by name, never skipped."""
    with pytest.raises(UnsupportedError, match=what):
        node.run(line)


def test_a_refused_line_does_nothing():
    """What the line itself shows is refused before its first command runs."""
    node = Node()
    for refused in ("; ls", " && nosuch || tc qdisc", "\necho $x", "; for i in a; do iperf; done"):
        with pytest.raises(UnsupportedError):
            node.run("ip link add dum0 type dummy" + refused)

    assert node.run("ip link show dum0").returncode == 1


def test_loops_have_a_bound(node):
    """A short line cannot keep a node busy for ever."""
    words = " ".join("abcdefgh")
    loops = "".join(f"for {v} in {words}; do " for v in "ijklmn")

    with pytest.raises(UnsupportedError, match="more than 100000 commands"):
        node.run(loops + "true; " + "done; " * 6)


def test_a_tools_error_is_its_exit_code(node):
    """An error that a tool raises ends the command, not the line."""
    done = node.run("ip link set nope up; echo after")

    assert (done.returncode, done.stdout, done.stderr) == (0, "after\n", 'Cannot find device "nope"\n')


@settings(max_examples=300)
@given(st.text(alphabet="abc|&;<>\"'\\ \t\n$(){}*E12-!#=~`", max_size=40))
def test_any_line_is_read_or_refused(line):
    """Arbitrary text is a line or refused by an error of ours."""
    try:
        parse(line)
    except UnsupportedError:
        pass


QUOTABLE = st.text(min_size=1, max_size=8).filter(lambda text: "'" not in text)


@given(st.lists(QUOTABLE, min_size=1, max_size=5))
def test_quoted_words_come_through(words):
    """Whatever stands between single quotes reaches the command."""
    program = parse("echo " + " ".join(f"'{word}'" for word in words))
    ((pipeline,),) = program.lines
    (command,) = pipeline.commands

    assert [word.literal for word in command.words] == ["echo", *words]


@given(st.lists(st.text(alphabet="ab $`\\\"'<", max_size=6), max_size=6))
def test_quoted_documents_come_through(lines):
    """A here-document whose delimiter is quoted arrives as it stands."""
    text = "".join(line + "\n" for line in lines)

    assert Node().run(f"cat <<'END'\n{text}END").stdout == text


def test_long_documents_are_quick():
    """A here-document of many lines is read at once, whichever way it is quoted."""
    text = "-A FORWARD -j ACCEPT\n" * 100_000
    for delimiter in ("'E'", "E", "-E"):
        assert Node().run(f"cat <<{delimiter} | wc -l\n{text}E").stdout == "100000\n"
