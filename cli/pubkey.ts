import { Command } from "commander";
import { decodeKeyBase64, encodeBase64 } from "../crypto/encoding.ts";
import { publicKey } from "../crypto/x25519.ts";
import { OperatorError } from "./errors.ts";
import { print } from "./output.ts";

/** A key as text: 32 bytes in base64. */
const KEY_CHARACTERS = 44;

/** `culvert pubkey`: the public key of the private key on stdin. */
export function pubkeyCommand(): Command {
  return new Command("pubkey").description("read a private key on stdin, print its public key").action(() => {
    const privateKey = parseKey(readStdin());
    print(`${encodeBase64(publicKey(privateKey))}\n`);
    privateKey.fill(0);
  });
}

/**
 * The key at the start of `input`; behind it only white space and zero bytes may stand, as for `wg`.
 *
 * @throws {OperatorError}
 */
export function parseKey(input: Uint8Array): Uint8Array {
  const text = String.fromCharCode(...input.subarray(0, KEY_CHARACTERS));
  const key = decodeKeyBase64(text);
  if (key === null) throw new OperatorError("Key is not the correct length or format");
  for (let at = KEY_CHARACTERS; at < input.length; at++) {
    if (!isBlank(input[at])) throw new OperatorError("Trailing characters found after key");
  }
  return key;
}

/** NUL, or what C's isspace takes for white space. */
function isBlank(byte: number): boolean {
  return byte === 0 || byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** All of stdin, but no more than tells that it is not a key. */
function readStdin(): Uint8Array {
  const input = new Uint8Array(4096);
  let length = 0;
  while (length < input.length) {
    const count = Deno.stdin.readSync(input.subarray(length));
    if (count === null) break;
    length += count;
  }
  return input.subarray(0, length);
}
