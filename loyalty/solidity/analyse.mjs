// Compile contracts for those who reason about them: node analyse.mjs MODULES OUTPUT CONTRACTS [PROOFS]
//
// MODULES is a node_modules folder with solc and OpenZeppelin, CONTRACTS the folder of our contracts.
// Without PROOFS, OUTPUT gets `contracts_export.json`, which slither reads in place of a compiler. With
// it, OUTPUT gets `out/`, which halmos reads: one file per contract, of ours and of PROOFS. The compiler
// and its settings are those of compile.mjs, so that what is proved is the code that is deployed.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";

const [modules, output, contracts, proofs] = process.argv.slice(2).map((path) => resolve(path));
if (!contracts) {
  console.error("usage: node analyse.mjs MODULES OUTPUT CONTRACTS [PROOFS]");
  process.exit(2);
}
const solc = createRequire(join(modules, "anchor.js"))("solc");

const named = (folder, prefix) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".sol"))
    .sort()
    .map((name) => [`${prefix}/${name}`, join(folder, name)]);
// Where each source is, by the name that an import gives it.
const places = new Map([...named(contracts, "contracts"), ...(proofs ? named(proofs, "proofs") : [])]);
const read = (name) => readFileSync(places.get(name) ?? join(modules, name), "utf8");
const wanted = (name) => name.startsWith(proofs ? "proofs/" : "contracts/");
const input = {
  language: "Solidity",
  sources: Object.fromEntries([...places.keys()].filter(wanted).map((name) => [name, { content: read(name) }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    viaIR: false,
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none" },
    outputSelection: {
      "*": { "": ["ast"], "*": ["abi", "devdoc", "userdoc", "metadata", "evm"] },
    },
  },
};
const findImport = (name) => {
  try {
    return { contents: read(name) };
  } catch {
    return { error: `expected ${name} among the contracts and in the packages, found nothing` };
  }
};
const compiled = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
const errors = (compiled.errors ?? []).filter(({ severity }) => severity === "error");
for (const { formattedMessage } of errors) console.error(formattedMessage);
if (errors.length > 0) process.exit(1);

if (proofs) writeBuilt();
else writeExport();

function writeBuilt() {
  for (const [name, found] of Object.entries(compiled.contracts)) {
    const folder = join(output, "out", basename(name));
    mkdirSync(folder, { recursive: true });
    for (const [contract, { abi, metadata, evm }] of Object.entries(found)) {
      const { bytecode, deployedBytecode, methodIdentifiers } = evm;
      const prefixed = (code) => ({ ...code, object: `0x${code.object}` });
      const built = {
        abi,
        bytecode: prefixed(bytecode),
        deployedBytecode: prefixed(deployedBytecode),
        methodIdentifiers,
        metadata: JSON.parse(metadata || "{}"),
        ast: compiled.sources[name].ast,
        id: compiled.sources[name].id,
      };
      writeFileSync(join(folder, `${contract}.json`), JSON.stringify(built));
    }
  }
}

function writeExport() {
  const filenames = (name) => {
    const absolute = places.get(name) ?? join(modules, name);
    return { absolute, used: name, short: name, relative: name };
  };
  const units = {};
  for (const [name, { ast }] of Object.entries(compiled.sources)) {
    const exported = {};
    for (const [contract, { abi, userdoc, devdoc, evm }] of Object.entries(compiled.contracts[name] ?? {})) {
      exported[contract] = {
        abi,
        bin: evm.bytecode.object,
        "bin-runtime": evm.deployedBytecode.object,
        srcmap: evm.bytecode.sourceMap,
        "srcmap-runtime": evm.deployedBytecode.sourceMap,
        filenames: filenames(name),
        libraries: {},
        is_dependency: !places.has(name),
        userdoc,
        devdoc,
      };
    }
    units[name] = { ast, contracts: exported };
  }
  const exported = {
    compilation_units: {
      contracts: {
        compiler: { compiler: "solc", version: solc.version().split("+")[0], optimized: true },
        source_units: units,
        filenames: Object.keys(units).map(filenames),
      },
    },
    package: null,
    working_dir: resolve("."),
    type: 1, // Solc, whose sources these are.
    unit_tests: [],
    crytic_version: "0.0.2",
  };
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, "contracts_export.json"), JSON.stringify(exported));
}
