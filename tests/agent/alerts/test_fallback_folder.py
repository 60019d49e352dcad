"""That pushes cannot be recorded is an alert, sent once per channel although the state folder can keep no receipt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import KEY, aim, folder_of, push_now, state_of

from prego_metrics.agent.alerts.fallback_folder import fallback_of
from prego_metrics.agent.alerts.receipts import take_unsent, was_alerted_unrecorded, withdraw_receipt
from prego_metrics.agent.base.alert_codes import FAILING, STATE_NOT_WRITABLE, STATE_WRITABLE
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.sandbox.server import LocalControlPlane

FULL = coded("state_not_writable", folder="/sites", reason="No space left on device")
LATE = coded("state_late", folder="/sites", seconds="5")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
	folder = tmp_path / "temporary"
	folder.mkdir()
	monkeypatch.setenv("TMPDIR", str(folder))
	return folder


@pytest.fixture
def closed(bench_folder: Path) -> Iterator[Path]:
	"""A bench whose state folder cannot be made."""
	place = bench_folder / "sites/.prego-metrics"
	place.write_text("in the way")
	yield bench_folder


def sent(bench: Path, not_written: Message | None = None, channel: str = "mail") -> list[AlertEvent]:
	config = load_config(open_bench(str(bench)), {})
	return take_unsent(folder_of(bench), channel, config, not_written=not_written)


def kinds(*arguments: object) -> list[str]:
	return [event.kind for event in sent(*arguments)]  # type: ignore[arg-type]


def reopen(bench: Path) -> None:
	(bench / "sites/.prego-metrics").unlink()


def test_each_channel_sends_it_once_and_once_that_it_is_over(closed: Path, temporary: Path) -> None:
	(event,) = sent(closed, FULL)
	assert (event.kind, event.error) == (STATE_NOT_WRITABLE, FULL)
	assert [kinds(closed, FULL), kinds(closed, FULL, "other"), kinds(closed, FULL, "other")] == [
		[],
		[STATE_NOT_WRITABLE],
		[],
	]
	(spare,) = temporary.iterdir()
	assert spare.stat().st_mode & 0o777 == 0o700 and len(list(spare.iterdir())) == 2
	assert was_alerted_unrecorded(folder_of(closed), "mail")
	reopen(closed)
	assert [kinds(closed), kinds(closed), kinds(closed, None, "other")] == [
		[STATE_WRITABLE],
		[],
		[STATE_WRITABLE],
	]
	assert list(temporary.iterdir()) == []
	assert not was_alerted_unrecorded(folder_of(closed), "mail")


def test_the_next_outage_is_told_again(bench_folder: Path, control_plane: LocalControlPlane) -> None:
	push_now(aim(bench_folder, control_plane.url))
	ends = [kinds(bench_folder, why) for why in (FULL, None, FULL, FULL, None)]
	assert ends == [[STATE_NOT_WRITABLE], [STATE_WRITABLE], [STATE_NOT_WRITABLE], [], [STATE_WRITABLE]]


def test_a_full_disk_that_still_takes_names_keeps_the_receipt_where_it_belongs(
	bench_folder: Path, control_plane: LocalControlPlane, temporary: Path
) -> None:
	push_now(aim(bench_folder, control_plane.url))
	(event,) = sent(bench_folder, FULL)
	last = state_of(bench_folder).last
	assert last and event.id == last.id
	assert list(temporary.iterdir()) == []


def test_whether_pushes_have_stopped_is_not_told_meanwhile(
	bench_folder: Path, control_plane: LocalControlPlane
) -> None:
	push_now(aim(bench_folder, control_plane.url))
	config = load_config(open_bench(str(bench_folder)), {})

	def later(not_written: Message | None) -> list[str]:
		now = time.time() + 1000
		events = take_unsent(
			folder_of(bench_folder), "mail", config, not_written=not_written, clock=lambda: now
		)
		return [event.kind for event in events]

	assert [later(FULL), later(None)] == [[STATE_NOT_WRITABLE], ["stale", STATE_WRITABLE]]


def test_what_was_sent_meanwhile_is_not_sent_again(bench_folder: Path, temporary: Path) -> None:
	push_now(aim(bench_folder, "http://127.0.0.1:1", alert_after=1))
	place = bench_folder / "sites/.prego-metrics"
	folder = folder_of(bench_folder)
	fallback_of(folder).create_receipt(f"mail-{FAILING}-{state_of(bench_folder).last.id}")
	assert kinds(bench_folder, FULL) == [STATE_NOT_WRITABLE]
	assert kinds(bench_folder) == [STATE_WRITABLE]
	assert kinds(bench_folder) == [] and list(temporary.iterdir()) == []
	assert any(FAILING in name for name in os.listdir(place))


def test_a_failed_channel_is_asked_again(closed: Path) -> None:
	(event,) = sent(closed, FULL)
	withdraw_receipt(folder_of(closed), "mail", event)
	assert kinds(closed, FULL) == [STATE_NOT_WRITABLE]


def test_a_folder_that_hangs_is_not_looked_at(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
	reopen(closed)
	config = load_config(open_bench(str(closed)), {})
	folder = folder_of(closed)

	def hang(*_: object, **__: object) -> None:
		raise AssertionError("it would hang")

	for name in ("_read", "names", "opened"):
		monkeypatch.setattr(folder, name, hang)
	ends = [take_unsent(folder, "mail", config, not_written=LATE) for _ in range(2)]
	assert [[event.kind for event in events] for events in ends] == [[STATE_NOT_WRITABLE], []]


@pytest.mark.parametrize("way", ["everybody's", "a link", "a file", "gone"])
def test_a_spare_folder_that_is_not_ours_alone_is_not_used(
	way: str, closed: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	place = Path(fallback_of(folder_of(closed)).path)
	assert place.parent == temporary
	if way == "everybody's":
		place.mkdir()
		place.chmod(0o777)
	elif way == "a link":
		(temporary / "theirs").mkdir(mode=0o700)
		place.symlink_to(temporary / "theirs")
	elif way == "a file":
		place.write_text("")
	else:
		monkeypatch.setenv("TMPDIR", "/gone")
	assert kinds(closed, FULL) == []
	assert not was_alerted_unrecorded(folder_of(closed), "mail")
	assert [path.name for path in temporary.rglob("sent-*")] == []


def test_a_spare_folder_of_another_user_is_not_read(closed: Path, temporary: Path) -> None:
	if os.geteuid() != 0:
		pytest.skip("only root can give a folder away")
	place = Path(fallback_of(folder_of(closed)).path)
	place.mkdir(mode=0o700)
	(place / f"sent-mail-{STATE_NOT_WRITABLE}-0123456789abcdef").touch()
	assert fallback_of(folder_of(closed)).receipts() != []
	os.chown(place, 65534, 65534)
	assert fallback_of(folder_of(closed)).receipts() == []


def test_the_spare_holds_no_state_and_no_part_of_the_key(
	closed: Path, control_plane: LocalControlPlane, temporary: Path
) -> None:
	result = push_now(aim(closed, control_plane.url))
	assert (result.outcome, result.exit_code) == ("delivered", 1)
	kinds(closed, FULL)
	files = [path for path in temporary.rglob("*") if path.is_file()]
	assert files and all(path.stat().st_size == 0 and KEY not in path.name for path in files)
	assert isinstance(fallback_of(folder_of(closed)), StateFolder)
	assert fallback_of(fallback_of(folder_of(closed))).path == fallback_of(folder_of(closed)).path
