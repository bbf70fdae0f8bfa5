// What the OpenID and SD-JWT libraries ask their caller for: ES256, hashes and randomness.
// All of it is Node's own cryptography.

import {
  X509Certificate,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { clientAuthenticationDynamic, setGlobalConfig } from "@openid4vc/oauth2";
import { encrypt } from "./jwe.mjs";

// The services under test listen on http://127.0.0.1.
setGlobalConfig({ allowInsecureUrls: true });

const DID_JWK = "did:jwk:";
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (text) => JSON.parse(Buffer.from(text, "base64url").toString("utf8"));

export const nowInSeconds = () => Math.floor(Date.now() / 1000);
export const randomText = () => randomBytes(32).toString("base64url");
export const hash = (data, name) => createHash(name.replace("-", "")).update(data).digest();

/** A P-256 key that signs ES256. */
export class Key {
  static generate() {
    return new Key(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }));
  }

  constructor(privateJwk) {
    this.privateJwk = privateJwk;
    const { kty, crv, x, y } = privateJwk;
    this.publicJwk = { kty, crv, x, y };
    this.did = DID_JWK + encode(this.publicJwk);
    this.didUrl = `${this.did}#0`;
  }

  sign(text) {
    const key = createPrivateKey({ key: this.privateJwk, format: "jwk" });
    return sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
  }

  signJwt(header, payload) {
    const input = `${encode(header)}.${encode(payload)}`;
    return `${input}.${this.sign(input)}`;
  }
}

/** Say whether `signature` over `text` is ES256 by `publicJwk`. */
export function isSignedBy(publicJwk, text, signature) {
  if (publicJwk?.kty !== "EC" || publicJwk.crv !== "P-256") return false;
  const key = createPublicKey({ key: publicJwk, format: "jwk" });
  const bytes = Buffer.from(signature, "base64url");
  return verify("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }, bytes);
}

function publicJwkOf(signer) {
  if (signer.method === "jwk") return signer.publicJwk;
  if (signer.method === "did" && signer.didUrl.startsWith(DID_JWK)) {
    const [did, fragment] = signer.didUrl.split("#");
    if (fragment === "0") return decode(did.slice(DID_JWK.length));
  }
  if (signer.method === "x5c") return certificate(signer.x5c[0]).publicKey.export({ format: "jwk" });
  throw new Error(`expected a key in the header, a did:jwk or a certificate, found ${signer.method}`);
}

const certificate = (base64) => new X509Certificate(Buffer.from(base64, "base64"));

/** The names in a certificate that is in its time; whom it leads to is not looked at here. */
function getX509CertificateMetadata(base64) {
  const { subjectAltName = "", validFrom, validTo } = certificate(base64);
  const now = Date.now();
  if (now < Date.parse(validFrom) || now > Date.parse(validTo)) {
    throw new Error(`expected a certificate in its time, found ${validFrom} to ${validTo}`);
  }
  const names = (kind) =>
    subjectAltName
      .split(", ")
      .filter((name) => name.startsWith(kind))
      .map((name) => name.slice(kind.length));
  return { sanDnsNames: names("DNS:"), sanUriNames: names("URI:") };
}

/** The callbacks of the @openid4vc libraries, signing with `key`. */
export function callbacks(key) {
  return {
    hash,
    generateRandom: randomBytes,
    fetch,
    // Anonymous when the authorization server's metadata allows it, HTTP Basic otherwise.
    clientAuthentication: clientAuthenticationDynamic({ clientId: "stranger", clientSecret: "none" }),
    getX509CertificateMetadata,
    encryptJwe: ({ publicJwk, enc, apu, apv }, text) => ({
      encryptionJwk: publicJwk,
      jwe: encrypt(Buffer.from(text), {
        jwk: publicJwk,
        enc,
        header: { ...(apu && { apu }), ...(apv && { apv }) },
      }),
    }),
    signJwt: (_signer, { header, payload }) => ({
      jwt: key.signJwt(header, payload),
      signerJwk: key.publicJwk,
    }),
    verifyJwt: (signer, { header, compact }) => {
      const publicJwk = publicJwkOf(signer);
      const end = compact.lastIndexOf(".");
      const verified =
        header.alg === "ES256" && isSignedBy(publicJwk, compact.slice(0, end), compact.slice(end + 1));
      return verified ? { verified, signerJwk: publicJwk } : { verified };
    },
  };
}
