"""
Scenario files: one host, what happens to it, and what is read from it afterwards.

A file is a scenario (``.json``), or a corpus of ``{"name", "scenario", "result"}``, one a line (``.jsonl``,
``.jsonl.gz``), whose recorded result only `verify` looks at.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from svcsim.errors import ConfigError

__all__ = ["Interface", "Recorded", "Scenario", "read_corpus", "read_scenarios"]

_EVENTS = {
    "in": {"in", "packet", "settle"},
    "local": {"local", "settle"},
    "reply": {"reply", "flags", "seq", "ack", "data", "settle"},
    "unreachable": {"unreachable", "type", "code", "settle"},
    "command": {"command"},
    "wait": {"wait"},
}
_MAX_LINE = 64 << 20
#: What the numbers of an event may be.
_RANGES = {"seq": 0xFFFFFFFF, "ack": 0xFFFFFFFF, "type": 255, "code": 255, "wait": 10**9, "settle": 60}
_NAME = re.compile(r"[A-Za-z0-9_+@=,:][A-Za-z0-9_+@=,:. -]{0,199}")


@attrs.frozen
class Interface:
    """A point-to-point device with its addresses and link routes."""

    name: str
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


@attrs.frozen
class Scenario:
    """What is done to one host; *events* are the mappings of the file, checked."""

    name: str
    interfaces: tuple[Interface, ...]
    setup: tuple[str, ...]
    events: tuple[dict[str, Any], ...]
    dump: dict[str, str]
    kernel: str | None = None

    @classmethod
    def from_json(cls, name: str, value: Any, where: str) -> Scenario:
        """Check a decoded file; `ConfigError` says where what is wrong."""
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: a scenario is an object, not {type(value).__name__}")
        unknown = value.keys() - {"kernel", "interfaces", "setup", "events", "dump"}
        if unknown:
            raise ConfigError(f"{where}: unknown key {sorted(unknown)[0]!r}")
        interfaces = [
            _interface(each, f"{where}: interfaces[{i}]")
            for i, each in enumerate(_list(value.get("interfaces", []), f"{where}: interfaces"))
        ]
        setup = _list(value.get("setup", []), f"{where}: setup")
        for i, line in enumerate(setup):
            _is(line, str, f"{where}: setup[{i}]")
        events = [
            _event(each, i, f"{where}: events[{i}]")
            for i, each in enumerate(_list(value.get("events", []), f"{where}: events"))
        ]
        dump = _is(value.get("dump", {}), dict, f"{where}: dump")
        for key, line in dump.items():
            _is(line, str, f"{where}: dump[{key!r}]")
        kernel = value.get("kernel")
        if kernel is not None:
            _is(kernel, str, f"{where}: kernel")
        return cls(name, tuple(interfaces), tuple(setup), tuple(events), dump, kernel)

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        made: dict[str, Any] = {"kernel": self.kernel} if self.kernel else {}
        made["interfaces"] = [
            {"name": i.name, "addresses": list(i.addresses), "routes": list(i.routes)} for i in self.interfaces
        ]
        return made | {"setup": list(self.setup), "events": list(self.events), "dump": dict(self.dump)}


@attrs.frozen
class Recorded:
    """A scenario with what a real kernel made of it."""

    scenario: Scenario
    result: dict[str, Any]

    @property
    def family(self) -> str:
        """The name without its last part."""
        return self.scenario.name.rsplit("-", 1)[0]


def _is(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    made: list[Any] = _is(value, list, where)
    return made


def _interface(value: Any, where: str) -> Interface:
    _is(value, dict, where)
    texts = []
    for key in ("addresses", "routes"):
        words = _list(value.get(key, []), f"{where}.{key}")
        texts.append(tuple(_is(word, str, f"{where}.{key}") for word in words))
    return Interface(_is(value.get("name"), str, f"{where}.name"), *texts)


def _event(value: Any, index: int, where: str) -> dict[str, Any]:
    _is(value, dict, where)
    kinds = [kind for kind in _EVENTS if kind in value]
    if len(kinds) != 1:
        raise ConfigError(f"{where}: an event is one of {', '.join(_EVENTS)}; this has {', '.join(kinds) or 'none'}")
    kind = kinds[0]
    unknown = value.keys() - _EVENTS[kind]
    if unknown:
        raise ConfigError(f"{where}: unknown key {sorted(unknown)[0]!r} in {kind!r}")
    if kind in ("reply", "unreachable"):
        if not 0 <= _is(value[kind], int, f"{where}.{kind}") < index:
            raise ConfigError(f"{where}.{kind}: event {value[kind]} is not an earlier one")
    elif kind != "wait":
        _is(value[kind], str, f"{where}.{kind}")
    for key, most in _RANGES.items():
        if key in value:
            number, kinds_of_number = value[key], (int, float) if key in ("wait", "settle") else (int,)
            if not isinstance(number, kinds_of_number) or isinstance(number, bool) or not 0 <= number <= most:
                raise ConfigError(f"{where}.{key}: not a number from 0 to {most}: {number!r}")
    if not re.fullmatch("[FSRPA]*", _is(value.get("flags", ""), str, f"{where}.flags")):
        raise ConfigError(f"{where}.flags: letters of FSRPA, not {value['flags']!r}")
    for key in ("packet", "local", "data"):
        if key in value:
            try:
                bytes.fromhex(_is(value[key], str, f"{where}.{key}"))
            except ValueError as error:
                raise ConfigError(f"{where}.{key}: not hexadecimal: {error}") from error
    if kind == "in" and "packet" not in value:
        raise ConfigError(f"{where}: no packet")
    return dict(value)


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
            number = 0
            while line := stream.readline(_MAX_LINE):
                number += 1
                if len(line) >= _MAX_LINE:
                    raise ConfigError(f"{path}: line {number} is too long")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _decode(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON: {error}") from error


def read_scenarios(path: Path) -> Iterator[Scenario]:
    """The scenarios of a file; a recorded result, in it or beside it (``.result.json``), is not looked at."""
    if path.name.endswith(".result.json"):
        return
    if path.suffix == ".json":
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from error
        yield Scenario.from_json(path.stem, _decode(text, str(path)), str(path))
        return
    for number, line in _lines(path):
        where = f"{path}:{number}"
        value = _is(_decode(line, where), dict, where)
        name = _name(value, where)
        yield Scenario.from_json(name, value.get("scenario"), f"{where} ({name})")


def read_corpus(path: Path) -> Iterator[Recorded]:
    """The recordings of a corpus, or a scenario with its ``.result.json`` beside it."""
    if path.suffix == ".json":
        beside = path.with_name(f"{path.stem}.result.json")
        try:
            text = beside.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(beside, error) from error
        for scenario in read_scenarios(path):
            yield Recorded(scenario, _result(_decode(text, str(beside)), str(beside)))
        return
    for number, line in _lines(path):
        where = f"{path}:{number}"
        value = _is(_decode(line, where), dict, where)
        name = _name(value, where)
        result = _result(value.get("result"), f"{where} ({name}): result")
        yield Recorded(Scenario.from_json(name, value.get("scenario"), f"{where} ({name})"), result)


def _result(value: Any, where: str) -> dict[str, Any]:
    result: dict[str, Any] = _is(value, dict, where)
    for i, event in enumerate(_list(result.get("events"), f"{where}.events")):
        here = f"{where}.events[{i}]"
        _is(event, dict, here)
        for j, sent in enumerate(_list(event.get("out", []), f"{here}.out")):
            if not isinstance(sent, list) or len(sent) != 2 or not all(isinstance(text, str) for text in sent):
                raise ConfigError(f"{here}.out[{j}]: expected [interface, packet]")
            try:
                packet = bytes.fromhex(sent[1])
            except ValueError as error:
                raise ConfigError(f"{here}.out[{j}]: not hexadecimal: {error}") from error
            if not packet:
                raise ConfigError(f"{here}.out[{j}]: no packet")
        _is(event.get("stdout", ""), str, f"{here}.stdout")
    for name, text in _is(result.get("dump"), dict, f"{where}.dump").items():
        _is(text, str, f"{where}.dump[{name!r}]")
    return result


def _name(value: dict[str, Any], where: str) -> str:
    """A name that can be a file's."""
    name: str = _is(value.get("name"), str, f"{where}: name")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: not a scenario's name: {name[:200]!r}")
    return name
