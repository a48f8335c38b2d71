"""Power of two choices: the distribution, and whose draws they are."""

from fractions import Fraction
from itertools import product

import pytest

from svcsim.lb.bench import Bench
from svcsim.lb.schedulers import PowerOfTwoChoices
from svcsim.lb.service import ServiceKey
from svcsim.packet import Proto
from svcsim.rng import Stream, Streams


class Fixed(Stream):
    """A stream whose next draws are given."""

    def __init__(self, draws: list[int]) -> None:
        super().__init__(0)
        self.draws = draws
        self.bounds: list[int] = []

    def below(self, bound: int) -> int:
        self.bounds.append(bound)
        return self.draws.pop(0)


def choice(bench: Bench, *draws: int) -> int:
    """The number of the destination that two given draws choose."""
    scheduler = bench.service.scheduler
    assert isinstance(scheduler, PowerOfTwoChoices)
    scheduler.stream = Fixed(list(draws))
    chosen = bench.service.scheduler.schedule(bench.service, None)  # type: ignore[arg-type]
    assert chosen is not None
    return bench.destinations.index(chosen)


def test_a_draw_falls_on_a_destination_by_weight() -> None:
    """The list is newest first, so 0, 1 and 2 fall on the one of weight 2 and 3 on the older one of weight 1."""
    bench = Bench("twos", [1, 2])

    assert [choice(bench, draw, draw) for draw in range(4)] == [1, 1, 1, 0]


@pytest.mark.parametrize(("older", "newer", "expected"), [(0, 0, 1), (1, 4, 0), (2, 4, 1), (3, 4, 1)])
def test_of_two_the_less_loaded_for_its_weight_is_taken(older: int, newer: int, expected: int) -> None:
    """A tie goes to the first draw; here the first draw is the newer one, of twice the weight."""
    bench = Bench("twos", [1, 2])
    bench.destinations[0].active, bench.destinations[1].active = older, newer

    assert choice(bench, 0, 3) == expected


def test_products_wrap_around_at_32_bits() -> None:
    """An overhead that passes 2^31 with the other's weight counts as negative, as in the kernel."""
    bench = Bench("twos", [1, 2**20])
    bench.destinations[0].active = 8

    assert choice(bench, 2**20 + 1, 0) == 0


def test_shares_are_those_that_counting_all_draws_gives() -> None:
    """Over many connections that end at once, each share is within a hundredth of its exact probability."""
    weights = [1, 2, 3]
    bench = Bench("twos", weights, seed=5)
    total = sum(weights) + 1
    exact = [Fraction(0)] * 3
    for first, second in product(range(total), repeat=2):
        exact[choice(bench, first, second)] += Fraction(1, total**2)

    bench = Bench("twos", weights, seed=5)
    for _ in range(20_000):
        chosen = bench.connect()
        assert chosen is not None
        bench.disconnect(chosen)
    for share, probability in zip(bench.shares(), exact, strict=True):
        assert abs(share / 20_000 - probability) < 0.01
    assert sum(exact) == 1
    assert exact[2] == Fraction(4, 7)  # not 3/6: the newest has one chance more than its weight


def test_quiesced_and_overloaded_destinations_are_not_drawn() -> None:
    """They do not count in the total either; without any there is none, and nothing is drawn."""
    bench = Bench("twos", [1, 5, 9])
    bench.destinations[1].overloaded = True
    bench.edit(bench.destinations[2], 0)
    assert {bench.connect() for _ in range(30)} == {bench.destinations[0]}

    scheduler = bench.service.scheduler
    assert isinstance(scheduler, PowerOfTwoChoices)
    drawn = scheduler.stream.ordinal
    bench.edit(bench.destinations[0], 0)
    assert bench.connect() is None
    assert scheduler.stream.ordinal == drawn == 60


def test_each_service_has_draws_of_its_own() -> None:
    """The same seed and service give the same choices; what another service draws does not shift them."""
    one, two = Bench("twos", [1] * 5, seed=3), Bench("twos", [1] * 5, seed=3)
    other = PowerOfTwoChoices()
    stranger = Bench("twos").service
    stranger.key = ServiceKey(stranger.key.family, Proto.UDP, 1, 53)
    two.streams = one.streams = Streams(3)
    other.bind(stranger, two)
    names = list(two.streams)
    for _ in range(7):
        other.stream.u64()

    assert names == ["ipvs twos UDP 0.0.0.1:53"]
    assert [one.destinations.index(d) for _ in range(40) if (d := one.connect())] == [
        two.destinations.index(d) for _ in range(40) if (d := two.connect())
    ]
    assert [Bench("twos", [1] * 5, seed=4).connect() for _ in range(1)] != [None]
