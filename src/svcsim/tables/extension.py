"""
What matches and targets have in common: a name, options, text, and limits to where they may stand.

Behaviour of: struct xt_match and struct xt_target with their halves in libxtables. An extension is a value: what was
asked for. It reads itself from options and writes itself as iptables-save does. What it must remember between packets
does not belong to the value but to the rule that was loaded with it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import attrs

from svcsim.addr import Family
from svcsim.hooks import Hook, HookState, Skb
from svcsim.registry import Registry
from svcsim.tables.options import Args, Option
from svcsim.tables.problems import Refusal

if TYPE_CHECKING:
    from svcsim.hooks import Host

__all__ = ["Extension", "Extensions", "Loader", "Place", "Test"]

#: What a loaded rule asks: whether it holds for a packet, or None: the packet is too short to be judged, drop it.
Test = Callable[[Skb, HookState], bool | None]

T = TypeVar("T")
E = TypeVar("E", bound="Extension")


@attrs.frozen
class Place:
    """
    Where a rule stands: its table, the hooks that its chain can be reached from, and the protocol that it names; and the
    *matches* of the rule.

    A chain that nothing leads to has no hooks.
    """

    family: Family
    table: str
    hooks: frozenset[Hook]
    proto: int = 0
    proto_inverted: bool = False
    matches: tuple[Extension, ...] = ()


class Loader:
    """
    What a rule may ask for when it is loaded: the host it works on, and state that is shared by name.

    Something shared lives as long as a loaded rule holds it.
    """

    __slots__ = ("family", "host", "native", "shared")

    def __init__(
        self, host: Host, family: Family, shared: MutableMapping[tuple[str, str], Any], *, native: bool = False
    ) -> None:
        self.host, self.family, self.shared = host, family, shared
        self.native = native  # transport tests are nf_tables' own expressions

    def share(self, kind: str, name: str, make: Callable[[], T]) -> T:
        """The thing of this *kind* and *name*; made if no loaded rule holds one."""
        thing: T | None = self.shared.get((kind, name))
        if thing is None:
            thing = self.shared[kind, name] = make()
        return thing


class Extension(abc.ABC):
    """A match or a target."""

    __slots__ = ()

    #: The name that the real tool uses; set by registration, as is *option_table*.
    name: ClassVar[str] = ""
    options: ClassVar[tuple[Option, ...]] = ()
    option_table: ClassVar[dict[str, Option]] = {}
    families: ClassVar[frozenset[Family]] = frozenset(Family)
    #: Where it may stand; None is anywhere.
    tables: ClassVar[frozenset[str] | None] = None
    hooks: ClassVar[frozenset[Hook] | None] = None
    #: The protocols that a rule with it may name; None is any or none.
    protocols: ClassVar[frozenset[int] | None] = None
    #: Whether it may stand anywhere, remembers nothing and tracks nothing: nothing to look after; known of each class.
    carefree: ClassVar[bool] = False
    #: Whether it remembers something between packets that starts anew whenever the table changes.
    stateful: ClassVar[bool] = False
    #: Whether it needs connection tracking.
    tracks: ClassVar[bool] = False
    #: Whether the same words are likely to come again, so that what was read of them is worth keeping.
    cached: ClassVar[bool] = True
    #: The option of which `parse_many` reads the values.
    main: ClassVar[str] = ""
    #: Whether reading its options depends on the protocol that the rule names before them.
    reads_protocol: ClassVar[bool] = False

    def __init_subclass__(cls, **words: object) -> None:
        super().__init_subclass__(**words)
        limits = (cls.tables, cls.hooks, cls.protocols)
        unlimited = all(limit is None for limit in limits) and cls.check is Extension.check
        cls.carefree = unlimited and not cls.stateful and not cls.tracks

    @classmethod
    def parse(cls, args: Args) -> Self:
        """Read a value from its options; there are none to read unless this is written."""
        return cls()

    @classmethod
    def parse_many(cls, values: Sequence[str], family: Family, proto: int) -> list[Self] | None:
        """
        Read *values* of `main`, of many rules that give nothing else; None if they need to be read one by one.

        Large rulesets say such things again and again; what this answers is what `parse` would.
        """
        return None

    def emit(self) -> str:
        """Its options as iptables-save prints them."""
        return ""

    def describe(self, numeric: bool) -> str:
        """What ``iptables -L`` prints of it; ports, users and the like as numbers if *numeric*."""
        return ""

    @property
    def limited(self) -> bool:
        """Whether it matters from which hooks its rule can be reached."""
        return self.hooks is not None

    def check(self, place: Place) -> None:
        """Refuse a *place* where this may not stand."""
        name = self.name
        if self.tables is not None and place.table not in self.tables:
            raise Refusal(f'{name}: only valid in {" or ".join(sorted(self.tables))} table, not "{place.table}"')
        if self.hooks is not None and not place.hooks <= self.hooks:
            used, valid = (_names(hooks) for hooks in (place.hooks, self.hooks))
            raise Refusal(f"{name}: used from hooks {used}, but only valid from {valid}")
        if self.protocols is not None and (place.proto_inverted or place.proto not in self.protocols):
            raise Refusal(f"{name}: only valid for protocol {'/'.join(map(str, sorted(self.protocols)))}")


def _names(hooks: frozenset[Hook]) -> str:
    return "/".join(hook.name for hook in sorted(hooks))


class Extensions(Registry[type[E]]):
    """The extensions of one kind; entering one gives it its name."""

    def __init__(self, kind: str, group: str) -> None:
        super().__init__(kind, group)
        self._absent: set[str] = set()

    def add(self, name: str, plugin: type[E]) -> type[E]:
        """Enter *plugin* under *name*."""
        super().add(name, plugin)
        self._absent.discard(name)
        plugin.name = name
        plugin.option_table = {f"--{option.name}": option for option in plugin.options}
        return plugin

    def find(self, name: str, family: Family) -> type[E] | None:
        """The extension of this *name* for a family, None if there is none; strangers are looked for once."""
        if name in self._absent or name not in self:
            self._absent.add(name)
            return None
        plugin = self[name]
        return plugin if family in plugin.families else None
