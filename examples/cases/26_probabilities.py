"""
0.2, 0.25, 0.33, 0.5: are the shares unequal?

Each rule is asked only if those before it have not matched, so of n endpoints the first has 1/n, the second 1/(n-1) of the
rest, and so on: all the same in the end, but for the last digit that the kernel keeps.

Discussed at https://github.com/kubernetes/kubernetes/issues/37932

It prints::

    written: 0.20000000019, 0.25000000000, 0.33333333349, 0.50000000000
    10.244.1.3:8080: 0.2000000002
    10.244.1.5:8080: 0.2000000000
    10.244.1.4:8080: 0.2000000000
    10.244.1.6:8080: 0.1999999999
    10.244.1.7:8080: 0.1999999999
"""

from svcsim.cluster import Sketch
from svcsim.packet import Packet


def main() -> None:
    """Follow every branch of the choice among five endpoints."""
    sketch = Sketch("a")
    sketch.pod("client")
    sketch.service("web", {80: 8080}, {f"web-{number}": "a" for number in range(5)})
    node = sketch.cluster().node("a").node
    rules = node.run("iptables -t nat -S").stdout.splitlines()
    print(
        "written:", ", ".join(rule.split("--probability ")[1].split()[0] for rule in rules if "--probability" in rule)
    )
    told = node.explain(Packet.tcp("10.244.1.2:40000", "10.96.0.1:80"), "veth1", branches=True)
    for share in told.branches.by_fate() if told.branches else ():
        print(f"{share.fate}: {float(share.probability):.10f}")


if __name__ == "__main__":
    main()
