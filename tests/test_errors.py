"""The errors that are raised on purpose, and what they keep of what they were told."""

from __future__ import annotations

import inspect

import pytest

from svcsim import errors
from svcsim.errors import ConfigError, PacketError, RulesetError, SvcsimError, UnknownNameError, UnsupportedError


def test_errors_keep_their_parts():
    """An error's message names the place; its parts can be asked for."""
    error = RulesetError("unknown option", line=3, column=7, text="-A FORWARD --bogus")

    assert (error.line, error.column, error.text, error.exit_code) == (3, 7, "-A FORWARD --bogus", 2)
    assert str(error) == "line 3, column 7: unknown option: -A FORWARD --bogus"


def test_places_that_are_not_known_are_left_out():
    """Without line, column or text an error is its message."""
    assert str(RulesetError("bad")) == "bad"
    assert str(RulesetError("bad", line=2)) == "line 2: bad"


def test_a_long_line_is_not_repeated_whole():
    """An error about an enormous line shows its beginning."""
    error = RulesetError("bad", line=1, text="x" * 10_000)

    assert len(str(error)) < 300
    assert len(error.text) == 10_000


def test_unknown_name_suggests_the_closest():
    """A misspelt name is answered by the one that was meant, a hopeless one by all that are known."""
    assert "did you mean 'sed'?" in str(UnknownNameError("scheduler", "seed", ["rr", "sed"]))
    assert "known: rr, sed" in str(UnknownNameError("scheduler", "zzz", ["sed", "rr"]))


def test_a_packet_error_names_the_byte():
    """Where it is known which byte is at fault, the message says so."""
    assert (str(PacketError("bad", offset=0)), PacketError("bad", offset=0).offset) == ("bad (byte 0)", 0)
    assert (str(PacketError("bad")), PacketError("bad").offset) == ("bad", None)


def test_unsupported_says_what_to_do():
    """What is not modelled is named, with a way out if there is one."""
    error = UnsupportedError("GRE tunnels", instead="use ipip")

    assert (error.what, error.instead) == ("GRE tunnels", "use ipip")
    assert str(UnsupportedError("GRE tunnels")) == "GRE tunnels: not modelled"


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_one_root(name):
    """One except clause catches them all, and those about configuration are ValueErrors too."""
    kind = getattr(errors, name)

    assert issubclass(kind, SvcsimError)
    assert not issubclass(kind, ConfigError) or issubclass(kind, ValueError)


def test_every_error_is_listed():
    """No error class is hidden."""
    defined = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}

    assert defined == set(errors.__all__)
