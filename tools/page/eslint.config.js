// The page's scripts: plain scripts in one order, each inside its own function, one shared name.
import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["**/assets/*.js"],
    languageOptions: { ecmaVersion: 2023, sourceType: "script", globals: { ...globals.browser, ghosttrack: "writable" } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      strict: ["error", "global"],
      eqeqeq: "error",
      curly: ["error", "multi-line"],
      "no-var": "error",
      "prefer-const": "error",
      "object-shorthand": "error",
      "prefer-template": "error",
      "no-redeclare": ["error", { builtinGlobals: false }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-implicit-globals": "off",
      "consistent-return": "off",
      "no-promise-executor-return": "error",
      "no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, classes: true, variables: false }],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "text of a corpus is hostile: dom.js makes nodes" },
        { property: "outerHTML", message: "text of a corpus is hostile: dom.js makes nodes" },
        { property: "insertAdjacentHTML", message: "text of a corpus is hostile: dom.js makes nodes" },
        { object: "document", property: "write", message: "text of a corpus is hostile: dom.js makes nodes" },
      ],
      "no-restricted-globals": [
        "error",
        { name: "fetch", message: "refused on file://: data.load reads scripts" },
        { name: "XMLHttpRequest", message: "refused on file://: data.load reads scripts" },
      ],
    },
  },
];
