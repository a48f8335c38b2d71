"""
At how many Services should I leave iptables?

The first packet of a connection is compared with the rules of KUBE-SERVICES one by one, so the last of n Services costs n
comparisons; IPVS finds it in a hash table. Packets of connections that are tracked already meet none of them.

Discussed at https://github.com/kubernetes/kubernetes/issues/48107

It prints::

    iptables, 10 Services: first packet 24 rules, 0 entries; later 5 rules, 0 entries
    iptables, 100 Services: first packet 114 rules, 0 entries; later 5 rules, 0 entries
    ipvs, 10 Services: first packet 15 rules, 1 entries; later 7 rules, 0 entries
    ipvs, 100 Services: first packet 15 rules, 1 entries; later 7 rules, 0 entries
"""

from svcsim.cluster import Sketch
from svcsim.lab.cost import rules_asked
from svcsim.trace import Scheduled


def main() -> None:
    """Count what the first and a later packet meet, for few and for many Services."""
    for mode in ("iptables", "ipvs"):
        for services in (10, 100):
            sketch = Sketch("a")
            sketch.pod("client")
            sketch.pod("server")
            for number in range(services):
                sketch.service(f"web{number:03}", {80: 8080}, ["server"])
            cluster = sketch.cluster(mode=mode)
            call = cluster.connect("client", f"web{services - 1:03}")
            call.request()
            told = []
            for journey in call.journeys:
                outcome = next(hop.outcome for hop in journey.hops if hop.host == "a")
                looks = sum(event.probes for event in outcome.trace or () if isinstance(event, Scheduled))
                told.append(f"{rules_asked(outcome)} rules, {looks} entries")
            print(f"{mode}, {services} Services: first packet {told[0]}; later {told[1]}")


if __name__ == "__main__":
    main()
