// The page's scripts in a context of their own, with as much of Frappe's Desk as their pure parts use.
import { readFileSync } from "node:fs";
import vm from "node:vm";
import moment from "moment-timezone";

const FOLDER = new URL("../../prego_metrics/public/js/node_page/", import.meta.url);

// Returns `prego_metrics.node_page` after the scripts `names` ran in that order, for a user in `zone`.
export function load(names, zone = "Asia/Seoul") {
	const desk = {
		moment,
		__: (text, values = []) => text.replace(/\{(\d+)\}/g, (_, index) => values[index]),
		frappe: {
			boot: { time_zone: { user: zone, system: "UTC" } },
			provide(path) {
				path.split(".").reduce((space, name) => (space[name] = space[name] || {}), desk);
			},
			datetime: { get_user_date_fmt: () => "yyyy-mm-dd", get_user_time_fmt: () => "HH:mm:ss" },
			utils: {
				escape_html: (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`),
			},
		},
	};
	vm.createContext(desk);
	for (const name of names) {
		const file = new URL(`${name}.js`, FOLDER);
		vm.runInContext(readFileSync(file, "utf8"), desk, { filename: file.pathname });
	}
	return desk.prego_metrics.node_page;
}
