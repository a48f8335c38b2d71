"""
Kernel parameters: names, defaults, and what may be written.

Each mechanism declares its own; a name that nobody declared is refused with its name, never silently accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from svcsim.errors import ConfigError, MissingError

__all__ = ["Sysctl", "Sysctls"]


@attrs.frozen
class Sysctl:
    """
    One parameter: its dotted *name*, *default*, and the range that may be written.

    *modelled* is False where svcsim keeps the value and does nothing with it.
    """

    name: str
    default: int | str
    minimum: int = 0
    maximum: int = 2**31 - 1
    modelled: bool = True
    read_only: bool = False


class Sysctls:
    """
    The parameters of one host.

    >>> sysctls = Sysctls([Sysctl("net.ipv4.ip_forward", 0, maximum=1)])
    >>> sysctls.write("net/ipv4/ip_forward", "1")
    >>> sysctls["net.ipv4.ip_forward"]
    1
    """

    def __init__(self, declared: list[Sysctl] | None = None) -> None:
        self._declared: dict[str, Sysctl] = {}
        self.values: dict[str, int | str] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self.declare(declared or [])

    def declare(self, parameters: list[Sysctl]) -> None:
        """Add *parameters* with their defaults; one that is there already keeps its value."""
        for parameter in parameters:
            self._declared.setdefault(parameter.name, parameter)
            self.values.setdefault(parameter.name, parameter.default)

    def on_write(self, name: str, function: Callable[[], None]) -> None:
        """Call *function* after each write of *name*."""
        self._listeners.setdefault(name, []).append(function)

    def __getitem__(self, name: str) -> int:
        value = self.values[name]
        assert isinstance(value, int), name
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._declared))

    def read(self, name: str) -> str:
        """The text of a parameter, named with dots or slashes."""
        return str(self.values[self._known(name).name])

    def write(self, name: str, text: str) -> None:
        """Set a parameter from text; a refused value changes nothing."""
        parameter = self._known(name)
        value: int | str = text
        if parameter.read_only:
            raise ConfigError(f'sysctl: permission denied on key "{parameter.name}"', exit_code=255)
        if isinstance(parameter.default, int):
            try:
                value = int(text, 0)
            except ValueError:
                value = parameter.minimum - 1
            if not parameter.minimum <= value <= parameter.maximum:
                raise ConfigError(f'sysctl: setting key "{parameter.name}": Invalid argument', exit_code=255)
        self.values[parameter.name] = value
        for listener in self._listeners.get(parameter.name, ()):
            listener()

    def _known(self, name: str) -> Sysctl:
        dotted = name.replace("/", ".") if "/" in name else name
        parameter = self._declared.get(dotted)
        if parameter is None:
            path = "/proc/sys/" + dotted.replace(".", "/")
            raise MissingError(f"sysctl: cannot stat {path}: No such file or directory", exit_code=255)
        return parameter
