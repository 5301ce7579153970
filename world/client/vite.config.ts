import { defineConfig, loadEnv } from "vite";
import { leanThree } from "./src/scene/build/lean-three.ts";

/** Where `npm run dev` finds a running gateway; WORLD_GATEWAY names another one. */
const GATEWAY = loadEnv("", ".", "WORLD_")["WORLD_GATEWAY"] ?? "http://127.0.0.1:8000";

/** The gateway serves `dist` at the root of its own origin, under a policy without inline scripts and styles. */
export default defineConfig({
  plugins: [leanThree()],
  server: {
    // Not as strings: these would change the header `Host`, with which the gateway compares the page's origin.
    proxy: { "^/(session|places|learned|health)": { target: GATEWAY }, "/world": { target: GATEWAY, ws: true } },
    fs: { allow: [".."] },
  },
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
