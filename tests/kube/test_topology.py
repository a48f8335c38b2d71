"""Which endpoints are used: traffic policies, hints, and the fall-back to endpoints that end but still serve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.objects import port
from svcsim.kube.state import EndpointInfo
from svcsim.kube.topology import choose

READY, ENDING, GONE, STARTING = "ready", "ending", "gone", "starting"
STATES = {
    READY: {},
    ENDING: {"ready": False, "serving": True, "terminating": True},
    GONE: {"ready": False, "serving": False, "terminating": True},
    STARTING: {"ready": False, "serving": False, "terminating": False},
}


def end(number, state=READY, *, here=False, zones=(), nodes=()):
    hints = {"zone_hints": frozenset(zones), "node_hints": frozenset(nodes)}
    return EndpointInfo(address=f"10.128.3.{number}", port=80, local=here, **STATES[state], **hints)


def chosen(endpoints, **policies):
    """The last numbers of the endpoints: cluster, local, reachable; and whether there are any."""
    choice = choose(port(**policies).info, endpoints, node="node-a", zone="east")
    lists = (choice.cluster, choice.local, choice.reachable)
    return (*([int(each.address.rpartition(".")[2]) for each in ends] for ends in lists), choice.any)


OUTSIDE = {"node_port": 30005, "external_local": True}


@pytest.mark.parametrize(
    ("endpoints", "policies", "expected"),
    [
        ([], {}, ([], [], [], False)),
        ([end(1), end(2, STARTING)], {}, ([1], [], [1], True)),
        ([end(1, ENDING), end(2)], {}, ([2], [], [2], True)),
        ([end(1, ENDING), end(2, GONE)], {}, ([1], [], [1], True)),
        ([end(1, GONE), end(2, STARTING)], {}, ([], [], [], False)),
        # inside alone, by the policy Local
        ([end(1, here=True), end(2)], {"internal_local": True}, ([], [1], [1], True)),
        ([end(1), end(2)], {"internal_local": True}, ([], [], [], True)),
        ([end(1, ENDING, here=True), end(2)], {"internal_local": True}, ([], [1], [1], True)),
        # from outside by the policy Local: pods and the node still use all
        ([end(1, here=True), end(2)], OUTSIDE, ([1, 2], [1], [1, 2], True)),
        ([end(1, ENDING, here=True), end(2)], OUTSIDE, ([2], [1], [1, 2], True)),
        ([end(1, ENDING, here=True), end(2, GONE)], OUTSIDE, ([1], [1], [1], True)),
        # the external policy counts for nothing where nobody comes from outside
        ([end(1, here=True), end(2)], {"external_local": True}, ([1, 2], [], [1, 2], True)),
        # hints
        ([end(1, zones=["east"]), end(2, zones=["west"])], {}, ([1], [], [1], True)),
        ([end(1, zones=["east"]), end(2)], {}, ([1, 2], [], [1, 2], True)),
        ([end(1, zones=["west"]), end(2, zones=["west"])], {}, ([1, 2], [], [1, 2], True)),
        ([end(1, zones=["east"]), end(2, ENDING)], {}, ([1], [], [1], True)),
        (
            [end(1, nodes=["node-a"], zones=["west"]), end(2, nodes=["node-b"], zones=["east"])],
            {},
            ([1], [], [1], True),
        ),
        # hints narrow the cluster's list, never the local one
        ([end(1, zones=["west"], here=True), end(2, zones=["east"])], OUTSIDE, ([2], [1], [1, 2], True)),
        # no topology in the fall-back
        ([end(1, ENDING, zones=["east"]), end(2, ENDING, zones=["west"])], {}, ([1, 2], [], [1, 2], True)),
    ],
)
def test_choice(endpoints, policies, expected):
    """Endpoints are chosen by kube-proxy's rules, in their order."""
    assert chosen(endpoints, **policies) == expected


ends = st.builds(
    end,
    st.integers(1, 200),
    st.sampled_from(list(STATES)),
    here=st.booleans(),
    zones=st.sampled_from([(), ("east",), ("west",)]),
    nodes=st.sampled_from([(), (), ("node-a",), ("node-b",)]),
)
policies = st.fixed_dictionaries(
    {"internal_local": st.booleans(), "external_local": st.booleans(), "node_port": st.sampled_from([0, 30005])}
)


@given(st.lists(ends, max_size=8, unique_by=lambda each: each.address), policies)
def test_what_always_holds(endpoints, given_policies):
    """Nobody is used who does not serve; local ones are here; all that is used is reachable; order is kept."""
    info = port(**given_policies).info

    choice = choose(info, endpoints, node="node-a", zone="east")

    assert all(each.ready or (each.serving and each.terminating) for each in choice.reachable)
    assert all(each.local for each in choice.local)
    assert set(choice.cluster) | set(choice.local) == set(choice.reachable)
    assert [each for each in endpoints if each in choice.reachable] == list(choice.reachable)
    assert choice.any or not choice.reachable
    assert not choice.local or info.uses_local
    assert not choice.cluster or info.uses_cluster
