frappe.ui.form.on("Prego Metrics Push", {
	refresh(frm) {
		frm.disable_save();
	},
});
