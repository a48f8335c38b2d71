"""
What a scheduler is: the plug-in that chooses a destination for a new connection of one virtual service.

Behaviour of: struct ip_vs_scheduler. A scheduler is bound to one service and hears of every change of its list of
destinations *after* the change; all its state is its own, so two services never share any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from svcsim.errors import ConfigError, MissingError, UnknownNameError
from svcsim.registry import Registry

if TYPE_CHECKING:
    from svcsim.clock import Clock
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService
    from svcsim.rng import Streams
    from svcsim.sysctl import Sysctls

__all__ = ["SCHEDULERS", "Scheduler", "Surroundings", "fold", "hash_32", "make_scheduler", "slot_hash"]

_U32 = 0xFFFFFFFF


class Surroundings(Protocol):
    """What a scheduler may ask of the host that its service stands on; a `Host` is one."""

    clock: Clock
    streams: Streams
    sysctls: Sysctls
    kernel: tuple[int, ...]


@attrs.define(eq=False)
class Scheduler:
    """
    Choose a destination for each new connection of one virtual service.

    Only `schedule` must be written. The service's list has its newest destination first, and every built-in scheduler
    walks it in that order. A destination of weight 0 is quiesced, one that is *overloaded* has reached its upper
    threshold; neither may be chosen. Connections that exist, and clients that persistence pins, never come here.

    *name* is the registered one; *flag_names* are what ``ipvsadm -b`` calls `ServiceFlags.SCHED1` to SCHED3; *since* is
    the first kernel that has it.
    """

    name: ClassVar[str] = ""
    flag_names: ClassVar[tuple[str, str, str]] = ("flag-1", "flag-2", "flag-3")
    since: ClassVar[tuple[int, ...]] = (2, 4)

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        """Return the destination for the connection that *skb* opens; None if there is none to be had."""
        raise NotImplementedError

    def bind(self, service: VirtualService, host: Surroundings) -> None:
        """Begin to serve *service*, whose list may have destinations already (the scheduler was exchanged)."""

    def unbind(self, service: VirtualService) -> None:
        """Stop serving *service*: timers end, references to destinations are given up."""

    def destination_added(self, service: VirtualService, destination: Destination) -> None:
        """Hear that *destination* has become the first of the list."""

    def destination_removed(self, service: VirtualService, destination: Destination, index: int) -> None:
        """Hear that *destination* has left the list, where it stood at *index*."""

    def destination_updated(self, service: VirtualService, destination: Destination) -> None:
        """Hear that *destination* was edited: weight, thresholds, forwarding method."""

    def holds(self, destination: Destination) -> bool:
        """Whether this scheduler remembers *destination*, so that it must outlive its removal from the list."""
        return False


class _Schedulers(Registry[type[Scheduler]]):
    """The registry of scheduler classes; each is told the name under which it stands there."""

    def add(self, name: str, plugin: type[Scheduler]) -> type[Scheduler]:
        if plugin.schedule is Scheduler.schedule:
            raise ConfigError(f"the scheduler {name!r} does not say how it schedules")
        super().add(name, plugin)
        plugin.name = name
        return plugin


#: Scheduler classes by name; strangers enter through the entry point ``svcsim.schedulers``.
SCHEDULERS: Registry[type[Scheduler]] = _Schedulers("scheduler", "svcsim.schedulers")


def make_scheduler(name: str, kernel: tuple[int, ...]) -> Scheduler:
    """
    Return a new scheduler, as the kernel finds one by name; one that is younger than *kernel* is not found.

    >>> make_scheduler("mh", (4, 9))
    Traceback (most recent call last):
    svcsim.errors.MissingError: Scheduler or persistence engine not found
    """
    try:
        found = SCHEDULERS[name]
    except UnknownNameError as error:
        raise MissingError("Scheduler or persistence engine not found") from error
    if kernel < found.since:
        raise MissingError("Scheduler or persistence engine not found")
    return found()


def fold(address: int) -> int:
    """
    The 32 bits of an address that hashing schedulers see: IPv4 as it is, IPv6 as the XOR of its four words.

    >>> hex(fold(0xFD000000_00000000_00000000_00010002))
    '0xfd010002'
    """
    if address > _U32:
        address ^= address >> 64
        address = (address ^ address >> 32) & _U32
    return address


def hash_32(value: int, bits: int) -> int:
    """
    The kernel's multiplicative hash: the top *bits* of a product. It has no secret, so every host hashes alike.

    >>> hash_32(0x0A000001, 8), hash_32(0x0A000001, 10)
    (39, 159)
    """
    return (value * 0x61C88647 & _U32) >> (32 - bits)


def slot_hash(kernel: tuple[int, ...], bits: int) -> Callable[[int], int]:
    """
    The hash to *bits* by which dh, sh, lblc and lblcr find a slot: `hash_32` since Linux 4.18.

    Before, it was the low bits of another product, so that only the low bits of an address mattered.

    >>> new, old = slot_hash((6, 18), 8), slot_hash((4, 14), 8)
    >>> new(0x0A000001), old(0x0A000001), old(0x0B000001)
    (39, 177, 177)
    """
    if kernel >= (4, 18):
        shift = 32 - bits
        return lambda value: (value * 0x61C88647 & _U32) >> shift
    mask = (1 << bits) - 1
    return lambda value: value * 2654435761 & mask
