// The page "Prego Node". Its parts are in public/js/node_page; this script loads and opens them.
// Frappe 17 runs scripts in the order in which they arrive, so labels.js, which the others need, is loaded first.
const FOLDER = "/assets/prego_metrics/js/node_page";
const ASSETS = [
	"/assets/prego_metrics/css/node_page.css",
	...["request", "sections", "plot", "charts", "page"].map((name) => `${FOLDER}/${name}.js`),
];

frappe.ui.form.on("Prego Node", {
	refresh(frm) {
		frm.disable_save();
		frappe.require(`${FOLDER}/labels.js`, () =>
			frappe.require(ASSETS, () => {
				frm.node_page = frm.node_page || new prego_metrics.node_page.Page(frm);
				frm.node_page.open();
			})
		);
	},
});
