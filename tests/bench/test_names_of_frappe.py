"""Every name of Frappe's that the app imports or reaches by `frappe.` is in the source of a bench's Frappe.

Needs PREGO_TEST_BENCH, of which it reads `apps/frappe` only: nothing of it need run, so that a version for which
there is no bench can be looked at too. It says what is there, not that it works.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from real_bench import BENCH

PACKAGE = Path(__file__).parents[2] / "prego_metrics"
SOURCE = Path(BENCH) / "apps" / "frappe"
# What is bound while Frappe runs, and the class whose attributes are reached by it.
BOUND = {
	"db": ("frappe.database.database", "Database"),
	"cache": ("frappe.utils.redis_wrapper", "RedisWrapper"),
}
# What Frappe's Redis client has from its base class, which is the redis package's.
OF_REDIS = {"ttl"}

pytestmark = pytest.mark.bench


def names_that_we_use() -> Iterator[str]:
	for path in sorted(PACKAGE.rglob("*.py")):
		tree = ast.parse(path.read_text())
		imported = {
			alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
		}
		tried = {node for block in ast.walk(tree) if isinstance(block, ast.Try) for node in ast.walk(block)}
		for node in ast.walk(tree):
			if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "frappe":
				if node not in tried:  # tests of Frappe's own, by the one name or the other
					yield from (f"{node.module}.{alias.name}" for alias in node.names)
			elif isinstance(node, ast.Attribute) and "frappe" in imported:
				if (chain := dotted(node)).startswith("frappe."):
					yield chain


def dotted(node: ast.expr) -> str:
	if isinstance(node, ast.Attribute):
		return f"{dotted(node.value)}.{node.attr}"
	return node.id if isinstance(node, ast.Name) else "?"


def module_file(module: str) -> Path | None:
	place = SOURCE.joinpath(*module.split("."))
	return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def defined_in(module: str, in_class: str = "") -> frozenset[str]:
	"""Return the names that a module, or a class of it, binds anywhere at its own level, by `import *` too."""
	path = module_file(module)
	if path is None:
		return frozenset()
	body: list[ast.stmt] = ast.parse(path.read_text()).body
	if in_class:
		body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == in_class)
	return frozenset(name for node in body for name in bound_by(node, module))


def bound_by(statement: ast.stmt, module: str) -> Iterator[str]:
	if isinstance(statement, ast.FunctionDef):
		yield from (statement.name, f"{statement.name}()")
	elif isinstance(statement, ast.ClassDef):
		yield statement.name
	elif isinstance(statement, (ast.Import, ast.ImportFrom)):
		for alias in statement.names:
			if alias.name == "*" and isinstance(statement, ast.ImportFrom):
				other = absolute(statement, module)
				# Of another package's names only that package knows: "*" stands for any of them.
				yield from defined_in(other) if module_file(other) else "*"
			else:
				yield alias.asname or alias.name.split(".")[0]
	elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
		targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
		yield from (name.id for to in targets for name in ast.walk(to) if isinstance(name, ast.Name))
	elif isinstance(statement, (ast.If, ast.Try, ast.With)):
		for inner in ast.iter_child_nodes(statement):
			if isinstance(inner, ast.stmt):
				yield from bound_by(inner, module)


def absolute(statement: ast.ImportFrom, module: str) -> str:
	if not statement.level:
		return statement.module or ""
	path = module_file(module)
	up = statement.level - (path is not None and path.name == "__init__.py")
	parts = module.split(".")[: len(module.split(".")) - up]
	return ".".join([*parts, *([statement.module] if statement.module else [])])


def is_there(name: str) -> bool:
	module, rest = "frappe", name.split(".")[1:]
	while rest and rest[0] not in defined_in(module) and module_file(f"{module}.{rest[0]}"):
		module, rest = f"{module}.{rest[0]}", rest[1:]
	if not rest or module_file(".".join([module, *rest])):
		return True
	if rest[0] not in defined_in(module):
		return "*" in defined_in(module)
	if len(rest) > 1 and f"{rest[0]}()" in defined_in(module):
		return False  # of a function nothing is reached by a dot: `frappe.cache` is one in 14
	if module == "frappe" and rest[0] in BOUND and len(rest) > 1:
		return rest[1] in defined_in(*BOUND[rest[0]]) or (rest[0] == "cache" and rest[1] in OF_REDIS)
	return True


def test_each_name_that_we_use_is_in_the_source_of_frappe() -> None:
	names = sorted(set(names_that_we_use()))
	assert "frappe.db.delete" in names
	assert "frappe.rate_limiter.rate_limit" in names
	assert not is_there("frappe.db.no_such_method")
	assert not is_there("frappe.utils.no_such_function")
	assert [name for name in names if not is_there(name)] == []
