"""Every IPVS scheduler under equal and unequal weights, UDP, persistence, churn: ipvs-SCHEDULER-SHAPE."""

from __future__ import annotations

import random
from functools import partial

from balancing import SCHEDULERS, Crowd, backends, director, service
from scenario import SITES, Scenario, at, family

WEIGHTS = ([1, 2, 3, 4], [5, 1, 1, 2], [3, 6, 9], [1, 0, 4, 2], [10, 1], [2, 4, 6, 8, 10], [100, 1, 50], [7, 3, 0])
FLAGS = {"sh": ("", "-b sh-port", "-b sh-fallback", "-b sh-fallback,sh-port"),
         "mh": ("", "-b mh-port", "-b mh-fallback", "-b mh-fallback,mh-port")}  # fmt: skip


def _equal(scheduler: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[number % 3]
    s = director(site, conntrack=number % 2 == 0)
    target = at(site.service + "10", 80)
    extra = rng.choice(FLAGS.get(scheduler, ("",)))
    service(s, target, backends(rng, site, rng.randrange(2, 6)), scheduler, weights=None, extra=extra)
    Crowd(s, rng, site, [target]).steps(44)
    return s


def _weighted(scheduler: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[(number + 1) % 3]
    s = director(site, conntrack=rng.random() < 0.8, masquerade=number == 1)
    weights = rng.choice(WEIGHTS)
    targets = [at(site.service + "10", 80), at(site.service + "11", 443)]
    extra = FLAGS.get(scheduler, ("",))[number % len(FLAGS.get(scheduler, ("",)))]
    service(s, targets[0], backends(rng, site, len(weights)), scheduler, weights=weights, extra=extra)
    service(s, targets[1], backends(rng, site, 3), scheduler, weights=[2, 3, 5], port=443)
    Crowd(s, rng, site, targets).steps(46)
    return s


def _udp(scheduler: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[(number + 2) % 3]
    s = director(site)
    target = at(site.service + "12", 53)
    weights = rng.choice([*WEIGHTS, [1, 1, 1]])
    service(s, target, backends(rng, site, len(weights)), scheduler, proto="udp", port=5353, weights=weights)
    Crowd(s, rng, site, [target], proto="udp").steps(42)
    return s


def _persist(scheduler: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[number % 3]
    s = director(site)
    target = at(site.service + "10", 80)
    extra = f"-p {rng.choice((60, 600, 10800))}" + rng.choice(("", " -M 255.255.255.248", " -M 255.255.255.0"))
    pods = backends(rng, site, 4)
    name = service(s, target, pods, scheduler, weights=[1, 2, 1, 3], extra=extra)
    crowd = Crowd(s, rng, site, [target], few=number % 2 == 0)
    crowd.steps(20)
    s.command(f"ipvsadm -e {name} -r {at(pods[0], 8080)} -m -w 0")
    crowd.steps(10)
    s.command(f"ipvsadm -d {name} -r {at(pods[1], 8080)}")
    crowd.steps(10)
    s.command("ipvsadm -Ln --persistent-conn")
    return s


def _churn(scheduler: str, rng: random.Random, number: int) -> Scenario:
    site = SITES[number % 3]
    s = director(site)
    if number % 2:
        s.run("sysctl -qw net.ipv4.vs.expire_nodest_conn=1")
    target = at(site.service + "10", 80)
    pods = backends(rng, site, 9)
    present = pods[:4]
    name = service(s, target, present, scheduler, weights=[rng.randrange(1, 5) for _ in present])
    crowd = Crowd(s, rng, site, [target])
    for _ in range(9):
        crowd.steps(6)
        change = rng.random()
        pod = rng.choice(present) if present else pods[0]
        if change < 0.3:
            pod = rng.choice([p for p in pods if p not in present] or pods)
            s.command(f"ipvsadm -a {name} -r {at(pod, 8080)} -m -w {rng.randrange(5)} 2>/dev/null")
            present = list({*present, pod})
        elif change < 0.5:
            s.command(f"ipvsadm -d {name} -r {at(pod, 8080)} 2>/dev/null")
            present = [p for p in present if p != pod]
        elif change < 0.85:
            s.command(f"ipvsadm -e {name} -r {at(pod, 8080)} -m -w {rng.choice((0, 0, 1, 2, 4, 6))} 2>/dev/null")
        else:
            other = rng.choice((scheduler, scheduler, rng.choice(SCHEDULERS)))
            s.command(f"ipvsadm -E {name} -s {other}")
        present.sort()
    s.command("ipvsadm -Ln --nosort")
    return s


SHAPES = {
    "equal": (_equal, 1),
    "weighted": (_weighted, 2),
    "udp": (_udp, 1),
    "persist": (_persist, 1),
    "churn": (_churn, 2),
}

for _scheduler in SCHEDULERS:
    for _shape, (_build, _count) in SHAPES.items():
        family(f"ipvs-{_scheduler}-{_shape}", _count)(partial(_build, _scheduler))
