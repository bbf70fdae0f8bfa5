// The stranger that chooses: npm's `dcql`. A list of requests per line, a list of answers per line.
//
//     {"query", "credentials", "presented"}    credentials by number; presented: id -> numbers
//     {"read": false}                          it does not take the query
//     {"read": true, "held": …, "shown": …}    what it makes of both; each may have "crashed"

import { createInterface } from "node:readline";
import { DcqlPresentationResult, DcqlQuery } from "dcql";

function read(query) {
  try {
    const parsed = DcqlQuery.parse(query);
    DcqlQuery.validate(parsed);
    return parsed;
  } catch (error) {
    // A TypeError or the like would be a crash, and no verdict.
    if (error.name === "DcqlError" || error.name === "ValiError") return undefined;
    throw error;
  }
}

/** Give, for each query id and each credential given for it, what was found. */
const found = (matches) =>
  Object.fromEntries(
    Object.entries(matches).map(([id, { valid_credentials = [], failed_credentials = [] }]) => [
      id,
      [...valid_credentials, ...failed_credentials]
        .sort((a, b) => a.input_credential_index - b.input_credential_index)
        .map(({ success, claims }) => ({
          fits: success,
          claims: (claims.valid_claims ?? []).map((claim) => claim.claim_index),
          wanted: claims.valid_claim_sets?.[0].valid_claim_indexes ?? [],
        })),
    ]),
  );

function attempt(run) {
  try {
    const { can_be_satisfied, credential_matches, credential_sets } = run();
    return {
      answerable: Boolean(can_be_satisfied),
      found: found(credential_matches),
      options: credential_sets?.map((set) => set.matching_options ?? []) ?? null,
    };
  } catch (error) {
    if (error.name === "DcqlError") return { refused: error.message };
    return { crashed: String(error) };
  }
}

function answer({ query, credentials, presented }) {
  const parsed = read(query);
  if (!parsed) return { read: false };
  const shown = Object.fromEntries(
    Object.entries(presented).map(([id, numbers]) => [id, numbers.map((number) => credentials[number])]),
  );
  return {
    read: true,
    held: attempt(() => DcqlQuery.query(parsed, credentials)),
    shown: attempt(() => DcqlPresentationResult.fromDcqlPresentation(shown, { dcqlQuery: parsed })),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(JSON.parse(line).map(answer))}\n`);
}
