"""The shell commands of the documents, what some of them need, and a sample node on which the others run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from prego_metrics.agent.state.model import Tick
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.sandbox.sample_bench import OPERATOR_SITE, lay_out_sample_bench

KEY = "the-key-of-the-documents"
# What a command needs that no sample bench has, by how it or a part of it begins; without it, it must run.
NEEDS = {
	r"bench (?!prego-metrics)": "a Frappe bench",
	r"sudo (?!\S*prego-metrics )": "root",
	r"systemctl|journalctl": "systemd",
	r"((sudo|bench) )?\S*prego-metrics systemd": "a key file of root's",
	r"\S*prego-metrics hetzner": "Hetzner's API",
	r"\S*prego-metrics control-plane": "a terminal of its own",
	r"curl .*ops\.example": "a site",
	r"docker|npx|gh ": "Docker, Cloudflare or GitHub",
	r"ansible|cp inventory|mkdir -p group_vars": "Ansible and its hosts",
	r"pip|\S*/pip|make|PREGO_TEST_": "a checkout and its environment",
	r"export": "a shell that goes on",
}
RUN = ("prego-metrics", "find", "sed", "cd", "rm")
_FENCE = re.compile(r"^```\n(.*?)^```$", re.M | re.S)


class Command(NamedTuple):
	"""A command as it is typed, and the lines that the document shows below it."""

	text: str
	output: tuple[str, ...]

	@property
	def program(self) -> str:
		"""The program's name, without sudo, `bench`, a path and the variables before it."""
		words = re.sub(r"^(\w+=('[^']*'|\S*) )*(sudo )?(bench (?=prego-metrics))?", "", self.text)
		return words.split()[0].rsplit("/", 1)[-1]

	@property
	def need(self) -> str | None:
		"""What the command needs beyond a sample bench."""
		parts = [part.strip() for part in re.split(r"&&|\|", self.text)]
		return next((need for start, need in NEEDS.items() for part in parts if re.match(start, part)), None)

	@property
	def exit_code(self) -> int:
		"""What it ends with: 0, unless a comment says otherwise."""
		said = re.search(r"# exit (\d)", self.text)
		return int(said[1]) if said else 0


def commands_of(page: str) -> Iterator[Command]:
	"""Yield the commands of a page: what follows `$ `, or each line of a block that begins with a known program."""
	for block in _FENCE.findall(page):
		lines = block.splitlines()
		prompted = any(line.startswith("$ ") for line in lines)
		if not prompted and Command(block.replace("\n", " "), ()).program not in (
			*RUN,
			"npx",
			"make",
			"curl",
		):
			continue
		text, output = "", []
		for line in lines:
			if text and re.search(r"(\\|\|)$", text):
				text += "\n" + line
			elif line.startswith("$ ") or not prompted:
				if text:
					yield Command(text, tuple(output))
				text, output = line.removeprefix("$ "), []
			elif text:
				output.append(line)
		yield Command(text, tuple(output))


def missing_lines(shown: tuple[str, ...], printed: str) -> list[str]:
	"""Return the shown lines that were not printed in this order, whatever their numbers; `…` stands for anything."""
	forms = iter([_form(line) for line in printed.splitlines()])
	patterns = [re.escape(_form(line)).replace("…", ".*") for line in shown if line.strip("… ")]
	return [pattern for pattern in patterns if not any(re.fullmatch(pattern, form) for form in forms)]


def _form(line: str) -> str:
	return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", line)).replace("─", "").strip()


class SampleNode:
	"""A sample bench that is set up as the documents say, delivers, and has two triggers that ran on their own."""

	def __init__(self, folder: Path, control_plane_url: str) -> None:
		self.bench = lay_out_sample_bench(folder / "benches")
		key_file = folder / "internal_api_key"
		self._names = {
			"https://control-plane.example": control_plane_url,
			"/etc/prego_metrics/internal_api_key": str(key_file),
			"/home/frappe/benches": str(self.bench.parent),
			"/home/frappe/frappe-bench": str(self.bench),
			"/opt/prego_metrics/bin": str(Path(sys.executable).parent),
			"/usr/local/bin/prego-metrics": str(Path(sys.executable).with_name("prego-metrics")),
			"ops.example": OPERATOR_SITE,
		}
		for file in (key_file, self.bench / "key"):
			file.write_text(f"{KEY}\n")
			file.chmod(0o600)
		for name, rows in _EXPORTS.items():
			(self.bench / f"{name}.json").write_text(json.dumps([row() for row in rows]))
		settings = "--control-plane-url https://control-plane.example --api-key-file /etc/prego_metrics/internal_api_key"
		self.run(f"prego-metrics configure --offline --node-id sg-1 {settings} --exclude-sites 'pool-*'")
		self.run("PREGO_METRICS_SNAPSHOT_INTERVAL=0 prego-metrics push")
		state = StateFolder(str(self.bench / "sites"))
		for trigger in ("frappe", "timer"):
			for age in (90, 5):
				state.write_tick(Tick(trigger, time.time() - age, 60.0, "sg-1", "not_due"))

	def translated(self, text: str) -> str:
		"""Put the names of this node in the place of those of the documents."""
		for name, own in self._names.items():
			text = text.replace(name, own)
		return text

	def run(self, text: str) -> subprocess.CompletedProcess[str]:
		"""Run a command in the bench's folder, as its user, and return how it ended and all that it printed."""
		text = re.sub(r"\b(sudo|bench) (?=\S*prego-metrics )", "", self.translated(text))
		environment = {
			"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
			"HOME": str(self.bench),
			"COLUMNS": "110",
			"LC_ALL": "C.UTF-8",
		}
		if "prego-metrics fleet" in text:
			environment["INTERNAL_API_KEY"] = KEY
		return subprocess.run(
			["bash", "-o", "pipefail", "-c", text],
			cwd=self.bench,
			env=environment,
			stdin=subprocess.DEVNULL,
			stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT,
			text=True,
			timeout=60,
		)


def _at(seconds_ago: int) -> str:
	return (datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)).isoformat()


# Exports of a control plane with four nodes, one of each verdict.
_EXPORTS = {
	"nodes": [
		lambda name=name: {"node_id": name, "region": "sg", "host": "203.0.113.7"}
		for name in ("eu-1", "sg-1", "sg-2", "us-1")
	],
	"metrics": [
		lambda row=row: {"node_id": row[0], "tenant_count": row[1], "updated_at": _at(row[2])}
		for row in (("sg-1", 42, 12), ("sg-2", 0, 40), ("us-1", 8, 1320))
	],
	"tenants": [
		lambda name=name: {"node_id": name, "status": "active"}
		for name, placed in (("sg-1", 42), ("sg-2", 17), ("us-1", 8))
		for _ in range(placed)
	],
}
