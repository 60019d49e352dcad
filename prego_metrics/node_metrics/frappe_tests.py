"""The one place where the versions of Frappe differ for tests: v15 has no IntegrationTestCase."""

try:
	from frappe.tests import IntegrationTestCase as FrappeTestCase
except ImportError:
	from frappe.tests.utils import FrappeTestCase

__all__ = ["FrappeTestCase"]
