"""What a scheduler is: names, refusals, and that each serves one service alone."""

import attrs
import pytest

from svcsim.errors import ConfigError, MissingError
from svcsim.hooks import Skb
from svcsim.lb import schedulers
from svcsim.lb.bench import Bench
from svcsim.lb.scheduler import SCHEDULERS, Scheduler, make_scheduler
from svcsim.lb.service import Destination, VirtualService

KERNELS = {"fo": (3, 18), "ovf": (4, 3), "mh": (4, 18), "twos": (5, 13)}
NAMES = ["dh", "fo", "lblc", "lblcr", "lc", "mh", "none", "nq", "ovf", "rr", "sed", "sh", "twos", "wlc", "wrr"]


def test_the_kernels_schedulers_are_there_by_its_names() -> None:
    """Fourteen schedulers and "none"; each class knows its own name."""
    assert [name for name in SCHEDULERS if name in NAMES] == NAMES
    assert {SCHEDULERS[name].name for name in NAMES} == set(NAMES)
    assert len(schedulers.__all__) == len(NAMES)


def test_a_service_without_scheduler_serves_nobody() -> None:
    """The name "none" stands for no scheduler."""
    assert Bench("none", [1, 1]).connect() is None


@pytest.mark.parametrize("name", NAMES)
def test_an_older_kernel_does_not_find_a_younger_scheduler(name: str) -> None:
    """The message is what ipvsadm prints of an unknown one."""
    since = KERNELS.get(name, (2, 6))
    assert make_scheduler(name, since).name == name

    if name in KERNELS:
        with pytest.raises(MissingError, match=r"^Scheduler or persistence engine not found$"):
            make_scheduler(name, (since[0], since[1] - 1))


def test_an_unknown_name_is_not_found() -> None:
    """Nor is the empty one."""
    for name in ("rrr", ""):
        with pytest.raises(MissingError, match=r"^Scheduler or persistence engine not found$"):
            make_scheduler(name, (6, 18))


def test_a_stranger_registers_and_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler is a class with `schedule`; its name is the registered one, and a double name is refused."""

    @attrs.define(eq=False)
    class First(Scheduler):
        def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
            return service.destinations[0] if service.destinations else None

    monkeypatch.setattr(SCHEDULERS, "_plugins", dict(SCHEDULERS._plugins))
    SCHEDULERS.register("first")(First)
    bench = Bench("first", [1, 1])

    assert bench.connect() is bench.destinations[1]
    assert str(bench.service) == "TCP 10.96.0.10:80 first"
    with pytest.raises(ConfigError, match="already a scheduler 'first'"):
        SCHEDULERS.add("first", First)


def test_a_class_that_does_not_schedule_is_refused() -> None:
    """It is noticed when it is registered, not by the first packet."""
    with pytest.raises(ConfigError, match="does not say how it schedules"):
        SCHEDULERS.add("idle", type("Idle", (Scheduler,), {}))
    assert "idle" not in SCHEDULERS


@pytest.mark.parametrize("name", NAMES)
def test_two_services_share_no_state(name: str) -> None:
    """What happens to one service changes nothing of what an equal one chooses."""

    def run(noise: bool) -> list[int | None]:
        bench, other = Bench(name, [1, 2, 3]), Bench(name, [3, 1])
        chosen = []
        for i in range(40):
            if noise:
                other.connect(f"198.51.100.{i}:{i}", f"203.0.113.{i}:80")
                other.add(i)
            found = bench.connect(f"198.51.100.{i}:{i}", f"203.0.113.{i % 7}:80")
            chosen.append(None if found is None else bench.destinations.index(found))
        return chosen

    assert run(noise=False) == run(noise=True)
