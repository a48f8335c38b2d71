"""
One endpoint changes, with many Services.

In iptables mode every sync writes the rules that catch packets of all Services, and the kernel exchanges its tables as a
whole, however little has changed; a partial sync leaves out the chains of Services that are as they were. In ipvs mode one
destination goes.

Discussed at https://github.com/kubernetes/kubernetes/issues/96018

It prints::

    iptables, first sync: 3909 rules
      one endpoint goes: 318 rules written, of 4 chains
    ipvs, one endpoint goes: -d -t 10.96.0.8:80 -r 10.244.1.12:8080
      rules written: 20
"""

from svcsim.cluster import Sketch
from svcsim.cluster.programmed import program_node
from svcsim.kube.config import ProxyConfig
from svcsim.kube.iptables import IPTablesProgrammer


def main() -> None:
    """Take one endpoint of 300 Services with 4 endpoints each away, in both modes."""
    sketch = Sketch("a")
    for number in range(200):
        sketch.pod(f"web-{number}")
    pods = [f"web-{number}" for number in range(200)]
    for number in range(300):
        sketch.service(f"s{number:03}", {80: 8080}, [pods[(number + step) % 200] for step in range(4)])
    objects = sketch.objects
    changed = sketch.endpoints("s007", pods[7:10])
    for mode in ("iptables", "ipvs"):
        proxy = program_node(objects, ProxyConfig(mode=mode, min_sync_period=0.0))
        programmer = proxy.programmer(proxy.families[0])
        if isinstance(programmer, IPTablesProgrammer):
            print("iptables, first sync:", programmer.report.rules if programmer.report else 0, "rules")
            proxy.learn([changed])
            assert programmer.report is not None
            print(
                "  one endpoint goes:",
                programmer.report.rules,
                "rules written, of",
                len(programmer.report.written),
                "chains",
            )
        else:
            proxy.learn([changed])
            texts = {step.command: step.stdin for step in proxy.syncs[-1].program.steps}
            print("ipvs, one endpoint goes:", texts["ipvsadm -R"].strip())
            print(
                "  rules written:",
                sum(line.startswith("-A") for line in texts["iptables-restore --noflush --counters"].splitlines()),
            )


if __name__ == "__main__":
    main()
