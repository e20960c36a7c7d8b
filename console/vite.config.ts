import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The built console is served by `pilothouse up` from inside the Python package.
const outDir = "../src/pilothouse/server/static/console";
const server = process.env.PILOTHOUSE_URL ?? "http://127.0.0.1:8686";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows nothing from data: URLs except images; keep every asset a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": server } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
