/** The files that `wg`'s verbs read; descriptors as files (`/dev/stdin`, `/dev/fd/63`) are files too. */
import { decodeKeyBase64 } from "../crypto/encoding.ts";
import { explaining, WgError } from "./wg_errors.ts";

const KEY_BYTES = 32;
const KEY_CHARACTERS = 44;
/** More is no configuration: 65,536 peers with ten allowed IPs each are 20 MB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** A whole file. @throws {WgError} */
export async function readWholeFile(path: string): Promise<Uint8Array> {
  return await explaining("fopen", () => {
    using file = Deno.openSync(path, { read: true });
    return readToEnd(file);
  });
}

/**
 * The key in a file: 44 characters, then at most white space. An empty file, such as `/dev/null`, means no key; an empty
 * pipe does not, since the program at its other end failed.
 *
 * @returns 32 secret bytes, zeros for no key
 * @throws {WgError}
 */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const { bytes, isSeekable } = await explaining("fopen", () => {
    using file = Deno.openSync(path, { read: true });
    const { isFile, isCharDevice } = file.statSync();
    return { bytes: readToEnd(file), isSeekable: isFile || isCharDevice === true };
  });
  try {
    return parseKeyFile(bytes, isSeekable);
  } finally {
    bytes.fill(0);
  }
}

/** As `readKeyFile`, of what was read. @param mayBeEmpty whether nothing means no key */
export function parseKeyFile(bytes: Uint8Array, mayBeEmpty: boolean): Uint8Array {
  if (bytes.length === 0 && mayBeEmpty) return new Uint8Array(KEY_BYTES);
  if (bytes.length < KEY_CHARACTERS) throw new WgError("Invalid length key in key file");
  for (const byte of bytes.subarray(KEY_CHARACTERS)) {
    // The character may belong to a key that is not where it should be.
    if (!isSpace(byte)) throw new WgError("Found trailing character in key file");
  }
  const key = decodeKeyBase64(String.fromCharCode(...bytes.subarray(0, KEY_CHARACTERS)));
  if (key === null) throw new WgError("Key is not the correct length or format");
  return key;
}

/** The rest of an open file, which need not tell its length. */
export function readToEnd(file: Deno.FsFile): Uint8Array {
  let bytes = new Uint8Array(8192);
  let length = 0;
  for (;;) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
    if (length > MAX_FILE_BYTES) throw new WgError("The file is too long");
    if (length < bytes.length) continue;
    const larger = new Uint8Array(2 * length);
    larger.set(bytes);
    bytes.fill(0);
    bytes = larger;
  }
  return bytes.subarray(0, length);
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
