// A service for one test: on a free loopback port, gone when its standard input ends.

import { createServer } from "node:http";
import { Oauth2ResourceUnauthorizedError, Oauth2ServerErrorResponseError } from "@openid4vc/oauth2";

const LONGEST_BODY = 1024 * 1024;

/** Well formed, not acceptable: an OAuth error with status 400. */
export const refusal = (error, error_description) =>
  new Oauth2ServerErrorResponseError({ error, error_description });

/**
 * Serve `routes(address)`: a map from "METHOD /path" to a function of
 * `{ body, form, json, request }` and the rest of the path (for a path that ends with a slash).
 * What it gives goes out as JSON, a text as it is under `type`, with its `status` and `headers`.
 */
export function serve(routes) {
  const server = createServer();
  server.listen(0, "127.0.0.1", () => {
    const address = `http://127.0.0.1:${server.address().port}`;
    const table = routes(address);
    server.on("request", (request, response) => answer(table, address, request, response));
    console.log(JSON.stringify({ address }));
  });
  process.stdin.on("end", () => process.exit(0)).resume();
}

async function answer(table, address, request, response) {
  try {
    const { pathname } = new URL(request.url, address);
    const [handler, rest] = find(table, `${request.method} ${pathname}`);
    if (!handler) return send(response, 404, { error: "not_found" });
    const body = await read(request);
    const result = await handler({
      body,
      form: () => Object.fromEntries(new URLSearchParams(body)),
      json: () => JSON.parse(body),
      request: {
        method: request.method,
        url: address + request.url,
        headers: new Headers(request.headers),
      },
    }, rest);
    if (typeof result === "object" && "text" in result) {
      for (const [name, value] of Object.entries(result.headers ?? {})) response.setHeader(name, value);
      send(response, result.status ?? 200, result.text, result.type);
    } else send(response, 200, result);
  } catch (error) {
    if (error instanceof Oauth2ServerErrorResponseError) {
      send(response, 400, error.errorResponse);
    } else if (error instanceof Oauth2ResourceUnauthorizedError) {
      response.setHeader("WWW-Authenticate", error.toHeaderValue());
      send(response, 401, { error: "invalid_token" });
    } else {
      console.error(error);
      send(response, 500, { error: "server_error" });
    }
  }
}

function find(table, asked) {
  if (table[asked]) return [table[asked], ""];
  const prefix = asked.slice(0, asked.lastIndexOf("/") + 1);
  return [table[prefix], asked.slice(prefix.length)];
}

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LONGEST_BODY) throw refusal("invalid_request", "the body is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response, status, body, type = "application/json") {
  response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
