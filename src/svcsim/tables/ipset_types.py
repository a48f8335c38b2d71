"""
The types of IP sets: their dimensions, their options, and what the kernel says of itself about them.

Behaviour of: ipset 7.17 and the set types of kernel 6.18. Sizes are those of a 64-bit kernel.
"""

from __future__ import annotations

import attrs

from svcsim.addr import Family, format_address

__all__ = ["SET_TYPES", "Item", "SetOptions", "SetType", "find_type"]

#: A word of a header or of an element, with its value if it has one.
Item = tuple[str, str | None]

_HASH_WORDS = frozenset({"family", "hashsize", "maxelem", "bucketsize", "initval", "forceadd"})
_EVERY_SET = frozenset({"timeout", "counters", "comment", "skbinfo"})


@attrs.frozen
class SetType:
    """
    A type: the *kinds* of its dimensions, its *revision*, the words that `ipset create` takes for it.

    *sizes* are bytes of an empty set and of one element, for IPv4 and for IPv6. *late* names the words that came with
    the newest revision, in kernel 6.2.
    """

    name: str
    kinds: tuple[str, ...]
    revision: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    words: frozenset[str]
    late: frozenset[str] = frozenset()

    @property
    def method(self) -> str:
        """``hash``, ``bitmap`` or ``list``."""
        return self.name.partition(":")[0]

    @property
    def has_networks(self) -> bool:
        """Whether a dimension is a network, and elements may be exceptions."""
        return "net" in self.kinds

    @property
    def features(self) -> tuple[str, ...]:
        """What two sets must have in common to be exchanged."""
        kinds = tuple({"net": "ip", "plain-ip": "ip", "bare port": "port"}.get(kind, kind) for kind in self.kinds)
        return (*kinds, "nomatch") if self.has_networks else kinds


def _hash(
    name: str, kinds: str, revision: int, four: tuple[int, int], six: tuple[int, int], words: str = "", late: str = ""
) -> SetType:
    own = _HASH_WORDS - {"family"} if name == "hash:mac" else _HASH_WORDS
    newest = frozenset(late.split())
    every = own | _EVERY_SET | frozenset(words.split()) | newest
    return SetType(name, tuple(kinds.split()), revision, (four, six), every, newest)


def _bitmap(name: str, kinds: tuple[str, ...], empty: int, words: str = "") -> SetType:
    return SetType(name, kinds, 3, ((empty, 0), (empty, 0)), _EVERY_SET | {"range"} | frozenset(words.split()))


SET_TYPES: dict[str, SetType] = {
    each.name: each
    for each in (
        _bitmap("bitmap:ip", ("ip",), 88, "netmask"),
        _bitmap("bitmap:ip,mac", ("plain-ip", "mac"), 80),
        _bitmap("bitmap:port", ("bare port",), 72),
        _hash("hash:ip", "ip", 6, (216, 4), (224, 16), "netmask", "bitmask"),
        _hash("hash:ip,mac", "ip mac", 1, (208, 12), (216, 24)),
        _hash("hash:ip,mark", "ip mark", 3, (200, 8), (216, 20), "markmask"),
        _hash("hash:ip,port", "ip port", 7, (216, 8), (232, 20), "", "netmask bitmask"),
        _hash("hash:ip,port,ip", "ip port plain-ip", 6, (208, 12), (232, 36)),
        _hash("hash:ip,port,net", "ip port net", 8, (464, 12), (1256, 36)),
        _hash("hash:mac", "mac", 1, (200, 8), (200, 8)),
        _hash("hash:net", "net", 7, (456, 8), (1240, 20)),
        _hash("hash:net,iface", "net iface", 8, (488, 28), (1264, 40)),
        _hash("hash:net,net", "net net", 4, (608, 16), (1784, 40), "", "netmask bitmask"),
        _hash("hash:net,port", "net port", 8, (456, 8), (1240, 20)),
        _hash("hash:net,port,net", "net port net", 3, (608, 16), (1784, 40)),
        SetType("list:set", ("set",), 3, ((80, 48), (80, 48)), _EVERY_SET | {"size"}),
    )
}

#: Names of types before sets had methods.
_OLD_NAMES = {
    "iphash": "hash:ip", "nethash": "hash:net", "ipporthash": "hash:ip,port", "ipportiphash": "hash:ip,port,ip",
    "ipportnethash": "hash:ip,port,net", "ipmap": "bitmap:ip", "macipmap": "bitmap:ip,mac", "portmap": "bitmap:port",
    "setlist": "list:set", "iptree": "hash:ip", "iptreemap": "hash:ip",
}  # fmt: skip


def find_type(name: str) -> SetType | None:
    """The type of this name, or of this old name."""
    return SET_TYPES.get(_OLD_NAMES.get(name, name))


@attrs.frozen
class SetOptions:
    """
    What `ipset create` may say; times in seconds, *range* as first and last address or port.

    *forceadd* is kept and does nothing: ipset 7.17 never tells the kernel.
    """

    family: Family = Family.IPV4
    hashsize: int = 1024
    maxelem: int = 65536
    bucketsize: int = 12
    initval: int | None = None
    netmask: int | None = None
    bitmask: int | None = None
    markmask: int | None = None
    timeout: int | None = None
    range: tuple[int, int] | None = None
    size: int = 8
    counters: bool = False
    comment: bool = False
    skbinfo: bool = False
    forceadd: bool = False

    @property
    def agreed(self) -> tuple[object, ...]:
        """What two sets must have alike for ``-exist`` to take one for the other."""
        return (
            self.family, self.maxelem, self.netmask, self.bitmask, self.markmask, self.timeout, self.range, self.size,
            self.counters, self.comment, self.skbinfo,
        )  # fmt: skip

    @property
    def extension_size(self) -> tuple[int, int]:
        """Bytes that each element has beside itself: those that begin at a multiple of eight, and others."""
        wide = 16 * self.counters + 8 * (self.timeout is not None) + 8 * self.comment
        return wide, 16 * self.skbinfo

    def items(self, type: SetType, initval: int) -> list[Item]:
        """The words of a header, in the order in which the tool prints them."""
        found: list[Item] = []
        mask: list[Item] = []
        if self.netmask is not None:
            mask.append(("netmask", str(self.netmask)))
        if self.bitmask is not None:
            mask.append(("bitmask", format_address(self.family, self.bitmask)))
        if type.method == "list":
            found.append(("size", str(self.size)))
        elif type.method == "bitmap":
            assert self.range is not None
            ends = [str(end) if "bare port" in type.kinds else format_address(Family.IPV4, end) for end in self.range]
            found += [("range", "-".join(ends)), *mask]
        else:
            if type.name != "hash:mac":
                found.append(("family", "inet" if self.family is Family.IPV4 else "inet6"))
            if "markmask" in type.words:
                found.append(("markmask", f"0x{0xFFFFFFFF if self.markmask is None else self.markmask:08x}"))
            found += [("hashsize", str(self.hashsize)), ("maxelem", str(self.maxelem))]
            found += mask if "netmask" not in type.late else []
        if self.timeout is not None:
            found.append(("timeout", str(self.timeout)))
        found += [(word, None) for word in ("counters", "comment", "skbinfo") if getattr(self, word)]
        if type.method == "hash":
            shown = initval if self.initval is None else self.initval
            found += [("bucketsize", str(self.bucketsize)), ("initval", f"0x{shown:08x}")]
            found += mask if "netmask" in type.late else []
        return found
