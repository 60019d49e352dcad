frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Prego Pushes per Day"] = {
	method: "prego_metrics.desk.cards.pushes_per_day",
	filters: [],
};
