"""The named tuples that every run makes behave as typing's do, which none of those runs imports."""

from __future__ import annotations

import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import prego_metrics
from prego_metrics.agent.light_typing import NamedTuple

HEAVY = (
	"click",
	"contextlib",
	"dataclasses",
	"inspect",
	"ipaddress",
	"psutil",
	"requests",
	"typing",
	"urllib.parse",
)


class Light(NamedTuple):
	"""A point."""

	x: int
	y: int = 2
	name: str = ""

	@property
	def sum(self) -> int:
		return self.x + self.y


class Typed(typing.NamedTuple):
	x: int
	y: int = 2
	name: str = ""


@pytest.mark.parametrize(
	("values", "named"), [((1,), {}), ((1, 3, "a"), {}), ((1,), {"name": "b"}), ((), {"y": 5, "x": 4})]
)
def test_values_are_given_by_place_or_by_name_or_left_to_their_defaults(
	values: tuple[object, ...], named: dict[str, object]
) -> None:
	light, typed = Light(*values, **named), Typed(*values, **named)  # type: ignore[arg-type]
	assert light == typed
	assert light._asdict() == typed._asdict()
	assert repr(light) == repr(typed).replace("Typed", "Light")
	assert light._replace(y=9) == typed._replace(y=9)
	assert pickle.loads(pickle.dumps(light)) == light
	assert (light.x, light.sum) == (typed.x, typed.x + typed.y)


@pytest.mark.parametrize(
	("values", "named"), [((), {}), ((), {"y": 1}), ((1, 2, "", 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]
)
def test_what_is_missing_given_twice_or_unknown_is_refused(
	values: tuple[object, ...], named: dict[str, object]
) -> None:
	for kind in (Light, Typed):
		with pytest.raises(TypeError):
			kind(*values, **named)  # type: ignore[arg-type]


def test_a_class_has_the_names_of_its_fields_and_its_own_docstring() -> None:
	assert (Light._fields, Light.__match_args__, Light.__doc__) == (
		("x", "y", "name"),
		Typed._fields,
		"A point.",
	)
	with pytest.raises(AttributeError):
		Light(1).x = 2  # type: ignore[misc]


def test_modules_with_named_tuples_keep_annotations_as_strings() -> None:
	"""Python 3.14 keeps them in a class's namespace only there."""
	modules = [path.read_text() for path in Path(prego_metrics.__file__).parent.rglob("*.py")]
	using = [text for text in modules if "from prego_metrics.agent.light_typing import" in text]
	assert len(using) > 30
	assert all("from __future__ import annotations\n" in text for text in using)


def test_a_run_that_is_not_due_imports_none_of_the_heavy_modules() -> None:
	imports = "prego_metrics.agent.push.push, prego_metrics.cli.ui.bench, prego_metrics.cli.ui.push_result"
	program = f"import sys, {imports}\nprint(*sorted(sys.modules.keys() & {set(HEAVY)}))"
	result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
	assert result.stdout.split() == []
