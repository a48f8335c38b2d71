"""The kit lets every built-in scheduler through, and says of each broken one what is wrong with it."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import ClassVar

import attrs
import pytest

from svcsim.clock import SECOND
from svcsim.errors import ConfigError, MissingError
from svcsim.lb.bench import Bench
from svcsim.lb.scheduler import SCHEDULERS, Scheduler
from svcsim.lb.service import Destination
from svcsim.testing import check_scheduler

BUILT_IN = ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "twos", "lblc", "lblcr"]
#: These look at one place alone, or refuse what is too much.
REFUSE = {"dh", "sh", "mh", "ovf"}


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_ones_keep_the_contract(name):
    """All fourteen; lblc goes on with an overloaded destination, as the kernel's does."""
    check_scheduler(name, must_serve=name not in REFUSE, may_overload=name == "lblc", examples=60)


def test_none_are_forgotten():
    """Whatever the package registers goes through the kit, but for the one that schedules nothing."""
    ours = {name for name in SCHEDULERS if SCHEDULERS[name].__module__.startswith("svcsim.")}

    assert ours == {*BUILT_IN, "none"}


def test_what_the_exceptions_are_for():
    """Without them the kit says what lblc and ovf do."""
    with pytest.raises(AssertionError, match=r"lblc chose \S+, which is overloaded \(upper threshold \d\)"):
        check_scheduler("lblc", examples=1000, steps=15)
    with pytest.raises(AssertionError, match=r"ovf chose nothing though \S+ can serve"):
        check_scheduler("ovf", must_serve=True, examples=1000, steps=15)


def able(service):
    return [d for d in service.destinations if d.weight > 0 and not d.overloaded]


class Good(Scheduler):
    """Chooses well; the broken ones each break one thing of it."""

    def schedule(self, service, skb):
        return next(iter(able(service)), None)


class Quiesced(Good):
    def schedule(self, service, skb):
        return next((d for d in service.destinations if not d.overloaded), None)


class Overloaded(Good):
    def schedule(self, service, skb):
        return next((d for d in service.destinations if d.weight), None)


class Sticky(Good):
    """Goes on with a destination that has left."""

    def __init__(self):
        self.last = None

    def schedule(self, service, skb):
        if self.last is None or not self.last.weight or self.last.overloaded:
            self.last = super().schedule(service, skb)
        return self.last


class Inventive(Good):
    def schedule(self, service, skb):
        chosen = super().schedule(service, skb)
        return chosen and Destination(chosen.family, chosen.address, chosen.port)


class Numbering(Good):
    def schedule(self, service, skb):
        return 0 if able(service) else None


class Careless(Good):
    def schedule(self, service, skb):
        return service.destinations[0]


class Dicing(Good):
    def schedule(self, service, skb):
        return random.choice(able(service)) if able(service) else None


class Shared(Good):
    """Counts turns in the class, so all services share them."""

    turns: ClassVar = {}

    def schedule(self, service, skb):
        turn = self.turns[service.key] = self.turns.get(service.key, 0) + 1
        return able(service)[turn % len(able(service))] if able(service) else None


class Remembering(Good):
    """Counts in the class how many services have ended; twins in lock-step do not notice."""

    ended: ClassVar = [0]

    def schedule(self, service, skb):
        return able(service)[self.ended[0] % len(able(service))] if able(service) else None

    def unbind(self, service):
        self.ended[0] += 1


class Pooled(Good):
    """Keeps one destination for all services."""

    pool: ClassVar = {}

    def schedule(self, service, skb):
        found = self.pool.setdefault(skb.src, super().schedule(service, skb))
        if found is None or found.weight == 0 or found.overloaded or not found.available:
            found = self.pool[skb.src] = super().schedule(service, skb)
        return found


class Sorting(Good):
    def schedule(self, service, skb):
        service.destinations.sort(key=lambda d: d.weight)
        return super().schedule(service, skb)


class Counting(Good):
    def schedule(self, service, skb):
        chosen = super().schedule(service, skb)
        if chosen is not None:
            chosen.active += 1
        return chosen


class Rewriting(Good):
    def schedule(self, service, skb):
        chosen = super().schedule(service, skb)
        if chosen is not None:
            skb.dst = chosen.address
        return chosen


class Shy(Good):
    def schedule(self, service, skb):
        return None


class Ticking(Good):
    """Has a timer and does not end it."""

    def bind(self, service, host):
        host.clock.call_after(86400 * SECOND, lambda: None)


@attrs.define(eq=False)
class Clinging(Good):
    """Does not forget."""

    seen: set = attrs.field(factory=set)

    def schedule(self, service, skb):
        chosen = Good.schedule(self, service, skb)
        self.seen.add(chosen)
        return chosen

    def holds(self, destination):
        return destination in self.seen


@pytest.mark.parametrize(
    "broken, message",
    [
        (
            Quiesced,
            r"^Quiesced chose 10\.244\.0\.\d+:8080, which is quiesced \(weight 0\)\nthe list, newest first:\n  10",
        ),
        (Overloaded, r"^Overloaded chose \S+, which is overloaded \(upper threshold \d\)\nthe list"),
        (Sticky, r"^Sticky chose \S+, which has left the service"),
        (Inventive, r"^Inventive chose \S+, which belongs to another service"),
        (Pooled, r"^Pooled chose \S+, which belongs to another service"),
        (Numbering, r"^Numbering chose 0, which is no Destination"),
        (Dicing, r"^Dicing chose \S+ and, for an equal service after the same life, \S+: either it draws from"),
        (Shared, r"^Shared chose \S+ and, for an equal service after the same life, \S+: .*or services share state"),
        (Remembering, r"^Remembering chose .*when an equal service lived the same life later.*something outlives"),
        (Sorting, r"^Sorting changed the service's list of destinations"),
        (Counting, r"^Counting changed the service, a destination or the packet while it chose"),
        (Rewriting, r"^Rewriting changed the service, a destination or the packet while it chose"),
        (Shy, r"^Shy chose nothing though \S+ can serve"),
        (Ticking, r"^Ticking has \d timers? left after it was unbound"),
        (Clinging, r"^Clinging still holds \S+ after it was unbound"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_one_is_told_what_is_wrong(broken, message):
    """Each fault has its own sentence, with the scheduler's name first."""
    with pytest.raises(AssertionError, match=message):
        check_scheduler(broken, must_serve=True, examples=1000, steps=12)


def test_a_good_one_passes():
    """What the broken ones are made of is sound: it is their fault that is found."""
    check_scheduler(Good, must_serve=True)


def test_its_own_error_comes_through():
    """A scheduler that fails is shown with its own error and the life that led to it, not another's."""
    with pytest.raises(IndexError) as caught:
        check_scheduler(Careless)

    assert any("state.connect(" in note for note in caught.value.__notes__)


def test_what_cannot_be_checked_is_refused():
    """A name that nobody registered, and a class that does not say how it schedules."""
    with pytest.raises(MissingError, match="Scheduler or persistence engine not found"):
        check_scheduler("rrr")
    with pytest.raises(ConfigError, match="'Idle' does not say how it schedules"):
        check_scheduler(type("Idle", (Scheduler,), {}))
    with pytest.raises(MissingError, match="not found"):
        check_scheduler("mh", kernel=(4, 9))


def test_a_class_needs_no_registration():
    """It is bound as it is, and nothing is registered on the way."""
    before = list(SCHEDULERS)
    check_scheduler(Good, examples=3)

    assert list(SCHEDULERS) == before
    assert Bench(Good, [1, 1]).picks(2) == [1, 1]


def test_without_hypothesis_it_says_what_to_install():
    """The kit is of no use without it; the rest of the library does not ask for it."""
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import svcsim.lab.fairness, svcsim.lab.script\n"
        "try:\n    import svcsim.testing\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "svcsim.testing needs hypothesis: pip install 'svcsim[testing]'\n"
