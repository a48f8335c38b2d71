"""
Running a scenario on the emulator.
"""

from __future__ import annotations

import errno
from typing import Any

import attrs

from svcsim.conformance.peer import answer, refusal
from svcsim.conformance.scenario import Scenario
from svcsim.errors import ConfigError, PacketError, SvcsimError
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.wire import decode, encode

__all__ = ["RefusedError", "run_scenario"]


class RefusedError(ConfigError):
    """A scenario cannot be run to its end; *partial* is the result as far as it goes."""

    def __init__(self, message: str, partial: dict[str, Any]) -> None:
        self.partial = partial
        super().__init__(message)


def run_scenario(scenario: Scenario, *, kernel: str | None = None, seed: int = 0) -> dict[str, Any]:
    """
    Do to a new node what *scenario* says, and return what it answered, in the result format.

    What svcsim does not model, and a setup that fails, raise `RefusedError`.
    """
    version = kernel or scenario.kernel
    run = _Run(Node(kernel=version, seed=seed) if version else Node(seed=seed))
    try:
        run.set_up(scenario)
        for index, event in enumerate(scenario.events):
            run.where = f"event {index}"
            run.results.append(run.do(event))
        for name, line in scenario.dump.items():
            run.where = f"dump {name!r}"
            run.dumps[name] = run.node.run(line).stdout
    except SvcsimError as error:
        raise RefusedError(f"{scenario.name}: {run.where}: {error}", run.result()) from error
    return run.result()


@attrs.define(eq=False)
class _Run:
    """A scenario being run on *node*: what has come of it so far, and *where* it is."""

    node: Node
    where: str = "interfaces"
    results: list[dict[str, Any]] = attrs.field(factory=list)
    sent: list[list[tuple[str, Packet]]] = attrs.field(factory=list)  # by event
    dumps: dict[str, str] = attrs.field(factory=dict)

    def result(self) -> dict[str, Any]:
        """What there is, in the result format."""
        return {"kernel": "svcsim", "events": self.results, "dump": self.dumps}

    def set_up(self, scenario: Scenario) -> None:
        """Make the interfaces and run the setup."""
        for interface in scenario.interfaces:
            self.node.add_interface(interface.name, interface.addresses, interface.routes)
        for index, line in enumerate(scenario.setup):
            self.where = f"setup[{index}]"
            done = self.node.run(line)
            if done.returncode:
                raise ConfigError(f"failed ({done.returncode}): {line.splitlines()[0][:200]}\n{done.stderr.rstrip()}")

    def do(self, event: dict[str, Any]) -> dict[str, Any]:
        """Let one event happen."""
        result: dict[str, Any] = {}
        outcome: Outcome | None = None
        if "in" in event:
            outcome = self._arrive(bytes.fromhex(event["packet"]), event["in"])
        elif "local" in event:
            outcome = self._send(bytes.fromhex(event["local"]))
            if outcome.error:
                result["error"] = outcome.error
        elif "command" in event:
            done = self.node.run(event["command"])
            result = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        elif "wait" in event:
            outcome = self.node.advance(event["wait"])
        else:
            earlier = self.sent[event["reply"] if "reply" in event else event["unreachable"]]
            if earlier:
                device, packet = earlier[0]
                said = answer(packet, event) if "reply" in event else refusal(packet, event)
                if said is not None:
                    data = encode(said)
                    result["packet"] = data.hex()
                    outcome = self._arrive(data, device)
        out = [(sent.device, sent.packet) for sent in outcome.sent] if outcome is not None else []
        self.sent.append(out)
        result["out"] = [[device, encode(packet).hex()] for device, packet in out]
        return result

    def _arrive(self, data: bytes, device: str) -> Outcome | None:
        try:
            packet = decode(data)
        except PacketError:
            return None  # a host drops what is no IP packet before anything can look at it
        return self.node.receive(packet, device)

    def _send(self, data: bytes) -> Outcome:
        """Send through a raw socket that is given the IP header: the kernel writes total length and checksum itself."""
        if data and data[0] >> 4 == 4:
            data = data[:2] + len(data).to_bytes(4, "big")[2:] + data[4:]
        try:
            packet = decode(data)
        except PacketError:
            return Outcome(error=errno.EINVAL)
        if packet.header_checksum is not None:
            packet = packet.rewritten(header_checksum=None)
        return self.node.send(packet)
