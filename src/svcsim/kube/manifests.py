"""
Manifests: YAML and JSON texts to the objects that they hold, with file, document and path in each complaint.

It takes what ``kubectl get -o yaml`` prints, what people write, and lists of either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import attrs

from svcsim.errors import ConfigError, UnsupportedError
from svcsim.kube.objects import EndpointSlice, Node, Objects, Pod, Service, ServiceCIDR
from svcsim.kube.structure import structure

__all__ = ["Manifests", "documents"]

#: Kinds by their groups; objects of a version that is not served any more are refused.
_KINDS: dict[str, tuple[str, type[Any], str]] = {
    "Service": ("v1", Service, "services"),
    "EndpointSlice": ("discovery.k8s.io/v1", EndpointSlice, "slices"),
    "Node": ("v1", Node, "nodes"),
    "Pod": ("v1", Pod, "pods"),
    "ServiceCIDR": ("networking.k8s.io/v1", ServiceCIDR, "service_cidrs"),
}
_CLUSTER_WIDE = {"Node", "ServiceCIDR"}
_MOST_VALUES = 5_000_000
_DEEPEST = 100


def documents(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """
    The documents of a YAML text, or the one of a JSON text if *where* ends so; each with its place, but empty ones.

    >>> [value for _, value in documents("kind: Service\\n---\\n---\\nkind: Pod\\n", "x.yaml")]
    [{'kind': 'Service'}, {'kind': 'Pod'}]
    >>> list(documents("kind: A\\nkind: B\\n", "x.yaml"))
    Traceback (most recent call last):
    svcsim.errors.ConfigError: x.yaml: line 2, column 1: found the key 'kind' twice
    """
    if where.endswith(".json"):
        try:
            yield where, _bounded(json.loads(text, object_pairs_hook=_once, parse_constant=_no_number), where)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not JSON: {error}") from None
        return
    yaml, loader = _yaml()
    try:
        _check_depth(yaml.parse(text, loader), where)
        for number, value in enumerate(yaml.load_all(text, loader), 1):
            if value is not None:
                yield f"{where}: document {number}", _bounded(value, where)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ConfigError(f"{where}: {at}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deep") from None
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError(f"{where}: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping without any key twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"found the key {twice!r} twice")
    return made


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_depth(events: Iterable[Any], where: str) -> None:
    """Refuse what is nested so deep that whoever composes it would need a deep stack."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            depth += 1
            if depth > _DEEPEST:
                raise ConfigError(f"{where}: nested too deep: more than {_DEEPEST} levels")
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1


def _bounded(value: Any, where: str) -> Any:
    """*value*, unless aliases make more of it than anybody wants."""
    waiting, seen = [value], 0
    while waiting:
        seen += 1
        if seen > _MOST_VALUES:
            raise ConfigError(f"{where}: more than {_MOST_VALUES} values")
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return value


def _yaml() -> tuple[Any, Any]:
    """PyYAML, and a loader that knows plain data only, no dates, and no key twice."""
    try:
        import yaml
    except ImportError:
        raise UnsupportedError("YAML without PyYAML", instead="pip install 'svcsim[k8s]', or JSON") from None

    def _complaint(what: str, node: Any) -> Exception:
        made: Exception = yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        return made

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar = {
            first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.tag == "tag:yaml.org,2002:merge":  # a few lines of them could stand for anything
                    raise _complaint("merge keys (<<) are not read", key)
                if key.value in seen:
                    raise _complaint(f"found the key {key.value!r} twice", key)
                seen.add(key.value)
            made: dict[Any, Any] = super().construct_mapping(node, deep)
            return made

    return yaml, Loader


@attrs.define
class Manifests:
    """
    What was read so far; *passed_over* counts the kinds that no proxy reads.

    >>> manifests = Manifests()
    >>> manifests.read("{kind: Service, apiVersion: v1, metadata: {name: web}, spec: {ports: [{port: 80}]}}", "web.yaml")
    >>> manifests.read("{kind: Secret, apiVersion: v1, metadata: {name: key}}", "key.yaml")
    >>> [service.metadata.name for service in manifests.objects.services], dict(manifests.passed_over)
    (['web'], {'v1 Secret': 1})
    >>> manifests.read("{kind: Service, metadata: {name: web}, spec: {ports: [{port: http}]}}", "bad.yaml")
    Traceback (most recent call last):
    svcsim.errors.ConfigError: bad.yaml: document 1: Service web: spec.ports[0].port: not a whole number: 'http'
    """

    passed_over: Counter[str] = attrs.field(factory=Counter)
    _found: dict[str, dict[tuple[str, str], Any]] = attrs.field(
        factory=lambda: {field: {} for _, _, field in _KINDS.values()}
    )

    @property
    def objects(self) -> Objects:
        """The objects, in the order in which they were read."""
        return Objects(**{field: tuple(held.values()) for field, held in self._found.items()})

    def read(self, text: str, where: str) -> None:
        """Read a text; of two objects with one name the later one counts."""
        for place, value in documents(text, where):
            self._take(value, place)

    def _take(self, value: Any, where: str) -> None:
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise ConfigError(f"{where}: not a Kubernetes object: it has no kind")
        kind, version = value["kind"], value.get("apiVersion") or ""
        if kind.endswith("List") and isinstance(value.get("items"), list):
            for number, item in enumerate(value["items"]):
                if isinstance(item, dict):  # the items of a ServiceList need not say that they are Services
                    item = {"kind": kind.removesuffix("List"), "apiVersion": version} | item
                self._take(item, f"{where}: items[{number}]")
            return
        if kind not in _KINDS:
            self.passed_over[f"{version} {kind}".strip()] += 1
            return
        wanted, model, field = _KINDS[kind]
        metadata = value.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        here = f"{where}: {kind} {name}".rstrip()
        if version not in ("", wanted):
            raise ConfigError(f"{here}: apiVersion is {wanted}, not {version!r}")
        made = structure(model, value, here)
        if kind in _CLUSTER_WIDE:
            made = attrs.evolve(made, metadata=attrs.evolve(made.metadata, namespace=""))
        self._found[field][made.metadata.namespace, made.metadata.name] = made
