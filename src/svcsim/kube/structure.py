"""
Plain data to objects: what a JSON or YAML parser gives, as the values of `svcsim.kube.objects`.
"""

from __future__ import annotations

from functools import lru_cache
from types import GenericAlias
from typing import Any, TypeVar, cast, get_args, get_origin

from svcsim.errors import ConfigError, UnsupportedError

__all__ = ["structure"]

T = TypeVar("T")
_MOST_COMPLAINTS = 20
_MISSING = "is missing"


def structure(kind: type[T], data: object, where: str) -> T:
    """
    Make an object of *kind* from *data*; *where* begins each complaint.

    Null is as good as absent, and fields that no proxy reads are left out.

    >>> from svcsim.kube.objects import Service
    >>> structure(Service, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80, "nodePort": None}]}}, "x").spec.ports
    (ServicePort(port=80, name='', protocol='TCP', targetPort=None, nodePort=0, appProtocol=''),)
    >>> structure(Service, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": "http"}]}}, "web.yaml")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: web.yaml: spec.ports[0].port: not a whole number: 'http'
    """
    converter, transform = _converter()
    try:
        made: T = converter.structure(_without_nulls(data), kind)
    except Exception as error:
        complaints = [_readable(each) for each in transform(error)]
        more = f"; and {len(complaints) - _MOST_COMPLAINTS} more" if len(complaints) > _MOST_COMPLAINTS else ""
        raise ConfigError(f"{where}: {'; '.join(complaints[:_MOST_COMPLAINTS])}{more}") from None
    return made


def _readable(complaint: str) -> str:
    """A complaint of the converter's as *path: what*."""
    what, _, path = complaint.rpartition(" @ ")
    path = path.removeprefix("$").removeprefix(".")
    return f"{path}: {what}" if path and what != _MISSING else what.replace(_MISSING, f"{path} is missing")


def _without_nulls(data: object) -> object:
    if isinstance(data, dict):
        return {key: _without_nulls(value) for key, value in data.items() if value is not None}
    return [_without_nulls(each) for each in data] if isinstance(data, list) else data


@lru_cache(maxsize=1)
def _converter() -> tuple[Any, Any]:
    """The converter, and what puts its errors into words."""
    try:
        from cattrs import Converter, transform_error
    except ImportError:
        raise UnsupportedError("Kubernetes objects without cattrs", instead="pip install 'svcsim[k8s]'") from None

    converter = Converter(forbid_extra_keys=False)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook_func(
        _is_tuple,
        lambda value, kind: tuple(
            converter.structure(_listed(value), cast("Any", GenericAlias(list, get_args(kind)[:1])))
        ),
    )
    converter.register_structure_hook(int | str | None, lambda value, _: value if type(value) is int else _text(value))

    def words(error: Exception) -> list[str]:
        complaints: list[str] = transform_error(error, format_exception=_what)
        return complaints

    return converter, words


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _what(error: BaseException, _: type | None) -> str:
    """One error of a conversion in words."""
    if isinstance(error, KeyError):
        return _MISSING
    if isinstance(error, ConfigError):
        return str(error)
    return "not a mapping"


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"not a list: {value!r}")
    return value


def _text(value: object, _: object = None) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"not a text: {value!r}")
    return value


def _whole(value: object, _: object = None) -> int:
    if type(value) is not int:
        raise ConfigError(f"not a whole number: {value!r}")
    return value


def _truth(value: object, _: object = None) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"neither true nor false: {value!r}")
    return value
