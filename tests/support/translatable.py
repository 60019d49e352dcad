"""What the package asks Frappe to translate: found in its sources, as the Desk finds it when it shows them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prego_metrics.agent.base import alert_codes, error_codes

PACKAGE = Path(__file__).parents[2] / "prego_metrics"
# Texts in the documents that Frappe imports, wherever they stand in them. link_to names what is shown by its name.
_TEXTS = ("label", "description", "title", "link_to", "module")
_SHOWN_BY_NAME = ("DocType", "Report", "Workspace", "Notification", "Dashboard Chart", "Number Card")
_JS_STRING = r"""(?P<quote>["'`])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)"""
_JS_CALL = re.compile(r"""(?<![\w.])__\(\s*""" + _JS_STRING, re.DOTALL)
_PYTHON_CALLS = ("_", "message")


class NotALiteral(Exception):
	"""A text to translate that is put together where it is translated, so that no translation can match."""


def in_python(path: Path) -> Iterator[str]:
	"""Yield the first argument of each call of _, frappe._ and message, and both sentences of each call of found.

	A function called `translate` is handed on to `translated`: what it is given is found where it is made.
	"""
	tree = ast.parse(path.read_text())
	handed_on = {
		call
		for function in ast.walk(tree)
		if isinstance(function, ast.FunctionDef) and function.name == "translate"
		for call in ast.walk(function)
	}
	for node in ast.walk(tree):
		if not isinstance(node, ast.Call) or node in handed_on:
			continue
		if isinstance(node.func, ast.Name) and node.func.id == "found":
			yield from _templates_of_a_finding(path, node)
		if not _translates(node.func):
			continue
		text = node.args[0] if node.args else None
		if isinstance(text, ast.Constant) and isinstance(text.value, str):
			yield text.value
		else:
			raise NotALiteral(f"{path}:{node.lineno}")


def _templates_of_a_finding(path: Path, call: ast.Call) -> Iterator[str]:
	"""Yield what `found` is given to see and to do; a name or a call is a sentence that is found where it is made."""
	for text in call.args[1:3]:
		if isinstance(text, ast.Constant) and isinstance(text.value, str):
			yield text.value
		elif not isinstance(
			text, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.IfExp | ast.BoolOp
		):
			raise NotALiteral(f"{path}:{call.lineno}")


def _translates(function: ast.expr) -> bool:
	if isinstance(function, ast.Name):
		return function.id in _PYTHON_CALLS
	return isinstance(function, ast.Attribute) and function.attr == "_"


def in_javascript(path: Path) -> Iterator[str]:
	"""Yield the first argument of each call of __."""
	source = path.read_text()
	found = list(_JS_CALL.finditer(source))
	if len(found) != len(re.findall(r"(?<![\w.])__\(", source)):
		raise NotALiteral(str(path))
	for match in found:
		yield re.sub(r"\\(.)", r"\1", match["text"])


def in_document(path: Path) -> Iterator[str]:
	"""Yield the labels and texts of a document that Frappe imports from JSON."""
	document = json.loads(path.read_text())
	if document.get("doctype") in _SHOWN_BY_NAME:
		yield document["name"]
	yield from _labels(document)
	for block in json.loads(document.get("content") or "[]"):
		if block["type"] in ("header", "paragraph"):
			# Frappe looks up what stands between the tags.
			yield re.sub(r"<[^>]+>", "", block["data"]["text"])


def _labels(document: dict[str, Any]) -> Iterator[str]:
	yield from (document[key] for key in _TEXTS if document.get(key))
	if document.get("fieldtype") == "Select":
		yield from filter(None, document.get("options", "").split("\n"))
	for rows in document.values():
		for row in rows if isinstance(rows, list) else ():
			if isinstance(row, dict):
				yield from _labels(row)


def all_texts() -> dict[str, str]:
	"""Return every text that the package asks Frappe to translate, with a file that does."""
	found: dict[str, str] = {}
	for pattern, reader in (("*.py", in_python), ("*.js", in_javascript), ("*.json", in_document)):
		for path in sorted(PACKAGE.rglob(pattern)):
			if not path.name.startswith("test_") and not {"node_modules", "dist"} & set(path.parts):
				for text in reader(path):
					found.setdefault(text, str(path.relative_to(PACKAGE.parent)))
	for template in error_codes.TEMPLATES.values():
		found[template] = "prego_metrics/agent/base/error_codes.py"
	for alert in alert_codes.ALERTS.values():
		found[alert.title] = found[alert.description] = "prego_metrics/agent/base/alert_codes.py"
	# A hook, and a role that the installation makes.
	found["Prego Metrics"] = "prego_metrics/hooks.py"
	found["Prego Metrics Reader"] = "prego_metrics/desk/lifecycle/install.py"
	return found
