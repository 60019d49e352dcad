"""Processes of a real bench, for tests: PREGO_TEST_BENCH is its path, PREGO_TEST_SITE the operator's site, which has
the app, and PREGO_TEST_TENANT_SITE a test site that the app is installed on and uninstalled from.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

BENCH = os.environ.get("PREGO_TEST_BENCH", "")
SITE = os.environ.get("PREGO_TEST_SITE", "")
TENANT_SITE = os.environ.get("PREGO_TEST_TENANT_SITE", "")
MISSING = (
	"no bench: set PREGO_TEST_BENCH (its path), PREGO_TEST_SITE (a site of it with the app) and "
	"PREGO_TEST_TENANT_SITE (another one, for the app to be installed and uninstalled)"
)


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run a Python of the bench's in `sites/`, as the owner of the bench."""
	sites = Path(BENCH) / "sites"
	owner = pwd.getpwuid(sites.stat().st_uid)
	as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
	environ = {name: value for name, value in os.environ.items() if not name.startswith("PREGO_")}
	return subprocess.run(
		[str(Path(BENCH) / "env/bin/python"), *arguments],
		cwd=sites,
		env={**environ, "HOME": owner.pw_dir, "USER": owner.pw_name, **variables},
		capture_output=True,
		text=True,
		timeout=300,
		**as_owner,
	)


def bench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
	"""Run what `bench …` runs."""
	return run(["-m", "frappe.utils.bench_helper", "frappe", *arguments], **variables)


def in_site(site: str, code: str, **variables: str) -> str:
	"""Run statements with Frappe connected to a site, commit, and return what they printed."""
	lines = ["import frappe", f"frappe.init(site={site!r}, sites_path='.')", "frappe.connect()", code]
	ended = run(["-c", "\n".join([*lines, "frappe.db.commit()", "frappe.destroy()"])], **variables)
	assert ended.returncode == 0, ended.stderr
	return ended.stdout
