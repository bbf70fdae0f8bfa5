// The stranger from npm, @sd-jwt: one JSON request per line, one answer, as in peers.py.
//
// The audience and the age of a key binding are checked here: the library leaves them to
// its caller, as it leaves the signature.

import { createHash, randomBytes, sign, verify } from "node:crypto";
import { createInterface } from "node:readline";
import { FlattenJSON, GeneralJSON, SDJwtGeneralJSONInstance, SDJwtInstance } from "@sd-jwt/core";
import { createHeaderAndPayload, getListFromStatusListJWT, StatusList } from "@sd-jwt/jwt-status-list";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";

const TYP = "dc+sd-jwt";
const DIGESTS = { ES256: "sha256", ES384: "sha384", ES256K: "sha256", EdDSA: null, Ed25519: null };
const ALGORITHMS = {
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  secp256k1: ["ES256K"],
  Ed25519: ["Ed25519", "EdDSA"],
};
const KEY_BINDING_LIFE_S = 360;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (text) => JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
const nodeKey = (jwk) => ({ key: jwk, format: "jwk", dsaEncoding: "ieee-p1363" });
const signer = (jwk, alg) => (text) =>
  sign(DIGESTS[alg], Buffer.from(text), nodeKey(jwk)).toString("base64url");

function isSignedBy(jwk, text, signature) {
  const { alg } = decode(text.split(".")[0]);
  if (!ALGORITHMS[jwk.crv]?.includes(alg)) return false;
  return verify(DIGESTS[alg], Buffer.from(text), nodeKey(jwk), Buffer.from(signature, "base64url"));
}

const HASHES = {
  hasher: (data, name) => createHash(name.replace("-", "")).update(data).digest(),
  hashAlg: "sha-256",
  saltGenerator: (length) => randomBytes(length).toString("base64url"),
};

/** Give the library's frame of what to conceal: names or indices under `_sd`, level by level. */
function frameOf(paths, decoys) {
  const frame = { _sd: [], ...(decoys && { _sd_decoy: decoys }) };
  for (const [name, ...below] of paths) if (!below.length) frame._sd.push(name);
  for (const name of new Set(paths.filter((path) => path.length > 1).map(([name]) => name))) {
    frame[name] = frameOf(paths.filter((path) => path[0] === name && path.length > 1).map((p) => p.slice(1)));
  }
  return frame;
}

/** Give the library's frame of what to disclose: true, level by level. */
function chosenOf(paths) {
  const chosen = {};
  for (const [name, ...below] of paths) {
    if (!below.length) chosen[name] ??= true;
    else chosen[name] = chosenOf(paths.filter((p) => p[0] === name && p.length > 1).map((p) => p.slice(1)));
  }
  return chosen;
}

const compactOf = {
  compact: (text) => text,
  flattened: (text) => FlattenJSON.fromSerialized(JSON.parse(text)).toEncoded(),
  general: (text) => GeneralJSON.fromSerialized(JSON.parse(text)).toEncoded(0),
};

const inForm = {
  compact: (text) => text,
  flattened: (text) => JSON.stringify(FlattenJSON.fromEncode(text).toJson()),
  general: (text) => JSON.stringify(GeneralJSON.fromEncode(text).toJson()),
};

function issue({ key, alg, kid, claims, concealed, holder, decoys, form = "compact" }) {
  const instance = new SDJwtVcInstance({ ...HASHES, signAlg: alg, signer: signer(key, alg) });
  const payload = holder ? { ...claims, cnf: { jwk: holder } } : claims;
  return instance.issue(payload, frameOf(concealed, decoys), { header: { kid } }).then(inForm[form]);
}

function present({ sd_jwt, key, alg, disclosed, audience, nonce, now, form = "compact" }) {
  const instance = new SDJwtVcInstance({ ...HASHES, kbSignAlg: alg, kbSigner: signer(key, alg) });
  const kb = { payload: { iat: now, aud: audience, nonce } };
  return instance.present(compactOf[form](sd_jwt), chosenOf(disclosed), { kb }).then(inForm[form]);
}

async function verifyPresentation({ presentation, key, audience, nonce, now, form = "compact" }) {
  const isByIssuer = (text, signature) => isSignedBy(key, text, signature);
  const isByHolder = (text, signature, claims) => isSignedBy(claims.cnf.jwk, text, signature);
  const options = { keyBindingNonce: nonce, currentDate: now, skewSeconds: 60 };
  const config = { ...HASHES, verifier: isByIssuer, kbVerifier: isByHolder };
  // The credential's status is asked for elsewhere, so this is the library's core.
  const { payload, header, headers, kb } =
    form === "general"
      ? await new SDJwtGeneralJSONInstance(config).verify(
          GeneralJSON.fromSerialized(JSON.parse(presentation)),
          options,
        )
      : await new SDJwtInstance(config).verify(compactOf[form](presentation), options);
  if ((header ?? headers[0]).typ !== TYP) throw new Error(`expected the type ${TYP}, found another`);
  if (kb.payload.aud !== audience) throw new Error("expected this audience, found another");
  if (!(Math.abs(now - kb.payload.iat) <= KEY_BINDING_LIFE_S)) throw new Error("expected a fresh key binding");
  return payload;
}

function list({ statuses, bits, uri, key, alg, kid, now, ttl }) {
  const { header, payload } = createHeaderAndPayload(
    new StatusList(statuses, bits),
    { sub: uri, iat: now, ttl },
    { alg, kid },
  );
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signer(key, alg)(input)}`;
}

function look({ token, key, indices }) {
  const end = token.lastIndexOf(".");
  if (!isSignedBy(key, token.slice(0, end), token.slice(end + 1))) throw new Error("expected the issuer's list");
  const listed = getListFromStatusListJWT(token);
  return indices.map((index) => listed.getStatus(index));
}

/** Read a signed paper: an SD-JWT in which nothing is concealed. */
async function readPaper({ token, key, typ, now }) {
  const verifier = (text, signature) => isSignedBy(key, text, signature);
  const { payload, header } = await new SDJwtInstance({ ...HASHES, verifier }).verify(`${token}~`, {
    currentDate: now,
  });
  if (header.typ !== typ) throw new Error(`expected the type ${typ}, found another`);
  return payload;
}

const DOINGS = { issue, present, verify: verifyPresentation, list, look, paper: readPaper };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let told;
  try {
    told = { answer: await DOINGS[request.do](request) };
  } catch (error) {
    told = { refused: String(error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
