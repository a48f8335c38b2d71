"""
The kube-proxy of one node: what it knows of the cluster, when it syncs, and what it forgets of old connections.

Behaviour of: kube-proxy's runner (no two syncs closer than minSyncPeriod; a failed one is repeated) and its conntrack
clean-up. A sync comes with a change; those that come without one, every syncPeriod or hour, are not made. What other nodes
know at a moment may be different: news travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

import svcsim.kube.iptables
import svcsim.kube.ipvs
import svcsim.kube.userspace  # noqa: F401 - the built-in modes enter PROXY_MODES
from svcsim.addr import Family
from svcsim.clock import SECOND, Timer
from svcsim.errors import ConfigError
from svcsim.kube.config import ProxyConfig
from svcsim.kube.front import node_info, proxy_state
from svcsim.kube.objects import EndpointSlice, Node, Service
from svcsim.kube.programmer import PROXY_MODES, Program, Programmer
from svcsim.kube.stale import clean_up
from svcsim.kube.state import ProxyState
from svcsim.network import Host as Place
from svcsim.network import Network
from svcsim.node import Node as Host

__all__ = ["KubeProxy", "Sync"]


@attrs.frozen
class Sync:
    """One sync: when (nanoseconds), for which family, what was done; *error* says why it did not work, if so."""

    at: int
    family: Family
    program: Program
    error: str = ""


@attrs.define(eq=False)
class KubeProxy:
    """
    kube-proxy on *host*, which the cluster calls *node*: one programmer for each family that the node has addresses of.

    *syncs* are kept in order; *cores* is how many processors the node has. Nothing happens before `learn` is called for the first time.
    """

    host: Host
    node: Node
    config: ProxyConfig
    cores: int = 4
    #: The network that the node is in, and its place there, for modes with a process of their own.
    place: tuple[Network, Place] | None = None
    syncs: list[Sync] = attrs.field(factory=list, init=False)
    _programmers: dict[Family, Programmer[Any]] = attrs.field(factory=dict, init=False)
    _states: dict[Family, ProxyState] = attrs.field(factory=dict, init=False)
    _services: dict[tuple[str, str], Service] = attrs.field(factory=dict, init=False)
    _slices: dict[tuple[str, str], EndpointSlice] = attrs.field(factory=dict, init=False)
    _not_before: int = attrs.field(default=0, init=False)
    _waiting: bool = attrs.field(default=False, init=False)
    _repeat: Timer | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        mode = PROXY_MODES[self.config.mode]
        for family in Family:
            if node_info(self.node, family).ips:
                self._programmers[family] = programmer = mode()
                if self.place is not None and family is Family.IPV4:
                    programmer.start(*self.place)
        if mode.tick_period:
            self.host.clock.call_after(mode.tick_period, self._tick)
        if not self._programmers:
            raise ConfigError(f"node {self.node.metadata.name} has no InternalIP")
        for name, value in self.config.conntrack.sysctls(self.cores).items():
            self.host.sysctls.write(name, str(value))

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that it serves."""
        return tuple(self._programmers)

    def state(self, family: Family) -> ProxyState:
        """What it served at its last sync of *family*."""
        return self._states[family]

    def programmer(self, family: Family) -> Programmer[Any]:
        """Its programmer for *family*."""
        return self._programmers[family]

    def learn(
        self,
        changed: Iterable[Service | EndpointSlice] = (),
        gone: Iterable[Service | EndpointSlice] = (),
    ) -> None:
        """Hear of what is new and what is gone, and sync as soon as that may be; what changes nothing is forgotten."""
        news = False
        for thing in changed:
            held = self._held(thing)
            key = (thing.metadata.namespace, thing.metadata.name)
            news = news or held.get(key) != thing
            held[key] = thing  # type: ignore[assignment]
        for thing in gone:
            news = self._held(thing).pop((thing.metadata.namespace, thing.metadata.name), None) is not None or news
        if news or not self.syncs:
            self._ask_for_sync()

    def _held(
        self, thing: Service | EndpointSlice
    ) -> dict[tuple[str, str], Service] | dict[tuple[str, str], EndpointSlice]:
        return self._services if isinstance(thing, Service) else self._slices

    def _ask_for_sync(self) -> None:
        clock = self.host.clock
        if self._waiting:
            return
        if clock.now >= self._not_before:
            self.sync()
        else:
            self._waiting = True
            clock.call_at(self._not_before, self.sync)

    def sync(self) -> None:
        """Program the node now, and say no to the next sync for a while; one that fails is repeated a period later."""
        clock, config = self.host.clock, self.config
        self._waiting = False
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        self._not_before = clock.now + round(config.min_sync_period * SECOND)
        for family, programmer in self._programmers.items():
            info = node_info(self.node, family)
            state = proxy_state(family, info, self._services.values(), self._slices.values(), config)
            program, error = programmer.sync(state, self.host), ""
            try:
                program.apply(self.host)
            except ConfigError as refusal:
                error = str(refusal)
                programmer.failed()
                if self._repeat is None:
                    self._repeat = clock.call_after(round(config.sync_period * SECOND), self.sync)
            else:
                clean_up(self.host, self._states.get(family), state)
                self._states[family] = state
            self.syncs.append(Sync(clock.now, family, program, error))

    def _tick(self) -> None:
        """Do what the mode does besides syncs, and come again."""
        for programmer in self._programmers.values():
            programmer.tick(self.host).apply(self.host)
        self.host.clock.call_after(PROXY_MODES[self.config.mode].tick_period, self._tick)

    def known(self) -> tuple[Mapping[tuple[str, str], Service], Mapping[tuple[str, str], EndpointSlice]]:
        """The Services and EndpointSlices that it knows of, by namespace and name."""
        return self._services, self._slices
