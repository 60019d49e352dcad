"""A file that holds a secret is read only if nobody else can read it, and no site can serve it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from codes import codes_in

from prego_metrics.agent.base.messages import Message
from prego_metrics.agent.config.secret_files import read_secret_file

USER = 65534
SECRET = "s3cret-0123456789"


def refusal(path: Path, **options: Any) -> Message:
	with pytest.raises(ValueError) as raised:
		read_secret_file(str(path), **options)
	assert type(raised.value) is ValueError
	assert SECRET not in str(raised.value)
	sentence = raised.value.args[0]
	assert isinstance(sentence, Message)
	return sentence


def problem(path: Path, **options: Any) -> str:
	"""The code of what is wrong with the file."""
	return codes_in(refusal(path, **options))[-1]


def place_of(path: Path) -> object:
	"""The sites folder under which a refused file lies."""
	inner = refusal(path).params["problem"]
	assert isinstance(inner, Message) and inner.code == "secret_in_sites"
	return inner.params["folder"]


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
	path = tmp_path / "key"
	path.write_text(SECRET + "\n")
	path.chmod(0o600)
	return path


# What it holds


@pytest.mark.parametrize(
	("content", "secret"),
	[
		(b"key", "key"),
		(b"key\n", "key"),
		(b"key\n\n", "key\n"),
		(b"key\r\n", "key\r"),
		(b"\n", ""),
		(b"", ""),
		(b" key ", " key "),
		(b"k\xc3\xa9y", "k\xc3\xa9y"),
		(b"\xff\x00", "\xff\x00"),
		(b"x" * 4096, "x" * 4096),
	],
)
def test_a_secret_is_what_the_file_holds_without_one_final_newline(
	secret_file: Path, content: bytes, secret: str
) -> None:
	secret_file.write_bytes(content)
	assert read_secret_file(str(secret_file)) == secret


def test_a_file_that_is_too_large_for_a_key_is_refused(secret_file: Path) -> None:
	secret_file.write_bytes(b"x" * 4097)
	assert problem(secret_file) == "file_too_large"


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, checked: bool) -> None:
	path = tmp_path / "key"
	if kind == "folder":
		path.mkdir()
	elif kind == "pipe":
		os.mkfifo(path)
	else:
		path.symlink_to("/dev/zero")
	assert problem(path, checked=checked) == "file_irregular"


def test_what_is_not_there_is_named_with_who_looked_for_it(tmp_path: Path) -> None:
	(tmp_path / "loop").symlink_to("loop")
	for name, error in (("key", errno.ENOENT), ("loop", errno.ELOOP), ("x" * 300, errno.ENAMETOOLONG)):
		sentence = refusal(tmp_path / name)
		assert codes_in(sentence) == ["file_problem", "file_unreadable_by"]
		assert os.strerror(error) in sentence


def test_a_hostile_name_is_shown_escaped(tmp_path: Path) -> None:
	assert refusal(tmp_path / "key\x1b[2J\udcff").isprintable()


def test_refusals_leave_no_descriptor_open(tmp_path: Path, secret_file: Path) -> None:
	secret_file.chmod(0o644)
	before = len(os.listdir("/proc/self/fd"))
	for _ in range(3):
		refusal(secret_file)
		refusal(tmp_path)
	assert len(os.listdir("/proc/self/fd")) == before


# Who may read it


@pytest.mark.parametrize("mode", range(0o10))
def test_only_0600_and_0400_are_modes_of_a_users_own_file(secret_file: Path, mode: int) -> None:
	modes = [mode << 6, mode << 6 | 0o040, mode << 6 | 0o004, mode << 6 | 0o020, mode << 6 | 0o4000]
	if os.geteuid() == 0:
		os.chown(secret_file, 0, 12345)
	for candidate in modes:
		secret_file.chmod(candidate)
		if candidate in (0o600, 0o400):
			assert read_secret_file(str(secret_file)) == SECRET
		elif os.geteuid() == 0:
			sentence = refusal(secret_file)
			assert sentence.code == "secret_exposed"
			assert (sentence.params["mode"], sentence.params["owner"]) == (f"{candidate:04o}", 0)


def test_a_refused_mode_says_how_to_fix_it(secret_file: Path) -> None:
	secret_file.chmod(0o644)
	assert refusal(secret_file).endswith(f"Run: chmod 600 {secret_file}")


@pytest.mark.parametrize(
	("owner", "group", "mode", "allowed"),
	[
		(USER, USER, 0o600, True),
		(USER, USER, 0o400, True),
		(USER, 0, 0o600, True),
		(USER, USER, 0o640, False),
		(USER, USER, 0o660, False),
		(USER, USER, 0o604, False),
		(USER, USER, 0o644, False),
		(USER, USER, 0o700, False),
		(USER, USER, 0o500, False),
		(USER, USER, 0o4600, False),
		(0, USER, 0o640, True),
		(0, USER, 0o440, True),
		(0, 4321, 0o640, True),
		(0, USER, 0o660, False),
		(0, USER, 0o644, False),
		(0, USER, 0o444, False),
		(0, USER, 0o040, False),
		(0, 0, 0o644, False),
		(0, 5555, 0o644, False),
		(1000, USER, 0o640, False),
		(1000, USER, 0o644, False),
		(1000, 1000, 0o604, False),
		(1000, 1000, 0o666, False),
	],
)
def test_a_file_is_of_the_pushing_user_alone_or_of_root_for_a_group_of_that_user(
	shared_folder: Path, as_user: Callable[..., Any], owner: int, group: int, mode: int, allowed: bool
) -> None:
	path = shared_folder / "key"
	path.write_text(SECRET)
	os.chown(path, owner, group)
	path.chmod(mode)

	def read() -> str:
		try:
			return read_secret_file(str(path))
		except ValueError as error:
			sentence: Message = error.args[0]
			return " ".join(
				[sentence.code, *(str(sentence.params[name]) for name in ("mode", "owner", "user", "uid"))]
			)

	expected = as_user(USER, read, groups=[4321])
	if allowed:
		assert expected == SECRET
	else:
		assert expected == f"secret_exposed {mode:04o} {owner} nobody 65534"


@pytest.mark.parametrize(("owner", "group", "mode"), [(0, 0, 0o600), (0, 0, 0o640), (1000, 1000, 0o600)])
def test_what_the_user_may_not_read_is_refused_with_the_kernels_words(
	shared_folder: Path, as_user: Callable[..., Any], owner: int, group: int, mode: int
) -> None:
	path = shared_folder / "key"
	path.write_text(SECRET)
	os.chown(path, owner, group)
	path.chmod(mode)
	assert as_user(USER, lambda: problem(path)) == "file_unreadable_by"


def test_root_takes_no_file_of_another_user(shared_folder: Path, as_user: Callable[..., Any]) -> None:
	path = shared_folder / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	os.chown(path, USER, USER)
	assert refusal(path).params["owner"] == USER
	assert refusal(path).endswith(f"Run as root: chown 0 {path} && chmod 600 {path}")


def test_a_user_without_a_name_is_called_by_number(shared_folder: Path, as_user: Callable[..., Any]) -> None:
	path = shared_folder / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	assert "cannot be read by uid 54321" in as_user(54321, lambda: str(refusal(path)))


# Where it lies


@pytest.mark.parametrize(
	"place", ["key", "acme.example/key", "acme.example/private/files/key", ".hidden/key"]
)
def test_a_file_under_sites_is_refused(bench_folder: Path, place: str) -> None:
	path = bench_folder / "sites" / place
	path.parent.mkdir(parents=True, exist_ok=True)
	path.write_text(SECRET)
	path.chmod(0o600)
	assert problem(path) == problem(bench_folder / "sites" / ".." / "sites" / place) == "secret_in_sites"


def test_a_file_of_the_bench_beside_sites_may_be_read(bench_folder: Path) -> None:
	path = bench_folder / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	assert read_secret_file(str(path)) == SECRET


def test_links_do_not_hide_that_a_file_lies_under_sites(tmp_path: Path, bench_folder: Path) -> None:
	path = bench_folder / "sites" / "acme.example" / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	(tmp_path / "to-the-file").symlink_to(path)
	(tmp_path / "to-the-folder").symlink_to(path.parent)
	(tmp_path / "volume").symlink_to(bench_folder / "sites")
	for name in ("to-the-file", "to-the-folder/key", "volume/acme.example/key"):
		assert place_of(tmp_path / name) == f"{bench_folder}/sites"


def test_a_sites_folder_that_is_a_link_is_one_too(tmp_path: Path, bench_folder: Path) -> None:
	(bench_folder / "sites").rename(tmp_path / "volume")
	(bench_folder / "sites").symlink_to(tmp_path / "volume")
	path = tmp_path / "volume" / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	assert place_of(bench_folder / "sites" / "key") == f"{tmp_path}/volume"
	assert place_of(path) == f"{tmp_path}/volume"


def test_a_site_called_sites_does_not_hide_the_folder_that_it_lies_in(bench_folder: Path) -> None:
	decoy = bench_folder / "sites" / "sites"
	decoy.mkdir()
	(decoy / "apps.txt").write_text("")
	path = bench_folder / "sites" / "key"
	path.write_text(SECRET)
	path.chmod(0o600)
	assert place_of(path) == f"{bench_folder}/sites"


def test_a_link_under_sites_to_a_file_outside_is_judged_by_where_the_file_lies(
	tmp_path: Path, bench_folder: Path, secret_file: Path
) -> None:
	(bench_folder / "sites" / "key").symlink_to(secret_file)
	assert read_secret_file(str(bench_folder / "sites" / "key")) == SECRET


# Who vouches for it


@pytest.fixture
def run_secrets() -> Iterator[Path]:
	"""The container engine's own folder, made for the test where there is none."""
	if os.geteuid() != 0:
		pytest.skip("only root can make /run/secrets")
	folder = Path("/run/secrets")
	# Another run of these tests on this machine would take the folder away.
	with open("/run/prego-metrics-tests.lock", "w") as lock:
		fcntl.flock(lock, fcntl.LOCK_EX)
		made = not folder.exists()
		folder.mkdir(exist_ok=True)
		try:
			yield folder
		finally:
			if made:
				folder.rmdir()


@pytest.mark.xdist_group("run_secrets")
def test_under_run_secrets_the_container_engine_decides(
	run_secrets: Path, as_user: Callable[..., Any]
) -> None:
	path = run_secrets / f"prego-metrics-test-{os.getpid()}"
	try:
		path.write_text(SECRET)
		path.chmod(0o444)
		assert read_secret_file(str(path)) == SECRET
		assert as_user(USER, lambda: read_secret_file(str(path))) == SECRET
	finally:
		path.unlink()


@pytest.mark.xdist_group("run_secrets")
def test_a_detour_through_run_secrets_is_none(run_secrets: Path, secret_file: Path) -> None:
	secret_file.chmod(0o644)
	for detour in (f"{run_secrets}/../..{secret_file}", f"/run/../run/secrets/../..{secret_file}"):
		assert refusal(Path(detour)).code == "secret_exposed"


def test_unchecked_owner_mode_and_place_are_the_service_managers_affair(bench_folder: Path) -> None:
	path = bench_folder / "sites" / "key"
	path.write_text(SECRET)
	path.chmod(0o666)
	assert read_secret_file(str(path), checked=False) == SECRET
