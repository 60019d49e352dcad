"""What the tests of a delivery share: one push to a server that behaves as it is told."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

from hostile_server import Behaviour, Exchange, HostileServer, head
from pushing import KEY

from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.push.delivery import Delivery, send
from prego_metrics.agent.push.payload import Payload

DEADLINE_SECONDS = 4.0


PAYLOAD = Payload(node_id="node-1", tenant_count=3, cpu_pct=1.0, memory_pct=2.0, disk_pct=3.0)


SNAPSHOT = PAYLOAD._replace(save_snapshot=True)


def deliver(
	url: str,
	payload: Payload = PAYLOAD,
	*,
	attempt_seconds: float = 0.4,
	deadline_seconds: float = 3.0,
	**options: Any,
) -> Delivery:
	return send(
		url,
		Secret(KEY, "a test"),
		payload,
		attempt_seconds=attempt_seconds,
		deadline_seconds=deadline_seconds,
		**options,
	)


def http_date(seconds_from_now: float) -> str:
	moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
	return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def sends(content: bytes) -> Behaviour:
	return lambda exchange: exchange.send(content)


def sends_for_ever(start: bytes, content: bytes, every_seconds: float = 0.0) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(start)
		exchange.send_for_ever(content, every_seconds)

	return behave


def drips(content: bytes, every_seconds: float = 0.05) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		for position in range(len(content)):
			if exchange.closing.wait(every_seconds):
				return
			exchange.send(content[position : position + 1])

	return behave


def sends_and_resets(content: bytes) -> Behaviour:
	def behave(exchange: Exchange) -> None:
		exchange.send(content)
		time.sleep(0.05)
		exchange.reset()

	return behave


HANGING = {
	"silence": Exchange.wait,
	"a dripping header": sends_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.1),
	"endless headers": sends_for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.0),
	"endless continues": sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
	"a dripping body": sends_for_ever(head(500), b"y", 0.1),
}


def asked_for_snapshot(server: HostileServer) -> list[bool]:
	return [json.loads(body).get("save_snapshot", False) for body in server.bodies]
