"""The server and its bench: is there a count to be believed, can it be locked, can the state be kept?"""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import ConfigurationError, LockUnsupported, NotSent
from prego_metrics.agent.base.formatting import percent_word, size_text
from prego_metrics.agent.base.messages import Message, coded, joined, message, message_of
from prego_metrics.agent.base.mounts import read_mounts
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.host import Memory
from prego_metrics.agent.collectors.instance import (
	ask_metadata,
	instance_on_disk,
	is_at_hetzner,
	other_instance,
)
from prego_metrics.agent.collectors.tenant_count import exclusion_notes, operator_site_note
from prego_metrics.agent.collectors.volumes import unwatched_volumes
from prego_metrics.agent.state.lock import PushLock
from prego_metrics.agent.state.lock_contention import stuck_push
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding
from prego_metrics.doctor.file_errors import advice

LOCK_WAIT_SECONDS = 5.0
LOW_BYTES = 64 << 20
LOW_INODES = 1000
# A push keeps a few kilobytes, in a handful of files.
_NEEDED_BYTES = 1 << 20
_NEEDED_INODES = 10
# Where a lock may be refused, or hold on one machine only, and where a folder may vanish.
_REMOTE_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.", "afs", "lustre")


def instance(node: Examination) -> Finding:
	"""This server is the one that the settings were made for."""
	recorded = node.config.instance_id
	instance_id = instance_on_disk()
	if node.online and is_at_hetzner():
		instance_id = ask_metadata("instance-id").get("instance-id") or instance_id
	if not recorded:
		if not node.config.node_id:
			return Finding(SKIP, message("node_id is not set, so nothing can be pushed as another node"))
		if instance_id is None:
			return Finding(SKIP, message("this server has no instance id to be known by"))
		return Finding(
			WARN,
			message(
				"instance_id is not set: a clone of this server would push as {node} too",
				node=sanitize(node.config.node_id),
			),
			message(
				"record it: `prego-metrics configure --instance-id {found}`", found=sanitize(instance_id, 80)
			),
		)
	if instance_id is None:
		return Finding(SKIP, message("instance_id is set, and nothing here says which server this is"))
	if instance_id != recorded:
		action = message("run the one of the two commands that fits this server")
		return Finding(FAIL, other_instance(node.config, instance_id), action)
	return Finding(
		PASS,
		message("this is {instance}, for which the settings were made", instance=sanitize(instance_id, 80)),
	)


def tenants(node: Examination) -> Finding:
	"""The bench can be counted."""
	census = node.census
	if isinstance(census, ConfigurationError):
		return Finding(SKIP, message("not counted: a setting is wrong, as the check `configuration` says"))
	if isinstance(census, NotSent):
		problem = message_of(census)
		return Finding(
			FAIL, problem, advice(problem, message("nothing is sent until the bench can be counted"))
		)
	count = message("{count} tenants of {sites} sites", count=census.tenant_count, sites=len(census.sites))
	if not census.sites:
		return Finding(
			WARN,
			message("0 tenants, since allow_empty is set and the bench holds no site"),
			message(
				"a 0 attracts tenants: if this node should have sites, look for a lost mount, and set allow_empty to false"
			),
		)
	if census.warnings:
		return Finding(WARN, joined([count, *census.warnings], "\n"), message("look at those sites"))
	if not census.tenant_count:
		return Finding(
			WARN,
			message("{count}: all are excluded", count=count),
			message("see `prego-metrics tenants` for the reasons"),
		)
	note = operator_site_note(node.config, census)
	notes = [*exclusion_notes(node.config, census), *([note] if note else [])]
	if notes:
		problems, actions = zip(*notes, strict=True)
		return Finding(WARN, joined([count, *problems], ". "), joined(actions, ". "))
	return Finding(PASS, count)


def host(node: Examination) -> Finding:
	"""CPU, memory and disk can be read."""
	from prego_metrics.agent.collectors.host import sample_host

	source = node.config.memory_source
	sample = sample_host(node.state.cpu, node.config.disk_paths, source)
	percentages = joined(
		[
			message(
				"cpu {cpu}, memory {memory}, disk {disk}",
				cpu=percent_word(sample.cpu_pct),
				memory=percent_word(sample.memory_pct),
				disk=percent_word(sample.disk_pct),
			),
			*_other_memory(sample.memory, source),
		],
		". ",
	)
	if sample.warnings:
		return Finding(
			WARN,
			joined([percentages, joined(sample.warnings)], ". "),
			message("the push goes out without it"),
		)
	unwatched = [] if isinstance(node.census, NotSent) else unwatched_volumes(node.config, node.census)
	if unwatched:
		paths = [*node.config.disk_paths, *unwatched]
		return Finding(
			WARN,
			message(
				"{percentages}. Not in disk_pct, though sites or MariaDB's data lie there: {paths}",
				percentages=percentages,
				paths=", ".join(map(sanitize, unwatched)),
			),
			message(
				"watch them: prego-metrics configure {options}",
				options=" ".join(f"--disk-paths {sanitize(path)}" for path in paths),
			),
		)
	return Finding(PASS, percentages)


def _other_memory(memory: Memory, source: str) -> list[Message]:
	"""Say which memory figure is sent, where there are two, and name the other."""
	if memory.limit is not None:
		limit = size_text(memory.limit)
		if source == "cgroup":
			return [
				message(
					"memory is of this process's cgroup, of its limit of {limit} (memory_source); the host's is {host}",
					limit=limit,
					host=percent_word(memory.host),
				)
			]
		return [
			message(
				"memory is the host's (memory_source); of this process's cgroup, of its limit of {limit}, it is {cgroup}",
				limit=limit,
				cgroup=percent_word(memory.cgroup),
			)
		]
	if source == "cgroup" and memory.cgroup is not None:
		return [message("memory is the host's: no memory cgroup of this process has a limit below it")]
	return []


def lock(node: Examination) -> Finding:
	"""Pushes can exclude one another."""
	with PushLock(node.bench.sites) as held:
		try:
			got = held.acquire(LOCK_WAIT_SECONDS)
		except LockUnsupported as error:
			return Finding(
				FAIL,
				message_of(error),
				message("no scheduled push is sent until sites/ can be locked"),
			)
		except OSError as error:
			failed = coded("lock_failed", folder=sanitize(node.bench.sites), reason=error.strerror)
			return Finding(FAIL, failed, advice(failed, message("make it readable")))
	if not got and (stuck := stuck_push(node.folder)):
		return Finding(
			FAIL,
			stuck.error or "",
			message("see what that process waits for (a file system that hangs?), and end it"),
		)
	if not got:
		return Finding(
			WARN,
			message("held for more than {seconds} s", seconds=f"{LOCK_WAIT_SECONDS:g}"),
			message("a push is running: look again"),
			"push_running",
		)
	return Finding(PASS, message("sites/ can be locked"))


def file_system(node: Examination) -> Finding:
	"""sites/ lies on a file system of this machine's own."""
	kind = file_system_kind(node.bench.sites)
	if kind is None:
		return Finding(SKIP, message("the kernel's list of mounts cannot be read"))
	if kind.startswith(_REMOTE_FILE_SYSTEMS):
		return Finding(
			WARN,
			message("sites/ lies on {kind}, a network or user-space file system", kind=sanitize(kind, 40)),
			message(
				"see that the check of the lock passes on each machine that mounts it, and that one machine alone "
				"pushes: a lock may hold on one machine only"
			),
		)
	return Finding(PASS, message("sites/ lies on {kind}", kind=sanitize(kind, 40)))


def file_system_kind(path: str) -> str | None:
	"""Return what kind of file system holds `path`, or None if that is not known."""
	try:
		device = os.stat(path).st_dev
		mounts = read_mounts()
	except (OSError, ValueError):
		return None
	wanted = f"{os.major(device)}:{os.minor(device)}"
	return next((mount.kind for mount in reversed(mounts) if mount.device == wanted), None)


def state(node: Examination) -> Finding:
	"""What happened can be read and written down."""
	problem = node.unwritable
	if problem:
		return Finding(
			FAIL,
			problem,
			advice(problem, message("see what stands in its place, and remove it")),
		)
	if node.state_warnings:
		return Finding(
			WARN,
			node.state_warnings[0],
			advice(node.state_warnings[0], message("nothing to do: a new state is begun")),
		)
	return Finding(PASS, message("{folder} is readable and writable", folder=sanitize(node.folder.path)))


def state_disk(node: Examination) -> Finding:
	"""The file system that keeps the state has room, and inodes, left for this user."""
	path = node.folder.path if os.path.isdir(node.folder.path) else node.bench.sites
	try:
		disk = os.statvfs(path)
	except OSError as error:
		problem = message("{folder}: {reason}", folder=sanitize(path), reason=error.strerror)
		return Finding(FAIL, problem, advice(problem, message("make it readable")))
	if disk.f_flag & os.ST_RDONLY:
		return Finding(SKIP, message("the state's file system is read-only, as the check `state` says"))
	free = disk.f_bavail * disk.f_frsize
	# Some file systems make inodes as they need them, and report none at all.
	inodes = disk.f_favail if disk.f_files else None
	room = message(
		"{megabytes} MB and {inodes} inodes are free where the state is kept",
		megabytes=free // 1_000_000,
		inodes=message("any number of") if inodes is None else inodes,
	)
	if free < _NEEDED_BYTES or (inodes is not None and inodes < _NEEDED_INODES):
		action = message("free the disk now: without the state each tick pushes, and MariaDB stops as well")
		return Finding(FAIL, room, action)
	if free < LOW_BYTES or (inodes is not None and inodes < LOW_INODES):
		return Finding(WARN, room, message("free the disk before it is full"))
	return Finding(PASS, room)
