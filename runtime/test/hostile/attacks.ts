import type { Socket } from "node:net";

/** What a hostile agent does with a connection once a request has begun to arrive. */
export type Attack = (socket: Socket) => void;

const FRAMES = "application/vnd.atoll.frames";
const DRIP_MS = 20;

const head = (status: string, headers: Readonly<Record<string, string>> = {}): string =>
  `HTTP/1.1 ${status}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;
const chunked = (type: string): string => head("200 OK", { "Content-Type": type, "Transfer-Encoding": "chunked" });
const chunk = (bytes: string | Uint8Array): Buffer => {
  const body = Buffer.from(bytes as string);
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]);
};
const framesThen = (...frames: readonly Uint8Array[]): Attack =>
  once(Buffer.concat([Buffer.from(chunked(FRAMES)), ...frames.map(chunk), Buffer.from("0\r\n\r\n")]));
const frame = (kind: number, payload: Uint8Array, sizeBytes = payload.length): Uint8Array => {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(sizeBytes);
  return Buffer.concat([Uint8Array.of(kind), size, payload]);
};
const total = (bytes: number): Uint8Array => {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(bytes));
  return payload;
};

/** Says something once and then nothing. */
function once(bytes: string | Uint8Array): Attack {
  return (socket) => void socket.write(bytes);
}

/** Begins, and then says the same for ever, as fast as it is taken. */
function forever(first: string, piece: string | Uint8Array): Attack {
  return (socket) => {
    const more = (): void => {
      if (!socket.destroyed) socket.write(piece, () => setImmediate(more));
    };
    socket.write(first, more);
  };
}

/** Begins, and then gives a byte now and then. */
function drip(first: string, piece: string): Attack {
  return (socket) => {
    socket.write(first);
    const timer = setInterval(() => socket.write(piece), DRIP_MS);
    socket.once("close", () => clearInterval(timer));
  };
}

const data = frame(1, Buffer.alloc(65_536, 0x61));

/** No answer at all: nothing of it may look whole, whatever was asked. */
export const NO_ANSWERS: Readonly<Record<string, Attack>> = {
  silence: () => undefined,
  "no HTTP": once("SSH-2.0-OpenSSH\r\n\r\n"),
  "a head without end": forever("HTTP/1.1 200 OK\r\n", `X-More: ${"a".repeat(4000)}\r\n`),
  "a head in drops": drip("HTTP/1.1 200 OK\r\nX: ", "a"),
  "interim answers without end": forever("", head("103 Early Hints").repeat(50)),
  "another protocol": once(head("101 Switching Protocols", { Connection: "Upgrade", Upgrade: "x" }) + "x".repeat(100)),
  "a status of none": once(`${head("600 What", { "Content-Length": "2" })}ok`),
  "a status of zero": once(`${head("000 What", { "Content-Length": "2" })}ok`),
  "a status above all": once(`${head("999 What", { "Content-Length": "2" })}ok`),
  "a redirection": once(head("302 Found", { Location: "http://169.254.169.254/", "Content-Length": "0" })),
  "two lengths": once(`${head("200 OK", { "Content-Length": "2", "content-length": "200" })}ok`),
  "a negative length": once(`${head("200 OK", { "Content-Length": "-1" })}ok`),
  "a length and chunks without end": forever(
    head("200 OK", { "Content-Type": FRAMES, "Content-Length": "10", "Transfer-Encoding": "chunked" }),
    chunk("a".repeat(65_536)),
  ),
  "a fault without end": forever(
    head("500 Oh", { "Content-Type": "application/problem+json", "Transfer-Encoding": "chunked" }),
    chunk("a".repeat(65_536)),
  ),
  "a fault in drops": drip(head("400 Oh", { "Transfer-Encoding": "chunked" }), "1\r\n{\r\n"),
};

/** Answers whose content is wrong: who reads it must see that; a body of any bytes is passed on as it is. */
export const WRONG_CONTENTS: Readonly<Record<string, Attack>> = {
  "JSON without end": forever(chunked("application/json"), chunk(`{"id":"${"a".repeat(65_536)}`)),
  "JSON in drops": drip(chunked("application/json"), "1\r\n[\r\n"),
  "deep JSON": once(`${head("200 OK", { "Content-Length": "15000" })}${"[".repeat(15_000)}`),
  "a cut chunk": (socket) => void socket.end(`${chunked(FRAMES)}ffff\r\nabc`),
  "an unknown frame": framesThen(frame(9, Buffer.from("x"))),
  "a frame larger than any": framesThen(frame(1, Buffer.from("x"), 0xff_ff_ff_ff)),
  "fewer bytes than it ends with": framesThen(data, frame(3, total(100_000))),
  "more bytes than it ends with": framesThen(data, frame(3, total(1))),
  "no end": framesThen(data),
  "lost, for a long reason": framesThen(frame(4, Buffer.alloc(5000, 0x61))),
  "idle without end": forever(
    chunked(FRAMES),
    chunk(Buffer.concat(Array.from({ length: 1000 }, () => frame(2, Buffer.alloc(0))))),
  ),
  "data without end": forever(chunked(FRAMES), chunk(data)),
};
