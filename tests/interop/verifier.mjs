// A stranger's verifier: OpenID4VP 1.0 by @openid4vc/openid4vp, SD-JWT VC by @sd-jwt/sd-jwt-vc,
// DCQL by dcql.
//
//     node verifier.mjs             prints {"address": "http://127.0.0.1:PORT"}
//     POST /requests {"issuer", "vct", "claims": [path, …]}
//                                   gives {"id", "link": "openid4vp://…", "client_id", "nonce"}
//     GET  /results/ID              gives {"state": "waiting" | "accepted" | "refused", …}
//
// {"flaw": …} in /requests makes a request that a wallet must not answer: "signature" signs it
// with another key, "client_id" names another verifier in the link than in the request.

import { Openid4vpVerifier } from "@openid4vc/openid4vp";
import { DcqlPresentationResult, DcqlQuery } from "dcql";
import { decodeJwt, verifyCredential } from "./credentials.mjs";
import { Key, callbacks, nowInSeconds, randomText } from "./crypto.mjs";
import { refusal, serve } from "./http.mjs";

const QUERY_ID = "asked";
const REQUEST_LIFE_S = 300;
const LONGEST_AGE_S = 300;
const clientIdOf = ({ did }) => `decentralized_identifier:${did}`;

const key = Key.generate();
const another = Key.generate();
const clientId = clientIdOf(key);
const sessions = new Map();

serve((address) => {
  async function ask({ json }) {
    const { issuer, vct, claims, flaw } = json();
    const id = randomText();
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
    const verifier = new Openid4vpVerifier({ callbacks: callbacks(flaw === "signature" ? another : key) });
    const created = await verifier.createOpenId4vpAuthorizationRequest({
      authorizationRequestPayload: {
        response_type: "vp_token",
        response_mode: "direct_post",
        client_id: clientId,
        response_uri: `${address}/responses/${id}`,
        nonce: randomText(),
        state: randomText(),
        dcql_query: query,
        client_metadata: {
          client_name: "Stranger",
          vp_formats_supported: {
            "dc+sd-jwt": { "sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"] },
          },
        },
      },
      jar: {
        requestUri: `${address}/requests/${id}`,
        expiresInSeconds: REQUEST_LIFE_S,
        jwtSigner: { method: "did", alg: "ES256", didUrl: key.didUrl },
        // Section 5.8: the audience of a request that was not made for one known wallet.
        additionalJwtPayload: { aud: "https://self-issued.me/v2" },
      },
    });
    const request = created.authorizationRequestPayload;
    sessions.set(id, {
      verifier,
      request,
      token: created.jar.authorizationRequestJwt,
      issuer,
      query,
      result: { state: "waiting" },
    });
    const link = new URL(created.authorizationRequest);
    if (flaw === "client_id") link.searchParams.set("client_id", clientIdOf(another));
    return { id, link: link.toString(), client_id: clientId, nonce: request.nonce };
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
    "GET /requests/": (_, id) => ({
      text: session(id).token,
      type: "application/oauth-authz-req+jwt",
    }),
    "POST /responses/": receive,
    "GET /results/": (_, id) => session(id).result,
  };
});

/** Give the claims of a good answer to `open`, or throw with the reason. */
async function accepted({ verifier, request, issuer, query }, form) {
  // The library also takes what drafts allowed; section 8.1 wants arrays.
  for (const entry of Object.values(JSON.parse(form.vp_token))) {
    if (!Array.isArray(entry)) throw new Error("expected arrays in vp_token, found another shape");
  }
  const { dcql, expectedNonce } = await verifier.parseOpenid4vpAuthorizationResponse({
    authorizationResponse: form,
    authorizationRequestPayload: request,
  });
  const { [QUERY_ID]: presentations, ...others } = dcql.presentations;
  if (presentations?.length !== 1 || Object.keys(others).length) {
    throw new Error("expected one presentation for the one query, found others");
  }
  const { payload, kb } = await verifyCredential(presentations[0], { issuer, nonce: expectedNonce });
  // The SD-JWT library leaves audience and age to its caller.
  if (kb.payload.aud !== clientId) throw new Error("expected this audience, found another (kb_jwt.aud)");
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
