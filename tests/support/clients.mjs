// Stand-ins for psql, pg_isready and dropdb, for machines whose PostgreSQL comes from npm: that package
// has the server, and no client. postgres.sh calls it as `node clients.mjs PROGRAM ARGUMENT…`.
//
// They do what the tests and the quickstart ask of the real ones and no more: a trusted connection,
// `-f FILE` and `-c SQL`, unaligned output, no backslash commands, no COPY.

import { readFileSync } from "node:fs";
import { connect } from "node:net";

const [program, ...words] = process.argv.slice(2);

/** Options that have a value, options that have none, and the words between them. */
function parse(words) {
  const options = { h: "127.0.0.1", p: "5432", U: "postgres", work: [], rest: [] };
  while (words.length > 0) {
    const word = words.shift();
    const [, letter, value] = /^-([hpUdvfc])(.*)$/s.exec(word) ?? [];
    if (letter === undefined) {
      if (!word.startsWith("-")) options.rest.push(word);
    } else if (letter === "f" || letter === "c") {
      options.work.push([letter, value || words.shift()]);
    } else {
      options[letter] = value || words.shift();
    }
  }
  return options;
}

/** Statements, cut where psql would: at a `;` outside quotes, comments, dollar quotes and brackets. */
function split(sql) {
  const tokens =
    /\bE'(?:\\[\s\S]|''|[^'\\])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|(\$(?:[a-z_]\w*)?\$)[\s\S]*?\1|[\s\S]/gi;
  const statements = [""];
  let depth = 0;
  for (const [token] of sql.matchAll(tokens)) {
    if (token === "(") depth += 1;
    if (token === ")") depth -= 1;
    if (token === ";" && depth === 0) statements.push("");
    else statements[statements.length - 1] += token.startsWith("--") ? "" : token;
  }
  return statements.map((text) => text.trim()).filter((text) => text !== "");
}

/** A message: its type, its length, what it holds. */
function message(type, ...texts) {
  const body = Buffer.concat(texts.map((text) => Buffer.from(`${text}\0`)));
  const head = Buffer.alloc(4);
  head.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), head, body]);
}

/** Fields of a DataRow, NULL as nothing. */
function fields(body) {
  const texts = [];
  for (let at = 2; at < body.length; ) {
    const length = body.readInt32BE(at);
    texts.push(length < 0 ? "" : body.toString("utf8", at + 4, at + 4 + length));
    at += 4 + Math.max(length, 0);
  }
  return texts;
}

/** Runs statements one after the other; gives the rows as lines, or throws what the server says. */
function run(options, statements) {
  const { h: host, p: port, U: user, d: database = user } = options;
  const socket = host.startsWith("/")
    ? connect(`${host}/.s.PGSQL.${port}`)
    : connect(Number(port), host);
  const startup = message("", "\0\x03\0\0user", user, "database", database, "");
  const waiting = [...statements];
  const lines = [];
  let input = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    socket.on("connect", () => socket.write(startup));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the server closed the connection")));
    socket.on("data", (data) => {
      input = Buffer.concat([input, data]);
      while (input.length >= 5 && input.length > input.readInt32BE(1)) {
        const type = String.fromCharCode(input[0]);
        const body = input.subarray(5, input.readInt32BE(1) + 1);
        input = input.subarray(input.readInt32BE(1) + 1);
        if (type === "D") lines.push(fields(body).join("|"));
        if (type === "R" && body.readInt32BE(0) !== 0) reject(new Error("no trust here"));
        if (type === "E") {
          const told = body.toString("utf8").split("\0");
          reject(new Error(told.find((field) => field.startsWith("M")).slice(1)));
        }
        if (type !== "Z") continue;
        if (waiting.length === 0) resolve(lines);
        else socket.write(message("Q", waiting.shift()));
      }
    });
  }).finally(() => socket.destroy());
}

async function main() {
  if (words.includes("--version")) return console.log(`${program} of clients.mjs`);
  const options = parse(words);
  if (program === "pg_isready") return run({ ...options, d: "postgres" }, []);
  if (program === "dropdb") {
    const name = options.rest[0].replaceAll('"', '""');
    return run({ ...options, d: "postgres" }, [`drop database if exists "${name}" with (force)`]);
  }
  options.d ??= options.rest[0];
  const texts = options.work.map(([kind, value]) =>
    kind === "c" ? value : readFileSync(value === "-" ? 0 : value, "utf8"),
  );
  const lines = await run(options, texts.flatMap(split));
  if (lines.length > 0) process.stdout.write(`${lines.join("\n")}\n`);
}

main().catch((error) => {
  if (program !== "pg_isready") process.stderr.write(`${program}: error: ${error.message}\n`);
  process.exitCode = program === "pg_isready" ? 2 : 1;
});
