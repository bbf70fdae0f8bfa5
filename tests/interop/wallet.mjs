// A stranger's wallet: OpenID4VCI 1.0 and OpenID4VP 1.0 by @openid4vc, SD-JWT VC by @sd-jwt.
//
//     node wallet.mjs accept OFFER_LINK TX_CODE
//         gets every credential of the offer, verifies it with its issuer's keys and status list,
//         and prints {"key": private JWK, "credentials": {configuration: {"credential", "claims",
//         "all": a batch's}}, "encrypted": how many answers were}. --batch COUNT, --dpop,
//         --encrypted; --login CUSTOMER instead of the offer's code (TX_CODE is then "")
//     node wallet.mjs check CREDENTIAL ISSUER
//         verifies a credential again and prints {"status": 0}, or {"invalid": why not}
//     node wallet.mjs present REQUEST_LINK CREDENTIAL KEY
//         discloses what is asked for, no more, in the mode that the request names, and prints
//         {"answered": what came back}; --enc A256GCM encrypts so, where the verifier can
//
// When the peer refuses, {"refused": {"status", "error", "error_description"}} is printed instead;
// anything unforeseen is a stack trace and exit status 1.
//
// Misbehaviour, to be refused: accept --nonce NONCE, --flaw NAME (receiving.mjs); present --nonce NONCE, --audience CLIENT_ID,
// --tamper CLAIM (that claim's disclosure goes along with another value), --flaw NAME (FLAWS
// below), and --twice (the same answer again; {"second": …} says what became of it).

import { parseArgs } from "node:util";
import { Oauth2ClientErrorResponseError } from "@openid4vc/oauth2";
import { Openid4vciRetrieveCredentialsError } from "@openid4vc/openid4vci";
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { DcqlQuery } from "dcql";
import { bindingWith, decodeJwt, verifyCredential } from "./credentials.mjs";
import { Key, callbacks, hash, nowInSeconds, randomText } from "./crypto.mjs";
import { accept } from "./receiving.mjs";

async function check(credential, issuer) {
  try {
    await verifyCredential(credential, { issuer });
    return { status: 0 };
  } catch (error) {
    return { invalid: error.message };
  }
}

/** What a wallet may do to a good presentation; `rebind` makes a key binding that fits it. */
const FLAWS = {
  unbound: (parts) => [...parts.slice(0, -1), ""],
  issuer_signature: ([credential, ...rest], rebind) => rebind([turned(credential), ...rest]),
  binding_signature: (parts) => [...parts.slice(0, -1), turned(parts.at(-1))],
  sd_hash: (parts, rebind) => rebind(parts, { sd_hash: hash("another", "sha-256").toString("base64url") }),
  too_old: (parts, rebind) => rebind(parts, { iat: nowInSeconds() - 3600 }),
  future: (parts, rebind) => rebind(parts, { iat: nowInSeconds() + 3600 }),
  unreferenced: (parts, rebind) => rebind([...parts.slice(0, -1), stray(), parts.at(-1)]),
};

/** A JWT whose signature has one bit turned. */
function turned(jwt) {
  const [header, payload, signature] = jwt.split(".");
  const bytes = Buffer.from(signature, "base64url");
  bytes[10] ^= 1;
  return [header, payload, bytes.toString("base64url")].join(".");
}

const stray = () => Buffer.from(JSON.stringify(["salt", "vip", true])).toString("base64url");

function flawed(presentation, flaw, key) {
  const rebind = (parts, changes = {}) => {
    const [header, binding] = decodeJwt(parts.at(-1));
    const shown = `${parts.slice(0, -1).join("~")}~`;
    const sd_hash = hash(shown, "sha-256").toString("base64url");
    return [...parts.slice(0, -1), key.signJwt(header, { ...binding, sd_hash, ...changes })];
  };
  return FLAWS[flaw](presentation.split("~"), rebind).join("~");
}

async function present(link, credential, keyText, { audience, enc, flaw, nonce, tamper, twice }) {
  const key = new Key(JSON.parse(keyText));
  const client = new Openid4vpClient({ callbacks: callbacks(key) });
  const { params } = client.parseOpenid4vpAuthorizationRequest({ authorizationRequest: link });
  // The library posts the members of `metadata` as they are; the form of section 5.10 is these two.
  const wallet_nonce = randomText();
  const wallet_metadata = { vp_formats_supported: { "dc+sd-jwt": {} } };
  const resolved = await client.resolveOpenId4vpAuthorizationRequest({
    authorizationRequestPayload: params,
    ...(params.request_uri_method === "post" && {
      wallet: { metadata: { wallet_metadata, wallet_nonce }, expectedNonce: wallet_nonce },
    }),
  });
  const request = resolved.authorizationRequestPayload;
  const query = DcqlQuery.parse(resolved.dcql.query);
  DcqlQuery.validate(query);
  const [, { vct }] = decodeJwt(credential.split("~")[0]);
  const asked = query.credentials.find(({ meta }) => meta.vct_values.includes(vct));
  if (!asked) throw new Error("expected a request for this credential's type, found another");
  const binding = {
    iat: nowInSeconds(),
    aud: audience ?? request.client_id,
    nonce: nonce ?? request.nonce,
  };
  let presentation = await bindingWith(key).present(credential, frame(asked.claims ?? []), {
    kb: { payload: binding },
  });
  if (tamper) presentation = tampered(presentation, credential, tamper, key);
  if (flaw && flaw !== "left_out") presentation = flawed(presentation, flaw, key);
  const vp_token = flaw === "left_out" ? {} : { [asked.id]: [presentation] };
  const { authorizationResponsePayload, jarm } = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request,
    authorizationResponsePayload: { vp_token },
    ...(request.response_mode === "direct_post.jwt" && { jarm: encryption(enc) }),
  });
  const submit = async () => {
    const { response } = await client.submitOpenid4vpAuthorizationResponse({
      authorizationRequestPayload: request,
      authorizationResponsePayload,
      jarm,
    });
    const answer = await response.json();
    return response.ok ? { answered: answer } : { refused: { status: response.status, ...answer } };
  };
  const first = await submit();
  return twice ? { ...first, second: await submit() } : first;
}

/** What this wallet says of how it encrypts: `enc` before all others. */
const encryption = (enc) => ({
  encryption: { nonce: randomText() },
  serverMetadata: {
    authorization_signing_alg_values_supported: [],
    authorization_encryption_alg_values_supported: ["ECDH-ES"],
    authorization_encryption_enc_values_supported: [...new Set([enc ?? "A128GCM", "A128GCM", "A256GCM"])],
  },
});

/** The presentation frame of @sd-jwt for claim paths of names. */
function frame(claims) {
  const root = {};
  for (const { path } of claims) {
    let place = root;
    for (const name of path.slice(0, -1)) place = place[name] ??= {};
    place[path.at(-1)] ??= true;
  }
  return root;
}

/**
 * The presentation with a disclosure of `claim` that holds another value, and a key binding that
 * is right for it: only the digests that the issuer signed can tell.
 */
function tampered(presentation, credential, claim, key) {
  const good = credential.split("~").find((part) => disclosed(part)[1] === claim);
  if (!good) throw new Error(`expected a disclosure of ${claim}, found none`);
  const [salt, name, value] = disclosed(good);
  const bad = Buffer.from(JSON.stringify([salt, name, `${value}0`])).toString("base64url");
  const parts = presentation.split("~");
  const [header, binding] = decodeJwt(parts.pop());
  const text = [...parts.filter((part) => part !== good), bad, ""].join("~");
  const sd_hash = hash(text, "sha-256").toString("base64url");
  return text + key.signJwt(header, { ...binding, sd_hash });
}

const disclosed = (part) =>
  part && !part.includes(".") ? JSON.parse(Buffer.from(part, "base64url").toString("utf8")) : [];

/** The peer's refusal in `error`; what is none is thrown on. */
function refused(error) {
  if (error instanceof Oauth2ClientErrorResponseError) {
    return { refused: { status: error.response.status, ...error.errorResponse } };
  }
  if (error instanceof Openid4vciRetrieveCredentialsError) {
    const { credentialErrorResponseResult, response } = error.response;
    if (credentialErrorResponseResult?.success) {
      return { refused: { status: response.status, ...credentialErrorResponseResult.data } };
    }
  }
  throw error;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    audience: { type: "string" },
    batch: { type: "string" },
    dpop: { type: "boolean" },
    enc: { type: "string" },
    encrypted: { type: "boolean" },
    flaw: { type: "string" },
    login: { type: "string" },
    nonce: { type: "string" },
    tamper: { type: "string" },
    twice: { type: "boolean" },
  },
});
const [command, ...operands] = positionals;
const commands = { accept: [accept, 2], check: [check, 2], present: [present, 3] };
if (!commands[command] || operands.length !== commands[command][1]) {
  console.error("usage: accept OFFER_LINK TX_CODE | check CREDENTIAL ISSUER | present REQUEST_LINK CREDENTIAL KEY");
  process.exit(2);
}
console.log(JSON.stringify(await commands[command][0](...operands, values).catch(refused)));
