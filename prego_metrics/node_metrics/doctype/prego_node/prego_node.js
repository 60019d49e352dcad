// The page "Prego Node". What it shows is in public/js: words, sections, plot, pictures; here is when it shows it.
// Frappe 17 runs what it is given in the order in which it arrives, so what the others need is asked for first.
const PREGO_WORDS = "/assets/prego_metrics/js/prego_node_words.js";
const PREGO_ASSETS = [
	"/assets/prego_metrics/css/prego_node.css",
	"/assets/prego_metrics/js/prego_node_sections.js",
	"/assets/prego_metrics/js/prego_node_plot.js",
	"/assets/prego_metrics/js/prego_node_pictures.js",
	"/assets/prego_metrics/js/prego_node_page.js",
];

frappe.ui.form.on("Prego Node", {
	refresh(frm) {
		frm.disable_save();
		frappe.require(PREGO_WORDS, () =>
			frappe.require(PREGO_ASSETS, () => {
				frm.prego_page = frm.prego_page || new prego_metrics.desk.page.status.Page(frm);
				frm.prego_page.open();
			})
		);
	},
});
