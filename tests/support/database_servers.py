"""Private database servers for tests, with databases as Frappe makes them; nothing of the machine's own is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import psycopg2
import pymysql

ADMIN_PASSWORD = "of-the-servers-admin"
# Frappe's names and types of the columns that are asked for.
_TABLES = (
	"CREATE TABLE `tabUser` (name varchar(140) PRIMARY KEY, enabled smallint, last_login varchar(140))",
	"CREATE TABLE `tabSingles` (doctype varchar(255), field varchar(255), value text)",
	"CREATE TABLE `tabInstalled Application` (name varchar(140), idx bigint, app_name varchar(140), "
	"app_version varchar(140))",
	"CREATE TABLE `tabScheduled Job Log` (name varchar(140), creation timestamp(6) NULL, status varchar(140))",
	"CREATE TABLE `tabEmail Queue` (name varchar(140), creation timestamp(6) NULL, status varchar(140), "
	"send_after timestamp(6) NULL)",
	"CREATE INDEX `status_index` ON `tabEmail Queue` (status)",
)


def program(name: str, *folders: str) -> str | None:
	"""Find a server's program also where it is on nobody's PATH."""
	found = [
		*([shutil.which(name)] if shutil.which(name) else []),
		*glob(f"/usr/lib/postgresql/*/bin/{name}"),
	]
	found += [path for path in glob(f"/usr/sbin/{name}") if os.access(path, os.X_OK)]
	return found[0] if found else None


class Server:
	"""A running server; `kind` is what a site's configuration calls it."""

	kind: str
	port: int
	process: subprocess.Popen[bytes]

	def admin(self, statement: str, *, database: str | None = None) -> list[Any]:
		"""Run one statement as the server's administrator and return its rows."""
		with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
			cursor.execute(self.quoted(statement))
			return list(cursor.fetchall()) if cursor.description else []

	def connect(self, database: str | None = None) -> Any:
		raise NotImplementedError

	def quoted(self, statement: str) -> str:
		return statement

	def make_database(self, name: str, password: str) -> dict[str, object]:
		"""Make a site's database with its own user, and return what its site_config.json says of it."""
		raise NotImplementedError

	def fill(self, name: str) -> None:
		for statement in _TABLES:
			self.admin(statement, database=name)


class PostgreSQL(Server):
	kind = "postgres"

	def connect(self, database: str | None = None) -> Any:
		connection = psycopg2.connect(
			host="127.0.0.1",
			port=self.port,
			user="admin",
			password=ADMIN_PASSWORD,
			dbname=database or "postgres",
		)
		connection.autocommit = True
		return connection

	def quoted(self, statement: str) -> str:
		return statement.replace("`", '"')

	def make_database(self, name: str, password: str) -> dict[str, object]:
		self.admin(f"CREATE USER \"{name}\" WITH PASSWORD '{password}'")
		self.admin(f'CREATE DATABASE "{name}" OWNER "{name}"')
		self.fill(name)
		for (table,) in self.admin(
			"SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=name
		):
			self.admin(f'ALTER TABLE "{table}" OWNER TO "{name}"', database=name)
		return {"db_type": self.kind, "db_host": "127.0.0.1", "db_port": self.port, "db_name": name} | {
			"db_password": password
		}


class MariaDB(Server):
	kind = "mariadb"

	def connect(self, database: str | None = None) -> Any:
		return pymysql.connect(
			host="127.0.0.1",
			port=self.port,
			user="admin",
			password=ADMIN_PASSWORD,
			database=database,
			autocommit=True,
		)

	def make_database(self, name: str, password: str) -> dict[str, object]:
		self.admin(f"CREATE DATABASE `{name}`")
		self.admin(f"CREATE USER `{name}`@`%` IDENTIFIED BY '{password}'")
		self.admin(f"GRANT ALL ON `{name}`.* TO `{name}`@`%`")
		self.fill(name)
		return {"db_host": "127.0.0.1", "db_port": self.port, "db_name": name, "db_password": password}


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[PostgreSQL]:
	"""Run a PostgreSQL of its own in `folder`, which all can look into. It refuses to run as root."""
	initdb, postgres = program("initdb"), program("postgres")
	assert initdb and postgres
	secret = folder / "password"
	secret.write_text(ADMIN_PASSWORD)
	user = _owner_of(folder)
	authentication = ["-U", "admin", f"--pwfile={secret}", "--auth=scram-sha-256"]
	_run([initdb, "-D", str(folder / "data"), "-N", "--locale=C.UTF-8", "-E", "UTF8", *authentication], user)
	server = PostgreSQL()
	server.port = _free_port()
	options = ["-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1", "-F"]
	yield from _serve(server, [postgres, "-D", str(folder / "data"), "-p", str(server.port), *options], user)


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[MariaDB]:
	"""Run a MariaDB of its own in `folder`."""
	install, daemon = program("mariadb-install-db"), program("mariadbd")
	assert install and daemon
	user = _owner_of(folder)
	data = ["--no-defaults", f"--datadir={folder / 'data'}"]
	_run([install, *data, "--auth-root-authentication-method=normal", "--skip-test-db"], user)
	begin = folder / "begin.sql"
	begin.write_text(
		f"CREATE USER admin@'127.0.0.1' IDENTIFIED BY '{ADMIN_PASSWORD}';\n"
		"GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
	)
	server = MariaDB()
	server.port = _free_port()
	options = [f"--port={server.port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"]
	options += [f"--init-file={begin}", f"--pid-file={folder / 'pid'}", "--skip-name-resolve"]
	options += ["--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4"]
	yield from _serve(server, [daemon, *data, *options], user)


def _owner_of(folder: Path) -> str | None:
	if os.geteuid() != 0:
		return None
	shutil.chown(folder, "nobody", "nogroup")
	return "nobody"


def _run(command: list[str], user: str | None) -> None:
	result = subprocess.run(command, user=user, capture_output=True, text=True, cwd="/")
	assert result.returncode == 0, result.stdout + result.stderr


def _serve(server: Any, command: list[str], user: str | None) -> Iterator[Any]:
	server.process = subprocess.Popen(
		command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
	)
	try:
		deadline = time.monotonic() + 60
		while True:
			try:
				server.admin("SELECT 1")
				break
			except (psycopg2.Error, pymysql.Error):
				assert server.process.poll() is None and time.monotonic() < deadline, command
				time.sleep(0.1)
		yield server
	finally:
		server.process.terminate()
		try:
			server.process.wait(20)
		except subprocess.TimeoutExpired:
			server.process.kill()
			server.process.wait()


def _free_port() -> int:
	with socket.socket() as free:
		free.bind(("127.0.0.1", 0))
		port: int = free.getsockname()[1]
		return port
