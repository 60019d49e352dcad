"""The bench and the host: is there a count to be believed, can it be locked, can the state be kept?"""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import LockUnsupported, NotSent
from prego_metrics.agent.base.formatting import percent_word
from prego_metrics.agent.base.messages import first_line, joined, message, message_of
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.bench.locate import open_benches
from prego_metrics.agent.collectors.tenant_count import operator_site_note
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination

LOCK_WAIT_SECONDS = 5.0
MOUNTS_FILE = "/proc/self/mountinfo"
LOW_BYTES = 64 << 20
LOW_INODES = 1000
# A push keeps a few kilobytes, in a handful of files.
_NEEDED_BYTES = 1 << 20
_NEEDED_INODES = 10
_NAMES_SHOWN = 5
# Where a lock may be refused, or hold on one machine only, and where a folder may vanish.
_REMOTE_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.", "afs", "lustre")


def tenants(seen: Examination) -> Check:
	"""The bench can be counted."""
	census = seen.census
	if isinstance(census, NotSent):
		return Check(
			"tenants", FAIL, message_of(census), message("nothing is sent until the bench can be counted")
		)
	text = message("{count} tenants of {sites} sites", count=census.tenant_count, sites=len(census.sites))
	if census.warnings:
		return Check("tenants", WARN, joined([text, *census.warnings], "\n"), message("look at those sites"))
	if census.sites and not census.tenant_count:
		return Check(
			"tenants",
			WARN,
			message("{count}: all are excluded", count=text),
			message("see `prego-metrics tenants` for the reasons"),
		)
	note = operator_site_note(seen.config, census)
	if note:
		return Check("tenants", WARN, joined([text, note[0]], ". "), note[1])
	return Check("tenants", PASS, text)


def plausible(seen: Examination) -> Check:
	"""The count agrees with what Frappe itself would list, and is not 0 on a bench in use."""
	census = seen.census
	if isinstance(census, NotSent):
		return Check("plausible", SKIP, message("there is no count"))
	if not census.sites:
		return Check(
			"plausible",
			WARN,
			message("0 tenants, since allow_empty is set and the bench holds no site"),
			message(
				"a 0 attracts tenants: if this node should have sites, look for a lost mount, and set allow_empty to false"
			),
		)
	ours = {(site.bench, site.name) for site in census.sites}
	try:
		frappes = _as_frappe_lists(seen)
	except (OSError, NotSent) as error:
		return Check(
			"plausible", WARN, first_line(message_of(error), 200), message("make the folder readable")
		)
	differing = [name for _, name in sorted(ours ^ frappes)]
	if differing:
		return Check(
			"plausible",
			WARN,
			message(
				"{ours} sites here, {frappes} by Frappe's own rule; they differ in {names}",
				ours=len(ours),
				frappes=len(frappes),
				names=", ".join(differing[:_NAMES_SHOWN]) + (" …" if len(differing) > _NAMES_SHOWN else ""),
			),
			message("look at them: `prego-metrics tenants` says why each is counted or not"),
		)
	last = seen.state.last_delivered
	if not census.tenant_count and last and last.payload and last.payload["tenant_count"]:
		return Check(
			"plausible",
			WARN,
			message(
				"0 tenants now, and {count} in the last delivered push", count=last.payload["tenant_count"]
			),
			message("a 0 attracts tenants: see `prego-metrics tenants` for what leaves them out"),
		)
	return Check("plausible", PASS, message("{sites} sites, as Frappe lists them", sites=len(ours)))


def _as_frappe_lists(seen: Examination) -> set[tuple[str, str]]:
	"""Return bench and name of each site by the rule of frappe.utils.get_sites: a folder, no link, with a file."""
	found = set()
	for bench in open_benches(seen.config.benches):
		for name in os.listdir(bench.sites):
			path = os.path.join(bench.sites, name)
			if os.path.isdir(path) and not os.path.islink(path):
				if os.path.isfile(os.path.join(path, "site_config.json")):
					found.add((sanitize(bench.root), sanitize(name)))
	return found


def host(seen: Examination) -> Check:
	"""CPU, memory and disk can be read."""
	from prego_metrics.agent.collectors.host import sample_host

	sample = sample_host(seen.state.cpu, seen.config.disk_paths)
	text = message(
		"cpu {cpu}, memory {memory}, disk {disk}",
		cpu=percent_word(sample.cpu_pct),
		memory=percent_word(sample.memory_pct),
		disk=percent_word(sample.disk_pct),
	)
	if sample.warnings:
		return Check(
			"host",
			WARN,
			joined([text, joined(sample.warnings)], ". "),
			message("the push goes out without it"),
		)
	return Check("host", PASS, text)


def lock(seen: Examination) -> Check:
	"""Pushes can exclude one another."""
	with PushLock(seen.bench.sites) as held:
		try:
			got = held.acquire(LOCK_WAIT_SECONDS)
		except LockUnsupported as error:
			return Check(
				"lock",
				FAIL,
				message_of(error),
				message("no scheduled push is sent until sites/ can be locked"),
			)
		except OSError as error:
			found = f"{sanitize(seen.bench.sites)}: {error.strerror}"
			return Check("lock", FAIL, found, message("make it readable"))
	if not got:
		return Check(
			"lock",
			WARN,
			message("held for more than {seconds} s", seconds=f"{LOCK_WAIT_SECONDS:g}"),
			message("a push is running: look again"),
		)
	return Check("lock", PASS, message("sites/ can be locked"))


def file_system(seen: Examination) -> Check:
	"""sites/ lies on a file system of this machine's own."""
	kind = file_system_kind(seen.bench.sites)
	if kind is None:
		return Check("file_system", SKIP, message("the kernel's list of mounts cannot be read"))
	if kind.startswith(_REMOTE_FILE_SYSTEMS):
		return Check(
			"file_system",
			WARN,
			message("sites/ lies on {kind}, a network or user-space file system", kind=sanitize(kind, 40)),
			message(
				"see that the check of the lock passes on each machine that mounts it, and that one machine alone "
				"pushes: a lock may hold on one machine only"
			),
		)
	return Check("file_system", PASS, message("sites/ lies on {kind}", kind=sanitize(kind, 40)))


def file_system_kind(path: str) -> str | None:
	"""Return what kind of file system holds `path` (proc(5), mountinfo), or None if that is not known."""
	try:
		device = os.stat(path).st_dev
		with open(MOUNTS_FILE, encoding="utf-8", errors="surrogateescape") as file:
			lines = file.read(1 << 20).splitlines()
	except OSError:
		return None
	wanted = f"{os.major(device)}:{os.minor(device)}"
	for line in reversed(lines):
		fields, _, kind = line.partition(" - ")
		if fields.split(" ")[2:3] == [wanted] and kind:
			return kind.split(" ")[0]
	return None


def state(seen: Examination) -> Check:
	"""What happened can be read and written down."""
	trouble = seen.folder.unwritable()
	if trouble:
		return Check(
			"state",
			FAIL,
			trouble,
			message("free the disk, or give the folder to the user that runs the push"),
		)
	if seen.state_warnings:
		return Check(
			"state",
			WARN,
			joined(seen.state_warnings, " "),
			message("nothing to do: a new state is begun"),
		)
	return Check(
		"state", PASS, message("{folder} is readable and writable", folder=sanitize(seen.folder.path))
	)


def state_disk(seen: Examination) -> Check:
	"""The file system that keeps the state has room, and inodes, left for this user."""
	try:
		found = os.statvfs(seen.bench.sites)
	except OSError as error:
		return Check(
			"state_disk",
			FAIL,
			f"{sanitize(seen.bench.sites)}: {error.strerror}",
			message("make it readable"),
		)
	free = found.f_bavail * found.f_frsize
	# Some file systems make inodes as they need them, and report none at all.
	inodes = found.f_favail if found.f_files else None
	text = message(
		"{megabytes} MB and {inodes} inodes are free where the state is kept",
		megabytes=free // 1_000_000,
		inodes=message("any number of") if inodes is None else inodes,
	)
	if free < _NEEDED_BYTES or (inodes is not None and inodes < _NEEDED_INODES):
		action = message("free the disk now: without the state each tick pushes, and MariaDB stops as well")
		return Check("state_disk", FAIL, text, action)
	if free < LOW_BYTES or (inodes is not None and inodes < LOW_INODES):
		return Check("state_disk", WARN, text, message("free the disk before it is full"))
	return Check("state_disk", PASS, text)
