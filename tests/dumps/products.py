"""What goes through a host with each product's rules, and what the product means to become of it."""

from __future__ import annotations

from pathlib import Path

from svcsim import Packet

__all__ = ["HERE", "TRAFFIC", "Sample", "interfaces", "setup"]

HERE = Path(__file__).parent

#: An uplink, a device of pods and what a product's own devices are called.
_INTERFACES = {
    "docker": ("docker0 172.17.0.1/16", "br-5f1c2a9d01e7 172.18.0.1/16", "br-9e77b1c04d22 172.19.0.1/16"),
    "calico": ("cali1a2b3c4d5e6 10.244.0.11", "calif0e1d2c3b4a 10.244.0.12", "cali99887766554 10.244.0.13"),
}
_PODS = ("pods 10.244.0.1/16",)

#: Where a packet comes in (empty: sent here), the packet, and where it goes out; ``-``: nowhere, ``me``: to this host;
#: a destination behind the device is what it was rewritten to.
Sample = tuple[str, Packet, str]

_NEAR, _BAD, _ME = "203.0.113.9", "203.0.113.66", "192.0.2.1"


def _tcp(src: str, dst: str) -> Packet:
    return Packet.tcp(f"{src}:40000", dst, seq=1)


def _udp(src: str, dst: str) -> Packet:
    return Packet.udp(f"{src}:40000", dst, b"x")


_TRAFFIC: dict[str, tuple[Sample, ...]] = {
    "docker": (
        ("eth0", _tcp(_NEAR, f"{_ME}:8080"), "docker0 172.17.0.2:80"),
        ("eth0", _udp(_NEAR, f"{_ME}:5353"), "docker0 172.17.0.3:53"),
        ("eth0", _tcp(_NEAR, f"{_ME}:443"), "br-5f1c2a9d01e7 172.18.0.2:8443"),
        ("eth0", _tcp(_NEAR, "172.17.0.2:80"), "docker0 172.17.0.2:80"),
        ("eth0", _tcp(_NEAR, "172.17.0.2:81"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:8081"), "br-5f1c2a9d01e7 172.18.0.2:8081"),
        ("eth0", _tcp(_BAD, f"{_ME}:8081"), "-"),
        ("docker0", _tcp("172.17.0.2", "198.51.100.7:443"), "eth0 198.51.100.7:443"),
        ("docker0", _tcp("172.17.0.2", "172.18.0.2:8443"), "-"),
        ("docker0", _tcp("172.17.0.2", "172.17.0.3:53"), "docker0 172.17.0.3:53"),
        ("br-9e77b1c04d22", _tcp("172.19.0.6", "172.19.0.7:80"), "-"),
    ),
    "kube-proxy-flannel": (
        ("eth0", _tcp(_NEAR, f"{_ME}:30080"), "pods 10.244.0.11:8080"),
        ("eth0", _tcp(_NEAR, "10.96.200.80:80"), "pods 10.244.0.11:8080"),
        ("pods", _tcp("10.244.0.50", "10.96.200.80:80"), "pods 10.244.0.11:8080"),
        ("pods", _tcp("10.244.0.11", "10.96.200.80:80"), "pods 10.244.0.11:8080"),
        ("pods", _udp("10.244.0.50", "10.96.0.10:53"), "pods 10.244.0.2:53"),
        ("pods", _tcp("10.244.0.50", "10.96.55.2:80"), "pods 10.244.0.13:8080"),
        ("pods", _tcp("10.244.0.50", "10.96.44.1:80"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:30090"), "-"),
        ("pods", _tcp("10.244.0.50", "198.51.100.7:443"), "eth0 198.51.100.7:443"),
        ("pods", _tcp("10.244.0.50", "10.96.0.1:443"), "me"),
        ("", _tcp(_ME, "10.96.33.7:9000"), "pods 10.244.0.12:9000"),
        ("eth0", _tcp(_NEAR, "127.0.0.1:80"), "-"),
    ),
    "kube-proxy-ipvs": (
        ("eth0", _tcp(_NEAR, "198.51.100.200:80"), "eth0 198.51.100.200:80"),
        ("eth0", _tcp("203.0.113.200", "198.51.100.200:80"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:30080"), "me"),
        ("pods", _tcp("10.244.0.11", "10.244.0.11:8080"), "pods 10.244.0.11:8080"),
        ("pods", _tcp("10.244.0.50", "198.51.100.7:443"), "eth0 198.51.100.7:443"),
    ),
    "calico": (
        ("cali1a2b3c4d5e6", _tcp("10.244.0.11", "10.244.0.12:5432"), "calif0e1d2c3b4a 10.244.0.12:5432"),
        ("cali1a2b3c4d5e6", _tcp("10.244.0.11", "10.244.0.12:5433"), "-"),
        ("cali99887766554", _tcp("10.244.0.13", "10.244.0.12:5432"), "-"),
        ("cali99887766554", _tcp("10.244.0.13", "10.244.0.11:8080"), "cali1a2b3c4d5e6 10.244.0.11:8080"),
        ("cali99887766554", _tcp("10.244.0.13", "198.51.100.7:443"), "eth0 198.51.100.7:443"),
        ("cali1a2b3c4d5e6", _tcp("10.244.0.11", "198.51.100.7:443"), "-"),
        ("cali99887766554", _udp("10.244.0.13", "198.51.100.7:4789"), "-"),
        ("eth0", _tcp("203.0.113.9", "10.244.0.11:8080"), "cali1a2b3c4d5e6 10.244.0.11:8080"),
        ("eth0", _tcp("203.0.113.9", "10.244.0.12:5432"), "-"),
        ("eth0", _tcp("203.0.113.9", "10.244.0.13:22"), "cali99887766554 10.244.0.13:22"),
    ),
    "firewalld": (
        ("eth0", _tcp(_NEAR, f"{_ME}:22"), "me"),
        ("eth0", _tcp(_BAD, f"{_ME}:22"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:23"), "-"),
        ("eth0", _tcp("198.51.100.7", f"{_ME}:23"), "me"),
        ("eth0", Packet.echo(_NEAR, _ME), "me"),
        ("eth0", Packet.icmp(_NEAR, _ME, 13), "-"),
        ("pods", _udp("10.244.0.50", "10.244.0.1:53"), "me"),
        ("pods", _tcp("10.244.0.50", "10.244.0.1:22"), "-"),
        ("pods", _tcp("10.244.0.50", "203.0.113.9:443"), "eth0 203.0.113.9:443"),
        ("eth0", _tcp(_NEAR, f"{_ME}:8080"), "pods 10.244.0.20:80"),
        ("eth0", _tcp(_NEAR, "10.244.0.20:80"), "-"),
    ),
    "ufw": (
        *(("eth0", _tcp(_NEAR, f"{_ME}:22"), "me" if n < 5 else "-") for n in range(7)),
        ("eth0", _tcp(_NEAR, f"{_ME}:80"), "me"),
        ("eth0", _tcp(_NEAR, f"{_ME}:8080"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:9100"), "me"),
        ("eth0", _tcp("198.51.100.7", f"{_ME}:9100"), "-"),
        ("eth0", _tcp(_NEAR, f"{_ME}:113"), "-"),
        ("eth0", _tcp(_BAD, f"{_ME}:113"), "-"),
        ("eth0", Packet.echo(_NEAR, _ME), "me"),
        ("eth0", _udp(_NEAR, f"{_ME}:137"), "-"),
        ("pods", _tcp("10.244.0.50", "203.0.113.9:443"), "eth0 203.0.113.9:443"),
        ("eth0", _tcp(_NEAR, "10.244.0.50:80"), "-"),
    ),
    "ufw6": (
        ("eth0", Packet.tcp("[2001:db8:1::9]:40000", "[2001:db8::1]:80", seq=1), "me"),
        ("eth0", Packet.tcp("[2001:db8:1::9]:40000", "[2001:db8::1]:81", seq=1), "-"),
        ("eth0", Packet.echo("2001:db8:1::9", "2001:db8::1"), "me"),
        *(
            ("eth0", Packet.tcp("[2001:db8:1::9]:40000", "[2001:db8::1]:22", seq=1), "me" if n < 5 else "-")
            for n in range(7)
        ),
    ),
    "istio-sidecar": (
        ("eth0", _tcp(_NEAR, f"{_ME}:8080"), "me 192.0.2.1:15006"),
        ("eth0", _tcp(_NEAR, f"{_ME}:15021"), "me 192.0.2.1:15021"),
        ("", _tcp(_ME, "203.0.113.9:80"), "me 127.0.0.1:15001"),
        ("", _tcp(_ME, "198.51.100.9:80"), "eth0 198.51.100.9:80"),
        ("", _udp(_ME, "203.0.113.9:53"), "me 127.0.0.1:15053"),
        ("", _udp(_ME, "203.0.113.9:123"), "eth0 203.0.113.9:123"),
    ),
    "fail2ban": (
        ("eth0", _tcp("203.0.113.61", f"{_ME}:22"), "-"),
        ("eth0", _tcp("203.0.113.9", f"{_ME}:22"), "me"),
        ("eth0", _tcp("203.0.113.65", f"{_ME}:22"), "-"),
        ("eth0", _tcp("203.0.113.9", f"{_ME}:8080"), "-"),
        ("eth0", _tcp("203.0.113.9", f"{_ME}:443"), "me"),
        ("eth0", _tcp("203.0.113.70", f"{_ME}:443"), "-"),
        ("eth0", Packet.echo("203.0.113.9", _ME), "me"),
    ),
}  # fmt: skip

#: By product; each packet has a port of its own, so that no two connections clash.
TRAFFIC: dict[str, tuple[Sample, ...]] = {
    name: tuple(
        (device, packet.rewritten(sport=42000 + number) if packet.sport else packet, meant)
        for number, (device, packet, meant) in enumerate(samples)
    )
    for name, samples in _TRAFFIC.items()
}


def interfaces(name: str) -> list[dict[str, list[str] | str]]:
    """The devices of the host, as a scenario has them; Calico's have routes to one pod each and no address."""
    found: list[dict[str, list[str] | str]] = [
        {"name": "eth0", "addresses": ["192.0.2.1/24", "2001:db8::1/64"], "routes": ["default", "2001:db8:1::/64"]}
    ]
    for text in _INTERFACES.get(name, _PODS):
        device, address = text.split()
        own = "/" in address
        found.append(
            {"name": device, "addresses": [address] if own else [], "routes": [] if own else [f"{address}/32"]}
        )
    return found


def setup(name: str) -> list[str]:
    """The commands that load the product's sets and rules."""
    tool = "ip6tables" if name.endswith("6") else "iptables"
    sets = HERE / f"{name}.sets"
    lines = [f"ipset restore <<'E'\n{sets.read_text()}E"] if sets.exists() else []
    return [*lines, f"{tool}-legacy-restore <<'E'\n{(HERE / f'{name}.rules').read_text()}E"]
