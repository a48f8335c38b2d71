"""Every branch of chance: probabilities that add up, and that are those of what really happens."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.worlds import RANDOM, backends, fingerprint, router, syn
from svcsim import ConfigError, Node, Packet
from svcsim.explain.asking import MOST_BRANCHES
from svcsim.explain.branches import Branches, follow
from svcsim.explain.chance import Dice, Script, ScriptedStream
from svcsim.explain.explanation import Explanation
from svcsim.explain.fate import fate_of
from svcsim.lab.cluster import MODES, example_node
from svcsim.lab.metrics import chi_square


def branches_of(node: Node, packet: Packet, iface: str = "cli0", most: int = MOST_BRANCHES) -> Branches[Explanation]:
    found = node.explain(packet, iface, branches=True, most=most).branches
    assert found is not None
    return found


def shares(node: Node, packet: Packet, iface: str = "cli0") -> dict[str, float]:
    """The probability of each fate."""
    return {share.fate: float(share.probability) for share in branches_of(node, packet, iface).by_fate()}


def agrees(node: Node, make, count: int = 1500, iface: str = "cli0") -> float:
    """How well fates of packets that really come agree with the enumerated ones: the p of a chi-square test."""
    expected = shares(node, make(0), iface)
    seen: Counter[str] = Counter()
    for number in range(count):
        packet = make(number)
        seen[fate_of(packet, node.receive(packet, iface, trace=True))] += 1
    assert seen.keys() <= expected.keys()
    return chi_square([seen[fate] for fate in expected], expected.values()).p_value


# -- the tree ----------------------------------------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> object:
    """A tree of forks with their weights; a leaf is a letter."""
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from("abc"))
    weights = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(sum))
    return [(weight, draw(trees(depth=depth - 1))) for weight in weights]


def climb(tree, script: Script) -> tuple[str, None]:
    while not isinstance(tree, str):
        total = sum(weight for weight, _ in tree)
        tree = tree[script.take(tuple(Fraction(weight, total) for weight, _ in tree))][1]
    return tree, None


def weigh(tree, into: dict[str, Fraction], weight: Fraction = Fraction(1)) -> dict[str, Fraction]:
    if isinstance(tree, str):
        into[tree] = into.get(tree, Fraction(0)) + weight
    else:
        total = sum(part for part, _ in tree)
        for part, sub in tree:
            if part:
                weigh(sub, into, weight * Fraction(part, total))
    return into


@given(trees())
def test_every_leaf_is_found_once(tree):
    """The probabilities of fates are exactly those of the tree, and add up to 1."""
    found = follow(lambda script: climb(tree, script), 10_000)
    assert {share.fate: share.probability for share in found.by_fate()} == weigh(tree, {})
    assert sum(branch.probability for branch in found) == 1 and not found.unexplored


@given(trees(), st.integers(1, 6))
def test_what_is_cut_off_is_told(tree, most):
    """However few ways are gone, theirs and the rest make 1, and a cut is said in words."""
    found = follow(lambda script: climb(tree, script), most)
    assert len(found) <= most
    assert sum((branch.probability for branch in found), found.unexplored) == 1
    assert bool(found.cut) == (found.unexplored > 0) == ("not followed" in found.line())


# -- draws -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(0, 12))
def test_draws_of_numbers_are_weighed(bound, period):
    """Numbers that mean the same are one choice, as likely as there are of them."""
    dice = Dice()

    def draw(script):
        dice.script = script
        return str(ScriptedStream(dice).below(bound, period=period) % (period or bound)), None

    found = {share.fate: share.probability for share in follow(draw, 1000).by_fate()}
    counted = Counter(str(number % (period or bound)) for number in range(bound))
    assert found == {fate: Fraction(number, bound) for fate, number in counted.items()}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(sum), st.integers(0, 1 << 31))
def test_draws_of_places_and_thresholds_are_weighed(weights, threshold):
    """A place is as likely as its share, a threshold as its part of all numbers; what cannot be is no choice."""
    dice = Dice()

    def draw(script):
        dice.script = script
        stream = ScriptedStream(dice)
        return f"{stream.pick(weights)}{stream.falls_below(threshold, 31)}", None

    for share in follow(draw, 1000).by_fate():
        place, below = int(share.fate[0]), share.fate[1:] == "True"
        likely = Fraction(threshold, 1 << 31) if below else 1 - Fraction(threshold, 1 << 31)
        assert share.probability == Fraction(weights[place], sum(weights)) * likely > 0


def test_without_a_script_a_stream_draws_as_ever():
    """A scripted stream with no script is the stream that it stands for."""
    node = router(rules=RANDOM, seed=5)
    asked = [node.explain(syn(port=port), "cli0").backend for port in range(5000, 5001)]
    assert asked[0] in str(node.receive(syn(port=5000), "cli0"))


# -- services ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_a_chain_of_kube_proxy_has_a_branch_for_each_endpoint(count):
    """n endpoints, n branches, each with one n-th."""
    found = branches_of(router(rules=backends(count)), syn())
    assert len(found) == count and not found.unexplored
    assert [float(share.probability) for share in found.by_fate()] == pytest.approx([1 / count] * count, abs=1e-7)
    assert sum(branch.probability for branch in found) == 1


def test_the_branches_are_the_backends():
    """The short view names each backend with its probability, and each branch tells its own way."""
    asked = router(rules=RANDOM).explain(syn(), "cli0", branches=True)
    ends = "; ".join(f"10.0.1.{n}:8080 with 0.3333" for n in (1, 2, 3))
    assert asked.line() == f"cli0: {syn()} => " + asked.branches.line()
    assert set(asked.branches.line().split("; ")) == set(ends.split("; "))
    for branch in asked.branches:
        assert branch.way.backend == branch.fate and f"--to-destination {branch.fate}" in branch.way.hops()


def test_iptables_draws_as_enumerated():
    """1500 connections go where the branches say, as often."""
    assert agrees(router(rules=RANDOM, seed=3), lambda n: syn(port=10_000 + n)) > 0.001


@pytest.mark.parametrize("mode", MODES)
def test_the_example_cluster_balances_as_enumerated(mode):
    """In iptables mode each endpoint gets its share; in ipvs mode rr leaves nothing to chance."""
    node = example_node(mode, seed=2)
    found = branches_of(node, syn("10.96.33.7:9000", client="10.244.1.7"), "cni0")
    assert len(found) == (4 if mode == "iptables" else 1)
    if mode == "iptables":
        assert agrees(node, lambda n: syn("10.96.33.7:9000", client="10.244.1.7", port=9000 + n), iface="cni0") > 0.001


def twos(*weights: int, seed: int = 8) -> Node:
    node = router("ip addr add 10.96.0.10/32 dev lo", "ipvsadm -A -t 10.96.0.10:80 -s twos", seed=seed)
    for place, weight in enumerate(weights, 1):
        node.run(f"ipvsadm -a -t 10.96.0.10:80 -r 10.0.1.{place}:8080 -m -w {weight}")
    return node


def test_the_power_of_two_choices_is_enumerated():
    """Both draws of twos are followed; idle destinations are picked as the branches say."""
    found = branches_of(twos(3, 1, 2), syn())
    assert len(found) == 9 and sum(branch.probability for branch in found) == 1
    seen: Counter[str] = Counter()
    for seed in range(600):
        node = twos(3, 1, 2, seed=seed)
        seen[fate_of(syn(), node.receive(syn(), "cli0", trace=True))] += 1
    expected = {share.fate: float(share.probability) for share in found.by_fate()}
    assert chi_square([seen[fate] for fate in expected], expected.values()).p_value > 0.001


def test_load_moves_the_choices_of_twos():
    """A destination that is busy is picked only when it is drawn twice: one in nine, or four in nine for the first."""
    node = twos(1, 1)
    (sent,) = node.receive(syn(), "cli0").sent
    busy = sent.packet.dst & 0xFF
    chance = 1 / 9 if busy == 1 else 4 / 9  # the newest stands first, and has one chance more
    assert shares(node, syn(port=5000))[f"10.0.1.{busy}:8080"] == pytest.approx(chance)


def test_ports_of_a_small_range_are_enumerated():
    """DNAT into four ports at random has four branches, and the ports come as often as they say."""
    rule = "iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.1.1:8000-8003 --random"
    assert shares(router(rule), syn()) == {f"10.0.1.1:{port}": 0.25 for port in range(8000, 8004)}
    assert agrees(router(rule), lambda n: syn(port=10_000 + n), 800) > 0.001


def test_wide_draws_are_named_and_not_followed():
    """A port out of thousands is one branch, and that it was drawn is said."""
    rule = "iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --random-fully"
    found = branches_of(router(rule), syn("10.0.1.1:80"))
    assert len(found) == 1 and found.wide == {"nat port": 64512}
    assert "nat port, one of 64512" in found.lines()[-1]


def test_a_thousand_endpoints_are_all_followed():
    """Nobody has to ask for it: every endpoint of a large service has its branch."""
    found = branches_of(router(rules=backends(1000)), syn())
    assert len(found) == 1000 and sum(branch.probability for branch in found) == 1
    assert {branch.way.backend for branch in found} == {f"10.0.{1 + (n >> 8)}.{n & 255}:8080" for n in range(1000)}


def test_too_many_branches_are_cut():
    """No more ways are gone than were asked for; what is left has its probability."""
    node = router(rules=backends(60))
    found = branches_of(node, syn(), most=51)
    assert len(found) == 51 and float(found.unexplored) == pytest.approx(9 / 60)
    assert "and others with 0.15, not followed: more than 51 branches" in found.line()
    with pytest.raises(ConfigError, match="not a number of branches"):
        node.explain(syn(), "cli0", branches=True, most=0)


# -- what is not modelled ----------------------------------------------------------------------------------------------


def test_both_answers_to_an_unknown_match_are_explained():
    """Nobody asked for branches, but one thing is not known: both are told, and neither has a probability."""
    node = router("iptables -A FORWARD -m cpu --cpu 1 -j DROP")
    asked = node.explain(syn("10.0.1.1:80"), "cli0")
    assert "not known: -m cpu --cpu 1 is not modelled" in asked.line()
    told = [str(share) for share in asked.branches.by_fate()]
    rule = "filter FORWARD rule 1: -m cpu --cpu 1 -j DROP"
    assert sorted(told) == [
        "if -m cpu --cpu 1 does not hold: sent to 10.0.1.1:80 by pod0",
        f"if -m cpu --cpu 1 holds: dropped by {rule}",
    ]


def test_what_does_not_matter_is_left_out():
    """Where an unknown match leads to the same either way, that is what is said."""
    asked = router("iptables -A FORWARD -m cpu --cpu 1 -j ACCEPT").explain(syn("10.0.1.1:80"), "cli0")
    assert asked.branches.lines() == ["either way: sent to 10.0.1.1:80 by pod0"]


def test_unknown_targets_act_or_do_not():
    """TPROXY keeps the packet if it acts."""
    node = router("iptables -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 1")
    told = [str(share) for share in node.explain(syn("10.0.1.1:80"), "cli0").branches.by_fate()]
    assert sorted(told) == [
        "if -j TPROXY --on-port 1 acts: ended: stolen",
        "if -j TPROXY --on-port 1 does not act: sent to 10.0.1.1:80 by pod0",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "-m cpu --cpu 1 -j DROP",
                "-m osf --genre Linux -p tcp -m statistic --mode random --probability 0.25 -j ACCEPT",
                "-m statistic --mode random --probability 0.5 -j DROP",
                "-m statistic --mode random ! --probability 0.1 -m socket -j RETURN",
                "-j TEE --gateway 10.0.0.9",
            ]
        ),
        max_size=4,
    )
)
def test_chance_and_the_unknown_go_together(rules):
    """Counting either answer to a question for one half, all branches make 1; whatever is assumed, they do too."""
    node = router(*(f"iptables -A FORWARD {rule}" for rule in rules))
    before = fingerprint(node)
    found = branches_of(node, syn("10.0.1.1:80"))
    assert sum(branch.probability / 2 ** len(branch.assumes) for branch in found) == 1
    assert fingerprint(node) == before
    for holds in (True, False):
        node.unknown_holds = holds
        assert sum(branch.probability for branch in branches_of(node, syn("10.0.1.1:80"))) == 1
