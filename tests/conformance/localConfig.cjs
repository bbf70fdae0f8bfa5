// What the suites ask of, from the environment: the face's address and its issuers' DIDs.
const base = process.env.COUNTERFOIL_BASE;
const dids = JSON.parse(process.env.COUNTERFOIL_DIDS);
const supports = {vc: ['1.1', '2.0']};

const issuer = (did, lane, tags, more = {}) =>
  ({id: dids[did], endpoint: `${base}/${lane}credentials/issue`, supports, tags, ...more});
const verifier = (tags, path = 'credentials/verify', more = {}) =>
  ({id: dids.ed25519, endpoint: `${base}/${path}`, supports, tags, ...more});

const curves = names => ({supportedEcdsaKeyTypes: names});
const bls = {supportedKeyTypes: ['P-381']};
const ecdsa = ['ecdsa-rdfc-2019', 'ecdsa-sd-2023', 'ecdsa-jcs-2019'];
const status = ['BitstringStatusList', 'Revocation'];

module.exports = {
  settings: {enableInteropTests: false, testAllImplementations: false},
  implementations: [{
    name: 'Counterfoil',
    implementation: 'Counterfoil',
    issuers: [
      issuer('ed25519', '', ['eddsa-rdfc-2022', 'vc-api']),
      issuer('ed25519', 'bare/', ['vc2.0']),
      issuer('ed25519', 'bsl/', status),
      issuer('ed25519', 'eddsa-jcs-2022/', ['eddsa-jcs-2022']),
      issuer('p256', 'ecdsa-rdfc-2019/p256/', ['ecdsa-rdfc-2019'], curves(['P-256'])),
      issuer('p384', 'ecdsa-rdfc-2019/p384/', ['ecdsa-rdfc-2019'], curves(['P-384'])),
      issuer('p256', 'ecdsa-jcs-2019/p256/', ['ecdsa-jcs-2019'], curves(['P-256'])),
      issuer('p256', 'ecdsa-sd-2023/', ['ecdsa-sd-2023'], curves(['P-256'])),
      issuer('bls12381', 'bbs-2023/', ['bbs-2023'], bls)
    ],
    verifiers: [
      verifier(['eddsa-rdfc-2022', 'eddsa-jcs-2022', 'vc2.0', 'vc-api', ...status]),
      verifier(ecdsa, 'proof/credentials/verify', curves(['P-256', 'P-384'])),
      verifier(['bbs-2023'], 'credentials/verify', bls)
    ],
    vpVerifiers: [verifier(['vc2.0', 'vc-api'], 'presentations/verify')],
    vcHolders: [
      verifier(['vcHolder', 'ecdsa-sd-2023'], 'credentials/derive', curves(['P-256'])),
      verifier(['vcHolder', 'bbs-2023'], 'credentials/derive', bls)
    ],
    didResolvers: [{
      id: dids.ed25519,
      endpoint: `${base}/1.0/identifiers`,
      tags: ['did-key', 'did-resolution'],
      supportedDids: {
        valid: Object.values(dids).map(did => ({did, resolutionOptions: {}})),
        derefUrls: Object.values(dids).map(did => ({didUrl: `${did}#${did.slice(8)}`}))
      }
    }]
  }]
};
