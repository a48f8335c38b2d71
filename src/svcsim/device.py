"""
The network devices of one host and the addresses on them.

Every device but ``lo`` is a point-to-point link without neighbours to resolve: what is routed to it has been sent. A
``dummy`` device swallows what is sent by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from svcsim.addr import Family, Prefix
from svcsim.errors import ConfigError, ExistsError, MissingError

__all__ = ["Device", "DeviceAddress", "Devices"]

#: IFNAMSIZ - 1: the longest name that a device can have.
NAME_LENGTH = 15


@attrs.frozen
class DeviceAddress:
    """
    One address of a device: its *length* names the connected subnet; *scope* is ``global``, ``link`` or ``host``.

    A *secondary* address shares its subnet with an earlier one.
    """

    family: Family
    address: int
    length: int
    scope: str = "global"
    secondary: bool = False

    @property
    def subnet(self) -> Prefix:
        """The connected subnet."""
        mask = Prefix.mask_of(self.family, self.length)
        return Prefix(self.family, self.address & mask, mask)

    @property
    def broadcast(self) -> int | None:
        """The subnet's broadcast address; none in IPv6 and for /31 and /32."""
        if self.family is Family.IPV6 or self.length >= 31:
            return None
        return self.address | (self.family.all_ones ^ Prefix.mask_of(self.family, self.length))


@attrs.define(eq=False)
class Device:
    """A device: *kind* is ``loopback``, ``tun``, ``dummy`` or ``veth``; *mtu* in bytes."""

    name: str
    index: int
    kind: str
    mtu: int = 1500
    up: bool = True
    group: int = 0
    addresses: list[DeviceAddress] = attrs.field(factory=list)

    def of_family(self, family: Family) -> Iterator[DeviceAddress]:
        """Its addresses of one family, in the order in which they were added."""
        return (a for a in self.addresses if a.family is family)


class Devices:
    """
    The devices of a host by name; ``lo`` is always there.

    >>> devices = Devices()
    >>> devices.add("cli0").index, list(devices)
    (2, ['lo', 'cli0'])
    """

    def __init__(self) -> None:
        loopback = Device("lo", 1, "loopback", mtu=65536)
        loopback.addresses.append(DeviceAddress(Family.IPV4, 0x7F000001, 8, "host"))
        loopback.addresses.append(DeviceAddress(Family.IPV6, 1, 128, "host"))
        self.by_name: dict[str, Device] = {"lo": loopback}
        self._next_index = 2

    def add(self, name: str, kind: str = "tun", *, mtu: int = 1500, up: bool = True) -> Device:
        """Make a device."""
        if not 0 < len(name) <= NAME_LENGTH or "/" in name or any(c.isspace() for c in name) or name in (".", ".."):
            raise ConfigError(f"not a device name (1 to {NAME_LENGTH} characters): {name!r}")
        if name in self.by_name:
            raise ExistsError("RTNETLINK answers: File exists", exit_code=2)
        device = self.by_name[name] = Device(name, self._next_index, kind, mtu, up)
        self._next_index += 1
        return device

    def remove(self, name: str) -> Device:
        """Take a device away."""
        device = self[name]
        if device.kind == "loopback":
            raise ConfigError("RTNETLINK answers: Operation not supported", exit_code=2)
        del self.by_name[name]
        return device

    def get(self, name: str) -> Device | None:
        """The device of this name, if there is one."""
        return self.by_name.get(name)

    def __getitem__(self, name: str) -> Device:
        device = self.by_name.get(name)
        if device is None:
            raise MissingError(f'Cannot find device "{name}"')
        return device

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def values(self) -> Iterator[Device]:
        """The devices in the order of their indices."""
        return iter(self.by_name.values())
