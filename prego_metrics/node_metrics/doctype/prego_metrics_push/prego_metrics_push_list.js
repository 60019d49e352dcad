frappe.listview_settings["Prego Metrics Push"] = {
	add_fields: ["outcome", "status_code", "node_id"],
	hide_name_column: true,

	formatters: {
		pushed_at(value) {
			return frappe.datetime.str_to_user(value);
		},
		driver(value) {
			return frappe.utils.escape_html(prego_trigger_names()[value] || value);
		},
	},

	get_indicator(push) {
		const indicator = {
			delivered: [__("Delivered"), "green"],
			refused: [__("Refused"), "red"],
			failed: [__("Failed"), "red"],
			not_sent: [__("Not sent"), "orange"],
		}[push.outcome];
		return indicator && [...indicator, `outcome,=,${push.outcome}`];
	},

	onload(listview) {
		frappe.require("logtypes.bundle.js", () => {
			frappe.utils.logtypes.show_log_retention_message(listview.doctype);
		});
		frappe.require("/assets/prego_metrics/css/push_list.css");
		listview.$result.addClass("prego-pushes");
		name_the_triggers(listview);
		show_every_column(listview);
		show_this_node_alone(listview);
	},
};

function prego_trigger_names() {
	return {
		frappe: __("Frappe scheduler"),
		timer: __("systemd timer"),
		cron: __("cron"),
		manual: __("manual push"),
	};
}

// The filter above the list offers the names that the list shows.
function name_the_triggers(listview) {
	const field = listview.page.fields_dict.driver;
	if (field) {
		const names = Object.entries(prego_trigger_names()).map(([value, label]) => ({ value, label }));
		field.df.options = [{ value: "", label: __("Trigger") }, ...names];
		field.refresh();
	}
}

// Up to version 16 Frappe shows three to five columns, depending on the window's width, which leaves out the metrics.
// A number of columns in the list's settings takes precedence.
function show_every_column(listview) {
	const settings = listview.list_view_settings;
	if (settings && !settings.total_fields) {
		settings.total_fields = 8;
		listview.setup_columns();
		listview.render_header(true);
	}
}

// A restored backup contains the pushes of another node. Removing the filter shows them.
function show_this_node_alone(listview) {
	if (listview.filter_area.get().some((filter) => filter[1] === "node_id")) {
		return;
	}
	frappe
		.xcall("prego_metrics.node_metrics.doctype.prego_metrics_push.prego_metrics_push.this_node")
		.then((node_id) => {
			if (node_id) {
				listview.filter_area.add([[listview.doctype, "node_id", "=", node_id]]);
			}
		});
}
