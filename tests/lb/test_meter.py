"""What is counted of packets, and what of it is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.directors import CLIENT, VIP, arrive, director, run
from svcsim.packet import Packet

WEB = (
    "-A -t 10.96.0.10:80 -s rr",
    *(f"-a -t 10.96.0.10:80 -r 10.244.0.{n}:8080 -m" for n in (5, 6)),
    "-A -u 10.96.0.10:53 -s rr",
    "-a -u 10.96.0.10:53 -r 10.244.0.7:53 -m",
)


@given(st.lists(st.sampled_from(["tcp", "udp", "reply", "dying", "stray"]), max_size=20))
def test_the_whole_is_the_sum_of_its_parts(steps: list[str]) -> None:
    """Services count what their destinations do, and the total what the services do, whatever comes."""
    node = director(*WEB)
    for number, step in enumerate(steps):
        if step == "tcp":
            arrive(node, port=4000 + number)
        elif step == "reply":
            node.receive(Packet.udp("10.244.0.7:53", f"{CLIENT}:4000", b"answer"), "pod0")
        elif step == "stray":
            arrive(node, port=4000 + number, flags="A")
        else:
            node.receive(Packet.udp(f"{CLIENT}:4000", f"{VIP}:53", ttl=1 if step == "dying" else 64), "cli0")
    live = [service.stats.live() for service in node.ipvs.services]
    parts = [[d.stats.live() for d in service.destinations] for service in node.ipvs.services]
    for name in ("conns", "inpkts", "outpkts", "inbytes", "outbytes"):
        sums = [sum(getattr(each, name) for each in of) for of in parts]
        assert [getattr(each, name) for each in live] == sums
        assert getattr(node.ipvs.stats.live(), name) == sum(sums)


def test_what_is_shown_lags_by_two_seconds() -> None:
    """User space sees the estimator's snapshot; with run_estimation off it stays as it is."""
    node = director(*WEB)
    arrive(node)
    assert "        1        1" not in run(node, "ipvsadm -Ln --stats")
    node.advance(2)
    assert "        1        1" in run(node, "ipvsadm -Ln --stats")
    run(node, "sysctl -qw net.ipv4.vs.run_estimation=0")
    arrive(node, port=4001)
    node.advance(10)
    assert "        2        2" not in run(node, "ipvsadm -Ln --stats")


def test_a_rate_comes_and_goes() -> None:
    """A quarter of the way every two seconds, up and down again to nothing."""
    node = director(*WEB)
    rates = []
    for second in range(40):
        if second < 10:
            for n in range(10):
                arrive(node, port=4000 + 10 * second + n)
        node.advance(1)
        node.ipvs.estimate()
        rates.append(node.ipvs.stats.rates().cps)
    assert max(rates) == max(rates[9:12]) > 5
    assert rates[-1] <= 1


def test_the_kernels_that_kept_quiesced_connections() -> None:
    """Before Linux 5.16 conn_reuse_mode=0 kept them even with expire_nodest_conn."""
    moved = {}
    for kernel in ("5.15", "5.16"):
        node = director(
            *WEB, "sysctl -qw net.ipv4.vs.expire_nodest_conn=1 net.ipv4.vs.conn_reuse_mode=0", kernel=kernel
        )
        first = arrive(node).sent[0].packet.dst
        run(node, f"ipvsadm -e -t 10.96.0.10:80 -r 10.244.0.{first & 0xFF}:8080 -m -w 0")
        moved[kernel] = arrive(node).sent[0].packet.dst != first
    assert moved == {"5.15": False, "5.16": True}
