"""The house stands on its layers: imports go one way, and the core is free of the outside world."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "svcsim"

#: From the ground up. A file imports from its own layer or a lower one; a name ending in "/" is a folder.
LAYERS = [
    ["errors", "registry", "clock", "rng", "sysctl", "checksum"],
    ["addr", "packet", "wire", "link", "pcapng", "pcap"],
    [
        "trace", "device", "route", "conntrack", "conntrack_index", "conntrack_tracker", "conntrack_tcp",
        "conntrack_tcp_window", "conntrack_sctp", "conntrack_proto", "conntrack_text", "nat", "fragment",
    ],
    ["hooks", "columns", "tracking", "translation", "defrag", "icmp", "ingress", "snapshot"],
    ["tables/", "lb/"],
    ["tools/"],
    ["outcome", "stack", "voice", "node", "network", "connection", "engine", "explain/"],
    ["batch/", "kube/", "lab/"],
    ["cluster/"],
    ["conformance/", "testing/", "console"],
    ["commands/"],
    ["cli", "__main__"],
]  # fmt: skip
WINGS = {"tables", "lb"}
#: What reads clocks, chance, files, sockets or the environment has its place above the house.
DRIVERS = {"cluster", "conformance", "commands", "cli", "console", "__main__", "lab"}
OUTSIDE = {"time", "datetime", "random", "secrets", "socket", "os", "subprocess", "threading", "pathlib", "io", "sys"}
FORBIDDEN = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
DEPENDENCIES = {"attrs", "numpy"}
#: A kit for tests is of use only where its library is; the folder says what to install when it is not.
KITS = {"testing": {"hypothesis"}}


def files() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SRC).with_suffix("").as_posix()


def layer_of(name: str) -> int:
    top = name.split("/")[0] + ("/" if "/" in name else "")
    for number, layer in enumerate(LAYERS):
        if top in layer:
            return number
    raise AssertionError(f"{name} has no place in LAYERS")


def imports(path: Path, *, typing: bool = False) -> Iterator[tuple[str, bool]]:
    """The modules that *path* imports, and whether at module level; those for typing alone only if asked."""

    def visit(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test) and not typing:
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, top
            elif isinstance(child, ast.ImportFrom) and child.module:
                assert child.level == 0, f"{path}: imports are absolute"
                target = SRC.parent / child.module.replace(".", "/")
                for alias in child.names:
                    inside = (target / f"{alias.name}.py").exists() or (target / alias.name).is_dir()
                    yield (f"{child.module}.{alias.name}" if inside else child.module), top
            else:
                inner = top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text()), True)


def ours(path: Path) -> Iterator[str]:
    """The files of the project that *path* imports when it runs."""
    for module, _ in imports(path):
        assert module != "svcsim" or name_of(path).split("/")[0] in DRIVERS, (
            f"{path}: names come from their own modules"
        )
        if module.startswith("svcsim."):
            name = module.removeprefix("svcsim.").replace(".", "/")
            yield name if (SRC / f"{name}.py").exists() else f"{name}/__init__"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_imports_go_down(path):
    """No file imports from a higher layer, and the wings do not know each other."""
    name = name_of(path)
    if name == "__init__":
        return
    for imported in ours(path):
        assert layer_of(imported) <= layer_of(name), f"{name} imports {imported}, which stands above it"
        ends = {name.split("/")[0], imported.split("/")[0]}
        assert ends != WINGS, f"{name} imports {imported}: the wings meet only at a hook"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of the graph, empty if there is none."""
    done: set[str] = set()

    def walk(at: str, way: list[str]) -> list[str]:
        if at in way:
            return [*way[way.index(at) :], at]
        if at in done:
            return []
        for after in sorted(graph.get(at, ())):
            found = walk(after, [*way, at])
            if found:
                return found
        done.add(at)
        return []

    for start in sorted(graph):
        found = walk(start, [])
        if found:
            return found
    return []


def test_no_circle_of_files():
    """No file needs itself by way of others."""
    graph = {name_of(path): set(ours(path)) for path in files() if name_of(path) != "__init__"}

    assert circle(graph) == []


def test_no_circle_of_folders():
    """No folder needs itself by way of others (a file at the top is a folder of its own)."""
    graph: dict[str, set[str]] = {}
    for path in files():
        name = name_of(path)
        if name == "__init__":
            continue
        here = name.rpartition("/")[0] or name
        for imported in ours(path):
            there = imported.rpartition("/")[0] or imported
            nested = there.startswith(f"{here}/") or here.startswith(f"{there}/")
            if there != here and not nested:  # a folder and the folder of its plug-ins are one house
                graph.setdefault(here, set()).add(there)

    assert circle(graph) == []


def test_every_layer_is_there():
    """What the layers name is built or planned in one place: no file stands in two of them."""
    named = [name for layer in LAYERS for name in layer]

    assert len(named) == len(set(named))


def test_imports_are_read(tmp_path):
    """The reader sees imports inside functions and of submodules, and leaves out those for typing alone."""
    source = tmp_path / "example.py"
    source.write_text(
        "from typing import TYPE_CHECKING\n"
        "from svcsim import wire\n"
        "import numpy as np\n"
        "if TYPE_CHECKING:\n    from svcsim.node import Node\n"
        "def f():\n    import dpkt\n    from svcsim.packet import Packet\n"
    )

    assert list(imports(source)) == [
        ("typing", True),
        ("svcsim.wire", True),
        ("numpy", True),
        ("dpkt", False),
        ("svcsim.packet", False),
    ]
    assert ("svcsim.node", True) in list(imports(source, typing=True))


def test_a_circle_is_found():
    """The search for circles finds one."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_the_core_is_alone(path):
    """Below the drivers nothing reads a clock, chance, a file, a socket or the environment, and nothing prints."""
    name = name_of(path)
    if name.split("/")[0] in DRIVERS:
        return
    touched = {module.split(".")[0] for module, _ in imports(path)} & OUTSIDE
    assert touched == set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN, f"{name}:{node.lineno} calls {node.func.id}"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_modules_keep_no_state(path):
    """What changes belongs to an object with an owner: no function writes a module's names."""
    written = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)]

    assert written == []


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_only_numpy_and_attrs_come_from_outside(path):
    """What is imported with the package is there after a plain installation."""
    for module, top in imports(path):
        root = module.split(".")[0]
        if root == "svcsim" or not top:
            continue
        allowed = DEPENDENCIES | KITS.get(name_of(path).split("/")[0], set())
        assert root in allowed or root in STANDARD, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_public_names_are_listed(path):
    """Every module says what it offers, and offers what it says."""
    if path.stem.startswith("__"):
        return
    tree = ast.parse(path.read_text())
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assert len(listed) == 1, f"{name_of(path)} has no __all__"
    defined = {getattr(node, "name", "") for node in tree.body}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}
    assert set(listed[0]) <= defined


def _standard() -> frozenset[str]:
    import sys

    return frozenset(sys.stdlib_module_names)


STANDARD = _standard()
