// Compact JWE (RFC 7516) under ECDH-ES on P-256 (RFC 7518, section 4.6) by Node's own cryptography.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
} from "node:crypto";

const KEY_BYTES = { A128GCM: 16, A256GCM: 32 };
const IV_BYTES = 12;

/** A key pair to be sent an answer under: `{ publicJwk, privateJwk }`. */
export function encryptionKey() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const header = { alg: "ECDH-ES", use: "enc", kid: randomBytes(8).toString("base64url") };
  return {
    publicJwk: { ...publicKey.export({ format: "jwk" }), ...header },
    privateJwk: privateKey.export({ format: "jwk" }),
  };
}

/** Encrypt `bytes` for a published key. */
export function encrypt(bytes, { jwk, enc, header = {} }) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: jwk.crv });
  const epk = publicKey.export({ format: "jwk" });
  const head = { alg: "ECDH-ES", enc, epk, ...(jwk.kid && { kid: jwk.kid }), ...header };
  const theirs = createPublicKey({ key: jwk, format: "jwk" });
  const key = agreed(diffieHellman({ privateKey, publicKey: theirs }), head);
  const protectedText = Buffer.from(JSON.stringify(head)).toString("base64url");
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm`, key, iv);
  cipher.setAAD(Buffer.from(protectedText));
  const text = Buffer.concat([cipher.update(bytes), cipher.final()]);
  const parts = [iv, text, cipher.getAuthTag()].map((part) => part.toString("base64url"));
  return [protectedText, "", ...parts].join(".");
}

/** Decrypt what was sent to `privateJwk`. */
export function decrypt(jwe, privateJwk) {
  const [protectedText, wrapped, ...parts] = jwe.split(".");
  const head = JSON.parse(Buffer.from(protectedText, "base64url").toString("utf8"));
  if (head.alg !== "ECDH-ES" || wrapped !== "" || "zip" in head) {
    throw new Error(`expected ECDH-ES without compression, found ${head.alg}`);
  }
  const [iv, text, tag] = parts.map((part) => Buffer.from(part, "base64url"));
  const privateKey = createPrivateKey({ key: privateJwk, format: "jwk" });
  const publicKey = createPublicKey({ key: head.epk, format: "jwk" });
  const key = agreed(diffieHellman({ privateKey, publicKey }), head);
  const decipher = createDecipheriv(`aes-${key.length * 8}-gcm`, key, iv);
  decipher.setAAD(Buffer.from(protectedText));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

/** The one round of the Concat KDF that a key of at most 32 bytes needs. */
function agreed(secret, { enc, apu = "", apv = "" }) {
  const size = KEY_BYTES[enc];
  if (!size) throw new Error(`expected A128GCM or A256GCM, found ${enc}`);
  const number = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const counted = (bytes) => [number(bytes.length), bytes];
  const hashed = createHash("sha256");
  for (const part of [
    number(1),
    secret,
    ...counted(Buffer.from(enc)),
    ...counted(Buffer.from(apu, "base64url")),
    ...counted(Buffer.from(apv, "base64url")),
    number(size * 8),
  ]) {
    hashed.update(part);
  }
  return hashed.digest().subarray(0, size);
}
