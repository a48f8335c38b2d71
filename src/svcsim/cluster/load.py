"""
Clusters from files: manifests by name, or all that are in a folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

import attrs

from svcsim.errors import ConfigError
from svcsim.kube.manifests import Manifests
from svcsim.kube.objects import Objects
from svcsim.kube.slices import slices_for
from svcsim.kube.validate import validate

__all__ = ["load"]

_ENDINGS = (".yaml", ".yml", ".json")
_LARGEST = 256 << 20


def load(*paths: str | PurePath, checked: bool = True) -> Objects:
    """
    Everything that the manifests at *paths* hold; a folder stands for its files.

    Services that have pods but no EndpointSlices get those that the controller would make. Unless *checked* is False,
    objects that an API server would not take are refused.
    """
    if not paths:
        raise ConfigError("no manifests: name a file or a folder")
    manifests = Manifests()
    for path in _files(map(Path, paths)):
        try:
            if path.stat().st_size > _LARGEST:
                raise ConfigError(f"{path}: larger than {_LARGEST >> 20} MiB")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        manifests.read(text, str(path))
    found = manifests.objects
    if checked:
        validate(found)
    return attrs.evolve(found, slices=(*found.slices, *slices_for(found)))


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix in _ENDINGS and each.is_file())
            if not inside:
                raise ConfigError(f"{path}: no manifest in this folder (one ends in {', '.join(_ENDINGS)})")
            yield from inside
        else:
            yield path
