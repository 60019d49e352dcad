"""What a running Frappe says of itself. Code that imports frappe asks it; the checks judge the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Queue:
	"""A queue of jobs: the workers registered for it, those of them that are alive, and the jobs that wait.

	processes: how many workers of the queue run on this machine, registered or not; 0 also where they cannot be seen.
	"""

	name: str
	known: int
	living: int
	waiting: int
	processes: int


@dataclass(frozen=True)
class JobRow:
	"""The row by which Frappe's scheduler knows of the push. last_execution is as Frappe shows it, in the site's zone.

	age_seconds is how long ago that was by the site's clock: negative for a time in the future, None without one.
	"""

	name: str
	stopped: bool
	last_execution: str
	age_seconds: float | None


@dataclass(frozen=True)
class SiteFacts:
	"""What a site's database and cache say.

	dormant: Frappe would skip the site's jobs now, since nobody logs in to it. skipped_seconds: for how much longer it
	skips them by the verdict that it made before, whatever has happened since; None without such a verdict.
	"""

	has_app: bool
	scheduler_enabled: bool
	dormant: bool
	skipped_seconds: float | None
	job: JobRow | None


@dataclass(frozen=True)
class StartedJob:
	"""A run of the push that is marked as started in Redis.

	age_seconds is since its start, silent_seconds since its worker's last sign of life; None if Redis does not know.
	"""

	job_id: str
	age_seconds: float | None
	silent_seconds: float | None


class Frappe(Protocol):
	"""A bench's Frappe. Each answer comes within seconds; a string in its place says why there is none."""

	@property
	def site(self) -> str | None:
		"""The site to ask about: the operator site, or else the first one that has the app."""

	def redis_error(self, key: str) -> str | None:
		"""Return why the Redis that `key` of the common configuration names does not answer; None if it does."""

	def queues(self) -> tuple[Queue, Queue] | str:
		"""Return the queues of the pushes and of the usage scans."""

	def site_facts(self) -> SiteFacts | str:
		"""Return what the database and the cache of `site` say."""

	def started_job(self) -> StartedJob | str | None:
		"""Return the run of the push that is marked as started; None if there is none."""
