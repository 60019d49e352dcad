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
	// Warnings are wrapped and not cut off: all rows are as high as the longest ones need.
	get_datatable_options(options) {
		const lines = (row) => Math.ceil((row.warnings || "").length / 36);
		const most = (options.data || []).reduce((longest, row) => Math.max(longest, lines(row)), 1);
		return Object.assign(options, { cellHeight: 15 + 18 * most });
	},
	// The button only where there are sites: elsewhere the one row says why nothing is shown.
	after_datatable_render(datatable) {
		const report = frappe.query_report;
		datatable.style.setStyle(".dt-cell__content--col-3", { "white-space": "normal", "line-height": "18px" });
		if (!report.data.some((row) => row.site)) return;
		report.page.add_inner_button(__("Scan Now"), () =>
			frappe
				.xcall("prego_metrics.api.collect")
				.then(({ message }) => frappe.show_alert(message, 10))
		);
	},
};
