"""The table of docs/settings.md, made from the settings. `make settings-table` writes it there."""

from __future__ import annotations

import re
from pathlib import Path

from prego_metrics.agent.config.settings import SETTINGS, Setting

PAGE = Path(__file__).parents[2] / "docs/settings.md"
# What the table says where a default is empty, and the bench decides.
_DEFAULTS = {"disk_paths": "`sites/` and `/`", "benches": "this bench", "exclude_sites": "`[]`"}


def default_of(setting: Setting) -> str:
	"""Return a setting's default as the table has it."""
	if setting.required:
		return "required"
	if isinstance(setting.default, bool):
		return str(setting.default).lower()
	if isinstance(setting.default, float | int):
		return f"{setting.default:g}"
	return _DEFAULTS.get(setting.name) or str(setting.default or "none")


def row_of(setting: Setting) -> str:
	"""Return a setting's row: its name, default, meaning, and what is allowed."""
	allowed = re.sub(r"^must be (a number of \S+ from )?", "", str(setting.kind.allowed)).replace("*", r"\*")
	return f"| `{setting.name}` | {default_of(setting)} | {setting.help} | {allowed} |"


def table() -> str:
	"""Return the rows of all settings, a line each."""
	return "".join(f"{row_of(setting)}\n" for setting in SETTINGS)


def main() -> None:
	"""Put the rows in the place of the first table of the page."""
	text = PAGE.read_text()
	head, _, rest = text.partition("|---|---|---|---|\n")
	end = re.search(r"^(?!\|)", rest, re.M)
	PAGE.write_text(f"{head}|---|---|---|---|\n{table()}{rest[end.start() if end else 0 :]}")


if __name__ == "__main__":
	main()
