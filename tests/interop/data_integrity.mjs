// The stranger of the W3C's lane, @digitalbazaar: one JSON request per line, one answer.
//
// Contexts and DID documents come from the caller or from what the packages carry; nothing is
// fetched. `suite` names how a document is signed; keys are Multikeys.

import { createInterface } from "node:readline";
import * as bbs2023 from "@digitalbazaar/bbs-2023-cryptosuite";
import * as Bls12381Multikey from "@digitalbazaar/bls12-381-multikey";
import { contexts as CREDENTIALS } from "@digitalbazaar/credentials-context";
import { DataIntegrityProof } from "@digitalbazaar/data-integrity";
import { createSignCryptosuite as signEcdsaJcs } from "@digitalbazaar/ecdsa-jcs-2019-cryptosuite";
import { createVerifyCryptosuite as verifyEcdsaJcs } from "@digitalbazaar/ecdsa-jcs-2019-cryptosuite";
import * as EcdsaMultikey from "@digitalbazaar/ecdsa-multikey";
import { cryptosuite as ecdsaRdfc } from "@digitalbazaar/ecdsa-rdfc-2019-cryptosuite";
import * as ecdsaSd from "@digitalbazaar/ecdsa-sd-2023-cryptosuite";
import * as Ed25519Multikey from "@digitalbazaar/ed25519-multikey";
import { createSignCryptosuite as signEddsaJcs } from "@digitalbazaar/eddsa-jcs-2022-cryptosuite";
import { createVerifyCryptosuite as verifyEddsaJcs } from "@digitalbazaar/eddsa-jcs-2022-cryptosuite";
import { cryptosuite as eddsaRdfc } from "@digitalbazaar/eddsa-rdfc-2022-cryptosuite";
import * as vc from "@digitalbazaar/vc";

const KINDS = {
  "eddsa-rdfc-2022": [Ed25519Multikey, () => eddsaRdfc, () => eddsaRdfc],
  "eddsa-jcs-2022": [Ed25519Multikey, signEddsaJcs, verifyEddsaJcs],
  "ecdsa-rdfc-2019": [EcdsaMultikey, () => ecdsaRdfc, () => ecdsaRdfc],
  "ecdsa-jcs-2019": [EcdsaMultikey, signEcdsaJcs, verifyEcdsaJcs],
  "ecdsa-sd-2023": [
    EcdsaMultikey,
    ({ mandatory }) => ecdsaSd.createSignCryptosuite({ mandatoryPointers: mandatory }),
    () => ecdsaSd.createVerifyCryptosuite(),
  ],
  "bbs-2023": [
    Bls12381Multikey,
    ({ mandatory }) => bbs2023.createSignCryptosuite({ mandatoryPointers: mandatory }),
    () => bbs2023.createVerifyCryptosuite(),
  ],
};
const DISCLOSE = { "ecdsa-sd-2023": ecdsaSd, "bbs-2023": bbs2023 };
const MULTIKEY = "https://w3id.org/security/multikey/v1";

function loaderOf({ contexts = {} }) {
  const known = new Map([...CREDENTIALS, ...Object.entries(contexts)]);
  return async (url) => {
    if (url.startsWith("did:key:")) {
      const did = url.split("#")[0];
      const method = `${did}#${did.slice("did:key:".length)}`;
      const key = { id: method, type: "Multikey", controller: did, publicKeyMultibase: did.slice(8) };
      const related = { assertionMethod: [key], authentication: [key] };
      const document = url.includes("#")
        ? { "@context": MULTIKEY, ...key }
        : { "@context": ["https://www.w3.org/ns/did/v1", MULTIKEY], id: did, ...related };
      return { contextUrl: null, documentUrl: url, document };
    }
    if (!known.has(url)) throw new Error(`no such document: ${url}`);
    return { contextUrl: null, documentUrl: url, document: known.get(url) };
  };
}

const DO = {
  async key({ suite, options = {} }) {
    const [keys] = KINDS[suite];
    const pair = await keys.generateBbsKeyPair?.({ algorithm: "BBS-BLS12-381-SHA-256" })
      ?? (await keys.generate({ curve: "P-256", ...options }));
    return await pair.export({ publicKey: true, secretKey: true });
  },

  async issue({ suite, credential, key, created, mandatory = [], ...more }) {
    const [keys, signs] = KINDS[suite];
    const did = `did:key:${key.publicKeyMultibase}`;
    const pair = await keys.from({ ...key, id: `${did}#${key.publicKeyMultibase}`, controller: did });
    const proof = new DataIntegrityProof({
      signer: pair.signer(),
      cryptosuite: signs({ mandatory }),
      date: created,
    });
    return vc.issue({ credential, suite: proof, documentLoader: loaderOf(more) });
  },

  async derive({ suite, credential, shown, ...more }) {
    const cryptosuite = DISCLOSE[suite].createDiscloseCryptosuite({ selectivePointers: shown });
    const proof = new DataIntegrityProof({ cryptosuite });
    return vc.derive({ verifiableCredential: credential, suite: proof, documentLoader: loaderOf(more) });
  },

  async verify({ suite, credential, now, ...more }) {
    const [, , verifies] = KINDS[suite];
    const proof = new DataIntegrityProof({ cryptosuite: verifies() });
    const found = await vc.verifyCredential({
      credential,
      suite: proof,
      documentLoader: loaderOf(more),
      now: new Date(now * 1000),
    });
    if (found.verified) return true;
    const errors = found.error?.errors ?? [found.error];
    throw new Error(errors.map((error) => error?.message ?? String(error)).join("; "));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let told;
  try {
    told = { answer: await DO[request.do](request) };
  } catch (error) {
    told = { refused: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
