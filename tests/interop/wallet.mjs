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
//         discloses what is asked for, no more, and prints {"answered": what came back}
//
// When the peer refuses, {"refused": {"status", "error", "error_description"}} is printed instead;
// anything unforeseen is a stack trace and exit status 1.
//
// Misbehaviour, to be refused: accept --nonce NONCE, --flaw NAME (receiving.mjs); present --nonce NONCE, --audience CLIENT_ID,
// --tamper CLAIM (that claim's disclosure goes along with another value), and --twice (the same
// answer again; {"second": …} says what became of it).

import { parseArgs } from "node:util";
import { Oauth2ClientErrorResponseError } from "@openid4vc/oauth2";
import { Openid4vciRetrieveCredentialsError } from "@openid4vc/openid4vci";
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { DcqlQuery } from "dcql";
import { bindingWith, decodeJwt, verifyCredential } from "./credentials.mjs";
import { Key, callbacks, hash, nowInSeconds } from "./crypto.mjs";
import { accept } from "./receiving.mjs";

async function check(credential, issuer) {
  try {
    await verifyCredential(credential, { issuer });
    return { status: 0 };
  } catch (error) {
    return { invalid: error.message };
  }
}

async function present(link, credential, keyText, { audience, nonce, tamper, twice }) {
  const key = new Key(JSON.parse(keyText));
  const client = new Openid4vpClient({ callbacks: callbacks(key) });
  const { params } = client.parseOpenid4vpAuthorizationRequest({ authorizationRequest: link });
  const resolved = await client.resolveOpenId4vpAuthorizationRequest({
    authorizationRequestPayload: params,
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
  const { authorizationResponsePayload } = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request,
    authorizationResponsePayload: { vp_token: { [asked.id]: [presentation] } },
  });
  const submit = async () => {
    const { response } = await client.submitOpenid4vpAuthorizationResponse({
      authorizationRequestPayload: request,
      authorizationResponsePayload,
    });
    const answer = await response.json();
    return response.ok ? { answered: answer } : { refused: { status: response.status, ...answer } };
  };
  const first = await submit();
  return twice ? { ...first, second: await submit() } : first;
}

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
