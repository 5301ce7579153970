import { defineConfig, loadEnv } from "vite";
import { leanThree } from "./src/scene/build/lean-three.ts";

/** Where `npm run dev` finds a running gateway; WORLD_GATEWAY names another one. */
const GATEWAY = loadEnv("", ".", "WORLD_")["WORLD_GATEWAY"] ?? "http://127.0.0.1:8000";

/** The addresses of the operators' page have the same file, as on the gateway; what the page then asks for passes on. */
function opsPage({ headers }: { headers: { accept?: string } }): string | undefined {
  return headers.accept?.includes("text/html") ? "/ops.html" : undefined;
}

/** The gateway serves `dist` at the root of its own origin, under a policy without inline scripts and styles. */
export default defineConfig({
  plugins: [leanThree()],
  server: {
    // Not as strings: these would change the header `Host`, with which the gateway compares the page's origin.
    proxy: {
      "^/(session|places|learned|health)": { target: GATEWAY },
      "^/ops/(api|login)": { target: GATEWAY, bypass: opsPage },
      "^/ops($|[?]|/turn/|/conversation)": { target: GATEWAY, bypass: opsPage },
      "/world": { target: GATEWAY, ws: true },
    },
    fs: { allow: [".."] },
  },
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "ops.html"] },
    chunkSizeWarningLimit: 800,
  },
});
