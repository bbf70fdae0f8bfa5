// A stranger's verifier: OpenID4VP 1.0 by @openid4vc/openid4vp, SD-JWT VC by @sd-jwt/sd-jwt-vc,
// DCQL by dcql.
//
//     node verifier.mjs             prints {"address": "http://127.0.0.1:PORT"}
//     POST /requests {"issuer", "vct", "claims": [path, …]}
//                                   gives {"id", "link": "openid4vp://…", "client_id", "nonce"}
//     GET  /results/ID              gives {"state": "waiting" | "accepted" | "refused", …}
//
// {"mode": {…}} in /requests says how it asks: "prefix" of the client id (decentralized_identifier,
// x509_hash, x509_san_dns, redirect_uri), "request" (get, post, link), "response" (direct_post,
// direct_post.jwt); with certificates also "key" (a private JWK) and "x5c".
//
// {"flaw": …} makes a request that a wallet must not answer: "signature" signs it with another
// key, "client_id" names another verifier in the link than in the request, "wallet_nonce"
// repeats another nonce than the wallet's.

import { Openid4vpVerifier } from "@openid4vc/openid4vp";
import { DcqlPresentationResult, DcqlQuery } from "dcql";
import { decodeJwt, verifyCredential } from "./credentials.mjs";
import { Key, callbacks, hash, nowInSeconds, randomText } from "./crypto.mjs";
import { refusal, serve } from "./http.mjs";
import { decrypt, encryptionKey } from "./jwe.mjs";

const QUERY_ID = "asked";
const REQUEST_TYPE = "application/oauth-authz-req+jwt";
const REQUEST_LIFE_S = 300;
const LONGEST_AGE_S = 300;
const AUDIENCE = "https://self-issued.me/v2"; // Section 5.8: not made for one known wallet.
const didClientId = ({ did }) => `decentralized_identifier:${did}`;

const own = Key.generate();
const another = Key.generate();
const sessions = new Map();

function clientIdOf({ prefix = "decentralized_identifier", x5c }, responseUri) {
  switch (prefix) {
    case "decentralized_identifier":
      return didClientId(own);
    case "x509_hash":
      return `x509_hash:${hash(Buffer.from(x5c[0], "base64"), "sha-256").toString("base64url")}`;
    case "x509_san_dns":
      return "x509_san_dns:localhost";
    case "redirect_uri":
      return `redirect_uri:${responseUri}`;
  }
  throw new Error(`expected a prefix that this verifier has, found ${prefix}`);
}

serve((address) => {
  async function ask({ json }) {
    const { issuer, vct, claims, flaw, mode = {} } = json();
    const id = randomText();
    // The name in the certificate is the host's.
    const origin =
      mode.prefix === "x509_san_dns" ? address.replace("127.0.0.1", "localhost") : address;
    const query = DcqlQuery.parse({
      credentials: [
        {
          id: QUERY_ID,
          format: "dc+sd-jwt",
          meta: { vct_values: [vct] },
          claims: claims.map((path) => ({ path })),
        },
      ],
    });
    DcqlQuery.validate(query);
    const key = mode.key ? new Key(mode.key) : own;
    const encryption = mode.response === "direct_post.jwt" ? encryptionKey() : undefined;
    const called = {
      ...callbacks(flaw === "signature" ? another : key),
      decryptJwe: (jwe) => ({
        decrypted: true,
        decryptionJwk: encryption.publicJwk,
        payload: decrypt(jwe, encryption.privateJwk).toString("utf8"),
      }),
    };
    const verifier = new Openid4vpVerifier({ callbacks: called });
    const responseUri = `${origin}/responses/${id}`;
    const request = {
      response_type: "vp_token",
      response_mode: mode.response ?? "direct_post",
      client_id: clientIdOf(mode, responseUri),
      response_uri: responseUri,
      nonce: randomText(),
      state: randomText(),
      dcql_query: query,
      client_metadata: {
        client_name: "Stranger",
        vp_formats_supported: {
          "dc+sd-jwt": { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] },
        },
        ...(encryption && {
          jwks: { keys: [encryption.publicJwk] },
          encrypted_response_enc_values_supported: ["A128GCM", "A256GCM"],
        }),
      },
    };
    const jwtSigner = mode.x5c
      ? { method: "x5c", alg: "ES256", x5c: mode.x5c }
      : { method: "did", alg: "ES256", didUrl: key.didUrl };
    const make = (claims = {}) =>
      verifier.createOpenId4vpAuthorizationRequest({
        authorizationRequestPayload: request,
        jar: mode.request !== "link" && {
          requestUri: `${origin}/requests/${id}`,
          expiresInSeconds: REQUEST_LIFE_S,
          jwtSigner,
          additionalJwtPayload: { aud: AUDIENCE, ...claims },
        },
      });
    const created = await make();
    sessions.set(id, {
      verifier,
      called,
      request: created.authorizationRequestPayload,
      token: created.jar?.authorizationRequestJwt,
      // Section 5.10: whoever posts a nonce finds it in the request.
      tokenFor: async (nonce) =>
        (await make({ wallet_nonce: flaw === "wallet_nonce" ? randomText() : nonce })).jar
          .authorizationRequestJwt,
      issuer,
      query,
      result: { state: "waiting" },
    });
    const link = new URL(created.authorizationRequest);
    if (mode.request === "post") link.searchParams.set("request_uri_method", "post");
    if (flaw === "client_id") link.searchParams.set("client_id", didClientId(another));
    return { id, link: link.toString(), client_id: request.client_id, nonce: request.nonce };
  }

  function session(id) {
    if (!sessions.has(id)) throw refusal("invalid_request", "no such request");
    return sessions.get(id);
  }

  async function receive({ form }, id) {
    const open = session(id);
    if (open.result.state !== "waiting") throw refusal("invalid_request", "the request was answered");
    open.result = { state: "checking" };
    try {
      open.result = { state: "accepted", claims: await accepted(open, form()) };
    } catch (error) {
      open.result = { state: "refused", reason: error.message };
      throw refusal("invalid_request", error.message);
    }
    return {};
  }

  return {
    "POST /requests": ask,
    "GET /requests/": (_, id) => ({ text: session(id).token, type: REQUEST_TYPE }),
    "POST /requests/": async ({ form }, id) => ({
      text: await session(id).tokenFor(form().wallet_nonce),
      type: REQUEST_TYPE,
    }),
    "POST /responses/": receive,
    "GET /results/": (_, id) => session(id).result,
  };
});

/** Give the claims of a good answer to `open`, or throw with the reason. */
async function accepted({ verifier, called, request, issuer, query }, form) {
  const isEncrypted = request.response_mode === "direct_post.jwt";
  if (isEncrypted !== "response" in form || isEncrypted === "vp_token" in form) {
    throw new Error("expected an answer in the mode that was asked for, found another");
  }
  const parsed = await verifier.parseOpenid4vpAuthorizationResponse({
    authorizationResponse: form,
    authorizationRequestPayload: request,
    callbacks: called,
  });
  const { dcql, expectedNonce, authorizationResponsePayload: answer } = parsed;
  // The library also takes what drafts allowed; section 8.1 wants arrays.
  const token = typeof answer.vp_token === "string" ? JSON.parse(answer.vp_token) : answer.vp_token;
  for (const entry of Object.values(token)) {
    if (!Array.isArray(entry)) throw new Error("expected arrays in vp_token, found another shape");
  }
  if (answer.state !== request.state) throw new Error("expected this state, found another");
  const { [QUERY_ID]: presentations, ...others } = dcql.presentations;
  if (presentations?.length !== 1 || Object.keys(others).length) {
    throw new Error("expected one presentation for the one query, found others");
  }
  const { payload, kb } = await verifyCredential(presentations[0], { issuer, nonce: expectedNonce });
  // The SD-JWT library leaves audience and age to its caller.
  if (kb.payload.aud !== request.client_id) throw new Error("expected this audience, found another (kb_jwt.aud)");
  if (Math.abs(nowInSeconds() - kb.payload.iat) > LONGEST_AGE_S) {
    throw new Error("expected a fresh key binding, found an old one (kb_jwt.iat)");
  }
  const { iss, iat, exp, nbf, cnf, vct, status, ...claims } = payload;
  DcqlPresentationResult.validate(
    DcqlPresentationResult.fromDcqlPresentation(
      {
        [QUERY_ID]: [
          { credential_format: "dc+sd-jwt", vct, claims, cryptographic_holder_binding: true },
        ],
      },
      { dcqlQuery: query },
    ),
  );
  return claims;
}
