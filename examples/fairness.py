"""
The kernel's fourteen schedulers beside each other: how evenly they spread connections and requests, and whom a change moves.

    python examples/fairness.py
"""

from collections.abc import Sequence

from svcsim.lab.disruption import measure_disruption
from svcsim.lab.fairness import measure_fairness
from svcsim.lab.sessions import make_sessions

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "dh", "sh", "mh", "twos", "lblc", "lblcr")
WEIGHTS = (1, 1, 2, 4)
CHANGES: dict[str, tuple[Sequence[int], Sequence[int | None]]] = {
    "none": ([1] * 10, [1] * 10),
    "one leaves": ([1] * 10, [1] * 9 + [None]),
    "one comes": ([1] * 10, [1] * 11),
    "one doubles": ([1] * 10, [1] * 9 + [2]),
}


def main() -> None:
    """Print both tables."""
    sessions = make_sessions(4000, clients=400, addresses=64, seed=1)
    print(
        f"4000 connections of 400 clients to 64 addresses, weights {', '.join(map(str, WEIGHTS))}; c: connections, r: requests"
    )
    print(f"{'':6}{'connections':>22}  {'jain c':>7}{'r':>7}  {'max/mean c':>10}{'r':>7}  {'idle c':>6}  {'p of c':>8}")
    for name in SCHEDULERS:
        spread = measure_fairness(name, WEIGHTS, sessions)
        c, r = spread.of_connections, spread.of_requests
        counts = " ".join(f"{count:4}" for count in spread.connections)
        print(
            f"{name:6}{counts:>22}  {c.jain:7.4f}{r.jain:7.4f}  {c.max_over_mean:10.3f}{r.max_over_mean:7.3f}  "
            f"{c.idle_share:6.2f}  {c.test.p_value:8.2g}"
        )

    # One more than a multiple of ten: round robin would else come to the same destinations by chance.
    sessions = make_sessions(4001, clients=400, addresses=64, seed=2)
    print("\nMoved when something becomes of ten equal destinations, as parts of all connections and of all requests")
    print(f"{'':6}" + "".join(f"{name:>18}" for name in CHANGES))
    print(f"{'':6}" + "".join(f"{'c':>10}{'r':>8}" for _ in CHANGES))
    least: list[str] = []
    for name in SCHEDULERS:
        cells = []
        least.clear()
        for before, after in CHANGES.values():
            found = measure_disruption(name, before, after, sessions)
            cells.append(f"{found.connections.share:10.3f}{found.requests.share:8.3f}")
            least.append(f"{found.least:10.3f}{'':8}")
        print(f"{name:6}" + "".join(cells))
    print("least " + "".join(least).rstrip())


if __name__ == "__main__":
    main()
