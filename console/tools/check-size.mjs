// Holds the console's first-page budget: everything the first page must download before it can answer, compressed.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGET = 250_000;
const out = new URL("../../src/pilothouse/server/static/console/", import.meta.url).pathname;
const assets = join(out, "assets");
const files = readdirSync(assets).filter((name) => name.endsWith(".js"));
const source = new Map(files.map((name) => [name, readFileSync(join(assets, name))]));

// Static imports of the entry, followed through; then the chunks of the page that "/" leads to.
const wanted = new Set();
function follow(name) {
  if (wanted.has(name) || !source.has(name)) return;
  wanted.add(name);
  const text = source.get(name).toString();
  for (const match of text.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) follow(match[1]);
}
const html = readFileSync(join(out, "index.html"), "utf8");
for (const match of html.matchAll(/\/assets\/([\w.-]+\.js)/g)) follow(match[1]);
for (const name of files.filter((file) => file.startsWith("SearchPage"))) follow(name);

let total = 0;
for (const name of wanted) total += gzipSync(source.get(name), { level: 9 }).length;
const report = `first page: ${(total / 1000).toFixed(1)} kB of compressed JavaScript in ${wanted.size} files (budget ${BUDGET / 1000} kB)`;
process.stdout.write(`${report}\n`);
if (total > BUDGET) {
  process.stderr.write("over budget: split a page's code or drop a dependency\n");
  process.exit(1);
}
