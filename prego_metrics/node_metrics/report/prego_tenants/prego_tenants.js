frappe.query_reports["Prego Tenants"] = {
	filters: [
		{
			fieldname: "counted",
			label: __("Counted"),
			fieldtype: "Select",
			options: [
				{ value: "", label: __("All") },
				{ value: "Yes", label: __("Yes") },
				{ value: "No", label: __("No") },
			],
		},
		{ fieldname: "site", label: __("Site contains"), fieldtype: "Data" },
		{ fieldname: "with_warnings", label: __("Only with warnings"), fieldtype: "Check" },
	],
	// Only where there are sites: elsewhere the one row says why nothing is shown.
	after_datatable_render() {
		const report = frappe.query_report;
		if (!report.data.some((row) => row.site)) return;
		report.page.add_inner_button(__("Scan Now"), () =>
			frappe
				.xcall("prego_metrics.api.collect")
				.then(({ message }) => frappe.show_alert(message, 10))
		);
	},
};
