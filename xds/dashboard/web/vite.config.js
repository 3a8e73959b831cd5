import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page also works below a path: `kubectl proxy`, an ingress.
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2021",
    assetsInlineLimit: 0, // the content policy allows no data: URLs
    modulePreload: { polyfill: false },
  },
});
