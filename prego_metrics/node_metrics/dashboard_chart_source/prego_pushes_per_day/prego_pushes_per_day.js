frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Prego Pushes per Day"] = {
	method: "prego_metrics.workspace.pushes_per_day",
	filters: [],
};
