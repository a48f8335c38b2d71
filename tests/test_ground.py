"""The ground: errors, registry, clock, chance, kernel parameters, checksums, addresses."""

from __future__ import annotations

import socket
from importlib import metadata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import prefixes, u16
from svcsim.addr import Address, Family, Prefix, format_address, parse_address
from svcsim.checksum import adjust, internet
from svcsim.clock import SECOND, Clock
from svcsim.errors import ConfigError, MissingError, RulesetError, SvcsimError, UnknownNameError, UnsupportedError
from svcsim.registry import Registry
from svcsim.rng import Streams, draw_rows
from svcsim.sysctl import Sysctl, Sysctls


def test_errors_keep_their_parts():
    """An error's message names the place; its parts can be asked for."""
    error = RulesetError("unknown option", line=3, column=7, text="-A FORWARD --bogus")

    assert (error.line, error.column, error.text) == (3, 7, "-A FORWARD --bogus")
    assert "line 3, column 7" in str(error)
    assert isinstance(error, ConfigError | ValueError | SvcsimError)


def test_a_long_line_is_not_repeated_whole():
    """An error about an enormous line shows its beginning."""
    assert len(str(RulesetError("bad", line=1, text="x" * 10_000))) < 300


def test_unknown_name_suggests_the_closest():
    """A misspelt name is answered by the one that was meant, a hopeless one by all that are known."""
    assert "did you mean 'sed'?" in str(UnknownNameError("scheduler", "seed", ["rr", "sed"]))
    assert "known: rr, sed" in str(UnknownNameError("scheduler", "zzz", ["rr", "sed"]))


def test_registry_finds_strangers(monkeypatch):
    """A name that no built-in has is looked for among the entry points, once."""
    asked = []

    class Point:
        @staticmethod
        def load():
            return "a stranger"

    def entry_points(*, group, name):
        asked.append((group, name))
        return [Point] if name == "theirs" else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    registry: Registry[str] = Registry("thing", "svcsim.things")

    assert registry["theirs"] == "a stranger"
    assert registry["theirs"] == "a stranger"
    assert asked == [("svcsim.things", "theirs")]
    with pytest.raises(UnknownNameError):
        registry["nobody's"]


def test_registry_refuses_doubles_and_nameless():
    """One name, one plug-in."""
    registry: Registry[int] = Registry("thing", "svcsim.things")
    registry.add("one", 1)

    with pytest.raises(ConfigError, match="already"):
        registry.add("one", 2)
    with pytest.raises(ConfigError, match="needs a name"):
        registry.add("", 3)
    assert list(registry) == ["one"]


@given(st.lists(st.integers(0, 100), max_size=30))
def test_timers_fire_in_order(deadlines):
    """Timers fire by deadline, equal ones in the order of their making, each at its own time."""
    clock = Clock()
    fired = []
    for number, deadline in enumerate(deadlines):
        clock.call_at(deadline, lambda n: fired.append((clock.now, n)), number)

    clock.advance(1000)

    assert fired == sorted((deadline, number) for number, deadline in enumerate(deadlines))
    assert clock.now == 1000


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=20))
def test_a_timer_fires_once_at_its_last_deadline(changes):
    """However often a timer is put off or brought forward, it fires once, when it was last told to."""
    clock = Clock()
    fired = []
    timer = clock.call_at(100, lambda: fired.append(clock.now))
    expected = 100
    for ahead, pause in changes:
        clock.advance(pause)
        if fired:
            break
        expected = clock.now + ahead
        timer.reset(expected)

    clock.advance(10_000)

    assert fired == [expected]


def test_a_cancelled_timer_stays_silent():
    """A timer that was cancelled does not fire, and one that fired is no longer pending."""
    clock = Clock()
    fired = []
    clock.call_at(5, fired.append, "cancelled").cancel()
    other = clock.call_at(5, fired.append, "other")

    clock.advance(10)

    assert fired == ["other"]
    assert not other.pending


def test_time_does_not_run_backwards():
    """A negative duration is refused and changes nothing."""
    clock = Clock()

    with pytest.raises(ConfigError, match="backwards"):
        clock.advance(-1)
    assert clock.now == 0


@given(st.integers(0, 2**64), st.text(max_size=20), st.integers(0, 1000))
def test_rows_draw_what_a_stream_draws(seed, name, start):
    """The vectorised draw gives the numbers of the scalar one."""
    stream = Streams(seed)[name]
    ordinals = np.arange(start, start + 5, dtype=np.uint64)

    assert draw_rows(stream.key, ordinals).tolist() == [stream.at(i) for i in range(start, start + 5)]


def test_consumers_do_not_disturb_each_other():
    """What one stream draws does not depend on what another drew before."""
    alone = Streams(1)
    disturbed = Streams(1)
    disturbed["other"].u64()

    assert [alone["mine"].u32() for _ in range(3)] == [disturbed["mine"].u32() for _ in range(3)]


def test_draws_are_even():
    """Ten thousand draws below 10 fill ten bins evenly: chi-square below the 0.999 quantile for 9 degrees of freedom."""
    stream = Streams(2)["dice"]
    bins = [0] * 10
    for _ in range(10_000):
        bins[stream.below(10)] += 1

    assert sum((count - 1000) ** 2 / 1000 for count in bins) < 27.88


def test_parameters_keep_what_was_refused():
    """A value out of range, an unknown name and a read-only parameter are refused and leave everything as it was."""
    sysctls = Sysctls([Sysctl("a.b", 1, maximum=3), Sysctl("a.fixed", 7, read_only=True)])

    for text in ("4", "-1", "x", ""):
        with pytest.raises(ConfigError, match="Invalid argument"):
            sysctls.write("a.b", text)
    with pytest.raises(MissingError, match="/proc/sys/a/c"):
        sysctls.write("a.c", "1")
    with pytest.raises(ConfigError, match="permission denied"):
        sysctls.write("a.fixed", "1")
    assert (sysctls["a.b"], sysctls["a.fixed"]) == (1, 7)


def test_listeners_hear_of_writes():
    """Whoever depends on a parameter is told when it is written."""
    sysctls = Sysctls([Sysctl("a.b", 1)])
    heard = []
    sysctls.on_write("a.b", lambda: heard.append(sysctls["a.b"]))

    sysctls.write("a/b", "2")

    assert heard == [2]


def _slow_checksum(data: bytes) -> int:
    total = 0
    padded = data + b"\0" * (len(data) % 2)
    for i in range(0, len(padded), 2):
        total += padded[i] << 8 | padded[i + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(st.binary(max_size=100))
def test_internet_checksum(data):
    """The sum by remainder is the sum word by word."""
    assert internet(data) == _slow_checksum(data)


@given(st.binary(min_size=8, max_size=40).filter(any), u16)
def test_adjusting_is_summing_again(data, word):
    """The checksum after a change of one word is the one of the changed bytes (but for the two zeroes)."""
    data = data + b"\0" * (len(data) % 2)
    changed = word.to_bytes(2) + data[2:]

    adjusted = adjust(internet(data), int.from_bytes(data[:2]), word)

    assert adjusted % 0xFFFF == internet(changed) % 0xFFFF


@given(st.ip_addresses())
def test_addresses_come_back(address):
    """Every address is read from its text and written again, as inet_ntop writes it."""
    parsed = parse_address(str(address))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6

    assert parsed == Address(Family(address.version), int(address))
    assert str(parsed) == socket.inet_ntop(family, address.packed)


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.-4", "::g", "fe80::1%eth0", "a.b.c.d", "1.2.3.٤"]
)
def test_what_is_no_address_is_refused(text):
    """A text that is no address is named in the refusal."""
    with pytest.raises(ConfigError, match="not an IP address"):
        parse_address(text)


@given(st.sampled_from(list(Family)).flatmap(prefixes))
def test_prefixes_come_back(prefix):
    """A prefix is read from its text and holds its own first and last address."""
    last = prefix.value | (prefix.family.all_ones ^ prefix.mask)

    assert Prefix.parse(str(prefix)) == prefix
    assert prefix.value in prefix
    assert last in prefix


def test_masks_need_not_be_contiguous():
    """A mask with holes is kept, and shown as a mask."""
    prefix = Prefix.parse("10.9.8.7/255.0.255.0")

    assert (prefix.length, str(prefix)) == (None, "10.0.8.0/255.0.255.0")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/::", "::/129"])
def test_impossible_prefixes_are_refused(text):
    """A length out of range or a mask of another family is refused."""
    with pytest.raises(ConfigError):
        Prefix.parse(text)


def test_format_of_both_families():
    """Texts of both families."""
    assert format_address(4, 0x0A600001) == "10.96.0.1"
    assert format_address(6, 0x20010DB8 << 96 | 1) == "2001:db8::1"


def test_unsupported_says_what_to_do():
    """What is not modelled is named, with a way out."""
    error = UnsupportedError("GRE tunnels", instead="use ipip")

    assert (error.what, error.instead) == ("GRE tunnels", "use ipip")
    assert SECOND == 10**9
