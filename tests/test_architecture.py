"""The code is laid out as CONTRIBUTING.md says: imports run one way, heavy ones are put off, only commands speak."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path

import vsil_audit

PACKAGE = Path(vsil_audit.__file__).parent
CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"
HEAVY = frozenset(
    {
        "accelerate", "aiohttp", "datasets", "fsspec", "ijson", "onnx", "onnxruntime", "open_clip", "openpyxl",
        "openvino", "pandas", "rapidocr", "ray", "scipy", "sentence_transformers", "sklearn",
        "snowballstemmer", "torch", "transformers", "yaml",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """`of` imports `target`, both without the package's name; `at_once`: when it is imported itself."""

    of: str
    target: str
    at_once: bool


@lru_cache
def modules() -> dict[str, ast.Module]:
    """All modules but the package's own `__init__`, which only says where the public names live."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def statements(tree: ast.AST, put_off: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, not put_off
        in_a_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        yield from statements(node, put_off or in_a_function or for_types)


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, "imports are absolute"
    return [f"{node.module}.{alias.name}" for alias in node.names]


@lru_cache
def imports() -> tuple[Import, ...]:
    found = []
    for of, tree in modules().items():
        for node, at_once in statements(tree):
            for name in imported(node):
                inside = name.removeprefix("vsil_audit.")
                target = inside if inside in modules() else inside.rpartition(".")[0]
                if name.startswith("vsil_audit.") and target in modules():
                    found.append(Import(of, target, at_once))
    return tuple(found)


@lru_cache
def layers() -> dict[str, int]:
    """By folder or module, on which line of CONTRIBUTING's block it stands, the lowest 0."""
    block = CONTRIBUTING.read_text(encoding="utf-8").partition("<!-- layers -->\n```\n")[2].partition("```")[0]
    return {name: height for height, line in enumerate(block.splitlines()) for name in line.split()}


def place(module: str) -> str:
    """The folder or module of the block that `module` belongs to, the nearest one."""
    known, parts = layers(), module.split(".")
    names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((name for name in names if name in known), f"nowhere: {module}")


def test_every_module_has_its_place() -> None:
    assert {place(module) for module in modules()} == set(layers())


def test_imports_run_one_way() -> None:
    height = layers()
    wrong = []
    for found in imports():
        of, target = place(found.of), place(found.target)
        beside = height[of] == height[target] and of.split(".")[0] == target.split(".")[0]
        if height[target] >= height[of] and not beside:
            wrong.append(f"{found.of} imports {found.target}")
    assert wrong == []


def test_no_modules_import_each_other_at_once() -> None:
    order: TopologicalSorter[str] = TopologicalSorter()
    for found in imports():
        if found.at_once and found.of != found.target:
            order.add(found.of, found.target)
    assert len(list(order.static_order())) > 100, "a cycle raises CycleError, which names it"


def test_heavy_imports_are_put_off() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in modules().items()
        for node, at_once in statements(tree)
        for name in imported(node)
        if at_once and name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_nothing_below_the_commands_speaks() -> None:
    speaking = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in modules().items()
        if place(module) != "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in speaking
    ]
    assert wrong == []
