// A stranger's wallet: OpenID4VCI 1.0 and OpenID4VP 1.0 by @openid4vc, SD-JWT VC by @sd-jwt.
//
//     node wallet.mjs accept OFFER_LINK TX_CODE
//         gets every credential of the offer, verifies it with its issuer's keys and status list,
//         and prints {"key": private JWK, "credentials": {configuration: {"credential", "claims"}}}
//     node wallet.mjs present REQUEST_LINK CREDENTIAL KEY
//         discloses what is asked for, no more, and prints {"answered": what came back}
//
// When the peer refuses, {"refused": {"status", "error", "error_description"}} is printed instead;
// anything unforeseen is a stack trace and exit status 1.
//
// Misbehaviour, to be refused: accept --nonce NONCE; present --nonce NONCE, --audience CLIENT_ID,
// and --tamper CLAIM (another value in that claim's disclosure).

import { parseArgs } from "node:util";
import { Oauth2ClientErrorResponseError } from "@openid4vc/oauth2";
import { Openid4vciClient, Openid4vciRetrieveCredentialsError } from "@openid4vc/openid4vci";
import { Openid4vpClient } from "@openid4vc/openid4vp";
import { DcqlQuery } from "dcql";
import { bindingWith, decodeJwt, verifyCredential } from "./credentials.mjs";
import { Key, callbacks, hash, nowInSeconds } from "./crypto.mjs";

async function accept(link, txCode, { nonce }) {
  const key = Key.generate();
  const client = new Openid4vciClient({ callbacks: callbacks(key) });
  const offer = await client.resolveCredentialOffer(link);
  const issuerMetadata = await client.resolveIssuerMetadata(offer.credential_issuer);
  if (issuerMetadata.originalDraftVersion !== "V1") {
    throw new Error(`expected OpenID4VCI 1.0, found ${issuerMetadata.originalDraftVersion}`);
  }
  const { accessTokenResponse } = await client.retrievePreAuthorizedCodeAccessTokenFromOffer({
    credentialOffer: offer,
    issuerMetadata,
    txCode,
  });
  const accessToken = accessTokenResponse.access_token;
  const credentials = {};
  for (const credentialConfigurationId of offer.credential_configuration_ids) {
    const { c_nonce } = await client.requestNonce({ issuerMetadata });
    const { jwt } = await client.createCredentialRequestJwtProof({
      issuerMetadata,
      credentialConfigurationId,
      nonce: nonce ?? c_nonce,
      issuedAt: new Date(),
      signer: { method: "jwk", alg: "ES256", publicJwk: key.publicJwk },
    });
    const { credentialResponse } = await client.retrieveCredentials({
      issuerMetadata,
      accessToken,
      credentialConfigurationId,
      proofs: { jwt: [jwt] },
    });
    const [{ credential }] = credentialResponse.credentials;
    const { payload } = await verifyCredential(credential, { issuer: offer.credential_issuer });
    if (payload.cnf.jwk.x !== key.publicJwk.x || payload.cnf.jwk.y !== key.publicJwk.y) {
      throw new Error("expected a credential for the proven key, found another");
    }
    if (credentialResponse.notification_id) {
      await client.sendNotification({
        issuerMetadata,
        accessToken,
        notification: {
          notificationId: credentialResponse.notification_id,
          event: "credential_accepted",
        },
      });
    }
    credentials[credentialConfigurationId] = { credential, claims: payload };
  }
  return { key: key.privateJwk, credentials };
}

async function present(link, credential, keyText, { audience, nonce, tamper }) {
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
  if (tamper) presentation = tampered(presentation, tamper, key);
  const { authorizationResponsePayload } = await client.createOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request,
    authorizationResponsePayload: { vp_token: { [asked.id]: [presentation] } },
  });
  const { response } = await client.submitOpenid4vpAuthorizationResponse({
    authorizationRequestPayload: request,
    authorizationResponsePayload,
  });
  const answer = await response.json();
  return response.ok ? { answered: answer } : { refused: { status: response.status, ...answer } };
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
 * The presentation with another value in the disclosure of `claim`, and a key binding that is
 * right for it: only the digest that the issuer signed can tell.
 */
function tampered(presentation, claim, key) {
  const parts = presentation.split("~");
  const [header, binding] = decodeJwt(parts.pop());
  const shown = parts.map((part, i) => {
    if (i === 0) return part;
    const [salt, name, value] = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    if (name !== claim) return part;
    return Buffer.from(JSON.stringify([salt, name, `${value}0`])).toString("base64url");
  });
  if (shown.join() === parts.join()) throw new Error(`expected a disclosure of ${claim}, found none`);
  const text = `${shown.join("~")}~`;
  const sd_hash = hash(text, "sha-256").toString("base64url");
  return text + key.signJwt(header, { ...binding, sd_hash });
}

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
    nonce: { type: "string" },
    tamper: { type: "string" },
  },
});
const [command, ...operands] = positionals;
const commands = { accept: [accept, 2], present: [present, 3] };
if (!commands[command] || operands.length !== commands[command][1]) {
  console.error("usage: wallet.mjs accept OFFER_LINK TX_CODE | present REQUEST_LINK CREDENTIAL KEY");
  process.exit(2);
}
console.log(JSON.stringify(await commands[command][0](...operands, values).catch(refused)));
