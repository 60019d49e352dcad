"""Where the state is kept: `sites/.prego-metrics/`, 0700, its files 0600.

- state.json is written by the push that holds the lock, atomically: write, fsync, rename.
- history.jsonl gets a line for each push, so that a push costs the same whatever the history's length.
- tick-TRIGGER.json is each trigger's last sign of life. Most ticks are not due and hold no lock: in one
  file they would lose each other's marks, and under the lock they would make a due push believe that
  another one is running.
- count.json is the last tenant count, for runs that look whether it may have changed since. They hold no lock either.
- maintenance-….json are the last times in which alerts were held (see maintenance.py).
- Empty files say what there is to say by their names (see marks.py).

All of it is input too, since any app of the bench can write it: types, sizes and symlinks are checked.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping

from prego_metrics.agent.base.files import opened_folder, read_limited, replace_atomically
from prego_metrics.agent.base.messages import Message, coded, message_of, params_as_json
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import STATE_FOLDER_NAME
from prego_metrics.agent.collectors.cpu import CpuReading
from prego_metrics.agent.light_typing import Any
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.marks import MarkFolder
from prego_metrics.agent.state.model import EVENTS_LENGTH, TRIGGERS, VERSION, Count, Push, State, Tick
from prego_metrics.agent.state.parser import (
	Fields,
	parse_count,
	parse_object,
	parse_push,
	parse_state,
	parse_tick,
)

FOLDER_NAME = STATE_FOLDER_NAME
STATE_NAME = "state.json"
SET_ASIDE_NAME = "state.json.set-aside"
HISTORY_NAME = "history.jsonl"
COUNT_NAME = "count.json"
# Between half of it and all of it is kept: at one push a minute a day at least, also while the control plane
# refuses them in many words, and nearly three while they are delivered.
MAX_HISTORY_BYTES = 2_400_000
# Twenty events, each with a long error and its parameters in escapes of twelve bytes a character, fit into it.
_MAX_BYTES = 1 << 20
# More than are written between the death of a process and the next push that looks for its line.
_RECENT_PUSHES = 20
# As large as the state usually is: an empty file can be made on many a full disk.
_STATE_BYTES = 8192


class StateFolder(MarkFolder):
	"""`sites/.prego-metrics` of one bench. Nothing here raises for a folder that cannot be read or written.

	Reading returns what is there and warnings; writing returns what went wrong, or None: a push must go out
	when the disk is full.
	"""

	def __init__(self, sites: str) -> None:
		super().__init__(os.path.join(sites, FOLDER_NAME))

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
		return self._write(STATE_NAME, json.dumps(state_as_stored(state)).encode("ascii"), locked=True)

	def write_tick(self, tick: Tick) -> Message | None:
		tick = tick.after(self._tick(tick.trigger))
		return self.write_record(f"tick-{tick.trigger}.json", as_stored(tick))

	def read_count(self) -> Count | None:
		"""Return the last tenant count that was kept, None if there is none that can be read."""
		fields = self.read_record(COUNT_NAME)
		try:
			return None if fields is None else parse_count(fields)
		except ValueError:
			return None

	def write_count(self, count: Count) -> Message | None:
		return self.write_record(COUNT_NAME, count._asdict())

	def read_record(self, name: str) -> Fields | None:
		"""Return a record that stands in a file of its own, None if there is none that can be read."""
		try:
			content = self._read(name)
			return None if content is None else Fields(parse_object(content), name)
		except (OSError, ValueError):
			return None

	def write_record(self, name: str, record: Mapping[str, Any]) -> Message | None:
		"""Replace such a record; return what went wrong, or None."""
		return self._write(name, json.dumps(record).encode("ascii"), locked=False)

	def append_history(self, push: Push) -> Message | None:
		"""Add a push to the history; return what went wrong, or None. The caller holds the lock."""
		line = json.dumps(as_stored(push)).encode("ascii") + b"\n"
		try:
			with self.opened() as folder:
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
					newest = os.pread(file.fileno(), MAX_HISTORY_BYTES, size - MAX_HISTORY_BYTES // 2)
			return self._write(HISTORY_NAME, newest[newest.find(b"\n") + 1 :], locked=True)
		except OSError as error:
			return self.unwritten(error)

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

	def recent_push(self, id: str) -> Push | None:
		"""Return the push with that id if it is among the newest of the history."""
		newest = itertools.islice(self.history_newest_first(), _RECENT_PUSHES)
		return next((push for push in newest if push.id == id), None)

	def ticks(self) -> list[Tick]:
		"""Return the last tick of each trigger that ever ticked; one that cannot be read is left out."""
		return [tick for trigger in TRIGGERS if (tick := self._tick(trigger))]

	def _tick(self, trigger: str) -> Tick | None:
		fields = self.read_record(f"tick-{trigger}.json")
		try:
			return None if fields is None else parse_tick(fields, trigger)
		except ValueError:
			return None

	def unwritable(self) -> Message | None:
		"""Return why the folder cannot be written, or None; tries it with a file of its own, as large as the state."""
		return self._write("write-test", bytes(_STATE_BYTES), locked=False) or self.remove("write-test")

	def unwritable_by_owner(self) -> Message | None:
		"""Return why this process, the folder's owner, cannot write it; None if it can, is another user's or has none."""
		try:
			is_ours = os.stat(self.path).st_uid == os.geteuid()
		except OSError:
			return None
		return self.unwritable() if is_ours else None

	def _read(self, name: str, limit_bytes: int = _MAX_BYTES) -> str | None:
		try:
			with opened_folder(self.path, follow=False) as folder:
				return read_limited(name, limit_bytes, follow=False, dir_fd=folder).decode("utf-8")
		except FileNotFoundError:
			return None

	def _write(self, name: str, content: bytes, *, locked: bool) -> Message | None:
		try:
			with self.opened() as folder:
				replace_atomically(
					name,
					content,
					mode=folder.file_mode(),
					dir_fd=folder.descriptor,
					durable=locked,
					alone=locked,
				)
		except OSError as error:
			return self.unwritten(error)
		return None

	def _set_aside(self) -> Message:
		try:
			with self.opened() as folder:
				os.rename(
					STATE_NAME, SET_ASIDE_NAME, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor
				)
		except OSError as error:
			return coded("not_set_aside", reason=error.strerror)
		return coded("set_aside", name=SET_ASIDE_NAME)


def state_as_stored(state: State) -> dict[str, Any]:
	"""Return the state as JSON has it, with what another version wrote into it."""
	stored = as_stored(state)
	unknown = json.loads(stored.pop("unknown") or "{}")
	# Those of another version come first, so that they are the first to go.
	events = [
		*(json.loads(line) for line in stored.pop("unknown_events")),
		*(as_stored(event) for event in state.events),
	]
	return {**unknown, "version": VERSION, **stored, "events": events[-EVENTS_LENGTH:]}


def as_stored(record: State | Push | Tick | AlertEvent | CpuReading) -> dict[str, Any]:
	"""Return a record as JSON has it; beside an error stand its code and parameters."""
	stored = {
		name: as_stored(value) if isinstance(value, Push | CpuReading) else value
		for name, value in record._asdict().items()
	}
	error = stored.get("error")
	if isinstance(error, Message) and error.code:
		stored |= {"error_code": error.code, "error_params": params_as_json(error)}
	return stored
