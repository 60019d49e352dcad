"""What a fault is, the node that it strikes, and the three promises that are then judged.

- COUNT: no payload carries a count that nobody read.
- SILENCE: no push stops silently. What was not delivered ends with an exit code, a printed error and a record.
- KEY: no part of the key, and no other secret, is printed, recorded or sent to a stranger.

All three are judged after every fault; each row of the matrix names the one that it endangers.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command_server import Commands
from hostile_server import Behaviour, Exchange, HostileServer, answer
from pushing import KEY, leaked, spare_the_sample
from run_as import RUN_AS

COUNT, SILENCE, KEY_SAFE = "count", "silence", "key"
PUSH, TICK, DRY_RUN = ("push",), ("push", "--if-due"), ("push", "--dry-run")
STATUS, TENANTS = ("status", "--json"), ("tenants", "--json")
ROUTE = b"POST /internal/server-metrics "
NODE_ID = "node-1"
SITES = ("acme.example", "brightfoods.example", "cedar.example")
# The smallest interval that is allowed: a push may then last 4 seconds.
QUICK = {"node_id": NODE_ID, "push_interval": 5, "timeout": 1, "spread": 0, "snapshot_interval": 0}
_CLONE_NEWNS = 0x20000


def doctor(*names: str) -> tuple[str, ...]:
	"""The command that makes these checks alone."""
	return ("doctor", "--json", *(part for name in names for part in ("--only", name)))


@dataclass(frozen=True)
class Expect:
	"""How a command must end: its exit codes, the outcome that the state must hold, and whether anything is sent."""

	words: str
	codes: tuple[int, ...]
	outcomes: tuple[str, ...] = ()
	sent: bool | None = None


DELIVERED = Expect("delivered", (0,), ("delivered",), True)
DELIVERED_UNRECORDED = Expect("delivered, and an error says that it is not recorded", (1,), (), True)
NOT_SENT = Expect("not sent", (2,), ("not_sent",), False)
NOT_SENT_UNRECORDED = Expect("not sent (nothing can be recorded)", (2,), (), False)
NOT_SENT_IN_HISTORY = Expect("not sent, and recorded in the history", (2,), (), None)
FAILED = Expect("failed", (1,), ("failed",))
REFUSED = Expect("refused", (1,), ("refused",))
NOT_DELIVERED = Expect("failed or refused", (1,), ("failed", "refused"))
FAILED_OR_NOT_SENT = Expect("failed or not sent", (1, 2), ("failed", "not_sent"))
DELIVERED_OR_NOT_SENT = Expect("delivered or not sent", (0, 2), ("delivered", "not_sent"))
BUSY = Expect("busy", (1,), (), False)
LOUD = Expect("an exit code and an error", (1, 2), (), None)
DELIVERED_OR_LOUD = Expect("delivered, or an exit code and an error", (0, 1, 2))
ANSWERED = Expect("answered", (0, 1, 2, 3))
SUCCESS = Expect("exit code 0", (0,))
COMPLAINT = Expect("exit code other than 0", (1, 2, 3))


@dataclass(frozen=True)
class Run:
	"""How a command ended; code is None where it had to be killed for being late."""

	code: int | None
	out: str
	err: str
	seconds: float

	@property
	def printed(self) -> str:
		return self.out + self.err

	@property
	def checks(self) -> dict[str, dict[str, str]]:
		"""The doctor's findings by name."""
		return {check["name"]: check for check in json.loads(self.out)["checks"]}


@dataclass
class Node:
	"""A bench, its control plane and the environment of its push. Injectors change it before the command runs."""

	folder: Path
	shim: Callable[[], Path]
	closing: contextlib.ExitStack
	commands: Commands
	section: dict[str, Any] = field(default_factory=lambda: dict(QUICK))
	environ: dict[str, str] = field(default_factory=lambda: {"INTERNAL_API_KEY": KEY})
	posts: list[Behaviour] = field(default_factory=lambda: [answer(200, b'{"ok": true}')])
	gets: list[Behaviour] = field(default_factory=lambda: [row()])
	server_options: dict[str, Any] = field(default_factory=dict)
	truth: tuple[int, ...] = (len(SITES),)
	rules: list[str] = field(default_factory=list)
	prelude: list[str] = field(default_factory=list)
	uid: int | None = None
	cwd: Path | None = None
	secrets: list[str] = field(default_factory=list)
	strangers: list[HostileServer] = field(default_factory=list)
	spawned: list[subprocess.Popen[str]] = field(default_factory=list)
	written: bool = False

	def __post_init__(self) -> None:
		self.bench = self.folder / "bench"
		# Alerts are kept here where the state cannot be written; any user may be the one that pushes.
		(self.folder / "temporary").mkdir()
		(self.folder / "temporary").chmod(0o1777)
		self.environ["TMPDIR"] = str(self.folder / "temporary")
		self.sites.mkdir(parents=True)
		(self.sites / "apps.txt").write_text("frappe\nprego_metrics\n")
		self.common.write_text("{}")
		for name in SITES:
			self.site(name)

	@property
	def sites(self) -> Path:
		return self.bench / "sites"

	@property
	def common(self) -> Path:
		return self.sites / "common_site_config.json"

	@property
	def state_folder(self) -> Path:
		return self.sites / ".prego-metrics"

	@functools.cached_property
	def server(self) -> HostileServer:
		"""The control plane; it starts when it is first asked for."""
		numbers = {b"G": itertools.count(), b"P": itertools.count()}

		def behave(exchange: Exchange) -> None:
			method = b"G" if exchange.request.startswith(b"GET ") else b"P"
			behaviours = self.gets if method == b"G" else self.posts
			behaviours[min(next(numbers[method]), len(behaviours) - 1)](exchange)

		return self.closing.enter_context(HostileServer(behave, rows=True, **self.server_options))

	@property
	def pushes(self) -> list[bytes]:
		return [request for request in self.server.requests if request.startswith(ROUTE)]

	@property
	def counts(self) -> list[int]:
		bodies = (request.partition(b"\r\n\r\n")[2] for request in self.pushes)
		return [json.loads(body)["tenant_count"] for body in bodies if body]

	def stranger(self, behaviour: Behaviour | None = None) -> HostileServer:
		"""A server that must never see a secret."""
		self.strangers.append(
			self.closing.enter_context(HostileServer(behaviour or answer(200, b'{"ok": true}')))
		)
		return self.strangers[-1]

	def site(self, name: str, folder: Path | None = None, **config: object) -> Path:
		site = (folder or self.sites) / name
		site.mkdir(parents=True)
		(site / "site_config.json").write_text(json.dumps({"db_name": "_0123456789abcdef", **config}))
		return site

	def other_bench(self, *names: str) -> Path:
		"""Lay out a second bench beside the first and count both; returns its sites folder."""
		sites = self.folder / "other" / "sites"
		sites.mkdir(parents=True)
		(sites / "apps.txt").write_text("frappe\n")
		for name in names:
			self.site(name, sites)
		self.section["benches"] = [str(self.bench), str(self.folder / "other")]
		return sites

	def write(self) -> None:
		"""Write the settings, and a sample of the CPU so that a push need not watch it for a second."""
		if self.written:
			return
		self.section.setdefault("control_plane_url", self.server.url)
		self.common.write_text(json.dumps({"prego_metrics": self.section}))
		if not self.state_folder.exists():
			spare_the_sample(self.bench)
		self.written = True

	def state(self) -> dict[str, Any]:
		"""What the state file holds, or {} where there is none that can be read."""
		try:
			return dict(json.loads((self.state_folder / "state.json").read_text()))
		except (OSError, ValueError):
			return {}

	def change_state(self, **values: object) -> None:
		"""Set fields of the state as another version, another clock or another app would."""
		self.write()
		path = self.state_folder / "state.json"
		path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

	def deliver_once(self) -> None:
		"""Push once with no fault, as the node did before."""
		self.write()
		assert self.run(PUSH, faulty=False).code == 0

	def needs_root(self) -> None:
		if os.geteuid() != 0:
			pytest.skip("needs root")

	def mount(self, *arguments: object) -> None:
		"""Mount something for this process and its children alone, until the test is over."""
		self.needs_root()
		if not private_mounts():
			pytest.skip("needs a mount namespace of its own")
		subprocess.run(["mount", *map(str, arguments)], check=True)
		if "remount,ro" not in arguments:
			self.closing.callback(subprocess.run, ["umount", "-l", str(arguments[-1])], check=True)

	def spawn(self, code: str, *arguments: object) -> subprocess.Popen[str]:
		"""Run Python in a process of its own until the test is over, and wait for its first line."""
		process = subprocess.Popen(
			[sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
		)
		self.closing.callback(process.wait)
		self.closing.callback(process.kill)
		assert process.stdout
		self.closing.callback(process.stdout.close)
		process.stdout.readline()
		self.spawned.append(process)
		return process

	def after(self, seconds: float, act: Callable[[], object]) -> None:
		timer = threading.Timer(seconds, act)
		timer.start()
		self.closing.callback(timer.join)

	def command(self, act: tuple[str, ...], *, faulty: bool = True) -> tuple[list[str], dict[str, str]]:
		"""Return the command line and the environment of one run."""
		# Another user may not be able to read the interpreter's files, nor to execute it.
		program = ["-m", "prego_metrics.cli"] if self.uid is None else ["-c", RUN_AS, str(self.uid)]
		command = [sys.executable, *program, *act]
		if self.cwd is None:
			command += ["--bench", str(self.bench)]
		if faulty and self.prelude:
			# What a process may have is limited from inside it, right before it becomes the command.
			code = "\n".join(
				("import os, resource, sys", *self.prelude, "os.execv(sys.argv[1], sys.argv[1:])")
			)
			command = [sys.executable, "-c", code, *command]
		return command, self.environment(faulty=faulty)

	def environment(self, *, faulty: bool) -> dict[str, str]:
		environ = {**os.environ, **self.environ}
		if faulty and self.rules:
			environ.update(LD_PRELOAD=str(self.shim()), FAULT_RULES="\n".join(self.rules))
		if "FAULT_CLOCK" in environ:
			environ["LD_PRELOAD"] = str(self.shim())
		return environ

	def run(self, act: tuple[str, ...], limit: float = 30.0, *, faulty: bool = True) -> Run:
		began = time.monotonic()
		if not (faulty and self.prelude):
			bench = [] if self.cwd else ["--bench", str(self.bench)]
			environ = self.environment(faulty=faulty)
			try:
				result = self.commands.run(
					[*act, *bench], environ, cwd=self.cwd, uid=self.uid or 0, timeout=limit, errors="replace"
				)
			except subprocess.TimeoutExpired as late:
				return Run(None, str(late.stdout), str(late.stderr), time.monotonic() - began)
			if result:
				return Run(result.returncode, result.stdout, result.stderr, time.monotonic() - began)
		command, environ = self.command(act, faulty=faulty)
		process = subprocess.Popen(
			command,
			env=environ,
			cwd=self.cwd,
			stdin=subprocess.DEVNULL,
			stdout=subprocess.PIPE,
			stderr=subprocess.PIPE,
			text=True,
			errors="replace",
		)
		code: int | None
		try:
			out, err = process.communicate(timeout=limit)
			code = process.returncode
		except subprocess.TimeoutExpired:
			process.kill()
			(out, err), code = process.communicate(), None
		return Run(code, out, err, time.monotonic() - began)

	def kept(self) -> str:
		"""Everything that is in the state folder, as text."""
		if not self.state_folder.is_dir():
			return ""
		files = (path for path in sorted(self.state_folder.rglob("*")) if path.is_file())
		return "\n".join(f"{path.name} {path.read_text(errors='replace')}" for path in files)


Inject = Callable[[Node], object]
Check = Callable[[Node, Run], object]


@dataclass(frozen=True)
class Fault:
	"""A row of the matrix. limit is how many seconds the command may take, starting Python included.

	broken_by names the part of the issue by which today's code breaks the promise: the test must then fail.
	"""

	name: str
	promise: str
	inject: Inject
	expect: Expect
	act: tuple[str, ...] = PUSH
	check: Check | None = None
	slow: bool = False
	limit: float = 9.0
	broken_by: str = ""


def judge(fault: Fault, node: Node, run: Run) -> None:
	"""Assert that the command ended as it must and that all three promises were kept."""
	expect = fault.expect
	assert run.code is not None, f"still running after {fault.limit} s: {run.printed}"
	assert "Traceback" not in run.printed, run.printed
	assert run.code in expect.codes, run
	assert set(node.counts) <= set(node.truth), f"{node.counts} were sent, {node.truth} is true"
	if expect.sent is not None:
		assert bool(node.pushes) == expect.sent, run
	if run.code:
		assert run.printed.strip(), "it ended without a word"
	if expect is DELIVERED_UNRECORDED:
		assert "not recorded" in run.err, run
	if expect.outcomes:
		assert (node.state().get("last") or {}).get("outcome") in expect.outcomes, (run, node.state())
	secrets = {KEY, *node.secrets}
	kept = node.kept()
	assert not leaked(run.printed) | leaked(kept)
	assert not [secret for secret in secrets if secret in run.printed + kept]
	for stranger in node.strangers:
		assert not [secret for secret in secrets if secret.encode() in b"".join(stranger.requests)]
	if fault.check:
		fault.check(node, run)


def row(**values: object) -> Behaviour:
	"""Answer `GET /internal/nodes/:node_id` with the row of this node, as fresh as can be."""

	def behave(exchange: Exchange) -> None:
		now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
		content = {"node_id": NODE_ID, "tenant_count": len(SITES), "updated_at": now, **values}
		answer(200, json.dumps(content).encode())(exchange)

	return behave


@functools.cache
def private_mounts() -> bool:
	"""Give this process a mount namespace of its own: what is mounted in it goes with it."""
	if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
		return False
	return subprocess.run(["mount", "--make-rprivate", "/"], check=False).returncode == 0


def build_shim(folder: Path) -> Path:
	"""Compile the shim that makes system calls fail or hang; skips where there is no compiler."""
	compiler = shutil.which("cc") or shutil.which("gcc")
	if compiler is None:
		pytest.skip("needs a C compiler")
	library = folder / "fault_shim.so"
	if not library.exists():
		source = Path(__file__).with_name("fault_shim.c")
		subprocess.run(
			[compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
		)
	return library


def named(rows: list[Fault], **changes: Any) -> list[Fault]:
	"""Return rows with fields changed, all of them alike."""
	return [dataclasses.replace(row, **changes) for row in rows]
