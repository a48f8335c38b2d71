"""The rules of well-known products, with the traffic that they are there for: iptables-product."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

from scenario import Scenario, family

NAMES = (
    "calico", "docker", "fail2ban", "firewalld", "istio-sidecar", "kube-proxy-flannel", "kube-proxy-ipvs", "ufw", "ufw6",
)  # fmt: skip


def products() -> ModuleType:
    """The module that knows the products; the tests beside it read the same."""
    path = Path(__file__).parents[2] / "dumps" / "products.py"
    spec = importlib.util.spec_from_file_location("products", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["products"] = module
    spec.loader.exec_module(module)
    return module


@family("iptables-product", len(NAMES))
def product(rng: random.Random, number: int) -> Scenario:
    """One product's rules; packets of its samples, and the answers to them."""
    name, known = NAMES[number], products()
    s = Scenario(known.interfaces(name))
    s.run(*known.setup(name))
    for device, packet, meant in known.TRAFFIC[name]:
        event = s.arrive(device, packet) if device else s.send(packet)
        if meant not in ("-", "me") and not meant.startswith("me"):
            s.reply(event)
        if not rng.randrange(3) and device:
            s.arrive(device, packet)
    tool = "ip6tables" if name.endswith("6") else "iptables"
    s.dump(f"{tool}-save -c", "conntrack -L", "ipset save")
    return s
