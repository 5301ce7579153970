import { defineConfig } from "vite";

/** The gateway serves `dist` at the root of its own origin, under a policy without inline scripts and styles. */
export default defineConfig({
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
