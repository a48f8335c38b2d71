"""
Names to plug-ins: matches, targets, schedulers, proxy modes.

Built-ins register by decorator; a double name is refused. A name that is not known is looked for once among the
installed distributions' entry points, as a kernel loads a module on a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Generic, TypeVar

from svcsim.errors import ConfigError, UnknownNameError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """
    The plug-ins of one *kind*, by the name that the real tool uses; strangers enter through the entry point *group*.

    >>> greetings: Registry[str] = Registry("greeting", "example.greetings")
    >>> greetings.add("hello", "Hello!")
    'Hello!'
    >>> greetings["hello"]
    'Hello!'
    >>> greetings.add("hello", "Hi.")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: there is already a greeting 'hello'
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._plugins: dict[str, T] = {}

    def add(self, name: str, plugin: T) -> T:
        """Enter *plugin* under *name*; refuse a nameless or a second one."""
        if not name:
            raise ConfigError(f"a {self.kind} needs a name")
        if name in self._plugins:
            raise ConfigError(f"there is already a {self.kind} {name!r}")
        self._plugins[name] = plugin
        return plugin

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters a plug-in under *name*."""
        return lambda plugin: self.add(name, plugin)

    def __getitem__(self, name: str) -> T:
        found = self._plugins.get(name)
        if found is None:
            for point in metadata.entry_points(group=self.group, name=name):
                return self.add(name, point.load())
            raise UnknownNameError(self.kind, name, self._plugins)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._plugins or bool(metadata.entry_points(group=self.group, name=name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._plugins))
