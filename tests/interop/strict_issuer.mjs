// A stranger's issuer that wants everything: a pushed request, a login, PKCE, DPoP with a nonce of
// its own, encrypted requests and answers, several keys at once, and patience.
//
//     node strict_issuer.mjs   prints {"address": "http://127.0.0.1:PORT"}
//     POST /offers {}          gives {"link"}; {"later": true} makes the wallet ask again, {"code":
//                              true} an offer with a code instead of one by login, {"identifiers":
//                              ["left", "right"]} names datasets in the token response
//     GET  /brand/authorize    gives {"back"}: the customer has agreed, and the browser goes there
//     GET  /events             gives what the wallet said of its credentials

import {
  Oauth2AuthorizationServer,
  Oauth2ResourceServer,
  authorizationCodeGrantIdentifier,
  preAuthorizedCodeGrantIdentifier,
} from "@openid4vc/oauth2";
import { Openid4vciIssuer, Openid4vciVersion } from "@openid4vc/openid4vci";
import { decodeJwt, signingWith } from "./credentials.mjs";
import { Key, callbacks, nowInSeconds, randomText } from "./crypto.mjs";
import { refusal, serve } from "./http.mjs";
import { decrypt, encrypt, encryptionKey } from "./jwe.mjs";

const CONFIGURATION = "warranty";
const CLAIMS = { item: { name: "Stranger One", serial: "S1-0001" }, valid_until: "2099-12-31" };
const CONCEALED = { _sd: ["valid_until"], item: { _sd: ["name", "serial"] } };
const BATCH = 4;

const key = Key.generate();
const kid = "stranger";
const published = { keys: [{ ...key.publicJwk, kid, use: "sig", alg: "ES256" }] };
const library = callbacks(key);
const issuer = new Openid4vciIssuer({ callbacks: library });
const authorizationServer = new Oauth2AuthorizationServer({ callbacks: library });
const resourceServer = new Oauth2ResourceServer({ callbacks: library });
const requestKey = encryptionKey();
const CIPHERS = ["A128GCM", "A256GCM"];

const offers = new Map();
const pushed = new Map();
const codes = new Map();
const grants = new Map();
const refreshTokens = new Map();
const nonces = new Set();
const dpopNonces = new Set();
const proofs = new Set();
const late = new Map();
const events = [];

const take = (map, name) => {
  const value = map.get(name);
  map.delete(name);
  return value;
};

serve((address) => {
  const name = `${address}/brand`;
  const vct = `${name}/types/warranty`;
  const server = authorizationServer.createAuthorizationServerMetadata({
    issuer: name,
    token_endpoint: `${name}/token`,
    authorization_endpoint: `${name}/authorize`,
    pushed_authorization_request_endpoint: `${name}/par`,
    require_pushed_authorization_requests: true,
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ["S256"],
    dpop_signing_alg_values_supported: ["ES256"],
    jwks_uri: `${name}/jwks`,
    grant_types_supported: [authorizationCodeGrantIdentifier, preAuthorizedCodeGrantIdentifier],
    token_endpoint_auth_methods_supported: ["none"],
    "pre-authorized_grant_anonymous_access_supported": true,
  });
  const credentialIssuer = issuer.createCredentialIssuerMetadata({
    credential_issuer: name,
    credential_endpoint: `${name}/credential`,
    deferred_credential_endpoint: `${name}/deferred`,
    notification_endpoint: `${name}/notification`,
    nonce_endpoint: `${name}/nonce`,
    batch_credential_issuance: { batch_size: BATCH },
    credential_request_encryption: {
      jwks: { keys: [requestKey.publicJwk] },
      enc_values_supported: CIPHERS,
      encryption_required: true,
    },
    credential_response_encryption: {
      alg_values_supported: ["ECDH-ES"],
      enc_values_supported: CIPHERS,
      encryption_required: true,
    },
    credential_configurations_supported: {
      [CONFIGURATION]: {
        format: "dc+sd-jwt",
        vct,
        scope: "a-warranty",
        cryptographic_binding_methods_supported: ["jwk"],
        credential_signing_alg_values_supported: ["ES256"],
        proof_types_supported: { jwt: { proof_signing_alg_values_supported: ["ES256"] } },
      },
    },
  });
  const metadata = {
    credentialIssuer,
    authorizationServers: [server],
    originalDraftVersion: Openid4vciVersion.V1,
    knownCredentialConfigurations: issuer.getKnownCredentialConfigurationsSupported(credentialIssuer),
  };

  /** Take a DPoP proof once, and only with a nonce of ours; else give the answer that brings one. */
  function wantsNonce(jwt, status) {
    const [, { nonce, jti }] = jwt ? decodeJwt(jwt) : [null, {}];
    if (!dpopNonces.delete(nonce)) {
      const error = "use_dpop_nonce";
      const headers = { ...freshDpopNonce(), "WWW-Authenticate": `DPoP error="${error}"` };
      return { status, text: JSON.stringify({ error }), headers };
    }
    if (proofs.has(jti)) throw refusal("invalid_dpop_proof", "expected a new proof, found a used one");
    proofs.add(jti);
    return null;
  }

  function freshDpopNonce() {
    const nonce = randomText();
    dpopNonces.add(nonce);
    return { "DPoP-Nonce": nonce };
  }

  async function offer({ json }) {
    const { code, ...wishes } = json();
    const state = randomText();
    const { credentialOffer, credentialOfferObject } = await issuer.createCredentialOffer({
      issuerMetadata: metadata,
      credentialConfigurationIds: [CONFIGURATION],
      grants: code
        ? { [preAuthorizedCodeGrantIdentifier]: {} }
        : { [authorizationCodeGrantIdentifier]: { issuer_state: state } },
    });
    const made = credentialOfferObject.grants[preAuthorizedCodeGrantIdentifier];
    offers.set(code ? made["pre-authorized_code"] : state, wishes);
    return { link: credentialOffer };
  }

  async function par({ form, request }) {
    const { authorizationRequest, dpop } = await authorizationServer.parsePushedAuthorizationRequest({
      request,
      authorizationRequest: form(),
    });
    await authorizationServer.verifyPushedAuthorizationRequest({
      request,
      authorizationRequest,
      authorizationServerMetadata: server,
      dpop: { ...dpop, allowedSigningAlgs: ["ES256"] },
    });
    const wishes = take(offers, authorizationRequest.issuer_state);
    if (!wishes) throw refusal("invalid_request", "expected the issuer_state of an offer");
    if (authorizationRequest.scope !== "a-warranty") throw refusal("invalid_scope", "another scope");
    const uri = `urn:ietf:params:oauth:request_uri:${randomText()}`;
    pushed.set(uri, { ...authorizationRequest, wishes });
    const { pushedAuthorizationResponse } = authorizationServer.createPushedAuthorizationResponse({
      requestUri: uri,
      expiresInSeconds: 60,
    });
    return { status: 201, text: JSON.stringify(pushedAuthorizationResponse), headers: freshDpopNonce() };
  }

  function authorize({ request }) {
    const query = new URL(request.url).searchParams;
    const asked = take(pushed, query.get("request_uri"));
    if (asked?.client_id !== query.get("client_id")) throw refusal("invalid_request", "not pushed");
    const code = randomText();
    codes.set(code, asked);
    const back = new URL(asked.redirect_uri);
    Object.entries({ code, state: asked.state, iss: name }).forEach(([n, v]) => back.searchParams.set(n, v));
    return { back: back.href };
  }

  async function token({ form, request }) {
    const parsed = authorizationServer.parseAccessTokenRequest({ request, accessTokenRequest: form() });
    const { grant, accessTokenRequest } = parsed;
    const unready = wantsNonce(parsed.dpop?.jwt, 400);
    if (unready) return unready;
    const common = {
      grant,
      request,
      accessTokenRequest,
      authorizationServerMetadata: server,
      dpop: { ...parsed.dpop, required: true, allowedSigningAlgs: ["ES256"] },
    };
    let verified;
    let wishes;
    if (grant.grantType === authorizationCodeGrantIdentifier) {
      const asked = take(codes, grant.code);
      if (!asked) throw refusal("invalid_grant", "expected a code of ours, found another");
      if (form().redirect_uri !== asked.redirect_uri) throw refusal("invalid_grant", "another address");
      wishes = asked.wishes;
      verified = await authorizationServer.verifyAuthorizationCodeAccessTokenRequest({
        ...common,
        expectedCode: grant.code,
        dpop: { ...common.dpop, expectedJwkThumbprint: asked.dpop_jkt },
        pkce: {
          codeVerifier: parsed.pkceCodeVerifier,
          codeChallenge: asked.code_challenge,
          codeChallengeMethod: asked.code_challenge_method,
        },
      });
    } else if (grant.grantType === preAuthorizedCodeGrantIdentifier) {
      wishes = take(offers, grant.preAuthorizedCode);
      if (!wishes) throw refusal("invalid_grant", "expected a code of ours, found another");
      verified = await authorizationServer.verifyPreAuthorizedCodeAccessTokenRequest({
        ...common,
        expectedPreAuthorizedCode: grant.preAuthorizedCode,
      });
    } else {
      wishes = take(refreshTokens, grant.refreshToken);
      if (!wishes) throw refusal("invalid_grant", "expected a refresh token of ours, found another");
      verified = await authorizationServer.verifyRefreshTokenAccessTokenRequest({
        ...common,
        expectedRefreshToken: grant.refreshToken,
      });
    }
    const [subject, refreshToken] = [randomText(), randomText()];
    grants.set(subject, wishes);
    refreshTokens.set(refreshToken, { ...wishes, later: false });
    const detail = {
      type: "openid_credential",
      credential_configuration_id: CONFIGURATION,
      credential_identifiers: wishes.identifiers,
    };
    const made = await authorizationServer.createAccessTokenResponse({
      audience: name,
      authorizationServer: name,
      expiresInSeconds: 300,
      subject,
      signer: { method: "jwk", alg: "ES256", publicJwk: key.publicJwk },
      dpop: { jwk: verified.dpop.jwk },
      refreshToken,
      ...(wishes.identifiers && {
        additionalAccessTokenResponsePayload: { authorization_details: [detail] },
      }),
    });
    return { status: 200, text: JSON.stringify(made), headers: freshDpopNonce() };
  }

  /** Give what the bearer of a good token may have, or the answer that brings a nonce. */
  async function admitted(request) {
    const unready = wantsNonce(request.headers.get("dpop"), 401);
    if (unready) return { unready };
    const { tokenPayload } = await resourceServer.verifyResourceRequest({
      request,
      resourceServer: name,
      authorizationServers: [server],
      allowedAuthenticationSchemes: ["DPoP"],
    });
    return { wishes: grants.get(tokenPayload.sub) };
  }

  function opened(body, request) {
    const type = request.headers.get("content-type");
    if (type !== "application/jwt") {
      throw refusal("invalid_encryption_parameters", `expected an encrypted request, found ${type}`);
    }
    const asked = JSON.parse(decrypt(body, requestKey.privateJwk).toString("utf8"));
    if (!asked.credential_response_encryption) {
      throw refusal("invalid_encryption_parameters", "expected a key for the answer, found none");
    }
    return asked;
  }

  function sealed(status, answer, asked) {
    const { jwk, enc } = asked.credential_response_encryption;
    const text = encrypt(Buffer.from(JSON.stringify(answer)), { jwk, enc });
    return { status, text, type: "application/jwt", headers: freshDpopNonce() };
  }

  async function issue(keys) {
    const signed = keys.map((jwk) =>
      signingWith(key).issue(
        { iss: name, iat: nowInSeconds(), vct, cnf: { jwk }, ...CLAIMS },
        CONCEALED,
        { header: { kid } },
      ),
    );
    const credentials = (await Promise.all(signed)).map((credential) => ({ credential }));
    return { credentials, notificationId: randomText() };
  }

  async function credential({ body, request }) {
    const { unready, wishes } = await admitted(request);
    if (unready) return unready;
    const asked = opened(body, request);
    const { credential_response_encryption: _, ...credentialRequest } = asked;
    const parsed = issuer.parseCredentialRequest({ credentialRequest, issuerMetadata: metadata });
    const named = wishes.identifiers
      ? wishes.identifiers.includes(parsed.credentialIdentifier)
      : parsed.credentialConfigurationId === CONFIGURATION;
    if (!named) throw refusal("invalid_credential_request", "expected the name of the token response");
    const jwts = parsed.proofs?.jwt ?? [];
    if (jwts.length !== BATCH) throw refusal("invalid_proof", `expected ${BATCH} proofs`);
    const [, { nonce }] = decodeJwt(jwts[0]);
    if (!nonces.delete(nonce)) throw refusal("invalid_nonce", "expected a nonce of ours");
    const keys = [];
    for (const jwt of jwts) {
      const { signer } = await issuer.verifyCredentialRequestJwtProof({
        issuerMetadata: metadata,
        jwt,
        expectedNonce: nonce,
      });
      keys.push(signer.publicJwk);
    }
    if (new Set(keys.map(({ x }) => x)).size !== BATCH) throw refusal("invalid_proof", "one key twice");
    if (wishes.later) {
      const transactionId = randomText();
      late.set(transactionId, keys);
      const answer = issuer.createCredentialResponse({ credentialRequest, transactionId, interval: 1 });
      return sealed(202, answer, asked);
    }
    const answer = issuer.createCredentialResponse({ credentialRequest, ...(await issue(keys)) });
    return sealed(200, answer, asked);
  }

  async function deferred({ body, request }) {
    const { unready } = await admitted(request);
    if (unready) return unready;
    const asked = opened(body, request);
    const keys = take(late, asked.transaction_id);
    if (!keys) throw refusal("invalid_transaction_id", "expected an id of ours, found another");
    const { credentials, notificationId } = await issue(keys);
    // 0.4.6 takes no notification id beside the credentials, against section 9.2.
    const answer = issuer.createDeferredCredentialResponse({ credentials });
    return sealed(200, { ...answer, notification_id: notificationId }, asked);
  }

  async function notification({ json, request }) {
    const { unready } = await admitted(request);
    if (unready) return unready;
    events.push(json().event);
    return { status: 204, text: "", headers: freshDpopNonce() };
  }

  function nonce() {
    const cNonce = randomText();
    nonces.add(cNonce);
    return issuer.createNonceResponse({ cNonce });
  }

  return {
    "GET /.well-known/openid-credential-issuer/brand": () => credentialIssuer,
    "GET /.well-known/oauth-authorization-server/brand": () => server,
    "GET /.well-known/jwt-vc-issuer/brand": () => ({ issuer: name, jwks: published }),
    "GET /brand/jwks": () => ({
      text: JSON.stringify(published),
      type: "application/jwk-set+json",
    }),
    "GET /brand/authorize": authorize,
    "POST /brand/par": par,
    "POST /brand/token": token,
    "POST /brand/nonce": nonce,
    "POST /brand/credential": credential,
    "POST /brand/deferred": deferred,
    "POST /brand/notification": notification,
    "POST /offers": offer,
    "GET /events": () => ({ events }),
  };
});
