// axe-core (Deque) reads officers' reports in jsdom. Contrast needs a real browser's layout and is computed in
// tests/keys_tooling/test_report_pages.py instead. A page whose name begins with "spoilt" must be found fault with.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { JSDOM, VirtualConsole } from "jsdom";

const source = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const folder = process.argv[2];

for (const name of readdirSync(folder).sort()) {
  // jsdom's own reader of style sheets knows no margin boxes, and says so at length.
  const page = new JSDOM(readFileSync(join(folder, name), "utf8"), {
    runScripts: "outside-only",
    virtualConsole: new VirtualConsole(),
  });
  page.window.eval(source);
  const found = await page.window.axe.run(page.window.document, { rules: { "color-contrast": { enabled: false } } });
  const faults = found.violations.map((one) => one.id);
  const spoilt = name.startsWith("spoilt");
  console.log(
    JSON.stringify({
      name: `axe on ${name}`,
      ok: found.passes.length > 20 && (faults.length > 0) === spoilt,
      said: faults.join(", ") || `${found.passes.length} rules hold`,
    }),
  );
}
