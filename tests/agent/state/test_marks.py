"""Marks in the state folder: names that no file stands behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prego_metrics.agent.state.begun_push import BegunPush
from prego_metrics.agent.state.model import State
from prego_metrics.agent.state.store import StateFolder


def test_receipts_are_removed_by_their_own_age_whatever_they_are(folder: StateFolder) -> None:
	for number in range(4):
		assert folder.create_receipt(f"a-{number}")
	path = Path(folder.path)
	for number in range(4):
		(path / f"sent-link-{number}").symlink_to("nowhere")
	(path / "sent-new").symlink_to("sent-a-0")
	(path / "other").touch()
	for name in os.listdir(path):
		if name != "sent-new":
			os.utime(path / name, (time.time() - 101,) * 2, follow_symlinks=False)
	folder.remove_old_receipts(110)
	assert len(folder.receipts()) == 9
	folder.remove_old_receipts(100)
	assert sorted(os.listdir(path)) == ["other", "sent-new"]
	assert folder.receipts() == ["new"]


def test_a_receipt_is_created_once(folder: StateFolder) -> None:
	assert folder.create_receipt("a") is True
	assert folder.create_receipt("a") is False
	folder.remove_receipt("a")
	assert folder.create_receipt("a") is True


def test_the_five_newest_pushes_that_began_are_the_ones_that_count(folder: StateFolder) -> None:
	assert folder.begun() == []
	pushes = [BegunPush(1e9 + number, "cron", f"{number:016x}") for number in (3, 1, 6, 2, 5, 4)]
	for push in pushes:
		assert folder.make_mark(push.file_name) is None
	assert [push.at - 1e9 for push in folder.begun()] == [2, 3, 4, 5, 6]
	for push in pushes:
		folder.remove(push.file_name)
	assert folder.names() == []


def test_a_mark_is_renamed_by_one_alone(folder: StateFolder) -> None:
	assert folder.make_mark("a") is None
	assert folder.rename("a", "b") is True
	assert folder.rename("a", "b") is False
	assert folder.names() == ["b"]


def test_what_cannot_be_written_is_said_with_the_systems_words(folder: StateFolder) -> None:
	Path(folder.path).write_text("a file in its place")
	unwritten = folder.make_mark("a"), folder.remove("a"), folder.write(State()), folder.unwritable()
	expected = {"folder": folder.path, "reason": "Not a directory"}
	assert [message.params for message in unwritten if message] == [expected] * 4
	assert folder.names() == [] and folder.rename("a", "b") is False
	assert [(warning.code, warning.params) for warning in folder.read()[1]] == [
		("state_unreadable", expected)
	]


def test_whether_a_state_can_be_written_is_tried_beside_others_that_do(folder: StateFolder) -> None:
	assert folder.write(State()) is None
	(Path(folder.path) / ".write-test.tmp").mkdir()
	assert folder.unwritable() is None
	assert sorted(folder.names()) == [".write-test.tmp", "state.json"]
