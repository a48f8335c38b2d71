"""
What a proxy mode is: it looks at what is to be served and at a node, and says what it would do, as a value.

A `Program` is a list of the administrator's own commands. It can be read, printed, run on a `Node` by `Program.apply`,
or on a real host by its shell; it changes nothing until then.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs

from svcsim.errors import ConfigError
from svcsim.kube.state import ProxyState
from svcsim.network import Host, Network
from svcsim.registry import Registry
from svcsim.tools.command import Completed

__all__ = ["PROXY_MODES", "Program", "Programmer", "Runs", "Step"]


class Runs(Protocol):
    """What runs commands: a `Node`, or a Windows one."""

    def run(self, command: str) -> Completed:
        """Run one."""
        ...


N = TypeVar("N", bound=Runs)


@attrs.frozen
class Step:
    """
    One *command* and what it reads from its standard input; an *optional* one may fail, as ``iptables -C`` does.

    >>> print(Step("iptables-restore --noflush", "*nat\\nCOMMIT\\n"))
    iptables-restore --noflush <<'EOF'
    *nat
    COMMIT
    EOF
    """

    command: str
    stdin: str = ""
    optional: bool = False

    def __str__(self) -> str:
        if not self.stdin:
            return self.command
        text = self.stdin if self.stdin.endswith("\n") else self.stdin + "\n"
        return f"{self.command} <<'EOF'\n{text}EOF"


@attrs.frozen
class Program:
    """
    What one sync of a kube-proxy does, *steps* in their order; *notes* say what it leaves undone and why.

    >>> print(Program((Step("sysctl -w net.ipv4.ip_forward=1"),)))
    sysctl -w net.ipv4.ip_forward=1
    """

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def apply(self, node: Runs) -> None:
        """Run every step on *node*; the first that fails ends it, with what the tool said."""
        for step in self.steps:
            done = node.run(str(step))
            if done.returncode and not step.optional:
                raise ConfigError(f"{step.command}: {done.stderr.strip() or f'exit code {done.returncode}'}")


class Programmer(abc.ABC, Generic[N]):
    """
    One proxy mode on one node and for one family; it remembers what it did at its last sync.

    A programmer is asked by `sync` what to do and must not change *node*; who applies the program is asked to do it
    before the next sync, and to call `failed` if that did not work.
    """

    @abc.abstractmethod
    def sync(self, state: ProxyState, node: N) -> Program:
        """Say what has to be done on *node* so that it serves *state*."""

    #: So often, in nanoseconds, there is something to look after besides syncs; 0 is never.
    tick_period: ClassVar[int] = 0

    def start(self, network: Network, host: Host) -> None:
        """Run what this mode needs on *host* beside what it programs."""

    def tick(self, node: N) -> Program:
        """Say what has to be done on *node* besides syncs."""
        return Program()

    def failed(self) -> None:
        """The last program did not work: write everything at the next sync."""


#: The modes by the names of KubeProxyConfiguration: iptables, ipvs, userspace, kernelspace; nftables has its place here.
PROXY_MODES: Registry[type[Programmer[Any]]] = Registry("proxy mode", "svcsim.proxy_modes")
