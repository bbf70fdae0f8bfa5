// A stranger's issuer: OpenID4VCI 1.0 by @openid4vc/openid4vci, SD-JWT VC by @sd-jwt/sd-jwt-vc.
//
//     node issuer.mjs        prints {"address": "http://127.0.0.1:PORT"}
//     POST /offers {}        gives {"link": "openid-credential-offer://…", "tx_code": "123456"}
//     GET  /credentials      gives the number of credentials issued
//
// {"flaw": …} in /offers makes an issuer that a wallet must not trust: "signature" signs with a
// key that is not published, "holder" binds the credential to a key that nobody proved,
// "issuer" writes another issuer's name.

import { randomInt } from "node:crypto";
import {
  Oauth2AuthorizationServer,
  Oauth2ResourceServer,
  calculateJwkThumbprint,
  preAuthorizedCodeGrantIdentifier,
} from "@openid4vc/oauth2";
import { Openid4vciIssuer, Openid4vciVersion } from "@openid4vc/openid4vci";
import { decodeJwt, signingWith } from "./credentials.mjs";
import { Key, callbacks, hash, nowInSeconds, randomText } from "./crypto.mjs";
import { refusal, serve } from "./http.mjs";

const CONFIGURATION = "warranty";
const CLAIMS = {
  item: { name: "Stranger One", gtin: "4006381333931", serial: "S1-0001" },
  valid_until: "2099-12-31",
  price: "199.00",
};
const CONCEALED = { _sd: ["valid_until", "price"], item: { _sd: ["name", "gtin", "serial"] } };
const MOST_WRONG_CODES = 3;
const NONCE_LIFE_MS = 60_000;

const key = Key.generate();
const unpublished = Key.generate();
const kid = await calculateJwkThumbprint({
  jwk: key.publicJwk,
  hashAlgorithm: "sha-256",
  hashCallback: hash,
});
const published = { keys: [{ ...key.publicJwk, kid, use: "sig", alg: "ES256" }] };
const library = callbacks(key);
const issuer = new Openid4vciIssuer({ callbacks: library });
const authorizationServer = new Oauth2AuthorizationServer({ callbacks: library });
const resourceServer = new Oauth2ResourceServer({ callbacks: library });

const offers = new Map();
const grants = new Map();
const nonces = new Map();
let issued = 0;

// The issuer's identifier has a path, so that the well-known names must go in the right place.
serve((address) => {
  const name = `${address}/brand`;
  const vct = `${name}/types/warranty`;
  const server = authorizationServer.createAuthorizationServerMetadata({
    issuer: name,
    token_endpoint: `${name}/token`,
    jwks_uri: `${name}/jwks`,
    grant_types_supported: [preAuthorizedCodeGrantIdentifier],
    token_endpoint_auth_methods_supported: ["none"],
    "pre-authorized_grant_anonymous_access_supported": true,
  });
  const credentialIssuer = issuer.createCredentialIssuerMetadata({
    credential_issuer: name,
    credential_endpoint: `${name}/credential`,
    nonce_endpoint: `${name}/nonce`,
    display: [{ name: "Stranger", locale: "en" }],
    credential_configurations_supported: {
      [CONFIGURATION]: {
        format: "dc+sd-jwt",
        vct,
        cryptographic_binding_methods_supported: ["jwk"],
        credential_signing_alg_values_supported: ["ES256"],
        proof_types_supported: { jwt: { proof_signing_alg_values_supported: ["ES256"] } },
        credential_metadata: {
          display: [{ name: "Warranty", locale: "en" }],
          claims: [{ path: ["item", "name"], display: [{ name: "Product", locale: "en" }] }],
        },
      },
    },
  });
  const metadata = {
    credentialIssuer,
    authorizationServers: [server],
    originalDraftVersion: Openid4vciVersion.V1,
    knownCredentialConfigurations: issuer.getKnownCredentialConfigurationsSupported(credentialIssuer),
  };

  async function offer({ json }) {
    const { flaw } = json();
    const txCode = String(randomInt(1_000_000)).padStart(6, "0");
    const { credentialOffer, credentialOfferObject } = await issuer.createCredentialOffer({
      issuerMetadata: metadata,
      credentialConfigurationIds: [CONFIGURATION],
      grants: {
        [preAuthorizedCodeGrantIdentifier]: { tx_code: { input_mode: "numeric", length: 6 } },
      },
    });
    const code = credentialOfferObject.grants[preAuthorizedCodeGrantIdentifier]["pre-authorized_code"];
    offers.set(code, { txCode, flaw, wrongCodes: 0 });
    return { link: credentialOffer, tx_code: txCode };
  }

  async function token({ form, request }) {
    const { grant } = authorizationServer.parseAccessTokenRequest({
      request,
      accessTokenRequest: form(),
    });
    const open = offers.get(grant.preAuthorizedCode);
    if (!open) throw refusal("invalid_grant", "no such code, or it was used");
    try {
      await authorizationServer.verifyPreAuthorizedCodeAccessTokenRequest({
        grant,
        request,
        authorizationServerMetadata: server,
        expectedPreAuthorizedCode: grant.preAuthorizedCode,
        expectedTxCode: open.txCode,
      });
    } catch (error) {
      open.wrongCodes += 1;
      if (open.wrongCodes >= MOST_WRONG_CODES) offers.delete(grant.preAuthorizedCode);
      throw error;
    }
    // One use: of two requests that pass at once, the second finds nothing to delete.
    if (!offers.delete(grant.preAuthorizedCode)) throw refusal("invalid_grant", "the code was used");
    const subject = randomText();
    grants.set(subject, open.flaw);
    return authorizationServer.createAccessTokenResponse({
      audience: name,
      authorizationServer: name,
      expiresInSeconds: 300,
      subject,
      signer: { method: "jwk", alg: "ES256", publicJwk: key.publicJwk },
    });
  }

  function nonce() {
    const cNonce = randomText();
    nonces.set(cNonce, new Date(Date.now() + NONCE_LIFE_MS));
    return issuer.createNonceResponse({ cNonce, cNonceExpiresIn: NONCE_LIFE_MS / 1000 });
  }

  async function credential({ json, request }) {
    const { tokenPayload } = await resourceServer.verifyResourceRequest({
      request,
      resourceServer: name,
      authorizationServers: [server],
      allowedAuthenticationSchemes: ["Bearer"],
    });
    if (!grants.has(tokenPayload.sub)) throw refusal("invalid_token", "the token was used");
    const { credentialConfigurationId, credentialRequest, proofs } = issuer.parseCredentialRequest({
      credentialRequest: json(),
      issuerMetadata: metadata,
    });
    // The library also takes what drafts spoke; 1.0 has `proofs` and no `proof` (section 8.2).
    if (credentialConfigurationId !== CONFIGURATION || credentialRequest.proof) {
      throw refusal("invalid_credential_request", "expected a 1.0 request for the warranty");
    }
    if (proofs?.jwt?.length !== 1) throw refusal("invalid_proof", "expected one proof");
    const [jwt] = proofs.jwt;
    const [, unverified] = decodeJwt(jwt);
    const nonceExpiresAt = nonces.get(unverified.nonce);
    if (!nonceExpiresAt) throw refusal("invalid_nonce", "not a nonce of ours, or it was used");
    const { signer } = await issuer.verifyCredentialRequestJwtProof({
      issuerMetadata: metadata,
      jwt,
      expectedNonce: unverified.nonce,
      nonceExpiresAt,
    });
    if (!nonces.delete(unverified.nonce)) throw refusal("invalid_nonce", "the nonce was used");
    const flaw = grants.get(tokenPayload.sub);
    if (!grants.delete(tokenPayload.sub)) throw refusal("invalid_token", "the token was used");
    const holder = flaw === "holder" ? unpublished.publicJwk : signer.publicJwk;
    const compact = await signingWith(flaw === "signature" ? unpublished : key).issue(
      {
        iss: flaw === "issuer" ? `${address}/another` : name,
        iat: nowInSeconds(),
        vct,
        cnf: { jwk: holder },
        ...CLAIMS,
      },
      CONCEALED,
      { header: { kid } },
    );
    issued += 1;
    return issuer.createCredentialResponse({
      credentialRequest,
      credentials: [{ credential: compact }],
    });
  }

  return {
    "GET /.well-known/openid-credential-issuer/brand": () => credentialIssuer,
    "GET /.well-known/oauth-authorization-server/brand": () => server,
    "GET /.well-known/jwt-vc-issuer/brand": () => ({ issuer: name, jwks: published }),
    "GET /brand/jwks": () => ({
      text: JSON.stringify(published),
      type: "application/jwk-set+json",
    }),
    "GET /brand/types/warranty": () => ({ vct, name: "Warranty" }),
    "POST /brand/token": token,
    "POST /brand/nonce": nonce,
    "POST /brand/credential": credential,
    "POST /offers": offer,
    "GET /credentials": () => ({ issued }),
  };
});
