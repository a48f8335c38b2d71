"""
Maglev's promises in figures: even slots at every size of table that a kernel can have, and little that moves.

    python examples/maglev.py
"""

from svcsim.lab.maglev import removal, slot_counts
from svcsim.lb.schedulers.mh import TABLE_SIZES


def main() -> None:
    """Print both tables."""
    print("Slots of each of N destinations of equal weight, the fewest and the most")
    print("  table " + "".join(f"{f'N={count}':>16}" for count in (10, 100, 1000)))
    for size in TABLE_SIZES:
        cells = []
        for count in (10, 100, 1000):
            if count > size:
                cells.append("-")
                continue
            slots = slot_counts(size, [1] * count)
            cells.append(f"{min(slots)} .. {max(slots)}")
        print(f"{size:7} " + "".join(f"{cell:>16}" for cell in cells))

    print("\nSlots that get another destination when one of N leaves, beside the least, which is what it had")
    print("  table       N    least    moved  needless")
    for size in (4093, 65521):
        for count in (10, 100, 1000):
            moves = removal(size, count)
            row = f"{moves.forced_share:9.3%}{moves.share:9.3%}{moves.needless_share:10.3%}"
            print(f"{size:7} {count:7}{row}")


if __name__ == "__main__":
    main()
