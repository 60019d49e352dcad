"""What to do about a file or folder that the operating system keeps from us: that depends on its reason alone."""

from __future__ import annotations

import errno
import os

from prego_metrics.agent.base.messages import Message, message


def reason_in(sentence: object) -> str:
	"""Return the operating system's reason in an error of ours, empty if it has none."""
	if isinstance(sentence, list | tuple):
		return next((found for part in sentence if (found := reason_in(part))), "")
	if not isinstance(sentence, Message):
		return ""
	reason = sentence.params.get("reason")
	if isinstance(reason, str) and not isinstance(reason, Message):
		return reason
	return reason_in(list(sentence.params.values()))


def advice(sentence: str, otherwise: Message) -> Message:
	"""Return what to do about the operating system's reason in an error of ours; `otherwise` for any other reason."""
	denied = message("correct its owner or mode, or run the push as its owner")
	broken = message("check the disk or the mount, and the kernel log (`journalctl -k`)")
	exhausted = message("raise the limit of open files, or find what uses them up")
	advices = {
		errno.EROFS: message(
			"mount it writable. It is read-only because of a volume's `ro`, a unit without ReadWritePaths=, or a disk "
			"error (`journalctl -k`)"
		),
		errno.ENOSPC: message("free disk space"),
		errno.EDQUOT: message("free some of its owner's quota, or raise it"),
		errno.EACCES: denied,
		errno.EPERM: denied,
		errno.EMFILE: exhausted,
		errno.ENFILE: exhausted,
		errno.ENOMEM: message("free memory, or add some"),
		**dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT), broken),
	}
	reason = reason_in(sentence)
	return next((text for number, text in advices.items() if os.strerror(number) == reason), otherwise)
