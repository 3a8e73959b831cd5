import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

// Preact's licence goes where its code goes.
const licence = `/*! Preact: ${readFileSync("node_modules/preact/LICENSE", "utf8")} */`;

export default defineConfig({
  // Relative, so that the page also works below a path: `kubectl proxy`, an ingress.
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "inline" },
  build: {
    target: "es2021",
    assetsInlineLimit: 0, // the content policy allows no data: URLs
    modulePreload: { polyfill: false },
    rollupOptions: { output: { banner: licence } },
  },
});
