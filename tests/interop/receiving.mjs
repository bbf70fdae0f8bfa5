// A stranger's wallet receives: the whole of OpenID4VCI 1.0 that @openid4vc 0.4.6 speaks.
//
// The library neither logs in at a brand's page nor encrypts: `browse` and `encrypting` do. A flaw
// is a misbehaviour in one place, named in `FLAWS`; everything else stays as it should be.

import { clientAuthenticationDynamic } from "@openid4vc/oauth2";
import { Openid4vciClient } from "@openid4vc/openid4vci";
import { verifyCredential } from "./credentials.mjs";
import { Key, callbacks } from "./crypto.mjs";
import { decrypt, encrypt, encryptionKey } from "./jwe.mjs";

const ENC = "A128GCM";
// A development set-up knows one wallet.
const CALLBACK = "http://127.0.0.1/callback";
const CLIENT = "sample-wallet";
const MOST_PAGES = 10;

/**
 * Get every credential of the offer. With `batch`, that many of each; with `dpop`, under a
 * sender-constrained token; with `encrypted`, through encrypted requests and answers; with
 * `login`, by logging in as that customer instead of with the offer's code.
 */
export async function accept(link, txCode, { batch = 1, dpop, encrypted, flaw, login, nonce }) {
  const keys = Array.from({ length: Number(batch) }, () => Key.generate());
  const wire = { fetch, sign: (key, header, payload) => key.signJwt(header, payload) };
  const dpopKey = Key.generate();
  const library = {
    ...callbacks(dpopKey),
    clientAuthentication: clientAuthenticationDynamic({ clientId: CLIENT, clientSecret: "none" }),
    fetch: (url, options) => wire.fetch(url, options),
    signJwt: (signer, { header, payload }) => {
      const key = [dpopKey, ...keys].find(({ publicJwk }) => publicJwk.x === signer.publicJwk.x);
      return { jwt: wire.sign(key, header, payload), signerJwk: key.publicJwk };
    },
  };
  const client = new Openid4vciClient({ callbacks: library });
  const offer = await client.resolveCredentialOffer(link);
  const issuerMetadata = await client.resolveIssuerMetadata(offer.credential_issuer);
  if (issuerMetadata.originalDraftVersion !== "V1") {
    throw new Error(`expected OpenID4VCI 1.0, found ${issuerMetadata.originalDraftVersion}`);
  }
  const context = { client, offer, issuerMetadata, txCode: txCode || undefined, wire, keys, nonce };
  if (dpop) context.dpop = { signer: { method: "jwk", alg: "ES256", publicJwk: dpopKey.publicJwk } };
  if (encrypted) wire.fetch = encrypting(issuerMetadata.credentialIssuer, wire.fetch);
  if (flaw && !FLAWS[flaw]) throw new Error(`expected one of ${Object.keys(FLAWS)}, found ${flaw}`);
  if (flaw && FLAWS[flaw].grant) return FLAWS[flaw].grant(context);
  const token = await (login ? loggedIn(context, login) : redeemed(context));
  if (dpop && token.token_type !== "DPoP") {
    throw new Error(`expected a DPoP token, found ${token.token_type}`);
  }
  context.accessToken = token.access_token;
  const { before, ...flaws } = flaw ? FLAWS[flaw] : {};
  if (before) await before(context);
  Object.assign(wire, Object.fromEntries(
    Object.entries(flaws).map(([name, wrong]) => [name, wrong(wire[name], context)]),
  ));
  const credentials = {};
  for (const configuration of offer.credential_configuration_ids) {
    credentials[configuration] = await received(context, configuration);
  }
  return { key: keys[0].privateJwk, credentials, encrypted: wire.fetch.decrypted ?? 0 };
}

/** The token of the offer's code. */
async function redeemed({ client, offer, issuerMetadata, txCode, dpop }) {
  const { accessTokenResponse } = await client.retrievePreAuthorizedCodeAccessTokenFromOffer({
    credentialOffer: offer,
    issuerMetadata,
    txCode,
    dpop,
  });
  return accessTokenResponse;
}

/** The token of a code that a browser brings back: PAR, PKCE, a login, `iss`; it sends no `state`. */
async function loggedIn({ client, offer, issuerMetadata, dpop }, customer) {
  const [server] = issuerMetadata.authorizationServers;
  if (!server.pushed_authorization_request_endpoint) {
    throw new Error("expected an authorization server with PAR, found one without");
  }
  // The issuer's own metadata says under which scope a configuration is asked for.
  const known = issuerMetadata.credentialIssuer.credential_configurations_supported;
  const scope = offer.credential_configuration_ids.map((name) => known[name].scope).join(" ");
  const { authorizationRequestUrl, pkce } = await client.initiateAuthorization({
    credentialOffer: { ...offer, grants: { authorization_code: {}, ...offer.grants } },
    issuerMetadata,
    clientId: CLIENT,
    redirectUri: CALLBACK,
    scope,
    dpop,
  });
  if (pkce?.codeChallengeMethod !== "S256") throw new Error("expected PKCE with S256");
  if (!new URL(authorizationRequestUrl).searchParams.get("request_uri")) {
    throw new Error("expected a pushed request, found its parameters in the URL");
  }
  const back = await browse(authorizationRequestUrl, customer);
  const answer = client.parseAndVerifyAuthorizationResponseRedirectUrl({
    url: back,
    authorizationServerMetadata: server,
  });
  if (answer.error) throw new Error(`expected a code, found ${answer.error}`);
  const response = new URL(back).searchParams;
  if (response.get("iss") !== server.issuer) throw new Error("expected the server's iss");
  const { accessTokenResponse } = await client.retrieveAuthorizationCodeAccessTokenFromOffer({
    credentialOffer: { ...offer, grants: { authorization_code: {}, ...offer.grants } },
    issuerMetadata,
    authorizationCode: answer.code,
    pkceCodeVerifier: pkce.codeVerifier,
    redirectUri: CALLBACK,
    dpop,
  });
  return accessTokenResponse;
}

/**
 * Do what a browser does: follow redirects and press a button of each page, that of `customer`
 * or else the last, which agrees, until the address is the wallet's own. Gives that address.
 */
async function browse(start, customer) {
  let url = start;
  let options = {};
  const cookies = new Map();
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
    const headers = { ...options.headers, ...(cookie && { cookie }) };
    const response = await fetch(url, { ...options, headers, redirect: "manual" });
    for (const set of response.headers.getSetCookie()) {
      const [name, value] = set.split(";")[0].split("=");
      cookies.set(name, value);
    }
    const next = response.headers.get("location");
    if (next) {
      [url, options] = [new URL(next, url).href, {}];
      if (url.startsWith(CALLBACK)) return url;
    } else {
      const page = await response.text();
      if (!response.ok) throw new Error(`expected a page, found ${response.status}: ${page}`);
      [url, options] = pressed(page, url, customer);
    }
  }
  throw new Error(`expected the way back within ${MOST_PAGES} pages, found more`);
}

/** Where the page's first form goes, and what its button sends there. */
function pressed(page, url, customer) {
  const attribute = (tag, name) =>
    (new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "").replaceAll("&amp;", "&");
  const form = /<form\b[^>]*>/.exec(page)?.[0];
  if (!form) throw new Error(`expected a form, found ${page}`);
  const tags = [...page.matchAll(/<(?:input|button)\b[^>]*>/g)].map(([tag]) => tag);
  const buttons = tags.filter((tag) => tag.startsWith("<button"));
  const button = buttons.find((tag) => attribute(tag, "value") === customer) ?? buttons.at(-1);
  const sent = [...tags.filter((tag) => tag.startsWith("<input")), button];
  const fields = new URLSearchParams(sent.map((tag) => [attribute(tag, "name"), attribute(tag, "value")]));
  const action = new URL(attribute(form, "action") || url, url);
  if (attribute(form, "method") !== "post") {
    action.search = fields;
    return [action.href, {}];
  }
  const headers = { "content-type": "application/x-www-form-urlencoded", origin: action.origin };
  return [action.href, { method: "POST", headers, body: fields.toString() }];
}

/** One request for a credential, or for a batch: its answer, verified and acknowledged. */
async function received(context, configuration) {
  const { client, issuerMetadata, accessToken, dpop, keys } = context;
  const jwts = await proofs(context, configuration);
  const { credentialResponse } = await client.retrieveCredentials({
    issuerMetadata,
    accessToken,
    credentialConfigurationId: configuration,
    proofs: { jwt: jwts },
    dpop,
  });
  const texts = credentialResponse.credentials.map(({ credential }) => credential);
  if (texts.length !== keys.length) {
    throw new Error(`expected ${keys.length} credentials, found ${texts.length}`);
  }
  const verified = [];
  for (const [index, text] of texts.entries()) {
    const { payload } = await verifyCredential(text, { issuer: context.offer.credential_issuer });
    const { x, y } = keys[index].publicJwk;
    if (payload.cnf.jwk.x !== x || payload.cnf.jwk.y !== y) {
      throw new Error("expected a credential for each proven key, in order, found another");
    }
    verified.push(payload);
  }
  if (credentialResponse.notification_id) {
    await client.sendNotification({
      issuerMetadata,
      accessToken,
      notification: {
        notificationId: credentialResponse.notification_id,
        event: "credential_accepted",
      },
      dpop,
    });
  }
  return { credential: texts[0], claims: verified[0], all: texts };
}

/** A proof of each key, under one nonce. */
async function proofs({ client, issuerMetadata, keys, nonce }, configuration) {
  const fresh = nonce ?? (await client.requestNonce({ issuerMetadata })).c_nonce;
  const jwts = [];
  for (const key of keys) {
    const { jwt } = await client.createCredentialRequestJwtProof({
      issuerMetadata,
      credentialConfigurationId: configuration,
      nonce: fresh,
      issuedAt: new Date(),
      signer: { method: "jwk", alg: "ES256", publicJwk: key.publicJwk },
    });
    jwts.push(jwt);
  }
  return jwts;
}

/** A fetch that encrypts what goes to the credential endpoint, and reads the encrypted answer. */
function encrypting(metadata, plainFetch) {
  const { credential_request_encryption: asked, credential_response_encryption: given } = metadata;
  if (!asked?.enc_values_supported.includes(ENC) || !given?.enc_values_supported.includes(ENC)) {
    throw new Error(`expected an issuer that encrypts under ${ENC}, found another`);
  }
  const jwk = asked.jwks.keys.find(({ alg, crv }) => alg === "ECDH-ES" && crv === "P-256");
  const encryptingFetch = async (url, options) => {
    if (url !== metadata.credential_endpoint) return plainFetch(url, options);
    const { publicJwk, privateJwk } = encryptionKey();
    const body = {
      ...JSON.parse(options.body),
      credential_response_encryption: { jwk: publicJwk, enc: ENC },
    };
    const headers = { ...Object.fromEntries(new Headers(options.headers)), "content-type": "application/jwt" };
    const jwe = encrypt(Buffer.from(JSON.stringify(body)), { jwk, enc: ENC });
    const response = await plainFetch(url, { ...options, headers, body: jwe });
    if (!response.ok) return response;
    if (response.headers.get("content-type")?.split(";")[0] !== "application/jwt") {
      throw new Error("expected an encrypted answer, found a plain one");
    }
    const answer = decrypt(await response.text(), privateJwk);
    encryptingFetch.decrypted += 1;
    return new Response(answer, { headers: { "content-type": "application/json" } });
  };
  encryptingFetch.decrypted = 0;
  return encryptingFetch;
}

/** A fetch that changes the credential request on its way. */
const changing = (change) => (plainFetch, { issuerMetadata }) => {
  const endpoint = issuerMetadata.credentialIssuer.credential_endpoint;
  return (url, options) =>
    url === endpoint ? plainFetch(...change(url, options)) : plainFetch(url, options);
};

/** The same, for its JSON alone. */
const changingBody = (change) =>
  changing((url, options) => {
    const body = JSON.parse(options.body);
    change(body);
    return [url, { ...options, body: JSON.stringify(body) }];
  });

/** A signature over proofs that sees header and payload first. */
const signing = (change) => (sign) => (key, header, payload) =>
  header.typ === "openid4vci-proof+jwt" ? change(sign, key, header, payload) : sign(key, header, payload);

/** Spend a nonce properly; the requests that follow come with it again. */
async function spendNonce(context) {
  const { c_nonce } = await context.client.requestNonce(context);
  context.nonce = c_nonce;
  const [first] = context.offer.credential_configuration_ids;
  await received(context, first);
}

const FLAWS = {
  "old nonce": {
    // Other keys than before, so that it is no repetition of a lost answer.
    before: async (context) => {
      await spendNonce(context);
      context.keys.splice(0, context.keys.length, ...context.keys.map(() => Key.generate()));
      context.wire.sign = (_key, header, payload) =>
        context.keys.find(({ publicJwk }) => publicJwk.x === header.jwk.x).signJwt(header, payload);
    },
  },
  "replayed proof": {
    before: async (context) => {
      let sent;
      const { fetch: plainFetch } = context.wire;
      const endpoint = context.issuerMetadata.credentialIssuer.credential_endpoint;
      context.wire.fetch = (url, options) => {
        if (url !== endpoint) return plainFetch(url, options);
        const body = JSON.parse(options.body);
        if (sent) body.proofs = sent;
        sent = body.proofs;
        return plainFetch(url, { ...options, body: JSON.stringify(body) });
      };
      const [first] = context.offer.credential_configuration_ids;
      await received(context, first);
    },
  },
  "wrong audience": {
    sign: signing((sign, key, header, payload) =>
      sign(key, header, { ...payload, aud: "https://another.example" })),
  },
  "bad signature": {
    sign: signing((sign, key, header, payload) => sign(Key.generate(), header, payload)),
  },
  "no proof": { fetch: changingBody((body) => delete body.proofs) },
  "unknown configuration": {
    fetch: changingBody((body) => (body.credential_configuration_id = "made-up")),
  },
  "token in the query": {
    fetch: changing((url, options) => {
      const headers = new Headers(options.headers);
      const token = headers.get("authorization").split(" ")[1];
      headers.delete("authorization");
      return [`${url}?access_token=${token}`, { ...options, headers }];
    }),
  },
  "private key in the header": {
    sign: signing((sign, key, header, payload) =>
      sign(key, { ...header, jwk: key.privateJwk }, payload)),
  },
  "reused code": {
    grant: async (context) => {
      await redeemed(context);
      await redeemed(context);
    },
  },
  "wrong PIN six times": {
    grant: async (context) => {
      const wrong = `${(Number(context.txCode[0]) + 1) % 10}${context.txCode.slice(1)}`;
      const answers = [];
      for (const txCode of [...Array(6).fill(wrong), context.txCode]) {
        answers.push(await redeemed({ ...context, txCode }).then(
          () => ({}),
          (error) => ({ status: error.response.status, ...error.errorResponse }),
        ));
      }
      return { answers };
    },
  },
};

export const flaws = Object.keys(FLAWS);
