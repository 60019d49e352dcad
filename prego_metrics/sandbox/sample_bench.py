"""A bench to look at: a folder laid out as Frappe does, with one entry of every kind in its sites folder.

For the demo and the tests. The folder is built from SAMPLE_ENTRIES. It holds no secret and no settings of ours.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

EXCLUDE_SITES = ("pool-*",)
OPERATOR_SITE = "operator.prego.example"


@dataclass(frozen=True)
class SampleEntry:
	"""One entry of the sites folder, and whether it counts as a tenant where EXCLUDE_SITES are excluded.

	`settings` joins what every site's configuration holds. `content` is a file's text, a link's target, the path of a
	file inside a folder, or, of a site, its whole site_config.json in place of a proper one.
	"""

	name: str
	counted: bool = True
	kind: Literal["site", "folder", "link", "file"] = "site"
	settings: dict[str, object] = field(default_factory=dict)
	content: str = ""


SAMPLE_ENTRIES = (
	SampleEntry(OPERATOR_SITE),
	SampleEntry("acme.prego.example"),
	SampleEntry("brightfoods.prego.example", settings={"db_type": "postgres"}),
	# An update puts every site into maintenance mode, and they all stay tenants.
	SampleEntry("cedar.prego.example", settings={"maintenance_mode": 1}),
	SampleEntry("delta.prego.example", settings={"pause_scheduler": 1}),
	# Half written: counted with a warning, since it occupies the node.
	SampleEntry("elm.prego.example", content='{\n "db_name": "_3f1c9a0b7d2e4856",\n "db_ty'),
	SampleEntry("한국상사.prego.example"),
	SampleEntry("training.prego.example", False, settings={"prego_tenant": 0}),
	SampleEntry("pool-sgp-001-041", False),
	SampleEntry("pool-sgp-001-042", False),
	SampleEntry("www.acme.example", False, "link", content="acme.prego.example"),
	SampleEntry("import-2026", False, "folder", content="customers.csv"),
	# What lies deeper is never looked at.
	SampleEntry("archived", False, "folder", content="gone.prego.example/site_config.json"),
	SampleEntry(".trash", False, "folder", content="old.sql"),
	SampleEntry("notes.txt", False, "file", content="Pool refilled on Monday.\n"),
)

# What Frappe and bench themselves keep beside the sites.
_COMMON_FILES = {
	"sites/apps.txt": "frappe\nerpnext\nprego_metrics\n",
	"sites/apps.json": json.dumps({app: {"is_repo": True} for app in ("frappe", "erpnext")}, indent=4),
	"sites/common_site_config.json": json.dumps(
		{
			"background_workers": 1,
			"default_site": OPERATOR_SITE,
			"gunicorn_workers": 5,
			"redis_cache": "redis://127.0.0.1:13000",
			"redis_queue": "redis://127.0.0.1:11000",
			"redis_socketio": "redis://127.0.0.1:13000",
			"serve_default_site": True,
			"socketio_port": 9000,
			"webserver_port": 8000,
		},
		indent=1,
	),
	"sites/assets/assets.json": "{}\n",
	"apps/frappe/frappe/__init__.py": '__version__ = "15.0.0"\n',
	"apps/erpnext/erpnext/__init__.py": '__version__ = "15.0.0"\n',
	"Procfile": "web: bench serve --port 8000\nschedule: bench schedule\nworker: bench worker\n",
	"patches.txt": "",
}
_COMMON_FOLDERS = ("config/pids", "env/bin", "logs")
_SITE_FOLDERS = ("locks", "logs", "private/backups", "private/files", "public/files")


def lay_out_sample_bench(folder: Path) -> Path:
	"""Make the sample bench as `frappe-bench` in `folder`, which is made if need be; return its path.

	Raises FileExistsError if there is one already: it may be a real one.
	"""
	bench = folder / "frappe-bench"
	bench.mkdir(parents=True)
	for name in _COMMON_FOLDERS:
		(bench / name).mkdir(parents=True)
	for name, content in _COMMON_FILES.items():
		_write(bench / name, content)
	for entry in SAMPLE_ENTRIES:
		_lay_out_entry(bench / "sites" / entry.name, entry)
	return bench


def _lay_out_entry(path: Path, entry: SampleEntry) -> None:
	if entry.kind == "site":
		_lay_out_site(path, entry)
	elif entry.kind == "link":
		path.symlink_to(entry.content)
	elif entry.kind == "folder":
		_write(path / entry.content, "{}\n")
	else:
		_write(path, entry.content)


def _lay_out_site(path: Path, entry: SampleEntry) -> None:
	for name in _SITE_FOLDERS:
		(path / name).mkdir(parents=True)
	_write(path / "site_config.json", entry.content or _site_config(entry))
	_write(path / "public/files/logo.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>\n')
	_write(path / "private/files/contract.txt", "A sample contract.\n" * 100)
	backup = f"20260301_020000-{entry.name.replace('.', '_')}-database.sql.gz"
	(path / "private/backups" / backup).write_bytes(gzip.compress(b"-- a sample, no dump\n", mtime=0))


def _site_config(entry: SampleEntry) -> str:
	"""Write a configuration as `bench new-site` does, with the database's name but no password."""
	name = "_" + hashlib.sha256(entry.name.encode()).hexdigest()[:16]
	return json.dumps({"db_name": name, "db_type": "mariadb", **entry.settings}, indent=1)


def _write(path: Path, content: str) -> None:
	path.parent.mkdir(parents=True, exist_ok=True)
	path.write_text(content, encoding="utf-8")
