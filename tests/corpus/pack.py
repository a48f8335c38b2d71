"""
Pack recorded scenarios: ``python pack.py FIRST SECOND [GROUP]``.

FIRST and SECOND hold the same scenario files, each with its recording beside it as ``NAME.result.json``. A scenario
whose two recordings do not agree (a race, a draw of the kernel) is named and left out. The others are packed into
``GROUP.jsonl.gz`` beside this file, one line ``{"name", "scenario", "result"}`` each, sorted, byte for byte the same
for the same recordings; without GROUP, into one file for each group.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from svcsim.conformance.compare import compare

#: The file that a family goes into, by how its name begins: the first that fits.
GROUPS = (
    ("iptables-nft", "iptables-nft"),
    ("iptables-ext", "iptables-extensions"),
    ("iptables-match", "iptables-parts"),
    ("iptables-rarematch", "iptables-parts"),
    ("iptables-target", "iptables-parts"),
    ("iptables-memory", "iptables-parts"),
    ("iptables-text", "iptables-parts"),
    ("iptables-v6text", "iptables-parts"),
    *(
        (f"iptables-{family}-", "iptables-ways")
        for family in (
            "natrange",
            "natclash",
            "hairpin",
            "natlife",
            "conntrackcmd",
            "timeouts",
            "routing",
            "martians",
            "sizes",
            "fragments",
            "v6fragments",
            "v6routing",
            "walk",
            "kube",
            "v6kube",
        )
    ),
    *(
        (f"iptables-{family}-", "iptables-tools")
        for family in ("settext", "settypes", "contool", "conlimits", "product")
    ),
    *((f"iptables-{family}-", "iptables-more") for family in ("latefragments", "time")),
    *((f"iptables-{family}-", "kubeproxy-iptables") for family in ("kubeproxy", "v6kubeproxy", "kubeuserspace")),
    ("iptables-", "iptables"),
    *(
        (f"ipvs-{family}-", "ipvs-director")
        for family in (
            "methods",
            "icmp",
            "fwmark",
            "localclient",
            "v6",
            "sctp",
            "edges",
            "sharing",
            "thresholds",
            "ops",
            "sysctls",
            "reuse",
            "expiry",
            "gre",
            "statistics",
            "commands",
            "services",
        )
    ),
    *(
        (f"ipvs-{family}-", "ipvs-more")
        for family in (
            "life",
            "daemon",
            "pins",
            "defence",
            "ipsec",
            "tunnels",
            "tunnelerrors",
            "gue",
            "mixed",
            "errors",
            "six",
            "within",
            "match",
            "printed",
        )
    ),
    *((f"ipvs-{family}-", "kubeproxy-ipvs") for family in ("kubeproxy", "v6kubeproxy")),
    ("ipvs-", "ipvs"),
)


def group_of(name: str) -> str:
    """Name the file that the scenario *name* goes into."""
    return next(group for start, group in GROUPS if name.startswith(start))


def read(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Read the scenarios of *folder* that were recorded, with their recordings, by name."""
    pairs = {}
    for path in folder.glob("*.result.json"):
        name = path.name.removesuffix(".result.json")
        pairs[name] = (json.loads((folder / f"{name}.json").read_text()), json.loads(path.read_text()))
    return pairs


def pack(rows: list[dict[str, Any]], path: Path) -> None:
    """Write *rows* to *path*, compressed, with nothing of the clock in it."""
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in sorted(rows, key=lambda row: row["name"]))
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, buffer, mtime=0) as file:
        file.write(text.encode())
    path.write_bytes(buffer.getvalue())


def main(first: Path, second: Path, only: str = "") -> None:
    """Pack what was recorded twice alike."""
    once, twice = read(first), read(second)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name in sorted(once.keys() & twice.keys()):
        (scenario, result), (_, again) = once[name], twice[name]
        if only and group_of(name) != only:
            continue
        if compare(result, again) is not None:
            print(f"{name}: two recordings differ, left out")
        else:
            groups[group_of(name)].append({"name": name, "scenario": scenario, "result": result})
    for group, rows in groups.items():
        pack(rows, Path(__file__).parent / f"{group}.jsonl.gz")
        print(f"{group}: {len(rows)} scenarios")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
