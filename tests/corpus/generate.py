"""
Write the scenarios of the corpus as files: ``python generate.py FOLDER [PREFIX]``.

The files are what is recorded; see README.md beside this one.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from scenario import scenarios

HERE = Path(__file__).parent


def load_families() -> None:
    """Import every module of families; each registers what it can build."""
    for path in sorted((HERE / "families").glob("*.py")):
        importlib.import_module(f"families.{path.stem}")


def write(folder: Path, prefix: str = "") -> list[Path]:
    """Write the scenarios whose names begin with *prefix* into *folder*; return the files."""
    load_families()
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, scenario in scenarios(prefix):
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(scenario.as_json()))
    return files


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(f"{len(write(Path(sys.argv[1]), *sys.argv[2:]))} scenarios written")
