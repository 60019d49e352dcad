"""A bench that somebody else could have written is not believed: neither a found one nor a named one."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watched_control_plane import WatchedControlPlane

from prego_metrics.agent.base import kernel
from prego_metrics.agent.base.errors import BenchError
from prego_metrics.agent.bench import trust
from prego_metrics.agent.bench.locate import find_bench, open_bench
from prego_metrics.agent.bench.trust import require_trusted
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config

OWNER = 54321
STRANGER = 65534
MARKERS = ("apps.txt", "common_site_config.json")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def give(path: Path, uid: int, gid: int | None = None) -> None:
	for entry in (path, *path.rglob("*")):
		os.chown(entry, uid, uid if gid is None else gid, follow_symlinks=False)


def refused(name: str | None) -> list[Any]:
	"""Return what a refusal names: its part's code, the path and the mode; nothing without one."""
	try:
		find_bench(name)
	except BenchError as error:
		params = error.message.params
		assert error.code == "bench_untrusted", error
		return [params["problem"].code, params["path"], params["mode"]]
	return []


@pytest.fixture
def bench(shared_folder: Path, make_bench: Callable[..., Path]) -> Path:
	return make_bench(shared_folder / "bench", "a.example")


def found(folder: Path) -> Callable[[], list[Any]]:
	def look() -> list[Any]:
		os.chdir(folder)
		return refused(None)

	return look


# Named


@pytest.mark.parametrize("path", ["", "sites", *(f"sites/{marker}" for marker in MARKERS)])
def test_what_everybody_can_write_is_refused(bench: Path, path: str) -> None:
	mode = 0o777 if (bench / path).is_dir() else 0o666
	(bench / path).chmod(mode)
	assert refused(str(bench)) == ["trust_others", str(bench / path), f"{mode:04o}"]


def test_a_folder_far_above_that_everybody_can_write_is_refused(
	shared_folder: Path, make_bench: Callable[..., Path]
) -> None:
	bench = make_bench(shared_folder / "open" / "home" / "bench")
	(shared_folder / "open").chmod(0o777)
	assert refused(str(bench)) == ["trust_others", str(shared_folder / "open"), "0777"]
	(shared_folder / "open").chmod(0o1777)
	assert refused(str(bench)) == []


def test_a_sticky_bit_does_not_keep_a_file_out_of_sites(bench: Path) -> None:
	(bench / "sites").chmod(0o1777)
	assert refused(str(bench)) == ["trust_others", str(bench / "sites"), "1777"]


@as_root
@pytest.mark.parametrize("path", ["sites", *(f"sites/{marker}" for marker in MARKERS)])
def test_the_named_bench_of_another_user_is_accepted_and_one_of_two_users_is_not(
	bench: Path, path: str, as_user: Callable[..., Any]
) -> None:
	give(bench, OWNER)
	for uid in (0, OWNER, STRANGER):
		assert as_user(uid, lambda: refused(str(bench))) == []
	os.chown(bench / path, 60001, 60001)
	# Where sites/ is another's, its owner is the bench's, and the folder above is not.
	strange = bench if path == "sites" else bench / path
	assert refused(str(bench))[:2] == ["trust_owner", str(strange)]


@as_root
def test_files_of_roots_in_the_bench_of_another_user_are_accepted(bench: Path) -> None:
	give(bench, OWNER)
	for marker in MARKERS:
		os.chown(bench / "sites" / marker, 0, 0)
	assert refused(str(bench)) == []


@as_root
def test_the_folders_above_belong_to_the_owner_or_root(
	shared_folder: Path, make_bench: Callable[..., Path]
) -> None:
	bench = make_bench(shared_folder / "theirs" / "bench")
	give(bench, OWNER)
	os.chown(shared_folder / "theirs", STRANGER, STRANGER)
	assert refused(str(bench)) == ["trust_owner", str(shared_folder / "theirs"), "0755"]


# Links


@as_root
def test_a_linked_sites_folder_is_judged_where_it_lies(
	bench: Path, shared_folder: Path, make_bench: Callable[..., Path]
) -> None:
	volume = shared_folder / "volume"
	shutil.move(bench / "sites", volume)
	(bench / "sites").symlink_to("../volume")
	assert refused(str(bench)) == []
	volume.chmod(0o777)
	assert refused(str(bench)) == ["trust_others", str(volume), "0777"]
	volume.chmod(0o755)
	os.chown(volume / "common_site_config.json", STRANGER, STRANGER)
	assert refused(str(bench)) == ["trust_owner", str(volume / "common_site_config.json"), "0644"]


@as_root
def test_a_link_in_a_shared_folder_is_judged_by_its_own_owner(bench: Path, shared_folder: Path) -> None:
	shared = shared_folder / "tmp"
	shared.mkdir()
	shared.chmod(0o1777)
	(shared / "bench").symlink_to(bench)
	assert refused(str(shared / "bench")) == []
	os.chown(shared / "bench", STRANGER, STRANGER, follow_symlinks=False)
	assert refused(str(shared / "bench"))[:2] == ["trust_owner", str(shared / "bench")]


def test_a_linked_configuration_is_judged_where_it_lies(bench: Path, shared_folder: Path) -> None:
	elsewhere = shared_folder / "elsewhere"
	elsewhere.mkdir()
	config = bench / "sites" / "common_site_config.json"
	shutil.move(config, elsewhere / "config.json")
	config.symlink_to("../../elsewhere/config.json")
	assert refused(str(bench)) == []
	elsewhere.chmod(0o777)
	assert refused(str(bench)) == ["trust_others", str(elsewhere), "0777"]


def test_a_way_of_too_many_links_is_no_bench(bench: Path, shared_folder: Path) -> None:
	before = bench / "sites"
	for number in range(41):
		(shared_folder / f"link-{number}").symlink_to(before)
		before = shared_folder / f"link-{number}"
	require_trusted(str(shared_folder / "link-38"))
	require_trusted(str(shared_folder / "link-39"))
	with pytest.raises(BenchError) as raised:
		require_trusted(str(before))
	assert raised.value.code == "bench_unreadable"


def test_a_link_that_goes_up_is_followed(bench: Path, shared_folder: Path) -> None:
	(shared_folder / "a" / "b").mkdir(parents=True)
	(shared_folder / "a" / "b" / "sites").symlink_to("../.././bench//sites/")
	require_trusted(str(shared_folder / "a" / "b" / "sites"))
	(bench / "sites").chmod(0o777)
	with pytest.raises(BenchError) as raised:
		require_trusted(str(shared_folder / "a" / "b" / "sites"))
	assert raised.value.message.params["path"] == str(bench / "sites")


# Groups


@as_root
@pytest.mark.parametrize("umask_mode", [0o775, 0o2775])
@pytest.mark.parametrize("same_number", [True, False])
def test_the_own_group_of_the_owner_may_write(bench: Path, umask_mode: int, same_number: bool) -> None:
	user = next(
		user
		for user in pwd.getpwall()
		if user.pw_uid and grp.getgrgid(user.pw_gid).gr_name == user.pw_name
		if (user.pw_uid == user.pw_gid) is same_number
	)
	give(bench, user.pw_uid, user.pw_gid)
	for path in (bench, bench / "sites"):
		path.chmod(umask_mode)
	(bench / "sites" / "common_site_config.json").chmod(0o664)
	assert refused(str(bench)) == []


@as_root
@pytest.mark.parametrize("gid", [0, 43210])
def test_roots_group_and_one_without_a_name_may_write(bench: Path, gid: int) -> None:
	give(bench, OWNER, gid)
	(bench / "sites").chmod(0o2775)
	assert refused(str(bench)) == []


@as_root
@pytest.mark.parametrize("path", ["", "sites", *(f"sites/{marker}" for marker in MARKERS)])
@pytest.mark.parametrize("group", ["users", "nogroup"])
def test_another_group_may_not_write(bench: Path, path: str, group: str) -> None:
	os.chown(bench / path, 0, grp.getgrnam(group).gr_gid)
	(bench / path).chmod(0o775)
	assert refused(str(bench)) == ["trust_group", str(bench / path), "0775"]
	(bench / path).chmod(0o755)
	assert refused(str(bench)) == []


@as_root
@pytest.mark.parametrize(("uid", "gid", "is_own"), [(700, 600, False), (600, 700, False), (600, 600, True)])
def test_a_group_of_another_name_is_the_owners_own_where_the_numbers_are_the_same(
	bench: Path, monkeypatch: pytest.MonkeyPatch, uid: int, gid: int, is_own: bool
) -> None:
	user = pwd.struct_passwd(("frappe", "x", uid, gid, "", "/", "/bin/sh"))
	known = pwd.getpwuid
	monkeypatch.setattr(pwd, "getpwuid", lambda number: user if number == uid else known(number))
	monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group(("staff", "x", number, [])))
	give(bench, uid, gid)
	(bench / "sites").chmod(0o775)
	assert refused(str(bench)) == ([] if is_own else ["trust_group", str(bench / "sites"), "0775"])


@as_root
@pytest.mark.parametrize(
	("egid_is_its", "has_a_user", "hidden", "expected"),
	[
		(True, True, True, []),
		(False, True, True, ["trust_group"]),
		(True, False, True, ["trust_group"]),
		(True, True, False, ["trust_group"]),
	],
)
def test_the_group_of_a_service_may_write_where_the_owner_is_hidden(
	bench: Path,
	monkeypatch: pytest.MonkeyPatch,
	egid_is_its: bool,
	has_a_user: bool,
	hidden: bool,
	expected: list[str],
) -> None:
	"""As in a unit with PrivateUsers=: only root, its own user and its own group are mapped."""
	group = grp.getgrnam("www-data" if has_a_user else "users")
	give(bench, STRANGER, group.gr_gid)
	for path in (bench, bench / "sites"):
		path.chmod(0o775)
	monkeypatch.setattr(trust, "lacks_ids", lambda kind: hidden and kind == "uid")
	monkeypatch.setattr(kernel, "lacks_ids", lambda kind: hidden and kind == "uid")
	monkeypatch.setattr(os, "getegid", lambda: group.gr_gid if egid_is_its else 0)
	assert refused(str(bench))[:1] == expected


# Found above the working directory


@as_root
def test_a_found_bench_is_the_callers_or_roots(
	bench: Path, as_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
	assert as_user(OWNER, found(bench)) == []
	give(bench, OWNER)
	assert as_user(OWNER, found(bench / "sites" / "a.example")) == []
	for uid in (0, STRANGER):
		assert as_user(uid, found(bench)) == ["trust_found", str(bench), "0755"]
	monkeypatch.setenv("SUDO_UID", str(OWNER))
	assert as_user(0, found(bench)) == []
	assert as_user(STRANGER, found(bench)) == ["trust_found", str(bench), "0755"]


@as_root
@pytest.mark.parametrize("linked", [False, True])
def test_root_obeys_no_bench_that_is_planted_in_a_shared_folder(
	shared_folder: Path,
	make_bench: Callable[..., Path],
	settings: Callable[..., Path],
	control_plane: WatchedControlPlane,
	run_agent: Callable[..., Any],
	linked: bool,
) -> None:
	secret = shared_folder / "root-only"
	secret.write_text("root-only")
	secret.chmod(0o600)
	shared = shared_folder / "tmp"
	planted = make_bench(shared_folder / "planted", "a.example")
	settings(
		planted, node_id="node-1", control_plane_url=control_plane.url, api_key_file=str(secret), spread=0
	)
	if linked:
		shared.mkdir()
		(shared / "sites").symlink_to(planted / "sites")
		os.chown(shared / "sites", STRANGER, STRANGER, follow_symlinks=False)
	else:
		(planted / "sites").rename(shared)
		give(shared, STRANGER)
		os.chown(shared, 0, 0)
	shared.chmod(0o1777)
	(shared / "work").mkdir()
	result = run_agent("push", cwd=shared / "work", uid=0)
	assert result.returncode == 2
	assert result.stderr.startswith("Not sent: the bench is not trusted: ")
	assert control_plane.answers == []


# Everywhere else that a bench is used: Frappe names its own, and settings name others


def test_the_settings_of_a_bench_that_is_not_believed_are_not_read(bench: Path) -> None:
	(bench / "sites" / "common_site_config.json").chmod(0o666)
	config = load_config(open_bench(str(bench)), {})
	assert [problem.message.code for problem in config.problems if not problem.key] == ["bench_untrusted"]


def test_a_bench_that_everybody_can_write_is_not_counted(
	bench: Path, shared_folder: Path, make_bench: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	other = make_bench(shared_folder / "other", "b.example")
	settings(bench, benches=[str(bench), str(other)])
	config = load_config(open_bench(str(bench)), {})
	assert count_tenants(config).tenant_count == 2
	(other / "sites").chmod(0o777)
	with pytest.raises(BenchError) as raised:
		count_tenants(config)
	assert raised.value.code == "bench_untrusted"


def test_files_that_are_not_there_or_lead_nowhere_are_no_matter_of_trust(bench: Path) -> None:
	config = bench / "sites" / "common_site_config.json"
	config.unlink()
	require_trusted(str(bench / "sites"))
	for target in ("gone", "/dev/null", config.name):
		config.symlink_to(target)
		require_trusted(str(bench / "sites"))
		config.unlink()


def test_in_a_user_namespace_owners_that_are_not_mapped_are_no_obstacle(bench: Path) -> None:
	if (
		not shutil.which("unshare")
		or subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode
	):
		pytest.skip("no user namespaces here")
	command = ["unshare", "-U", sys.executable, "-m", "prego_metrics.cli", "tenants", "--json"]
	for options, folder in ((["--bench", str(bench)], Path("/")), ([], bench)):
		result = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
		assert (result.returncode, result.stderr) == (0, "")
	(bench / "sites").chmod(0o777)
	result = subprocess.run([*command, "--bench", str(bench)], capture_output=True, text=True)
	assert result.returncode == 2 and "bench_untrusted" in result.stdout + result.stderr


@as_root
def test_in_a_user_namespace_without_the_owner_the_namespace_is_the_matter(bench: Path) -> None:
	if not shutil.which("unshare") or subprocess.run(["unshare", "-Ur", "true"], check=False).returncode:
		pytest.skip("no user namespaces here")
	give(bench, OWNER)
	command = ["unshare", "-Ur", sys.executable, "-m", "prego_metrics.cli", "doctor", "--json"]
	for options, folder in (([], bench), (["--bench", str(bench)], Path("/"))):
		result = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
		(check,) = json.loads(result.stdout)["checks"]
		assert (check["name"], check["state"]) == ("bench", "fail")
		assert check["code"] == ("privileges" if options else "bench_untrusted")
		assert "user namespace" in check["seen"]
		assert not any(
			word in check["seen"] + check["action"] for word in ("--bench", "chown", "as that user")
		)


@as_root
def test_in_a_user_namespace_a_group_that_is_not_mapped_is_no_obstacle(bench: Path) -> None:
	if not shutil.which("unshare") or subprocess.run(["unshare", "-Ur", "true"], check=False).returncode:
		pytest.skip("no user namespaces here")
	os.chown(bench / "sites", 0, grp.getgrnam("users").gr_gid)
	(bench / "sites").chmod(0o775)
	command = [sys.executable, "-m", "prego_metrics.cli", "tenants", "--json", "--bench", str(bench)]
	result = [
		subprocess.run([*before, *command], capture_output=True, check=False).returncode
		for before in ([], ["unshare", "-Ur"])
	]
	assert result == [2, 0]


@as_root
def test_the_mode_of_a_read_only_mount_is_set_elsewhere(bench: Path) -> None:
	if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
		pytest.skip("no mount namespaces here")
	(bench / "sites").chmod(0o777)
	mounted = 'mount --bind $1 $1 && mount -o remount,bind,ro $1 && shift && exec "$@"'
	command = [sys.executable, "-m", "prego_metrics.cli", "tenants", "--bench", str(bench)]
	for before, remedy in (
		([], "chmod o-w"),
		(["unshare", "-m", "sh", "-c", mounted, "sh", bench], "read-only"),
	):
		result = subprocess.run([*before, *command], capture_output=True, text=True, check=False)
		assert result.returncode == 2 and "is writable by everybody" in result.stderr
		assert remedy in result.stderr and ("chmod" in result.stderr) == (not before)
