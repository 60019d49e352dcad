"""What to do about a file or folder that the operating system keeps from us: that depends on its reason alone."""

from __future__ import annotations

import errno
import os

from prego_metrics.agent.base.messages import Message, message


def reason_in(sentence: object) -> str:
	"""Return the operating system's reason in an error of ours, empty if it has none."""
	if isinstance(sentence, list | tuple):
		return next(filter(None, map(reason_in, sentence)), "")
	if not isinstance(sentence, Message):
		return ""
	reason = sentence.params.get("reason")
	if isinstance(reason, str) and not isinstance(reason, Message):
		return reason
	return reason_in(list(sentence.params.values()))


def advice(sentence: str, otherwise: Message) -> Message:
	"""Return what to do about the reason in an error of ours; `otherwise` where its reason says nothing more."""
	advices = {
		errno.EROFS: message(
			"mount it writable: it is read-only here (a volume's `ro`, a unit without ReadWritePaths=, or the kernel "
			"after an error of the disk, which `journalctl -k` shows)"
		),
		errno.ENOSPC: message("free the disk"),
		errno.EDQUOT: message("free some of its owner's quota, or raise it"),
		errno.EACCES: message("correct its owner or its mode, or run the push as its owner"),
		errno.EIO: message("look at the disk or the mount, and at what the kernel says (`journalctl -k`)"),
		errno.EMFILE: message("raise the limit of open files, or see what uses them up"),
		errno.ENOMEM: message("give the system memory, or see what uses it up"),
	}
	advices[errno.EPERM] = advices[errno.EACCES]
	advices[errno.ENFILE] = advices[errno.EMFILE]
	for number in (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT):
		advices[number] = advices[errno.EIO]
	reason = reason_in(sentence)
	return next((text for number, text in advices.items() if os.strerror(number) == reason), otherwise)
