"""The servers of a Hetzner Cloud project, and their CPU, through the maintained `hcloud` library.

The API knows CPU only: it has no memory and no disk usage (its "disk" is input and output), so these are
left out of what the sidecar pushes.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prego_metrics import __version__
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.fleet.hetzner.session import ATTEMPT_SECONDS, HetznerError, HetznerSession

if TYPE_CHECKING:
	import hcloud

PER_PAGE = 50
Result = TypeVar("Result")

RUNNING = "running"
# The mean of the last five minutes: the cadence at which a sidecar usually runs.
CPU_WINDOW_SECONDS = 300
CPU_STEP_SECONDS = 60


@dataclass(frozen=True)
class HetznerServer:
	"""One server as the API lists it; cores are its virtual ones."""

	server_id: int
	name: str
	status: str
	cores: int
	labels: Mapping[str, str]


@dataclass
class Listing:
	"""The servers that could be read, and a sentence for each part of the list that could not."""

	servers: list[HetznerServer] = field(default_factory=list)
	unread: list[str] = field(default_factory=list)


class HetznerApi:
	"""The two requests of the sidecar; use it as a context manager. Each raises HetznerError."""

	def __init__(
		self,
		token: Secret,
		endpoint: str,
		time_left: Callable[[], float],
		sleep: Callable[[float], None] = time.sleep,
	) -> None:
		import hcloud

		self._session = HetznerSession(token, endpoint, time_left, sleep)
		self._client = hcloud.Client(
			"in-the-session",  # not the token, which hcloud would keep in clear
			api_endpoint=endpoint,
			application_name="prego_metrics",
			application_version=__version__,
			timeout=ATTEMPT_SECONDS,
		)
		_give_session(self._client, self._session)

	def __enter__(self) -> HetznerApi:
		return self

	def __exit__(self, *_: object) -> None:
		self._session.close()

	def list_servers(self, selector: str | None = None) -> Listing:
		"""Return all servers, or those that a label selector of Hetzner's chooses.

		A page that cannot be read is named, and the others are read all the same; without the first
		one nothing is known, not even how many there are.
		"""
		listing = Listing()
		known_ids: set[int] = set()
		page = last_page = 1
		while page <= last_page:
			try:
				servers, last_page = self._page(page, selector)
			except HetznerError as error:
				if page == 1:
					raise
				pages = f"pages {page} to {last_page}" if error.final and page < last_page else f"page {page}"
				listing.unread.append(f"{pages} of {last_page} of the servers could not be read: {error}")
				if error.final:
					break
			else:
				# A server that comes or goes meanwhile moves another one over the page's edge.
				listing.servers += [server for server in servers if server.server_id not in known_ids]
				known_ids.update(server.server_id for server in servers)
			page += 1
		return listing

	def cpu_percent(self, server: HetznerServer, now: float) -> float | None:
		"""Return the server's mean CPU use of the last five minutes, 0 to 100 with one decimal.

		The API counts 100 for each virtual core that is busy, so its values are divided by the cores.
		None if it has no value for these minutes, as for a server that was only just made.
		"""
		from hcloud.servers import Server

		end = datetime.datetime.fromtimestamp(int(now), datetime.timezone.utc)

		def ask() -> list[float]:
			answer = self._client.servers.get_metrics(
				Server(id=server.server_id),
				type="cpu",
				start=end - datetime.timedelta(seconds=CPU_WINDOW_SECONDS),
				end=end,
				step=CPU_STEP_SECONDS,
			)
			return _finite(value for _, value in answer.metrics.time_series["cpu"]["values"])

		values = _checked(ask, f"the CPU of server {server.server_id}")
		if not values:
			return None
		percent = sum(values) / len(values) / max(1, server.cores)
		return round(min(100.0, max(0.0, percent)), 1)

	def _page(self, page: int, selector: str | None) -> tuple[list[HetznerServer], int]:
		"""Return the servers of one page, and the number of the last one."""

		def ask() -> tuple[list[HetznerServer], int]:
			answer = self._client.servers.get_list(label_selector=selector, page=page, per_page=PER_PAGE)
			pagination = answer.meta.pagination if answer.meta else None
			return list(map(_server, answer.servers)), (pagination.last_page if pagination else None) or page

		return _checked(ask, f"page {page} of the servers")


def _checked(ask: Callable[[], Result], subject: str) -> Result:
	"""Return what `ask` does; whatever an answer of another shape raises inside hcloud becomes a HetznerError."""
	from hcloud import HCloudException

	try:
		return ask()
	except (HCloudException, LookupError, TypeError, ValueError, AttributeError):
		raise HetznerError(f"{subject}: the answer is not as the API describes it") from None


def _server(bound: Any) -> HetznerServer:
	return HetznerServer(
		server_id=int(bound.id),
		name=str(bound.name),
		status=str(bound.status),
		cores=int(bound.server_type.cores),
		labels={str(key): str(value) for key, value in (bound.labels or {}).items()},
	)


def _finite(values: Iterator[object]) -> list[float]:
	"""Return the finite numbers; the API writes numbers as strings, and NaN where it has none."""
	numbers = [float(str(value)) for value in values]
	return [number for number in numbers if math.isfinite(number)]


def _give_session(client: hcloud.Client, session: HetznerSession) -> None:
	"""Let hcloud use our session; it has no argument for one."""
	base: Any = getattr(client, "_client", None)
	if not hasattr(base, "_session"):
		import hcloud

		raise HetznerError(
			f"this hcloud ({getattr(hcloud, '__version__', 'of an unknown version')}) keeps its session where it "
			"is not known: install hcloud 2.6 or later, below 3",
			final=True,
		)
	base._session.close()
	base._session = session
