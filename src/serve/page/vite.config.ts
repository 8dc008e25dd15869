// How the page is built and served while it is being worked on.
//
// Owns: the shape of dist/ (hashed names, nothing inlined, so that the daemon may send everything
// but index.html as immutable) and the proxy of `npm run dev`.

import { defineConfig } from 'vitest/config';

/** The box that `npm run dev` shows. */
const target = process.env['VITE_TARGET'] ?? 'http://127.0.0.1:8080';

const proxied = { target, changeOrigin: true };

export default defineConfig({
  // Relative: a reverse proxy may serve the page below a path.
  base: './',
  build: {
    target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
    // A strict Content-Security-Policy forbids inline scripts and styles; no asset becomes a data URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      '/api': { ...proxied, ws: true, rewriteWsOrigin: true },
      '/snap': proxied,
      '/metrics': proxied,
      // The box refuses a socket that another host's page asks for.
      '/live': { ...proxied, ws: true, rewriteWsOrigin: true },
      '/play': { ...proxied, ws: true, rewriteWsOrigin: true },
      '/export': proxied,
    },
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
  },
});
