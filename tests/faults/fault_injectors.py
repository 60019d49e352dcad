"""Ways to do harm to a node, each a function that returns one for a row of the matrix."""

from __future__ import annotations

import errno
import gzip
import json
from collections.abc import Callable
from pathlib import Path

from fault_model import Check, Inject, Node, Run
from hostile_server import Behaviour, Exchange, head

HANG = "hang:31"


def nothing(node: Node) -> None:
	"""The fault lies in what the command is asked."""


def both(*injects: Inject) -> Inject:
	return lambda node: [inject(node) for inject in injects]


def posts(*behaviours: Behaviour) -> Inject:
	"""The control plane answers pushes so, one behaviour after the other; the last one stays."""

	def inject(node: Node) -> None:
		node.posts[:] = behaviours

	return inject


def gets(*behaviours: Behaviour) -> Inject:
	def inject(node: Node) -> None:
		node.gets[:] = behaviours

	return inject


def served(**options: object) -> Inject:
	"""The control plane is a server of this kind."""
	return lambda node: node.server_options.update(options)


def setting(**values: object) -> Inject:
	return lambda node: node.section.update(values)


def variable(**values: str) -> Inject:
	return lambda node: node.environ.update(values)


def rule(call: str, pattern: str, what: str | int, calls: str = "1-0") -> Inject:
	"""A system call fails or hangs: `what` is an error's name, its number, or hang:SECONDS."""
	shown = getattr(errno, what) if isinstance(what, str) and what.startswith("E") else what
	return lambda node: node.rules.append(f"{call}|{pattern}|{calls}|{shown}")


def prelude(*lines: str) -> Inject:
	"""The process is limited by these lines of Python before it becomes the command."""
	return lambda node: node.prelude.extend(lines)


def as_user(uid: int) -> Inject:
	def inject(node: Node) -> None:
		node.needs_root()
		node.uid = uid

	return inject


def sites(*names: str, **config: object) -> Inject:
	return lambda node: [node.site(name, **config) for name in names]


def truth(*counts: int) -> Inject:
	"""These counts are true."""

	def inject(node: Node) -> None:
		node.truth = counts

	return inject


def acme(content: bytes) -> Inject:
	"""One site's site_config.json holds this."""
	return lambda node: (node.sites / "acme.example" / "site_config.json").write_bytes(content)


def acme_is(make: Callable[[Path], object]) -> Inject:
	"""One site's site_config.json is something else than a file."""

	def inject(node: Node) -> None:
		path = node.sites / "acme.example" / "site_config.json"
		path.unlink()
		make(path)

	return inject


def common(content: str | bytes) -> Inject:
	"""common_site_config.json holds this; {url} stands for the control plane's URL."""

	def inject(node: Node) -> None:
		node.write()
		text = content.decode("latin-1") if isinstance(content, bytes) else content
		node.common.write_bytes(text.replace("{url}", node.server.url).encode("latin-1"))

	return inject


def from_environment(node: Node) -> None:
	"""URL and node_id come from the environment, as in the hardened mode."""
	node.environ.update(
		PREGO_METRICS_NODE_ID=node.section.pop("node_id"), PREGO_METRICS_CONTROL_PLANE_URL=node.server.url
	)
	node.environ.update(PREGO_METRICS_PUSH_INTERVAL="5", PREGO_METRICS_SPREAD="0")


def state(**values: object) -> Inject:
	return lambda node: node.change_state(**values)


def state_file(content: bytes, name: str = "state.json") -> Inject:
	def inject(node: Node) -> None:
		node.write()
		(node.state_folder / name).write_bytes(content)

	return inject


def state_is(make: Callable[[Path], object], name: str = "state.json") -> Inject:
	"""A file of the state folder is something else than a file."""

	def inject(node: Node) -> None:
		node.write()
		(node.state_folder / name).unlink(missing_ok=True)
		make(node.state_folder / name)

	return inject


def key_file(content: str, mode: int = 0o600, name: str = "key") -> Inject:
	"""The key comes from a file."""

	def inject(node: Node) -> None:
		del node.environ["INTERNAL_API_KEY"]
		path = node.bench / name
		path.write_text(content)
		path.chmod(mode)
		node.section["api_key_file"] = str(path)

	return inject


def lock_held(node: Node) -> None:
	"""Another process holds the lock of the push, for ever."""
	node.spawn(
		"import fcntl, os, sys, time\n"
		"fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
		"print(flush=True); time.sleep(600)",
		node.sites,
	)


def names(*texts: str) -> Check:
	"""What is printed names these."""

	def check(node: Node, run: Run) -> None:
		for text in texts:
			assert text in run.printed, run.printed

	return check


def names_not(*texts: str) -> Check:
	def check(node: Node, run: Run) -> None:
		for text in texts:
			assert text not in run.printed, run.printed

	return check


def all_of(*checks: Check) -> Check:
	return lambda node, run: [check(node, run) for check in checks]


def attempts(number: int) -> Check:
	def check(node: Node, run: Run) -> None:
		assert len(node.pushes) == number, node.pushes

	return check


def finds(name: str, *states: str) -> Check:
	"""The doctor's check of this name comes to one of these states."""

	def check(node: Node, run: Run) -> None:
		assert run.checks[name]["state"] in states, run.checks[name]

	return check


def advises_not(name: str, *texts: str) -> Check:
	"""The doctor's check of this name does not give this advice."""

	def check(node: Node, run: Run) -> None:
		for text in texts:
			assert text not in run.checks[name]["seen"] + run.checks[name]["action"], run.checks[name]

	return check


def counted(number: int | None) -> Check:
	"""`tenants --json` says this number."""

	def check(node: Node, run: Run) -> None:
		assert json.loads(run.out)["tenant_count"] == number, run.out

	return check


def page(status: int, body: bytes = b"", kind: str | None = "application/json", *headers: str) -> Behaviour:
	"""Answer with this content type, or with none, and with these headers."""
	kinds = () if kind is None else (f"Content-Type: {kind}",)
	lines = (f"HTTP/1.1 {status} Whatever", *kinds, *headers, f"Content-Length: {len(body)}", "", "")
	content = "\r\n".join(lines).encode() + body
	return lambda exchange: exchange.send(content)


def says(status: int, **values: object) -> Behaviour:
	"""Answer with this JSON object."""
	return page(status, json.dumps(values).encode())


def zipped(behaviour_of: Callable[..., Behaviour], status: int, body: bytes, kind: str) -> Behaviour:
	return behaviour_of(status, gzip.compress(body), kind, "Content-Encoding: gzip")


def raw(content: bytes) -> Behaviour:
	return lambda exchange: exchange.send(content)


def raw_for_ever(start: bytes, content: bytes, every_seconds: float = 0.0) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(start)
		exchange.send_for_ever(content, every_seconds)

	return behave


def cut(content: bytes) -> Behaviour:
	"""Send this and reset the connection."""

	def behave(exchange: Exchange) -> None:
		exchange.send(content)
		exchange.reset()

	return behave


def preceded(by: bytes, behaviour: Behaviour) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(by)
		behaviour(exchange)

	return behave


def echoes_key(status: int, notation: Callable[[str], str], *headers: str) -> Behaviour:
	"""Answer with the client's own key, in some notation."""

	def behave(exchange: Exchange) -> None:
		shown = notation(exchange.bearer)
		body = f'{{"error": "wrong key {shown}"}}'.encode()
		lines = [header.replace("{key}", shown) for header in headers]
		exchange.send(head(status, *lines, f"Content-Length: {len(body)}") + body)

	return behave


def silence(exchange: Exchange) -> None:
	exchange.wait()
