"""Kernel parameters."""

from __future__ import annotations

import pytest

from svcsim.errors import ConfigError, MissingError
from svcsim.sysctl import Sysctl, Sysctls


def test_parameters_keep_what_was_refused():
    """A value out of range, an unknown name and a read-only parameter are refused and leave everything as it was."""
    sysctls = Sysctls([Sysctl("a.b", 1, maximum=3), Sysctl("a.fixed", 7, read_only=True)])
    heard = []
    sysctls.on_write("a.b", lambda: heard.append("a.b"))

    for text in ("4", "-1", "x", "", "1 2"):
        with pytest.raises(ConfigError, match="Invalid argument"):
            sysctls.write("a.b", text)
    with pytest.raises(MissingError, match="/proc/sys/a/c"):
        sysctls.write("a.c", "1")
    with pytest.raises(ConfigError, match="permission denied"):
        sysctls.write("a.fixed", "1")
    assert (sysctls["a.b"], sysctls["a.fixed"], heard) == (1, 7, [])


def test_numbers_are_read_as_the_kernel_reads_them():
    """Decimal or hexadecimal."""
    sysctls = Sysctls([Sysctl("a.b", 1)])

    sysctls.write("a.b", "0x10")

    assert (sysctls["a.b"], sysctls.read("a.b")) == (16, "16")


def test_dots_and_slashes():
    """A parameter is named with dots or with slashes, for reading and for writing."""
    sysctls = Sysctls([Sysctl("net.ipv4.ip_forward", 0)])

    sysctls.write("net/ipv4/ip_forward", "1")

    assert sysctls.read("net.ipv4.ip_forward") == sysctls.read("net/ipv4/ip_forward") == "1"


def test_texts_are_kept_as_they_are():
    """A parameter that is a text takes any text."""
    sysctls = Sysctls([Sysctl("a.range", "32768\t60999")])

    sysctls.write("a.range", "1024\t2048")

    assert sysctls.read("a.range") == "1024\t2048"


def test_declaring_again_keeps_the_value():
    """Two mechanisms may declare the same parameter; what was written stays."""
    sysctls = Sysctls([Sysctl("a.b", 1)])
    sysctls.write("a.b", "2")

    sysctls.declare([Sysctl("a.b", 1), Sysctl("a.c", 3)])

    assert (sysctls["a.b"], sysctls["a.c"], list(sysctls)) == (2, 3, ["a.b", "a.c"])


def test_listeners_hear_of_writes():
    """Whoever depends on a parameter is told when it is written, after it has its new value."""
    sysctls = Sysctls([Sysctl("a.b", 1), Sysctl("a.c", 1)])
    heard = []
    sysctls.on_write("a.b", lambda: heard.append(sysctls["a.b"]))

    sysctls.write("a/b", "2")
    sysctls.write("a.c", "5")

    assert heard == [2]
