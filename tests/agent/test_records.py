"""A record of the agent is never changed: a thread that is late, or whoever was given it before, may still hold it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import pytest

from prego_metrics import agent
from prego_metrics.agent.collectors.sightings import Pass


def records() -> list[type]:
	"""Every dataclass of the agent, but for the one in which a census is collected."""
	modules = [
		importlib.import_module(module.name)
		for module in pkgutil.walk_packages(agent.__path__, "prego_metrics.agent.")
	]
	return [
		value
		for module in modules
		for value in vars(module).values()
		if isinstance(value, type)
		and value is not Pass
		and dataclasses.is_dataclass(value)
		and value.__module__ == module.__name__
	]


@pytest.mark.parametrize("record", records(), ids=lambda record: record.__name__)
def test_no_field_of_a_record_can_be_set(record: type) -> None:
	made = object.__new__(record)
	with pytest.raises(dataclasses.FrozenInstanceError):
		setattr(made, dataclasses.fields(made)[0].name, None)
