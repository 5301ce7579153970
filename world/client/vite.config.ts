import { defineConfig } from "vite";
import { leanThree } from "./src/scene/build/lean-three.ts";

/** The gateway serves `dist` at the root of its own origin, under a policy without inline scripts and styles. */
export default defineConfig({
  plugins: [leanThree()],
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
