"""Faults of the way to the control plane: names, addresses, TLS, proxies."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable

import trustme
from fault_injectors import (
	HANG,
	all_of,
	both,
	cut,
	finds,
	names,
	names_not,
	page,
	prelude,
	raw,
	rule,
	setting,
	silence,
	variable,
)
from fault_model import (
	ANSWERED,
	COMPLAINT,
	DELIVERED,
	DELIVERED_OR_LOUD,
	DELIVERED_UNRECORDED,
	FAILED,
	FAILED_OR_NOT_SENT,
	KEY_SAFE,
	NOT_DELIVERED,
	SILENCE,
	Fault,
	Inject,
	Node,
	Run,
	doctor,
)
from hostile_server import Behaviour, answer

PASSWORD = "pr0xy-Passw0rd"
_EAI_AGAIN, _EAI_NONAME = -3, -2


def _tls(issue: Callable[[trustme.CA], trustme.LeafCert], *, trusted: bool = True) -> Inject:
	"""The control plane is an HTTPS server with a certificate of its own kind."""

	def inject(node: Node) -> None:
		authority = trustme.CA()
		bundle = node.folder / "ca.pem"
		(authority if trusted else trustme.CA()).cert_pem.write_to_path(str(bundle))
		node.environ["REQUESTS_CA_BUNDLE"] = str(bundle)
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		issue(authority).configure_cert(context)
		node.server_options["tls"] = context

	return inject


def _expired(authority: trustme.CA) -> trustme.LeafCert:
	return authority.issue_cert(
		"127.0.0.1", not_after=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
	)


def _proxy(behaviour: Behaviour, form: str = "http://{host}") -> Inject:
	"""The control plane is another machine, and this proxy stands before it."""

	def inject(node: Node) -> None:
		proxy = node.stranger(behaviour)
		node.section["control_plane_url"] = "https://plane.example"
		node.environ["HTTPS_PROXY"] = form.format(host=f"127.0.0.1:{proxy.port}", password=PASSWORD)
		node.secrets.append(PASSWORD)

	return inject


def _no_proxy(text: str) -> Inject:
	return both(
		setting(control_plane_url="https://plane.example"),
		variable(HTTPS_PROXY=text.replace("{password}", PASSWORD)),
		rule("resolve", "*", _EAI_NONAME),
		lambda node: node.secrets.append(PASSWORD),
	)


def _refused(node: Node) -> None:
	node.server_options["listens"] = False


def _dead_ipv6(node: Node) -> None:
	"""The name has two addresses: ::1, where nobody accepts, and 127.0.0.1, where the control plane listens."""
	node.spawn(
		"import socket, sys, time\n"
		"full = socket.socket(socket.AF_INET6)\n"
		"full.bind(('::1', int(sys.argv[1]), 0, 0)); full.listen(0)\n"
		"waiting = [socket.socket(socket.AF_INET6) for _ in range(4)]\n"
		"[one.setblocking(False) or one.connect_ex(full.getsockname()) for one in waiting]\n"
		"print(flush=True); time.sleep(600)",
		node.server.port,
	)
	hosts = node.folder / "hosts"
	hosts.write_text("::1 localhost\n127.0.0.1 localhost\n")
	node.mount("--bind", hosts, "/etc/hosts")
	node.section["control_plane_url"] = f"http://localhost:{node.server.port}"


def _full_backlog(node: Node) -> None:
	"""The control plane's machine takes no more connections and does not say so."""
	node.server_options["listens"] = False
	node.spawn(
		"import socket, sys, time\n"
		"full = socket.socket(); full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
		"full.bind(('127.0.0.1', 0)); full.listen(0)\n"
		"waiting = [socket.socket() for _ in range(4)]\n"
		"[one.setblocking(False) or one.connect_ex(full.getsockname()) for one in waiting]\n"
		"open(sys.argv[1], 'w').write(str(full.getsockname()[1]))\n"
		"print(flush=True); time.sleep(600)",
		node.folder / "port",
	)
	node.section["control_plane_url"] = f"http://127.0.0.1:{(node.folder / 'port').read_text()}"


def _netrc(node: Node) -> None:
	"""A .netrc that offers other credentials for the same host."""
	(node.folder / ".netrc").write_text("machine 127.0.0.1 login admin password hunter2-netrc\n")
	(node.folder / ".netrc").chmod(0o600)
	node.environ["HOME"] = str(node.folder)


def _bearer_is_ours(node: Node, run: Run) -> None:
	assert b"authorization: bearer " in node.pushes[0].lower()


def _proxy_saw_nothing(node: Node, run: Run) -> None:
	assert not node.strangers[0].requests


_ADDRESSES = [
	Fault("the port is closed", SILENCE, _refused, FAILED, slow=True),
	Fault("a black hole", SILENCE, _full_backlog, FAILED, slow=True),
	Fault("IPv6 is a black hole, IPv4 works", SILENCE, _dead_ipv6, DELIVERED),
	Fault(
		"IPv6 is a black hole, and the doctor is asked",
		SILENCE,
		_dead_ipv6,
		ANSWERED,
		doctor("control_plane"),
		check=names("IPv6"),
		limit=12,
	),
	Fault(
		"no such host",
		SILENCE,
		both(setting(control_plane_url="https://plane.invalid"), rule("resolve", "*", _EAI_NONAME)),
		FAILED,
	),
	Fault(
		"the resolver fails for a moment",
		SILENCE,
		both(
			lambda n: n.section.update(control_plane_url=f"http://localhost:{n.server.port}"),
			rule("resolve", "localhost", _EAI_AGAIN, "1-1"),
		),
		DELIVERED,
		slow=True,
	),
	Fault(
		"the resolver hangs",
		SILENCE,
		both(setting(control_plane_url="https://plane.example"), rule("resolve", "*", HANG)),
		FAILED,
		slow=True,
	),
	*(
		Fault(
			f"connect ends with {name}",
			SILENCE,
			rule("connect", "*", name),
			FAILED,
			slow=name != "ENETUNREACH",
		)
		for name in ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EACCES")
	),
	Fault("connect fails once", SILENCE, rule("connect", "*", "ENETUNREACH", "1-1"), DELIVERED, slow=True),
	Fault(
		"no descriptor is left for a socket",
		SILENCE,
		rule("socket", "*", "EMFILE"),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"no memory is left for a socket",
		SILENCE,
		rule("socket", "*", "ENOBUFS"),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault("a .netrc for the control plane's host", KEY_SAFE, _netrc, DELIVERED, check=_bearer_is_ours),
]

_TLS = [
	Fault(
		"a certificate of an unknown authority",
		KEY_SAFE,
		_tls(lambda ca: ca.issue_cert("127.0.0.1"), trusted=False),
		FAILED,
	),
	Fault("a certificate that has expired", KEY_SAFE, _tls(_expired), FAILED, slow=True),
	Fault(
		"a certificate for another host",
		KEY_SAFE,
		_tls(lambda ca: ca.issue_cert("other.example")),
		FAILED,
		slow=True,
	),
	Fault(
		"the bundle of authorities is absent",
		KEY_SAFE,
		both(_tls(lambda ca: ca.issue_cert("127.0.0.1")), variable(REQUESTS_CA_BUNDLE="/gone/ca.pem")),
		FAILED,
		slow=True,
	),
	Fault(
		"the bundle of authorities is no bundle",
		KEY_SAFE,
		both(_tls(lambda ca: ca.issue_cert("127.0.0.1")), variable(REQUESTS_CA_BUNDLE="/etc/passwd")),
		FAILED,
		slow=True,
	),
	Fault(
		"a server without TLS on an https URL",
		KEY_SAFE,
		lambda n: n.section.update(control_plane_url=f"https://127.0.0.1:{n.server.port}"),
		FAILED,
		slow=True,
	),
	Fault(
		"a handshake that hangs",
		KEY_SAFE,
		lambda n: (
			n.server_options.update(reads=False),
			n.posts.insert(0, silence),
			n.section.update(control_plane_url=f"https://127.0.0.1:{n.server.port}"),
		),
		FAILED,
		slow=True,
	),
	Fault("a good certificate", KEY_SAFE, _tls(lambda ca: ca.issue_cert("127.0.0.1")), DELIVERED, slow=True),
]

_PROXIES = [
	Fault(
		"a proxy that is down",
		SILENCE,
		_no_proxy("http://127.0.0.1:9"),
		FAILED,
		check=names("proxy"),
	),
	Fault(
		"a proxy that asks for a password",
		SILENCE,
		_proxy(answer(407)),
		NOT_DELIVERED,
		check=names("proxy", "407"),
	),
	Fault(
		"a proxy that refuses",
		SILENCE,
		_proxy(answer(403)),
		NOT_DELIVERED,
		check=all_of(names("proxy"), names_not("refuses the key")),
	),
	Fault(
		"a proxy that has no way",
		SILENCE,
		_proxy(page(502, b"<html>", "text/html")),
		FAILED,
		check=names("proxy"),
		slow=True,
	),
	Fault("a proxy that hangs", SILENCE, _proxy(silence), FAILED, slow=True),
	Fault("a proxy that resets", SILENCE, _proxy(cut(b"")), FAILED, slow=True),
	Fault("a proxy that speaks no HTTP", SILENCE, _proxy(raw(b"\x05\x00")), FAILED, slow=True),
	Fault(
		"a proxy that opens a tunnel to nothing",
		KEY_SAFE,
		_proxy(raw(b"HTTP/1.1 200 OK\r\n\r\nhello")),
		FAILED,
		slow=True,
	),
	Fault(
		"a proxy with a password that is wrong",
		KEY_SAFE,
		_proxy(answer(407), "http://u:{password}@{host}"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password and a port that is none",
		KEY_SAFE,
		_no_proxy("http://u:{password}@proxy.example:port"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password and no scheme",
		KEY_SAFE,
		_no_proxy("u:{password}@127.0.0.1:9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password and spaces",
		KEY_SAFE,
		_no_proxy("http://u:{password}@127.0.0.1:9 9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password and a port beyond all",
		KEY_SAFE,
		_no_proxy("http://u:{password}@127.0.0.1:99999"),
		NOT_DELIVERED,
	),
	Fault(
		"a proxy with a password and no host",
		KEY_SAFE,
		_no_proxy("http://u:{password}"),
		NOT_DELIVERED,
	),
	Fault(
		"a proxy with a slash in its password",
		KEY_SAFE,
		_no_proxy("http://u:{password}/x@127.0.0.1:9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password of an unknown scheme",
		KEY_SAFE,
		_no_proxy("gopher://u:{password}@127.0.0.1:9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password of SOCKS",
		KEY_SAFE,
		_no_proxy("socks5://u:{password}@127.0.0.1:9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy with a password, unclosed bracket",
		KEY_SAFE,
		_no_proxy("http://u:{password}@[::1:9"),
		NOT_DELIVERED,
		slow=True,
	),
	Fault(
		"a proxy for a control plane on loopback",
		KEY_SAFE,
		lambda n: n.environ.update(HTTP_PROXY=n.stranger().url),
		DELIVERED,
		check=_proxy_saw_nothing,
	),
	Fault(
		"the doctor is asked behind a proxy with a password",
		KEY_SAFE,
		_no_proxy("http://u:{password}@proxy.example:port"),
		COMPLAINT,
		doctor("control_plane"),
		check=finds("control_plane", "fail"),
		slow=True,
	),
]

_THREADS = [
	Fault(
		"no thread can be started",
		SILENCE,
		rule("thread", "*", "EAGAIN"),
		FAILED_OR_NOT_SENT,
	),
	Fault(
		"no thread can be started after the disks were read",
		SILENCE,
		rule("thread", "*", "EAGAIN", "3-0"),
		FAILED_OR_NOT_SENT,
		slow=True,
	),
	Fault(
		"six descriptors are allowed",
		SILENCE,
		prelude("resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))"),
		DELIVERED_OR_LOUD,
	),
	Fault(
		"no file may be written",
		SILENCE,
		prelude(
			"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
			"resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
		),
		DELIVERED_UNRECORDED,
	),
]

FAULTS = [*_ADDRESSES, *_TLS, *_PROXIES, *_THREADS]
