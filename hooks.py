"""The app's hooks, re-exported from where Frappe reads them: prego_metrics/hooks.py.

A copy would drift, and app audits reject symlinks.
"""

from prego_metrics.hooks import *
