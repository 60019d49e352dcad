"""The server and its bench: can the tenants be counted, sites/ be locked and the state be kept?"""

from __future__ import annotations

import os

from prego_metrics.agent.base.errors import ConfigurationError, LockUnsupported, NotSent
from prego_metrics.agent.base.formatting import percent_word, sites_word, size_text, tenants_word
from prego_metrics.agent.base.messages import Message, coded, joined, message, message_of
from prego_metrics.agent.base.mounts import read_mounts
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.host import Memory, sample_host
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
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Examination, Finding, found
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
	if not recorded and not node.config.node_id:
		return found(SKIP, "node_id is not set, so this server can't push as another node")
	if instance_id is None:
		return found(SKIP, "no cloud instance ID found, so a clone of this server can't be detected")
	if not recorded:
		return found(
			WARN,
			"instance_id is not set, so a clone of this server would also push as {node}",
			"record it: `prego-metrics configure --instance-id {found}`",
			node=sanitize(node.config.node_id),
			found=sanitize(instance_id, 80),
		)
	if instance_id != recorded:
		return found(FAIL, other_instance(node.config, instance_id), "run the command that fits this server")
	return found(PASS, "the settings belong to this server, {instance}", instance=sanitize(instance_id, 80))


def tenants(node: Examination) -> Finding:
	"""The bench can be counted."""
	census = node.census
	if isinstance(census, ConfigurationError):
		return found(SKIP, "not counted, because a setting is wrong: see the check `configuration`")
	if isinstance(census, NotSent):
		problem = message_of(census)
		return Finding(
			FAIL, problem, advice(problem, message("fix it: nothing is pushed without a tenant count"))
		)
	count = message(
		"{tenants} of {sites}", tenants=tenants_word(census.tenant_count), sites=sites_word(len(census.sites))
	)
	if not census.sites:
		return found(
			WARN,
			"0 tenants: the bench has no site, and allow_empty accepts that",
			"if this node should have sites, look for a lost mount and set allow_empty to false; the control plane "
			"places tenants on an empty node",
		)
	if census.warnings:
		return found(WARN, joined([count, *census.warnings], "\n"), "check these sites")
	if not census.tenant_count:
		return found(
			WARN,
			"{count}: all are excluded",
			"see why each is excluded: `prego-metrics tenants`",
			count=count,
		)
	note = operator_site_note(node.config, census)
	notes = [*exclusion_notes(node.config, census), *([note] if note else [])]
	if notes:
		problems, actions = zip(*notes, strict=True)
		return Finding(WARN, joined([count, *problems], "; "), joined(actions, "; "))
	return Finding(PASS, count)


def host(node: Examination) -> Finding:
	"""CPU, memory and disk can be read."""
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
		"; ",
	)
	if sample.warnings:
		measured = joined([percentages, joined(sample.warnings)], "; ")
		return found(WARN, measured, "fix this to send the value; pushes continue without it")
	unwatched = [] if isinstance(node.census, NotSent) else unwatched_volumes(node.config, node.census)
	if unwatched:
		paths = [*node.config.disk_paths, *unwatched]
		return found(
			WARN,
			"{percentages}. Sites or MariaDB's data are on {paths}, which disk_pct does not include",
			"include them: `prego-metrics configure {options}`",
			percentages=percentages,
			paths=", ".join(sanitize(path) for path in unwatched),
			options=" ".join(f"--disk-paths {sanitize(path)}" for path in paths),
		)
	return Finding(PASS, percentages)


def _other_memory(memory: Memory, source: str) -> list[Message]:
	"""Say which memory value is sent, where there are two, and name the other."""
	if memory.limit is not None:
		limit = size_text(memory.limit)
		if source == "cgroup":
			return [
				message(
					"memory is measured against this process's cgroup limit of {limit} (memory_source). The host's "
					"memory: {host}",
					limit=limit,
					host=percent_word(memory.host),
				)
			]
		return [
			message(
				"memory is the host's (memory_source). Against this process's cgroup limit of {limit} it is {cgroup}",
				limit=limit,
				cgroup=percent_word(memory.cgroup),
			)
		]
	if source == "cgroup" and memory.cgroup is not None:
		return [message("memory is the host's, because this process's cgroup has no lower limit")]
	return []


def lock(node: Examination) -> Finding:
	"""Pushes can exclude one another."""
	with PushLock(node.bench.sites) as held:
		try:
			got = held.acquire(LOCK_WAIT_SECONDS)
		except LockUnsupported as error:
			return found(FAIL, message_of(error), "fix this: without the lock scheduled pushes don't run")
		except OSError as error:
			failed = coded("lock_failed", folder=sanitize(node.bench.sites), reason=error.strerror)
			return Finding(FAIL, failed, advice(failed, message("make it readable")))
	if not got and (stuck := stuck_push(node.folder)):
		return found(
			FAIL,
			stuck.error or "",
			"find out what that process waits for (a hanging file system?) and end it",
		)
	if not got:
		return found(
			WARN,
			"a push has held the lock for more than {seconds} s",
			"run the doctor again when that push is over",
			"push_running",
			seconds=f"{LOCK_WAIT_SECONDS:g}",
		)
	return found(PASS, "sites/ can be locked")


def file_system(node: Examination) -> Finding:
	"""sites/ lies on a file system of this machine's own."""
	kind = file_system_kind(node.bench.sites)
	if kind is None:
		return found(SKIP, "the kernel's list of mounts cannot be read")
	if kind.startswith(_REMOTE_FILE_SYSTEMS):
		return found(
			WARN,
			"sites/ is on {kind}, a network or user-space file system, where a lock may not reach other machines",
			"push from one machine only, and run the check `lock` on it",
			kind=sanitize(kind, 40),
		)
	return found(PASS, "sites/ is on {kind}", kind=sanitize(kind, 40))


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
	if problem := node.unwritable:
		return Finding(FAIL, problem, advice(problem, message("find out what is in its place and remove it")))
	if node.state_warnings:
		warning = node.state_warnings[0]
		return Finding(WARN, warning, advice(warning, message("nothing to do: a new state is started")))
	return found(PASS, "{folder} is readable and writable", folder=sanitize(node.folder.path))


def state_disk(node: Examination) -> Finding:
	"""The file system that keeps the state has room, and inodes, left for this user."""
	path = node.folder.path if os.path.isdir(node.folder.path) else node.bench.sites
	try:
		disk = os.statvfs(path)
	except OSError as error:
		problem = message("{folder}: {reason}", folder=sanitize(path), reason=error.strerror)
		return Finding(FAIL, problem, advice(problem, message("make it readable")))
	if disk.f_flag & os.ST_RDONLY:
		return found(SKIP, "the state's file system is read-only: see the check `state`")
	free = disk.f_bavail * disk.f_frsize
	# Some file systems make inodes as they need them, and report none at all.
	inodes = disk.f_favail if disk.f_files else None
	room = message(
		"{megabytes} MB and {inodes} inodes are free for the state",
		megabytes=free // 1_000_000,
		inodes=message("unlimited") if inodes is None else inodes,
	)
	if free < _NEEDED_BYTES or (inodes is not None and inodes < _NEEDED_INODES):
		return found(
			FAIL,
			room,
			"free disk space now: without the state every run of a trigger pushes, and MariaDB stops too",
		)
	if free < LOW_BYTES or (inodes is not None and inodes < LOW_INODES):
		return found(WARN, room, "free disk space before it is full")
	return Finding(PASS, room)
