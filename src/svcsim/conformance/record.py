"""
Recording what this machine's own kernel makes of a scenario: root, a network namespace of its own, TUN devices.

Everything but IPVS where the kernel lacks it. Scenarios run in a child process that leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import multiprocessing
import os
import select
import socket
import struct
import subprocess
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from svcsim.addr import Family
from svcsim.conformance.peer import answer, refusal
from svcsim.conformance.scenario import Scenario
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.wire import decode, encode

__all__ = ["Recorder", "can_record", "record"]

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_SETTLE = 0.05  # seconds for a kernel to finish what a command began
_CHATTER = 0.15  # and to get over IPv6's own start
_LIMIT = 600  # seconds for one scenario
_QUIET = (
    "ip link set lo up",
    "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
    "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000",
    "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0 net.ipv6.icmp.ratelimit=0",
    "sysctl -qw net.ipv6.mld_qrv=1 net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.accept_ra=0",
    "sysctl -qw net.ipv6.conf.default.mldv1_unsolicited_report_interval=1",
    "sysctl -qw net.ipv6.conf.default.mldv2_unsolicited_report_interval=1",
)
#: Router and neighbour discovery, multicast listener reports: the kernel's own talk.
_NEIGHBOUR_TALK = frozenset({133, 134, 135, 136, 143})


def can_record() -> str | None:
    """Why this machine cannot record, None if it can."""
    if os.geteuid() != 0:
        return "recording needs root"
    if not os.path.exists("/dev/net/tun"):
        return "recording needs /dev/net/tun"
    return None


def record(scenario: Scenario) -> dict[str, Any]:
    """Run one *scenario* on this machine's kernel and return what it answered."""
    with Recorder() as recorder:
        return recorder.record(scenario)


class Recorder:
    """
    A child process that runs scenarios on this machine's kernel, each in a network namespace of its own.

    It is spawned, so a script that records needs its ``if __name__ == "__main__"``.
    """

    def __init__(self) -> None:
        reason = can_record()
        if reason is not None:
            raise UnsupportedError(reason, instead="run as root on Linux")
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._child.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._child.terminate()
        self._child.join()

    def record(self, scenario: Scenario) -> dict[str, Any]:
        """Run *scenario* and return what the kernel answered, in the result format."""
        failed = f"took longer than {_LIMIT} s"
        try:
            self._pipe.send(scenario)
            if self._pipe.poll(_LIMIT):
                made: dict[str, Any] = self._pipe.recv()
                if "failed" not in made:
                    return made
                failed = made["failed"]
        except (EOFError, BrokenPipeError):
            failed = "the recorder ended without a word"
        raise ConfigError(f"{scenario.name}: {failed}")


def _serve(pipe: Connection) -> None:
    """What the child does: run what comes, until nobody is there any more."""
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            scenario: Scenario = pipe.recv()
            try:
                with contextlib.ExitStack() as held:
                    made = _run(scenario, held)
            except (OSError, ValueError) as error:
                made = {"failed": str(error)}
            pipe.send(made)


def _unshare() -> None:
    import ctypes  # os.unshare came with Python 3.12

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")


def _shell(line: str, *, check: bool = False) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise ConfigError(f"setup failed ({done.returncode}): {line.splitlines()[0][:200]}\n{done.stderr.rstrip()}")
    return done


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _is_talk(data: bytes) -> bool:
    if data[0] >> 4 == 4:
        return False
    return data[0] >> 4 != 6 or data[6] == 0 or (data[6] == 58 and data[40] in _NEIGHBOUR_TALK)


def _drain(devices: dict[str, int], wait: float = 0.0) -> list[list[str]]:
    """What the kernel has sent by each device."""
    out: list[list[str]] = []
    while True:
        ready, _, _ = select.select(list(devices.values()), [], [], wait)
        if not ready:
            return out
        for name, device in devices.items():
            while device in ready:
                try:
                    data = os.read(device, 65536)
                except BlockingIOError:
                    break
                if not _is_talk(data):
                    out.append([name, data.hex()])
        wait = 0.0


def _run(scenario: Scenario, held: contextlib.ExitStack) -> dict[str, Any]:
    """Run a scenario in a new namespace, which ends when what is *held* is let go."""
    _unshare()
    for line in _QUIET:
        _shell(line)
    devices: dict[str, int] = {}
    for interface in scenario.interfaces:
        name = interface.name
        devices[name] = _tun(name)
        held.callback(os.close, devices[name])
        _shell(f"ip link set {name} up", check=True)
        _shell(f"sysctl -qw net.ipv4.conf.{name}.rp_filter=0")
        for address in interface.addresses:
            _shell(f"ip addr add {address} dev {name}", check=True)
        for route in interface.routes:
            _shell(f"ip {'-6 ' if ':' in route else ''}route add {route} dev {name}", check=True)
    time.sleep(_CHATTER)
    for line in scenario.setup:
        _shell(line, check=True)
    raw = {
        Family.IPV4: held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)),
        Family.IPV6: held.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)),
    }
    time.sleep(_SETTLE)
    _drain(devices)
    results: list[dict[str, Any]] = []
    for event in scenario.events:
        results.append(_do(event, devices, raw, results))
    dumps = {name: _shell(line).stdout for name, line in scenario.dump.items()}
    return {"kernel": os.uname().release, "events": results, "dump": dumps}


def _do(
    event: dict[str, Any], devices: dict[str, int], raw: dict[Family, socket.socket], results: list[dict[str, Any]]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if "in" in event:
        os.write(devices[event["in"]], bytes.fromhex(event["packet"]))
    elif "local" in event:
        data = bytes.fromhex(event["local"])
        try:
            raw[_family(data)].sendto(data, (_destination(data), 0))
        except OSError as error:
            result["error"] = error.errno or errno.EIO
    elif "command" in event:
        done = _shell(event["command"])
        result = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    elif "wait" in event:
        time.sleep(event["wait"])
    else:
        earlier = results[event["reply"] if "reply" in event else event["unreachable"]]["out"]
        if earlier:
            device, text = earlier[0]
            sent = decode(bytes.fromhex(text))
            said = answer(sent, event) if "reply" in event else refusal(sent, event)
            if said is not None:
                result["packet"] = encode(said).hex()
                os.write(devices[device], bytes.fromhex(result["packet"]))
    result["out"] = _drain(devices, event.get("settle", 0.0))
    return result


def _family(data: bytes) -> Family:
    return Family.IPV6 if data[:1] and data[0] >> 4 == 6 else Family.IPV4


def _destination(data: bytes) -> str:
    """Where a packet says that it goes; a socket is told so besides."""
    if _family(data) is Family.IPV6:
        return socket.inet_ntop(socket.AF_INET6, data[24:40].ljust(16, b"\0"))
    return socket.inet_ntoa(data[16:20].ljust(4, b"\0"))
