"""What a look-up and a change cost, in counts; the times are made up."""

from __future__ import annotations

import itertools
import json

import pytest

from svcsim import Packet
from svcsim.errors import ConfigError
from svcsim.lab.churn import CHANGES, WAYS, measure_churn
from svcsim.lab.cluster import iptables_node
from svcsim.lab.cost import POSITIONS, measure_lookup, rules_asked
from svcsim.lab.workload import make_portals


def ticking():
    """A timer that says a microsecond more each time."""
    count = itertools.count(0, 1000)
    return lambda: next(count)


@pytest.fixture(scope="module")
def lookups():
    """One small measurement."""
    return measure_lookup(ticking(), (3, 40), packets=10, repeats=2)


@pytest.fixture(scope="module")
def churn():
    """One small measurement of changes."""
    return measure_churn(ticking(), (2, 12), endpoints=3, repeats=2)


def test_what_a_trace_tells_is_what_the_chains_count():
    """The rules that a trace names are as many as the chains counted, packet by packet."""
    portals = make_portals(9)
    node = iptables_node(portals)
    tables = [table for rules in node.rules.values() for table in rules.tables.values()]

    def counted() -> int:
        return sum(asked for table in tables for chain in table.listed() for _, asked in chain.asked())

    for number, portal in enumerate(portals):
        before = counted()
        packet = Packet.tcp(f"10.244.1.7:{40_000 + number}", f"{portal.address}:{portal.port}")

        assert rules_asked(node.receive(packet, "cni0", trace=True)) == counted() - before > 0


def test_the_list_is_walked_to_the_service(lookups):
    """The last of n services costs n - 1 rules more than the first; no service at all walks every rule there is."""
    first, last, none = (
        {cost.services: cost.rules for cost in lookups.of("iptables", position)}
        for position in ("first", "last", "none")
    )
    # Which endpoint is drawn makes a difference of up to two rules of the service's own chain.
    for services in (3, 40):
        assert last[services] - first[services] == pytest.approx(services - 1, abs=2)
    assert none[40] - none[3] == 37


def test_the_table_is_not_walked(lookups):
    """IPVS asks no rule, and looks at hardly more entries among forty services than among three."""
    for position in POSITIONS:
        for cost in lookups.of("ipvs", position):
            assert cost.rules == 0
            assert cost.probes <= 2


def test_times_are_a_packets(lookups):
    """A timer that ticks once for a burst of ten packets says a tenth of a tick for each."""
    assert {cost.time.median for cost in lookups.costs} == {100.0}
    assert lookups.fit.slope == 0


def test_reports_are_plain_values(lookups, churn):
    """Both reports go through JSON unchanged."""
    for report in (lookups, churn):
        plain = report.to_dict()

        assert json.loads(json.dumps(plain)) == json.loads(json.dumps(plain, sort_keys=True))
        assert len(plain["costs"]) == len(report.costs)


def test_one_change_rewrites_the_list_and_not_the_table(churn):
    """Among ten services more, a list takes in that many services' rules more, for the same change; IPVS does not."""
    for change in CHANGES:
        for way in WAYS:
            few, many = churn.of(way, change)
            if way == "ipvsadm":
                assert few.rewritten == many.rewritten
                assert few.text == pytest.approx(many.text, abs=20)  # addresses are longer or shorter
            else:
                assert many.rewritten - few.rewritten == 10 * (2 + 3 * 3) * many.commands


def test_a_sync_tells_of_all_services(churn):
    """kube-proxy's partial sync is one command whose text grows by a rule a service; single commands tell the same."""
    for change in CHANGES:
        few, many = churn.of("iptables-restore", change)
        assert (few.commands, many.commands) == (1, 1)
        assert many.told - few.told == 10

        few, many = churn.of("iptables", change)
        assert few.commands == many.commands > 1
        assert few.told == many.told


@pytest.mark.parametrize(
    "bad", [{"sizes": ()}, {"sizes": (0,)}, {"sizes": (1,), "repeats": 0}, {"sizes": (1,), "endpoints": 0}]
)
@pytest.mark.parametrize("measure", [measure_lookup, measure_churn])
def test_empty_measurements_are_refused(measure, bad):
    """Nothing to measure is an error, not an empty report."""
    with pytest.raises(ConfigError, match="at least one"):
        measure(ticking(), **bad)


def test_more_connections_than_ports_are_refused():
    """A pod has only so many ports to open new connections from."""
    with pytest.raises(ConfigError, match="connections"):
        measure_lookup(ticking(), (1,), packets=10_000, repeats=10)
