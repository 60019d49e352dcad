frappe.ui.form.on("Prego Metrics Push", {
	refresh(frm) {
		frm.disable_save();
		frm.page.set_title(frappe.datetime.str_to_user(frm.doc.pushed_at));
	},
});
