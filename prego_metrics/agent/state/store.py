"""Where the state is kept: `sites/.prego-metrics/`, 0700, its files 0600.

- state.json is written by the push that holds the lock, atomically: write, fsync, rename.
- history.jsonl gets a line for each push, so that a push costs the same whatever the history's length.
- tick-TRIGGER.json is each trigger's last sign of life. Most ticks are not due and hold no lock: in one
  file they would lose each other's marks, and under the lock they would make a due push believe that
  another one is running.
- begun-TRIGGER-TIME-ID, empty, is there while a push is under way (see attempts.py).
- sent-CHANNEL-KIND-ID, empty, is the receipt of an alert: the process that creates the file sends it.

All of it is input too, since any app of the bench can write it: types, sizes and symlinks are checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from prego_metrics.agent.base.files import opened_folder, read_limited, replace_atomically
from prego_metrics.agent.base.messages import Message, coded, message_of, params_as_json
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import STATE_FOLDER_NAME
from prego_metrics.agent.state.attempts import Attempt, attempt_of
from prego_metrics.agent.state.model import EVENTS_LENGTH, TRIGGERS, VERSION, Push, State, Tick
from prego_metrics.agent.state.parser import Fields, parse_object, parse_push, parse_state, parse_tick

FOLDER_NAME = STATE_FOLDER_NAME
STATE_NAME = "state.json"
SET_ASIDE_NAME = "state.json.set-aside"
HISTORY_NAME = "history.jsonl"
# Between half of it and all of it is kept: at one push a minute a day at least, also while the control plane
# refuses them in many words, and nearly three while they are delivered.
MAX_HISTORY_BYTES = 2_400_000
# Twenty events, each with a long error and its parameters in escapes of twelve bytes a character, fit into it.
_MAX_BYTES = 1 << 20
RECEIPT_PREFIX = "sent-"
# Each killed push leaves one to the next; more are not ours.
_MAX_ATTEMPTS = 5


class StateFolder:
	"""`sites/.prego-metrics` of one bench. Nothing here raises for a folder that cannot be read or written.

	Reading returns what is there and warnings; writing returns what went wrong, or None: a push must go out
	when the disk is full.
	"""

	def __init__(self, sites: str) -> None:
		self.path = os.path.join(sites, FOLDER_NAME)

	def read(self, *, set_aside: bool = False) -> tuple[State, list[Message]]:
		"""Return the state; a corrupt, foreign or future one counts as none.

		With `set_aside` such a one is moved away, to be looked at later. Only who holds the lock may ask
		for that: another's good state may have taken its place since it was read.
		"""
		try:
			content = self._read(STATE_NAME)
			if content is None:
				return State(), []
			return parse_state(content), []
		except OSError as error:
			reason = error.strerror or error
			return State(), [coded("state_unreadable", folder=sanitize(self.path), reason=reason)]
		except ValueError as error:
			file = f"{sanitize(self.path)}/{STATE_NAME}"
			fate = self._set_aside() if set_aside else coded("set_aside_later")
			return State(), [coded("state_invalid", file=file, problem=message_of(error), fate=fate)]

	def write(self, state: State) -> Message | None:
		"""Replace the state atomically; return what went wrong, or None."""
		return self._write(STATE_NAME, json.dumps(state_as_stored(state)).encode("ascii"), locked=True)

	def write_tick(self, tick: Tick) -> Message | None:
		"""Leave a trigger's sign of life; return what went wrong, or None."""
		return self._write(
			f"tick-{tick.trigger}.json",
			json.dumps(asdict(tick, dict_factory=as_stored)).encode("ascii"),
			locked=False,
		)

	def begin(self, attempt: Attempt) -> Message | None:
		"""Mark that a push begins; return what went wrong, or None. The caller holds the lock."""
		try:
			self.make_file(attempt.file_name)
		except OSError as error:
			return self._unwritten(error)
		return None

	def attempts(self) -> list[Attempt]:
		"""Return the pushes that began and did not end, oldest first. Who holds the lock knows that they are gone."""
		try:
			return sorted(filter(None, map(attempt_of, os.listdir(self.path))))[-_MAX_ATTEMPTS:]
		except OSError:
			return []

	def end(self, attempt: Attempt) -> None:
		"""Take the mark of a push away."""
		self._remove(attempt.file_name)

	def append_history(self, push: Push) -> Message | None:
		"""Add a push to the history; return what went wrong, or None. The caller holds the lock."""
		line = json.dumps(asdict(push, dict_factory=as_stored)).encode("ascii") + b"\n"
		try:
			with _Folder(self.path) as folder:
				with open(folder.create(HISTORY_NAME, os.O_RDWR | os.O_APPEND), "a+b") as file:
					size = file.seek(0, os.SEEK_END)
					# A line that a full disk cut short must not take the next one with it.
					if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
						line = b"\n" + line
					file.write(line)
					file.flush()
					size += len(line)
					if size < MAX_HISTORY_BYTES:
						return None
					newest = os.pread(file.fileno(), MAX_HISTORY_BYTES // 2, size - MAX_HISTORY_BYTES // 2)
			return self._write(HISTORY_NAME, newest[newest.find(b"\n") + 1 :], locked=True)
		except OSError as error:
			return self._unwritten(error)

	def history(self) -> list[Push]:
		"""Return the pushes of about the last day, oldest first; lines that are not ours are left out."""
		return list(self.history_newest_first())[::-1]

	def history_newest_first(self) -> Iterator[Push]:
		"""Yield the same, newest first, each line read when it is asked for."""
		try:
			lines = (self._read(HISTORY_NAME, 2 * MAX_HISTORY_BYTES) or "").split("\n")
		except (OSError, ValueError):
			return
		for line in reversed(lines):
			try:
				push = parse_push(Fields(parse_object(line), "the history"))
			except ValueError:
				continue
			yield push

	def ticks(self) -> list[Tick]:
		"""Return the last tick of each trigger that ever ticked; one that cannot be read is left out."""
		ticks = []
		for trigger in TRIGGERS:
			try:
				content = self._read(f"tick-{trigger}.json")
				if content is not None:
					ticks.append(parse_tick(Fields(parse_object(content), "the tick"), trigger))
			except (OSError, ValueError):
				continue
		return ticks

	def create_receipt(self, name: str) -> bool:
		"""Create a receipt, and tell whether it was created: it was not there, and could be."""
		try:
			with _Folder(self.path) as folder:
				os.close(folder.create(RECEIPT_PREFIX + name, os.O_WRONLY | os.O_EXCL))
		except OSError:
			return False
		return True

	def has_receipt(self, ending: str) -> bool:
		"""Tell whether there is a receipt whose name ends so."""
		try:
			return any(
				name.startswith(RECEIPT_PREFIX) and name.endswith(ending) for name in os.listdir(self.path)
			)
		except OSError:
			return False

	def remove_receipt(self, name: str) -> None:
		"""Remove a receipt. One that cannot be removed stands: no alert is better than one every minute."""
		self._remove(RECEIPT_PREFIX + name)

	def remove_old_receipts(self, older_than_seconds: float) -> None:
		"""Remove the receipts that are older than this."""
		oldest = time.time() - older_than_seconds
		with contextlib.suppress(OSError), _Folder(self.path) as folder:
			for name in os.listdir(folder.descriptor):
				if name.startswith(RECEIPT_PREFIX):
					receipt = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
					if receipt.st_mtime < oldest:
						_remove(name, folder.descriptor)

	def make_file(self, name: str) -> None:
		"""Make an empty file with the folder's own modes, if it is not there. Raises OSError."""
		with _Folder(self.path) as folder:
			os.close(folder.create(name, os.O_RDWR))

	def unwritable(self) -> Message | None:
		"""Return why the folder cannot be written, or None; tries it with a file of its own."""
		return self._write("write-test", b"", locked=False) or self._remove("write-test")

	def _read(self, name: str, limit_bytes: int = _MAX_BYTES) -> str | None:
		try:
			with opened_folder(self.path, follow=False) as folder:
				return read_limited(name, limit_bytes, follow=False, dir_fd=folder).decode("utf-8")
		except FileNotFoundError:
			return None

	def _write(self, name: str, content: bytes, *, locked: bool) -> Message | None:
		try:
			with _Folder(self.path) as folder:
				replace_atomically(
					name,
					content,
					mode=folder.file_mode(),
					dir_fd=folder.descriptor,
					durable=locked,
					alone=locked,
				)
		except OSError as error:
			return self._unwritten(error)
		return None

	def _remove(self, name: str) -> Message | None:
		try:
			with _Folder(self.path) as folder:
				_remove(name, folder.descriptor)
		except OSError as error:
			return self._unwritten(error)
		return None

	def _unwritten(self, error: OSError) -> Message:
		return coded("state_not_writable", folder=sanitize(self.path), reason=error.strerror or error)

	def _set_aside(self) -> Message:
		try:
			with _Folder(self.path) as folder:
				os.rename(
					STATE_NAME, SET_ASIDE_NAME, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor
				)
		except OSError as error:
			return coded("not_set_aside", reason=error.strerror)
		return coded("set_aside", name=SET_ASIDE_NAME)


def state_as_stored(state: State) -> dict[str, Any]:
	"""Return the state as JSON has it, with what another version wrote into it."""
	stored = asdict(state, dict_factory=as_stored)
	unknown = json.loads(stored.pop("unknown") or "{}")
	# Those of another version come first, so that they are the first to go.
	events = [*map(json.loads, stored.pop("unknown_events")), *stored["events"]]
	return {**unknown, "version": VERSION, **stored, "events": events[-EVENTS_LENGTH:]}


def as_stored(fields: list[tuple[str, Any]]) -> dict[str, Any]:
	"""Return a record as JSON has it; beside an error stand its code and parameters."""
	stored = dict(fields)
	error = stored.get("error")
	if isinstance(error, Message) and error.code:
		stored |= {"error_code": error.code, "error_params": params_as_json(error)}
	return stored


class _Folder:
	"""The state folder, made if it is not there and open for the time of a `with` block."""

	def __init__(self, path: str) -> None:
		self._path = path
		# A symlink in place of the folder would let its owner choose what we overwrite.
		self._opened = opened_folder(path, follow=False)

	def __enter__(self) -> _Folder:
		with contextlib.suppress(FileExistsError):
			os.mkdir(self._path, 0o700)
		self.descriptor = self._opened.__enter__()
		return self

	def __exit__(self, *_: object) -> None:
		self._opened.__exit__(None, None, None)

	def create(self, name: str, flags: int) -> int:
		"""Open a file in it for writing, made with the mode that this folder asks for, and return its descriptor."""
		flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
		descriptor = os.open(name, flags, 0o600, dir_fd=self.descriptor)
		# A file that was there already may have any mode.
		if os.fstat(descriptor).st_uid == os.geteuid():
			os.fchmod(descriptor, self.file_mode())
		return descriptor

	def file_mode(self) -> int:
		"""Return the mode that files in it have."""
		mode = os.fstat(self.descriptor).st_mode
		# The hardened mode makes the folder 2770: the bench's workers read what another user's push wrote.
		return 0o660 if mode & stat.S_ISGID and mode & stat.S_IWGRP else 0o600


def _remove(name: str, folder: int) -> None:
	with contextlib.suppress(FileNotFoundError):
		os.unlink(name, dir_fd=folder)
