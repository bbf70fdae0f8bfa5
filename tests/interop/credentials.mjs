// SD-JWT VC by @sd-jwt/sd-jwt-vc, with the issuer's keys from its published metadata.

import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import { hash, isSignedBy, randomText } from "./crypto.mjs";

const HASHES = { hasher: hash, hashAlg: "sha-256", saltGenerator: randomText };

export const decodeJwt = (jwt) =>
  jwt
    .split(".")
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8")));

/** For an issuer: sign credentials with `key`. */
export const signingWith = (key) =>
  new SDJwtVcInstance({ ...HASHES, signAlg: "ES256", signer: (text) => key.sign(text) });

/** For a holder: bind presentations with `key`. */
export const bindingWith = (key) =>
  new SDJwtVcInstance({ ...HASHES, kbSignAlg: "ES256", kbSigner: (text) => key.sign(text) });

/** Fetch the issuer's keys (SD-JWT VC, section 4): the name goes between host and path. */
async function issuerKeys(issuer) {
  const { origin, pathname } = new URL(issuer);
  const path = pathname === "/" ? "" : pathname;
  const response = await fetch(`${origin}/.well-known/jwt-vc-issuer${path}`);
  if (!response.ok) throw new Error(`expected the issuer's keys, found HTTP ${response.status}`);
  const metadata = await response.json();
  if (metadata.issuer !== issuer) throw new Error("expected the issuer that was asked, found another");
  return metadata.jwks.keys;
}

/**
 * Verify a credential or presentation of `issuer`: signature, times, status list and, with
 * `nonce`, the key binding. Gives the library's `{ payload, header, kb }`, or throws.
 */
export async function verifyCredential(text, { issuer, nonce }) {
  const [header, claims] = decodeJwt(text.split("~")[0]);
  if (claims.iss !== issuer) throw new Error("expected a credential of the issuer, found another's");
  const keys = await issuerKeys(issuer);
  const publicJwk = keys.find(({ kid }) => kid === header.kid);
  if (header.typ !== "dc+sd-jwt" || header.alg !== "ES256" || !publicJwk) {
    throw new Error("expected an SD-JWT VC under a published key, found another token");
  }
  const isByIssuer = (text, signature) => isSignedBy(publicJwk, text, signature);
  const instance = new SDJwtVcInstance({
    ...HASHES,
    verifier: isByIssuer,
    statusVerifier: isByIssuer,
    kbVerifier: (text, signature, payload) => isSignedBy(payload.cnf?.jwk, text, signature),
  });
  return instance.verify(text, { keyBindingNonce: nonce });
}
