"""What tests of explanations share: nodes to ask, and a print of everything that a node is."""

from __future__ import annotations

import enum
import types
import weakref
from collections import deque
from typing import Any

from svcsim import Node, Packet

__all__ = ["RANDOM", "backends", "fingerprint", "router", "syn"]

#: kube-proxy's way to choose one of three.
RANDOM = """*nat
:SVC - [0:0]
-A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j SVC
-A SVC -m statistic --mode random --probability 0.33333333349 -p tcp -j DNAT --to-destination 10.0.1.1:8080
-A SVC -m statistic --mode random --probability 0.5 -p tcp -j DNAT --to-destination 10.0.1.2:8080
-A SVC -p tcp -j DNAT --to-destination 10.0.1.3:8080
COMMIT
"""


def router(*commands: str, rules: str = "", seed: int = 0) -> Node:
    """A router between clients (cli0) and pods (pod0), after *commands* and with *rules*."""
    node = Node(seed=seed)
    node.add_interface("cli0", ["192.0.2.1/24", "2001:db8::1/64"])
    node.add_interface("pod0", ["10.0.0.1/16", "fd00::1/64"])
    if rules:
        commands = (f"iptables-restore <<'E'\n{rules}E", *commands)
    for command in commands:
        done = node.run(command)
        assert done.returncode == 0, done
    return node


def backends(count: int) -> str:
    """The rules by which kube-proxy chooses one of *count* endpoints."""
    lines = ["*nat", ":SVC - [0:0]", "-A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j SVC"]
    for place in range(count):
        chance = f"-m statistic --mode random --probability {1 / (count - place):.11f} " if place < count - 1 else ""
        lines.append(f"-A SVC {chance}-p tcp -j DNAT --to-destination 10.0.{1 + (place >> 8)}.{place & 255}:8080")
    return "\n".join([*lines, "COMMIT", ""])


def syn(to: str = "10.96.0.10:80", *, port: int = 40000, client: str = "192.0.2.9") -> Packet:
    """A client's first segment."""
    return Packet.tcp(f"[{client}]:{port}" if ":" in client else f"{client}:{port}", to)


_ATOMS = (int, str, bytes, float, type(None), enum.Enum, type, types.ModuleType, types.CodeType)


def fingerprint(thing: object) -> list[Any]:
    """Everything that can be reached from *thing*, as a list that equals another only if nothing differs."""
    seen: dict[int, int] = {}
    kept: list[object] = []
    told: list[Any] = []
    waiting: list[Any] = [thing]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _ATOMS):
            told.append(each)
            continue
        if id(each) in seen:
            told.append(("again", seen[id(each)]))
            continue
        seen[id(each)] = len(seen)
        kept.append(each)
        told.append(type(each).__name__)
        waiting.extend(_parts(each))
    return told


def _parts(each: Any) -> list[Any]:
    if isinstance(each, dict | weakref.WeakValueDictionary):
        return [part for pair in each.items() for part in pair]
    if isinstance(each, list | tuple | deque):
        return list(each)
    if isinstance(each, set | frozenset):
        return sorted(each, key=repr)
    if isinstance(each, weakref.WeakSet):
        return [len(each)]
    if isinstance(each, types.FunctionType):
        return [cell.cell_contents for cell in each.__closure__ or ()]
    if isinstance(each, types.MethodType | types.BuiltinMethodType | types.MethodWrapperType):
        return [each.__self__]
    names = [name for base in type(each).__mro__ for name in _slots(base)]
    return [getattr(each, name) for name in names if hasattr(each, name)] + [getattr(each, "__dict__", {})]


def _slots(base: Any) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__weakref__", "__dict__"))
