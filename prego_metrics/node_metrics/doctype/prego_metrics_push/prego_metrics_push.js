frappe.ui.form.on("Prego Metrics Push", {
	refresh(frm) {
		frm.disable_save();
		const names = {
			frappe: __("Frappe scheduler"),
			timer: __("systemd timer"),
			cron: __("cron"),
			manual: __("manual push"),
		};
		frm.set_df_property("driver", "formatter", (value) => frappe.utils.escape_html(names[value] || value));
		frm.page.set_title(frappe.datetime.str_to_user(frm.doc.pushed_at));
	},
});
