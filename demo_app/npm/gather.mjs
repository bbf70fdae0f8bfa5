// Gather the files that the pages load, with their licences, and write down what each is:
//   node gather.mjs NODE_MODULES INTO
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILES = [
  ["htmx.js", "htmx.org", "dist/htmx.min.js"],
  ["alpine.js", "@alpinejs/csp", "dist/cdn.min.js"],
  ["uplot.js", "uplot", "dist/uPlot.iife.min.js"],
  ["uplot.css", "uplot", "dist/uPlot.min.css"],
  ["zxing.js", "zxing-wasm", "dist/iife/reader/index.js"],
  ["zxing.wasm", "zxing-wasm", "dist/reader/zxing_reader.wasm"],
];
// This package names its licence and brings no text of it; the text is its project's.
const MIT = `MIT License

Copyright © 2019-2021 Caleb Porzio and contributors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`;
// What a file has built in is licensed beside it.
const TEXTS = {
  "@alpinejs/csp": (at) => MIT + "\n" + at("@vue/reactivity"),
  "zxing-wasm": (at) =>
    at("zxing-wasm") + "\nBuilt in: zxing-cpp, Apache-2.0, the licence of this repository.\n",
};

const [modules, into] = process.argv.slice(2);
mkdirSync(into, { recursive: true });
const text = (of) => readFileSync(join(modules, of, "LICENSE"), "utf8");
const versions = {};
for (const [name, of, path] of FILES) {
  const bytes = readFileSync(join(modules, of, path));
  const { version, license } = JSON.parse(readFileSync(join(modules, of, "package.json")));
  const licence = `${of.replace(/^@/, "").replace("/", "-")}.LICENSE`;
  writeFileSync(join(into, name), bytes);
  writeFileSync(join(into, licence), TEXTS[of] ? TEXTS[of](text) : text(of));
  versions[name] = {
    package: of,
    version,
    path,
    license,
    licence,
    integrity: `sha384-${createHash("sha384").update(bytes).digest("base64")}`,
  };
}
writeFileSync(join(into, "versions.json"), `${JSON.stringify(versions, null, 2)}\n`);
