"""A read-only session in a site's own database, by the site's own credentials; MariaDB and PostgreSQL.

Nothing here waits for long, and nothing waits behind the site: a statement that would have to queue for a
lock gives up, since others would queue behind it. Each statement is its own transaction.
"""

from __future__ import annotations

import contextlib
import importlib
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prego_metrics.agent.base.messages import Message, coded, message_of
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize

CONNECT_SECONDS = 5
READ_SECONDS = 20
STATEMENT_SECONDS = 15
LOCK_SECONDS = 2
MARIADB = "mariadb"
POSTGRES = "postgres"
_MAX_ERROR = 200


def import_libraries() -> None:
	"""Import both libraries, as far as they are installed: for root, that is about to be given up.

	As root, since they lie beside all else that root's interpreter has imported. Where that is one of the
	bench user's, their code ran as root from the first line, which nothing here can undo (see SECURITY.md).
	"""
	for library in ("pymysql", "psycopg2", "zoneinfo"):
		with contextlib.suppress(ImportError):
			importlib.import_module(library)


class DatabaseError(Exception):
	"""A database that could not be queried; the message is fit to show and holds no secret."""


@dataclass(frozen=True)
class Credentials:
	"""How a site's configuration says its database is reached. Texts are as they stand there."""

	kind: str
	host: str
	port: int
	socket: str | None
	user: str
	name: str
	schema: str
	password: Secret
	tls: Mapping[str, str]


def credentials(merged: Mapping[str, object], environ: Mapping[str, str]) -> Credentials:
	"""Read a site's credentials as Frappe does. Raises DatabaseError with what is missing."""
	kind = merged.get("db_type") or MARIADB
	if kind not in (MARIADB, POSTGRES):
		raise DatabaseError(coded("database_type_unsupported", kind=sanitize(str(kind), 40)))
	name = merged.get("db_name")
	password = merged.get("db_password")
	for key, value in (("db_name", name), ("db_password", password)):
		if not isinstance(value, str) or not value:
			raise DatabaseError(coded("database_setting_missing", key=key))
	host = environ.get("FRAPPE_DB_HOST") or merged.get("db_host") or "127.0.0.1"
	port = environ.get("FRAPPE_DB_PORT") or merged.get("db_port") or (3306 if kind == MARIADB else 5432)
	try:
		number = int(str(port))
	except ValueError:
		raise DatabaseError(coded("database_port_invalid", port=sanitize(str(port), 40))) from None
	socket = environ.get("FRAPPE_DB_SOCKET") or merged.get("db_socket")
	return Credentials(
		kind=kind,
		host=str(host),
		port=number,
		socket=str(socket) if socket else None,
		user=str(merged.get("db_user") or name),
		name=str(name),
		schema=str(merged.get("db_schema") or "public"),
		password=Secret(str(password), "site_config.json"),
		tls={
			part: str(merged[f"db_ssl_{part}"])
			for part in ("ca", "cert", "key")
			if isinstance(merged.get(f"db_ssl_{part}"), str)
		},
	)


def error_line(access: Credentials, error: Exception) -> str:
	"""Return a library's error as one line without the password; one of ours can be translated."""
	detail = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], str) else message_of(error)
	if isinstance(detail, Message):
		return detail
	return access.password.excerpt(" ".join(detail.split()) or type(error).__name__, _MAX_ERROR)


class Session:
	"""An open session. Postgres is asked without blocking, and for at most READ_SECONDS: libpq has no such limit.

	statement_timeout is the server's own, and a server that hangs keeps none.
	"""

	def __init__(self, access: Credentials, library: Any, connection: Any) -> None:
		self._access = access
		self._library = library
		self._connection = connection
		self._cursor = connection.cursor()

	def execute(self, query: str, *values: object) -> Any:
		"""Run one statement, with names quoted as MariaDB does, and return the cursor. Raises the library's errors."""
		postgres = self._access.kind == POSTGRES
		self._cursor.execute(query.replace("`", '"') if postgres else query, values or None)
		if postgres:
			_wait(self._connection, READ_SECONDS)
		return self._cursor

	def rows(self, query: str, *values: object) -> Sequence[Sequence[Any]]:
		"""Return the rows of a query. Raises DatabaseError."""
		try:
			rows: Sequence[Sequence[Any]] = self.execute(query, *values).fetchall()
		except (self._library.Error, OSError, ValueError) as error:
			raise DatabaseError(error_line(self._access, error)) from None
		return rows


@contextlib.contextmanager
def open_session(access: Credentials) -> Iterator[Session]:
	"""Open a read-only session and give it; close it in the end. Raises DatabaseError."""
	name, package, connect = (
		("pymysql", "PyMySQL", _mariadb)
		if access.kind == MARIADB
		else ("psycopg2", "psycopg2-binary", _postgres)
	)
	try:
		library = importlib.import_module(name)
	except ImportError:
		raise DatabaseError(coded("database_library_missing", library=name, package=package)) from None
	try:
		connection = connect(access, library)
	except (library.Error, OSError, RuntimeError, ValueError) as error:
		raise DatabaseError(error_line(access, error)) from None
	try:
		yield Session(access, library, connection)
	finally:
		# Whatever is wrong with a connection that is over changes nothing that was read.
		with contextlib.suppress(Exception):
			connection.close()


def _mariadb(access: Credentials, pymysql: Any) -> Any:
	connection = pymysql.connect(
		host=access.host,
		port=access.port,
		unix_socket=access.socket,
		user=access.user,
		password=access.password.reveal(),
		database=access.name,
		charset="utf8mb4",
		connect_timeout=CONNECT_SECONDS,
		read_timeout=READ_SECONDS,
		write_timeout=READ_SECONDS,
		autocommit=True,
		ssl=dict(access.tls) if len(access.tls) == 3 else None,
		init_command="SET SESSION TRANSACTION READ ONLY",
	)
	with connection.cursor() as cursor:
		cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
		with contextlib.suppress(pymysql.Error):  # MySQL calls it otherwise; READ_SECONDS holds there
			cursor.execute(f"SET SESSION max_statement_time = {STATEMENT_SECONDS}")
	return connection


def _postgres(access: Credentials, psycopg2: Any) -> Any:
	connection = psycopg2.connect(
		host=access.socket or access.host,
		port=access.port,
		user=access.user,
		password=access.password.reveal(),
		dbname=access.name,
		options=(
			f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_SECONDS * 1000} "
			f"-c lock_timeout={LOCK_SECONDS * 1000}"
		),
		async_=True,  # each statement its own transaction, and no wait but ours
	)
	_wait(connection, CONNECT_SECONDS)
	cursor = connection.cursor()  # kept until the answer is there
	cursor.execute("SELECT set_config('search_path', %s, false)", (access.schema,))
	_wait(connection, READ_SECONDS)
	return connection


def _wait(connection: Any, seconds: float) -> None:
	"""Wait for what a connection of psycopg2's is about. Raises psycopg2.Error, and TimeoutError."""
	from psycopg2.extensions import POLL_OK, POLL_READ

	until = time.monotonic() + seconds
	while (state := connection.poll()) != POLL_OK:
		ready = select.poll()  # no limit for the descriptor's number, as select has
		ready.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
		if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
			raise TimeoutError(coded("database_late", seconds=seconds))
