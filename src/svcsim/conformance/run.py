"""
Running a scenario on the emulator.
"""

from __future__ import annotations

from typing import Any

from svcsim.conformance.peer import answer, refusal
from svcsim.conformance.scenario import Scenario
from svcsim.errors import ConfigError, SvcsimError, UnsupportedError
from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet
from svcsim.wire import decode, encode

__all__ = ["run_scenario"]


def run_scenario(scenario: Scenario, *, kernel: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Do to a new node what *scenario* says, and return what it answered, in the result format."""
    version = kernel or scenario.kernel
    node = Node(kernel=version, seed=seed) if version else Node(seed=seed)
    for interface in scenario.interfaces:
        node.add_interface(interface.name, interface.addresses, interface.routes)
    for line in scenario.setup:
        done = node.run(line)
        if done.returncode:
            raise ConfigError(f"{scenario.name}: setup failed ({done.returncode}): {line[:300]}\n{done.stderr}")
    sent: list[list[tuple[str, Packet]]] = []
    results: list[dict[str, Any]] = []
    for index, event in enumerate(scenario.events):
        try:
            result, out = _do(node, event, sent)
        except UnsupportedError:
            raise
        except SvcsimError as error:
            raise ConfigError(f"{scenario.name}: event {index}: {error}") from error
        sent.append(out)
        result["out"] = [[device, encode(packet).hex()] for device, packet in out]
        results.append(result)
    dumps = {name: node.run(line).stdout for name, line in scenario.dump.items()}
    return {"kernel": "svcsim", "events": results, "dump": dumps}


def _do(
    node: Node, event: dict[str, Any], sent: list[list[tuple[str, Packet]]]
) -> tuple[dict[str, Any], list[tuple[str, Packet]]]:
    result: dict[str, Any] = {}
    outcome: Outcome | None = None
    if "in" in event:
        outcome = node.receive(decode(bytes.fromhex(event["packet"])), event["in"])
    elif "local" in event:
        outcome = node.send(decode(bytes.fromhex(event["local"])))
        if outcome.error:
            result["error"] = outcome.error
    elif "command" in event:
        done = node.run(event["command"])
        result = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    elif "wait" in event:
        node.advance(event["wait"])
    else:
        earlier = sent[event["reply"] if "reply" in event else event["unreachable"]]
        if earlier:
            device, packet = earlier[0]
            said = answer(packet, event) if "reply" in event else refusal(packet, event)
            if said is not None:
                result["packet"] = encode(said).hex()
                outcome = node.receive(said, device)
    return result, [(s.device, s.packet) for s in outcome.sent] if outcome is not None else []
