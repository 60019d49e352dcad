"""Faults of the state, its lock and its clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fault_injectors import (
	HANG,
	all_of,
	as_user,
	attempts,
	both,
	finds,
	lock_held,
	names,
	posts,
	rule,
	says,
	silence,
	state,
	state_file,
	state_is,
	variable,
)
from fault_model import (
	BUSY,
	COMPLAINT,
	DELIVERED,
	DELIVERED_UNRECORDED,
	KEY_SAFE,
	LOUD,
	NOT_SENT,
	NOT_SENT_IN_HISTORY,
	NOT_SENT_UNRECORDED,
	PUSH,
	SILENCE,
	STATUS,
	SUCCESS,
	TICK,
	Fault,
	Inject,
	Node,
	Run,
	doctor,
)

from prego_metrics.agent.state.model import VERSION

STATE = "*/.prego-metrics/*state.json*"
_VERSIONED = b'{"version": %d' % VERSION
_PUSH_ID = "0123456789abcdef"
_EVENT = {"id": _PUSH_ID, "at": 1e9, "kind": "eclipse", "failures": 3}


def _failed_push(at: float) -> dict[str, object]:
	return {
		"id": _PUSH_ID,
		"at": at,
		"trigger": "cron",
		"outcome": "failed",
		"payload": None,
		"status_code": 500,
		"attempts": 3,
		"duration_ms": 9,
		"error": "the control plane answers 500",
		"who": None,
	}


def _delivered_before(*after: Inject) -> Inject:
	return both(lambda node: node.deliver_once(), *after)


def _state_on_tmpfs(options: str, *, full: bool = False) -> Inject:
	"""The state folder is a file system of its own."""

	def inject(node: Node) -> None:
		node.write()
		kept = (node.state_folder / "state.json").read_bytes()
		node.mount("-t", "tmpfs", "-o", options, "tmpfs", node.state_folder)
		if not options.startswith("ro"):
			(node.state_folder / "state.json").write_bytes(kept)
		if full:
			with open(node.state_folder / "filler", "wb", buffering=0) as filler:
				try:
					while filler.write(b"x" * 4096):
						pass
				except OSError:
					pass

	return inject


def _folder_is(make: Callable[[Path], object]) -> Inject:
	def inject(node: Node) -> None:
		make(node.state_folder)
		node.write()

	return inject


def _killed(by: signal.Signals, act: tuple[str, ...] = PUSH) -> Inject:
	"""A push is killed while it waits for the answer."""

	def inject(node: Node) -> None:
		usual = list(node.posts)
		node.posts[:] = [silence]
		node.section["timeout"] = 4
		node.write()
		command, environ = node.command(act)
		process = subprocess.Popen(
			command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
		)
		give_up_at = time.monotonic() + 20
		while not node.pushes and time.monotonic() < give_up_at:
			time.sleep(0.02)
		process.send_signal(by)
		(node.folder / "killed").write_text(process.communicate(timeout=20)[0])
		node.posts[:] = usual

	return inject


def _killed_without_a_traceback(node: Node, run: Run) -> None:
	assert "Traceback" not in (node.folder / "killed").read_text()


def _killed_is_in_the_history(node: Node, run: Run) -> None:
	history = (node.state_folder / "history.jsonl").read_text().splitlines()
	assert len(history) == 2, history


def _free_the_disk(node: Node) -> None:
	(node.state_folder / "filler").unlink()


def _remount(node: Node) -> None:
	subprocess.run(["mount", "-o", "remount,rw", node.state_folder], check=True)


def _unrecorded_is_alerted_of(repair: Callable[[Node], None] | None = None) -> Callable[[Node, Run], None]:
	"""Each channel sends it once, and once that it is over."""

	def check(node: Node, run: Run) -> None:
		def alerts() -> list[int | None]:
			return [node.run(("alerts", "--channel", "test"), faulty=False).code for _ in range(2)]

		assert alerts() == [0, 1]
		if repair:
			repair(node)
			assert alerts() == [0, 1]
			assert node.run(PUSH, faulty=False).code == 0
			assert not [name for name in os.listdir(node.environ["TMPDIR"]) if name.startswith("prego")]

	return check


def _next_mail_is_silent(node: Node, run: Run) -> None:
	again = node.run((*TICK, "--alerts", "cron"), faulty=False)
	assert (again.code, again.printed, len(node.pushes)) == (1, "", 2), again


def _state_of_another_user(node: Node) -> None:
	node.write()
	for path in (node.bench, *node.bench.rglob("*")):
		os.chown(path, 65534, 65534)
	os.chown(node.state_folder, 0, 0)
	node.state_folder.chmod(0o755)


def _ten_minutes_after_a_tick(node: Node) -> None:
	"""A timer ran, and the next run is that of ten minutes later."""
	node.write()
	node.environ.pop("FAULT_CLOCK", None)
	assert node.run(TICK, faulty=False).code == 0
	node.environ["FAULT_CLOCK"] = "600"


def _stuck_tick(node: Node) -> None:
	assert node.run(TICK, faulty=False).code == 2


def _holder_ends(node: Node) -> None:
	node.spawned[-1].kill()
	node.spawned[-1].wait()


def _stuck_lock_is_alerted_of(node: Node, run: Run) -> None:
	assert f"process {node.spawned[-1].pid} (" in run.err, run
	history = (node.state_folder / "history.jsonl").read_text().splitlines()
	assert json.loads(history[-1])["error_code"] == "lock_stuck", history
	tick = json.loads((node.state_folder / "tick-cron.json").read_text())
	assert tick["outcome"] == "not_sent", tick
	alerts = [node.run(("alerts", "--channel", "test"), faulty=False) for _ in range(2)]
	assert [alert.code for alert in alerts] == [0, 1], alerts
	assert "locked since" in alerts[0].out, alerts


def _failures(number: int) -> Callable[[Node, Run], None]:
	def check(node: Node, run: Run) -> None:
		assert node.state()["failures_in_a_row"] == number, node.state()

	return check


def _keeps(name: str) -> Callable[[Node, Run], None]:
	def check(node: Node, run: Run) -> None:
		assert name in (node.state_folder / "state.json").read_text()

	return check


def _untouched(node: Node, run: Run) -> None:
	assert (node.folder / "victim").read_text() == "theirs"


def _victim(path: Path) -> Path:
	"""A file of somebody else's, outside the bench of this state file."""
	victim = path.parents[3] / "victim"
	victim.write_text("theirs")
	return victim


def _made(folder: Path) -> Path:
	folder.mkdir()
	return folder


def _attempted_in(seconds: float) -> Inject:
	return lambda node: node.change_state(last_attempt_at=time.time() + seconds)


def _closed_stdout(node: Node) -> None:
	node.prelude.append("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)")


def _gone_working_directory(node: Node) -> None:
	(node.folder / "gone").mkdir()
	node.cwd = node.folder / "gone"
	node.prelude.append(f"os.rmdir({str(node.cwd)!r})")


def _leftover(name: str) -> Inject:
	return state_file(b"half", name)


_DISKS = [
	Fault(
		"the state's disk is full",
		SILENCE,
		_state_on_tmpfs("size=64k", full=True),
		DELIVERED_UNRECORDED,
		check=_unrecorded_is_alerted_of(_free_the_disk),
	),
	Fault(
		"the state's disk has no inodes left",
		SILENCE,
		_state_on_tmpfs("size=64k,nr_inodes=2"),
		DELIVERED_UNRECORDED,
		check=_unrecorded_is_alerted_of(),
		slow=True,
	),
	Fault(
		"the state's disk is read-only",
		SILENCE,
		_state_on_tmpfs("ro"),
		DELIVERED_UNRECORDED,
		check=_unrecorded_is_alerted_of(),
		slow=True,
	),
	Fault(
		"the state's disk is read-only, and a timer pushes",
		SILENCE,
		_state_on_tmpfs("ro"),
		DELIVERED_UNRECORDED,
		TICK,
		check=_unrecorded_is_alerted_of(_remount),
	),
	Fault(
		"the state's disk is read-only, and cron mails",
		SILENCE,
		_state_on_tmpfs("ro"),
		LOUD,
		(*TICK, "--alerts", "cron"),
		check=all_of(attempts(1), names("cannot be written: Read-only file system"), _next_mail_is_silent),
		slow=True,
	),
	Fault(
		"the state belongs to another user",
		SILENCE,
		both(as_user(65534), _state_of_another_user),
		DELIVERED_UNRECORDED,
		check=names("Permission denied"),
		slow=True,
	),
	Fault(
		"the state's disk is full, and nothing is delivered",
		SILENCE,
		both(posts(says(500)), _state_on_tmpfs("size=64k", full=True)),
		LOUD,
		slow=True,
	),
	*(
		Fault(
			f"{call} in the state folder ends with {name}",
			SILENCE,
			rule(call, STATE, name),
			DELIVERED_UNRECORDED,
			slow=name != "ENOSPC",
		)
		for call, name in (
			("write", "ENOSPC"),
			("write", "EDQUOT"),
			("write", "EIO"),
			("fsync", "EIO"),
			("rename", "EIO"),
			("rename", "EROFS"),
			("open", "EACCES"),
			("open", "EMFILE"),
		)
	),
	Fault(
		"the state's disk hangs on fsync",
		SILENCE,
		rule("fsync", STATE, HANG),
		DELIVERED_UNRECORDED,
		slow=True,
	),
	Fault(
		"the state's disk hangs on open",
		SILENCE,
		rule("open", "*/state.json", HANG),
		NOT_SENT_UNRECORDED,
		slow=True,
	),
	Fault(
		"the history cannot be written",
		SILENCE,
		rule("open", "*/history.jsonl", "EIO"),
		DELIVERED,
		check=names("Warning: "),
		slow=True,
	),
]

_FILES = [
	*(
		Fault(
			f"a state.json {name}", SILENCE, state_file(content), DELIVERED, slow=name != "that is cut short"
		)
		for name, content in (
			("that is empty", b""),
			("that is cut short", _VERSIONED + b', "last_attempt_at": 17'),
			("that is a list", b"[]"),
			("that is no UTF-8", b"\xff\xfe{}"),
			("nested too deeply", b"[" * 100_000),
			("of two megabytes", b" " * (2 << 20)),
			("of a newer version", b'{"version": 99}'),
			("with a wrong type", _VERSIONED + b', "last_attempt_at": "yesterday"}'),
			("with a number beyond all bounds", _VERSIONED + b', "last_attempt_at": 1e300}'),
			(
				"with an integer of ten thousand digits",
				_VERSIONED + b', "failures_in_a_row": ' + b"9" * 10_000 + b"}",
			),
		)
	),
	Fault(
		"a state with a field of a newer version",
		SILENCE,
		state(shiny_new_field={"a": 1}),
		DELIVERED,
		check=_keeps("shiny_new_field"),
		broken_by="",
	),
	Fault(
		"a state with an alert of an unknown kind",
		SILENCE,
		both(state(events=[_EVENT], failures_in_a_row=7), posts(says(500))),
		LOUD,
		check=_failures(8),
		broken_by="",
	),
	Fault(
		"a state with an outcome of a newer version",
		SILENCE,
		both(state(totals={"deferred": 3}, failures_in_a_row=7), posts(says(500))),
		LOUD,
		check=_failures(8),
		slow=True,
	),
	Fault(
		"a state.json that is a symlink",
		KEY_SAFE,
		state_is(lambda path: path.symlink_to(_victim(path))),
		DELIVERED,
		check=_untouched,
	),
	Fault(
		"a history that is a symlink",
		KEY_SAFE,
		state_is(lambda path: path.symlink_to(_victim(path)), "history.jsonl"),
		DELIVERED,
		check=_untouched,
		slow=True,
	),
	Fault("a state.json that is a pipe", SILENCE, state_is(os.mkfifo), DELIVERED, slow=True),
	Fault("a state.json that is a folder", SILENCE, state_is(Path.mkdir), DELIVERED, slow=True),
	Fault("a history that is a pipe", SILENCE, state_is(os.mkfifo, "history.jsonl"), DELIVERED, slow=True),
	Fault(
		"a history of nonsense", SILENCE, state_file(b"\x00nonsense", "history.jsonl"), DELIVERED, slow=True
	),
	Fault("a tick of nonsense", SILENCE, state_file(b"{", "tick-cron.json"), SUCCESS, TICK, slow=True),
	Fault("a leftover of a killed write", SILENCE, _leftover(".state.json.tmp"), DELIVERED, slow=True),
	Fault(
		"a state folder that is a symlink",
		KEY_SAFE,
		_folder_is(lambda path: path.symlink_to(_made(path.parents[2] / "elsewhere"))),
		DELIVERED_UNRECORDED,
		slow=True,
	),
	Fault(
		"a state folder that is a file",
		SILENCE,
		_folder_is(lambda path: path.write_text("")),
		DELIVERED_UNRECORDED,
		slow=True,
	),
]

_LOCKS = [
	Fault("the lock is held for ever, and somebody pushes", SILENCE, lock_held, BUSY, limit=14, slow=True),
	Fault(
		"the lock is held for ever before a first delivery",
		SILENCE,
		both(lock_held, _ten_minutes_after_a_tick),
		NOT_SENT_IN_HISTORY,
		TICK,
		check=_stuck_lock_is_alerted_of,
	),
	Fault(
		"the lock was held for longer than a push may last",
		SILENCE,
		_delivered_before(_attempted_in(-600), lock_held, _ten_minutes_after_a_tick),
		NOT_SENT_IN_HISTORY,
		TICK,
		check=all_of(attempts(1), _stuck_lock_is_alerted_of),
	),
	Fault(
		"the lock was stuck, and its holder has ended",
		SILENCE,
		both(lock_held, _ten_minutes_after_a_tick, _stuck_tick, _holder_ends),
		DELIVERED,
		TICK,
		check=_failures(0),
		slow=True,
	),
	Fault(
		"the lock is stuck, and the doctor is asked",
		SILENCE,
		both(lock_held, _ten_minutes_after_a_tick, _stuck_tick),
		COMPLAINT,
		doctor("lock"),
		check=all_of(finds("lock", "fail"), names("lock_stuck")),
		slow=True,
	),
	Fault(
		"the lock is stuck, and status is asked",
		SILENCE,
		both(lock_held, _ten_minutes_after_a_tick, _stuck_tick),
		COMPLAINT,
		STATUS,
		check=names("lock_stuck"),
		slow=True,
	),
	Fault(
		"the lock is held, and the doctor is asked",
		SILENCE,
		lock_held,
		SUCCESS,
		doctor("lock"),
		check=names("warn"),
		slow=True,
	),
	Fault(
		"the file system has no flock, and a timer pushes",
		SILENCE,
		rule("flock", "*", "ENOLCK"),
		NOT_SENT,
		TICK,
	),
	Fault(
		"the file system has no flock, and somebody pushes",
		SILENCE,
		rule("flock", "*", "EOPNOTSUPP"),
		DELIVERED,
		slow=True,
	),
	Fault("flock is interrupted twice", SILENCE, rule("flock", "*", "EINTR", "1-2"), DELIVERED, slow=True),
	Fault("flock hangs", SILENCE, rule("flock", "*", HANG), LOUD, limit=20, slow=True),
	Fault(
		"the folder to lock cannot be opened",
		SILENCE,
		rule("open", "*/sites", "EMFILE", "1-1"),
		LOUD,
		check=names("Too many open files"),
		slow=True,
	),
]

_CLOCKS = [
	Fault(
		"the last attempt lies in the future",
		SILENCE,
		_delivered_before(_attempted_in(86400)),
		DELIVERED,
		TICK,
		check=attempts(2),
	),
	Fault(
		"the last attempt lies at the beginning of time",
		SILENCE,
		state(last_attempt_at=0.0),
		DELIVERED,
		TICK,
		slow=True,
	),
	Fault(
		"the last push is a moment ago",
		SILENCE,
		_delivered_before(),
		SUCCESS,
		TICK,
		check=attempts(1),
		slow=True,
	),
	Fault(
		"the clock says 1971",
		SILENCE,
		variable(FAULT_CLOCK=str(-int(time.time()) + 40_000_000)),
		DELIVERED,
		slow=True,
	),
	Fault("the clock says 2100", SILENCE, variable(FAULT_CLOCK="2300000000"), DELIVERED, slow=True),
	Fault(
		"the clock went back an hour after a delivery",
		SILENCE,
		_delivered_before(variable(FAULT_CLOCK="-3600")),
		DELIVERED,
		TICK,
		check=attempts(2),
		slow=True,
	),
	Fault(
		"the clock went on by a day after a delivery",
		SILENCE,
		_delivered_before(variable(FAULT_CLOCK="86400")),
		COMPLAINT,
		STATUS,
	),
	Fault("status after nothing was ever pushed", SILENCE, lambda node: None, COMPLAINT, STATUS, slow=True),
	Fault(
		"status ten minutes after the last delivery",
		SILENCE,
		_delivered_before(variable(FAULT_CLOCK="600")),
		COMPLAINT,
		STATUS,
		slow=True,
	),
	Fault(
		"status after a failed push",
		SILENCE,
		state(last_attempt_at=time.time() - 5, last=_failed_push(time.time() - 5), failures_in_a_row=1),
		COMPLAINT,
		STATUS,
		check=names("500"),
		slow=True,
	),
]

_KILLS = [
	*(
		Fault(
			f"a push ended by {by.name}, and the next",
			KEY_SAFE,
			_killed(by),
			DELIVERED,
			check=_killed_without_a_traceback,
			slow=by is not signal.SIGINT,
		)
		for by in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
	),
	Fault("status after a push was killed", SILENCE, _killed(signal.SIGKILL), COMPLAINT, STATUS, slow=True),
	Fault(
		"a killed push counts among the failures",
		SILENCE,
		both(_killed(signal.SIGKILL), posts(says(500))),
		LOUD,
		check=_failures(2),
	),
	Fault(
		"a killed push leaves a line in the history",
		SILENCE,
		_killed(signal.SIGKILL),
		DELIVERED,
		check=_killed_is_in_the_history,
	),
]

_SURROUNDINGS = [
	Fault("stdout is on a full disk", SILENCE, _closed_stdout, DELIVERED, slow=True),
	Fault("the working directory is gone", SILENCE, _gone_working_directory, LOUD),
	Fault(
		"no HOME, no PATH, no language",
		SILENCE,
		variable(HOME="", PATH="", LANG="C", LC_ALL="C"),
		DELIVERED,
		slow=True,
	),
	Fault("a temporary folder that is gone", SILENCE, variable(TMPDIR="/gone"), DELIVERED, slow=True),
]

FAULTS = [*_DISKS, *_FILES, *_LOCKS, *_CLOCKS, *_KILLS, *_SURROUNDINGS]
