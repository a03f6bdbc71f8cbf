/**
 * HMAC-BLAKE2s and the key derivation built from it.
 *
 * ```
 * HMAC(key, input) = HASH(key ^ 5c… ‖ HASH(key ^ 36… ‖ input))
 * t0 = HMAC(key, input)
 * t1 = HMAC(t0, 0x1)   t2 = HMAC(t0, t1 ‖ 0x2)   t3 = HMAC(t0, t2 ‖ 0x3)
 * ```
 *
 * Spec: RFC 2104, RFC 5869 (with `key` as salt and no info); WireGuard paper §5.4 (HMAC, KDF).
 */
import { Blake2s, blake2s, BLAKE2S_BLOCK_BYTES, BLAKE2S_BYTES } from "./blake2s.ts";
import { wipe } from "./bytes.ts";

const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** The two hashes after the padded key, kept apart so that all outputs of one derivation share that half of the work. */
const INNER = new Blake2s();
const OUTER = new Blake2s();
/** The hash under way. */
const WORK = new Blake2s();
const BLOCK = new Uint8Array(BLAKE2S_BLOCK_BYTES);
const INNER_HASH = new Uint8Array(BLAKE2S_BYTES);

/** HMAC(key, input) with BLAKE2s as hash, 32 bytes. Not the keyed mode of BLAKE2s. */
export function hmacBlake2s(key: Uint8Array, input: Uint8Array): Uint8Array {
  setKey(key);
  const code = authenticate(input);
  forget();
  return code;
}

/**
 * KDF_count(key, input).
 *
 * @param key secret, any length
 * @param input secret, any length, may be empty
 * @returns `count` secret outputs of 32 bytes
 */
export function kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  setKey(key);
  const extracted = authenticate(input);
  setKey(extracted);
  // Three outputs need the padded keys hashed once. Not so above, where the input may be empty.
  INNER.flush();
  OUTER.flush();
  const outputs = [authenticate(Uint8Array.of(1))];
  const chained = new Uint8Array(BLAKE2S_BYTES + 1);
  for (let i = 1; i < count; i++) {
    chained.set(outputs[i - 1]);
    chained[BLAKE2S_BYTES] = i + 1;
    outputs.push(authenticate(chained));
  }
  forget();
  wipe(extracted, chained);
  return outputs;
}

/** Makes `key` the key of the `authenticate` calls that follow. */
function setKey(key: Uint8Array): void {
  // RFC 2104 §2: a key longer than a block is replaced by its hash.
  const shortKey = key.length > BLAKE2S_BLOCK_BYTES ? blake2s(key) : key;
  startPadded(INNER, shortKey, INNER_PAD);
  startPadded(OUTER, shortKey, OUTER_PAD);
  if (shortKey !== key) wipe(shortKey);
}

function startPadded(state: Blake2s, key: Uint8Array, pad: number): void {
  BLOCK.fill(pad);
  for (let i = 0; i < key.length; i++) BLOCK[i] = key[i] ^ pad;
  state.start(BLAKE2S_BYTES);
  state.update(BLOCK);
}

function authenticate(input: Uint8Array): Uint8Array {
  WORK.copyFrom(INNER);
  WORK.update(input);
  WORK.finish(INNER_HASH);
  WORK.copyFrom(OUTER);
  WORK.update(INNER_HASH);
  return WORK.finish(new Uint8Array(BLAKE2S_BYTES));
}

/** Erases what the key left behind. */
function forget(): void {
  INNER.wipe();
  OUTER.wipe();
  wipe(BLOCK, INNER_HASH);
}
