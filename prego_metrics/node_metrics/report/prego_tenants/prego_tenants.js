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
	],
};
