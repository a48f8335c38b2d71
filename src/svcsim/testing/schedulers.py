"""
The contract of a scheduler, and the machine that holds one against it.

Two equal services go through the same random life in lock-step; a third one of the same scheduler lives beside them, and
at the end a fourth one goes through the same life alone. What is looked at is what the contract says:

* a choice is a destination of the service that has a weight above 0 and is not overloaded, or None;
* choosing changes neither service nor packet: counting is the director's work;
* the choice follows from the service's own life and its seed, so all equal services choose alike, whatever others do;
* a scheduler that is unbound has no timer left and remembers no destination.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn

import attrs
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from svcsim.addr import Family
from svcsim.errors import ConfigError
from svcsim.hooks import Skb
from svcsim.lab.script import Add, Connect, Disconnect, Edit, Event, Rebind, Remove, Wait
from svcsim.lb.bench import Bench
from svcsim.lb.scheduler import Scheduler
from svcsim.lb.service import Destination, ServiceFlags
from svcsim.packet import Packet
from svcsim.testing.strategies import families, request, weights

__all__ = ["check_scheduler"]

_FLAGS = [0, ServiceFlags.SCHED1, ServiceFlags.SCHED2, ServiceFlags.SCHED1 | ServiceFlags.SCHED2, ServiceFlags.SCHED3]
_NUMBERS, _WEIGHTS = st.integers(0, 7), st.integers(0, 5)


def check_scheduler(
    scheduler: str | type[Scheduler],
    *,
    must_serve: bool = False,
    may_overload: bool = False,
    kernel: tuple[int, ...] = (6, 18),
    examples: int = 100,
    steps: int = 30,
) -> None:
    """
    Raise an AssertionError, with the shortest life of a service that shows it, if *scheduler* breaks the contract.

    It is a registered name (installed plug-ins are found) or a class. With *must_serve* it must also find a destination
    whenever one can serve; with *may_overload* it may choose one at its upper threshold, as lblc does. So many *examples*
    of so many *steps* are tried.

    >>> check_scheduler("rr", must_serve=True, examples=5)
    >>> class Newest(Scheduler):
    ...     def schedule(self, service, skb):
    ...         return service.destinations[0] if service.destinations else None
    >>> check_scheduler(Newest)
    Traceback (most recent call last):
    AssertionError: Newest chose 10.244.0.2:8080, which is quiesced (weight 0)
    """
    if not isinstance(scheduler, str) and scheduler.schedule is Scheduler.schedule:
        raise ConfigError(f"the scheduler {scheduler.__name__!r} does not say how it schedules")

    faults: list[str] = []

    class Life(_Life):
        plan = _Plan(scheduler, must_serve, may_overload, kernel, faults.append)

    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        report_multiple_bugs=False,
        database=None,
        phases=(Phase.generate, Phase.shrink),
    )
    try:
        run_state_machine_as_test(Life, settings=wanted)
    except Flaky as error:
        if not faults:
            raise
        raise AssertionError(
            f"{faults[-1]}\nand not each time that the same life is lived: something outlives a service, in a class or a "
            f"module, or chance comes from something else than host.streams"
        ) from error


@attrs.frozen
class _Plan:
    """What is checked, and how strictly."""

    scheduler: str | type[Scheduler]
    must_serve: bool
    may_overload: bool
    kernel: tuple[int, ...]
    tell: Callable[[str], object]  # of each fault, the last of which is the plainest

    @property
    def name(self) -> str:
        return self.scheduler if isinstance(self.scheduler, str) else self.scheduler.__name__


class _Life(RuleBasedStateMachine):
    """The life of a service, and of its equals."""

    plan: ClassVar[_Plan]

    def __init__(self) -> None:
        super().__init__()
        self.sound = False  # no fault or error so far: what a broken life would do next says nothing
        self.script: list[Event] = []
        self.choices: list[str] = []

    def made(self, given: list[int]) -> Bench:
        plan = self.plan
        return Bench(plan.scheduler, given, family=self.family, flags=self.flags, kernel=plan.kernel, seed=self.seed)

    @initialize(given=weights(), family=families, flags=st.sampled_from(_FLAGS), seed=st.integers(0, 9))
    def begin(self, given: list[int], family: Family, flags: int, seed: int) -> None:
        self.given, self.family, self.flags, self.seed = given, family, flags, seed
        self.bench, self.twin = self.made(given), self.made(given)
        self.stranger = self.made([2, 1])
        self.ever = {*self.bench.destinations}
        self.sound = True

    @rule(weight=_WEIGHTS, upper=st.sampled_from([0, 0, 2, 5]), lower=st.integers(0, 2))
    def add(self, weight: int, upper: int, lower: int) -> None:
        self.happens(Add(weight, upper, min(upper, lower)))

    @rule(number=_NUMBERS)
    def remove(self, number: int) -> None:
        self.happens(Remove(number))

    @rule(number=_NUMBERS, weight=_WEIGHTS)
    def edit(self, number: int, weight: int) -> None:
        self.happens(Edit(number, weight))

    @rule(number=_NUMBERS)
    def disconnect(self, number: int) -> None:
        self.happens(Disconnect(number))

    @rule(seconds=st.sampled_from([1, 60, 3600]))
    def wait(self, seconds: int) -> None:
        self.happens(Wait(seconds))

    @rule()
    def rebind(self) -> None:
        old = self.bench.service.scheduler
        self.happens(Rebind())
        self.let_go(old)

    @rule(
        client=st.integers(0, 5),
        to=st.integers(0, 2),
        port=st.integers(40000, 40003),
        udp=st.booleans(),
        count=st.integers(1, 3),
        noise=st.booleans(),
    )
    def connect(self, client: int, to: int, port: int, udp: bool, count: int, noise: bool) -> None:
        """Open *count* connections; with *noise* the stranger is asked in between."""
        packet = request(self.family, client, to, port, udp)
        for _ in range(count):
            chosen = self.chosen(self.bench, packet)
            if noise:
                self.chosen(self.stranger, packet)
            same = self.chosen(self.twin, packet)
            if str(chosen) != str(same):
                self.fault(
                    f"chose {chosen} and, for an equal service after the same life, {same}: either it draws from "
                    f"something else than host.streams, or services share state (in a class or a module)"
                )
            self.script.append(Connect(packet))
            self.choices.append(str(chosen))

    def happens(self, event: Event) -> None:
        self.sound = False
        event.apply(self.bench)
        event.apply(self.twin)
        self.sound = True
        self.script.append(event)
        self.ever.update(self.bench.destinations)
        self.listed(self.bench)

    def chosen(self, bench: Bench, packet: Packet) -> Destination | None:
        """Let the scheduler choose, look at its choice, and count the connection."""
        service, skb = bench.service, Skb(packet)
        before = (_state(service), [_state(d) for d in service.destinations], _state(skb))
        self.sound = False
        chosen = service.scheduler.schedule(service, skb)
        self.sound = True
        self.listed(bench)
        if (_state(service), [_state(d) for d in service.destinations], _state(skb)) != before:
            self.fault("changed the service, a destination or the packet while it chose: it may only look at them")
        if chosen is None:
            able = [d for d in service.destinations if d.weight > 0 and not d.overloaded]
            if able and self.plan.must_serve:
                self.fault(f"chose nothing though {able[0]} can serve", bench)
            return None
        if not isinstance(chosen, Destination):
            self.fault(f"chose {chosen!r}, which is no Destination")
        if not any(chosen is destination for destination in service.destinations):
            whose = "has left the service" if chosen.service is service else "belongs to another service"
            self.fault(f"chose {chosen}, which {whose}", bench)
        if chosen.weight <= 0:
            self.fault(f"chose {chosen}, which is quiesced (weight 0)", bench)
        if chosen.overloaded and not self.plan.may_overload:
            self.fault(f"chose {chosen}, which is overloaded (upper threshold {chosen.upper_threshold})", bench)
        bench.count(chosen, active=Connect(packet).active)
        return chosen

    def listed(self, bench: Bench) -> None:
        """The list is the service's own: nobody but an administrator changes it."""
        if bench.service.destinations != bench.destinations[::-1]:
            self.fault("changed the service's list of destinations")

    def let_go(self, scheduler: Scheduler) -> None:
        held = [destination for destination in self.ever if scheduler.holds(destination)]
        if held:
            self.fault(f"still holds {held[0]} after it was unbound")

    def teardown(self) -> None:
        """Live the same life alone, and end it."""
        if not self.sound:
            return
        alone, choices = self.made(self.given), iter(self.choices)
        for number, event in enumerate(self.script):
            if isinstance(event, Connect):
                first, again = next(choices), str(self.chosen(alone, event.packet))
                if first != again:
                    self.fault(
                        f"chose {first} and, when an equal service lived the same life later, {again} (event {number}): "
                        f"something outlives a service, in a class or a module, or time does not come from host.clock"
                    )
            else:
                event.apply(alone)
        scheduler = alone.service.scheduler
        self.ever = {*self.ever, *alone.destinations}
        scheduler.unbind(alone.service)
        if alone.clock.pending:
            self.fault(f"has {alone.clock.pending} timers left after it was unbound: cancel them in unbind")
        self.let_go(scheduler)

    def fault(self, what: str, bench: Bench | None = None) -> NoReturn:
        self.sound = False
        lines = [f"{self.plan.name} {what}"]
        if bench is not None:
            lines.append("the list, newest first:")
            lines += [
                f"  {d} weight {d.weight} active {d.active} inactive {d.inactive}{' overloaded' * d.overloaded}"
                for d in bench.service.destinations
            ]
        text = "\n".join(lines)
        self.plan.tell(text)
        raise AssertionError(text)


def _state(value: attrs.AttrsInstance) -> tuple[object, ...]:
    """What a value holds, one level deep; lists as they are now."""
    found = (getattr(value, field.name) for field in attrs.fields(type(value)))
    return tuple(tuple(item) if isinstance(item, list) else item for item in found)
