"""Names to plug-ins."""

from __future__ import annotations

from importlib import metadata

import pytest

from svcsim.errors import ConfigError, UnknownNameError
from svcsim.registry import Registry


@pytest.fixture
def strangers(monkeypatch):
    """One installed plug-in, "theirs"; the list of what was asked for."""
    asked = []

    class Point:
        @staticmethod
        def load():
            return "a stranger"

    def entry_points(*, group, name):
        asked.append((group, name))
        return [Point] if name == "theirs" else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return asked


def test_registry_finds_strangers(strangers):
    """A name that no built-in has is looked for among the entry points, once."""
    registry: Registry[str] = Registry("thing", "svcsim.things")

    assert registry["theirs"] == "a stranger"
    assert registry["theirs"] == "a stranger"
    assert strangers == [("svcsim.things", "theirs")]


def test_an_unknown_name_is_refused(strangers):
    """A name that nobody has is refused with those that are known, and the registry stays as it was."""
    registry: Registry[str] = Registry("thing", "svcsim.things")
    registry.add("mine", "a friend")

    with pytest.raises(UnknownNameError, match="unknown thing 'nobody'; known: mine"):
        registry["nobody"]
    assert list(registry) == ["mine"]


def test_asking_whether_a_name_is_there_loads_nothing(strangers):
    """``in`` knows the installed ones too, without loading them."""
    registry: Registry[str] = Registry("thing", "svcsim.things")
    registry.add("mine", "a friend")

    assert "mine" in registry
    assert "theirs" in registry
    assert "nobody" not in registry
    assert list(registry) == ["mine"]


def test_registry_refuses_doubles_and_nameless():
    """One name, one plug-in."""
    registry: Registry[int] = Registry("thing", "svcsim.things")
    registry.add("one", 1)

    with pytest.raises(ConfigError, match="already"):
        registry.add("one", 2)
    with pytest.raises(ConfigError, match="needs a name"):
        registry.add("", 3)
    assert (list(registry), registry["one"]) == (["one"], 1)


def test_a_decorator_enters_and_returns():
    """What is decorated is entered as it is, and stays what it was."""
    registry: Registry[type] = Registry("thing", "svcsim.things")

    @registry.register("this")
    class This:
        pass

    assert registry["this"] is This


def test_names_are_listed_in_order():
    """A listing does not depend on the order of entering."""
    registry: Registry[int] = Registry("thing", "svcsim.things")
    for name in ("c", "a", "b"):
        registry.add(name, 0)

    assert list(registry) == ["a", "b", "c"]
