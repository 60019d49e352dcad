"""A program that runs the command line as another user, given by number as its first argument."""

from __future__ import annotations

# Whoever gives up root may no longer be able to read the interpreter's own files, where that is root's
# alone: what the command line imports late is imported before.
IMPORTS = """
import base64, difflib, email.utils, encodings.ascii, encodings.idna, encodings.latin_1, html.entities, importlib, ipaddress
import netrc, os, pkgutil, pwd, random, secrets, stringprep, sys, tempfile, threading, traceback
import psutil, requests, rich.console, rich.table
import prego_metrics
for found in pkgutil.walk_packages(prego_metrics.__path__, "prego_metrics."):
	if found.name.split(".")[1] not in ("desk", "node_metrics", "api") and not found.name.endswith("__main__"):
		importlib.import_module(found.name)
from prego_metrics.cli.__main__ import main
"""
RUN_AS = f"""
{IMPORTS}
uid = int(sys.argv.pop(1))
if uid:
	os.setgroups([])
	os.setresgid(uid, uid, uid)
	os.setresuid(uid, uid, uid)
main()
"""
