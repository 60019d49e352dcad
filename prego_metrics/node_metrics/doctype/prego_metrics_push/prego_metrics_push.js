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
		const when = frappe.datetime.str_to_user(frm.doc.pushed_at);
		// Frappe 17 has the raw time in the last breadcrumb and in the sidebar, and set_title there renames the list.
		const $crumb = frm.page.wrapper.find(".title-text-form");
		if (!$crumb.length) {
			frm.page.set_title(when);
			return;
		}
		frappe.utils.set_title(when);
		$crumb.add(frm.page.wrapper.find(".form-title-text .bold")).text(when);
	},
});
