"""What the command line imports, and what it does not."""

from __future__ import annotations

import subprocess
import sys

# --- imports -----------------------------------------------------------------------------------------

_IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class NoFrappe:
	def find_spec(self, name, path=None, target=None):
		if name.partition(".")[0] == "frappe":
			raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, NoFrappe())
import prego_metrics
count = 0
for found in pkgutil.walk_packages(prego_metrics.__path__, "prego_metrics."):
	if found.name.split(".")[1] not in ("desk", "node_metrics", "api"):
		importlib.import_module(found.name)
		count += 1
print(count, "frappe" in sys.modules)
"""


def test_nothing_in_the_agent_or_the_local_control_plane_imports_frappe() -> None:
	result = subprocess.run([sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True)
	assert result.stderr == ""
	count, imported = result.stdout.split()
	assert int(count) > 25
	assert imported == "False"


def test_the_commands_that_every_bench_call_imports_bring_nothing_heavy() -> None:
	program = "import sys, prego_metrics.commands; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
	imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
	heavy = {"rich", "requests", "urllib3", "psutil", "werkzeug", "sqlite3", "ssl"}
	assert not heavy & set(imported.stdout.split())
