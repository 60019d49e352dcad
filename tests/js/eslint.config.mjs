// The app's scripts run in Frappe's Desk as plain scripts; those of tests/ are modules that run in Node.
import js from "@eslint/js";
import globals from "globals";

const DESK = { __: "readonly", $: "readonly", cur_list: "readonly", frappe: "readonly", moment: "readonly" };

export default [
	{ ignores: ["**/node_modules/", "**/dist/"] },
	{
		files: ["prego_metrics/**/*.js"],
		...js.configs.recommended,
		languageOptions: {
			ecmaVersion: 2022,
			sourceType: "script",
			globals: { ...globals.browser, ...DESK, prego_metrics: "writable" },
		},
		rules: { ...js.configs.recommended.rules, eqeqeq: "error", "no-var": "error", "prefer-const": "error" },
	},
	{
		files: ["tests/**/*.{js,mjs}"],
		...js.configs.recommended,
		languageOptions: {
			ecmaVersion: 2024,
			sourceType: "module",
			globals: { ...globals.node, ...globals.serviceworker },
		},
	},
];
