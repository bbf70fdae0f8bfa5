// Compile every contract in a folder: node compile.mjs MODULES OUTPUT [SOURCES]
//
// MODULES is a node_modules folder with solc and OpenZeppelin; OUTPUT gets one JSON per contract with its
// ABI and bytecode. SOURCES is the package's folder of contracts unless it is given. The same input gives the same bytes: no metadata hash, sorted names, no dates.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, output, sources] = process.argv.slice(2).map((path) => resolve(path));
if (!modules || !output) {
  console.error("usage: node compile.mjs MODULES OUTPUT [SOURCES]");
  process.exit(2);
}
const contracts = sources ?? join(dirname(fileURLToPath(import.meta.url)), "../counterfoil_loyalty/contracts");
const solc = createRequire(join(modules, "anchor.js"))("solc");
const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"))).version;

const names = readdirSync(contracts).filter((name) => name.endsWith(".sol")).sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    names.map((name) => [name, { content: readFileSync(join(contracts, name), "utf8") }]),
  ),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    viaIR: false,
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const findImport = (path) => {
  try {
    return { contents: readFileSync(join(modules, path), "utf8") };
  } catch {
    return { error: `expected ${path} in the packages of package-lock.json, found nothing` };
  }
};
const compiled = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
// Warnings too, in what is ours: there are none to get used to.
const found = (compiled.errors ?? []).filter(
  ({ severity, sourceLocation }) => severity === "error" || names.includes(sourceLocation?.file),
);
for (const { formattedMessage } of found) console.error(formattedMessage);
if (found.length > 0) process.exit(1);

mkdirSync(output, { recursive: true });
for (const file of names) {
  const name = file.replace(/\.sol$/, "");
  const { abi, evm } = compiled.contracts[file][name];
  const artifact = {
    contract: name,
    compiler: `solc ${version("solc")}`,
    openzeppelin: version("@openzeppelin/contracts"),
    settings: { ...input.settings, outputSelection: undefined },
    abi,
    bytecode: `0x${evm.bytecode.object}`,
  };
  writeFileSync(join(output, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
  console.log(`${name}: ${evm.bytecode.object.length / 2} bytes to deploy`);
}
