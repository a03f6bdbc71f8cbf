/**
 * X25519 through libcrypto's EVP interface. Every object is freed, and so erased, before the call returns: those of
 * node:crypto wait for the garbage collector, 2 KB for each peer that shakes hands.
 *
 * Spec: RFC 7748 §5, WireGuard paper §5.4 (DH).
 */
import { wipe } from "../crypto/bytes.ts";
import { computesKnownAnswer, selectedX25519, type X25519 } from "../crypto/x25519.ts";
import {
  EVP_PKEY_KEYPAIR,
  EVP_PKEY_X25519,
  type Libcrypto,
  libcrypto,
  OSSL_PARAM_BYTES,
  OSSL_PARAM_DATA,
  OSSL_PARAM_KEY,
  OSSL_PARAM_OCTET_STRING,
  OSSL_PARAM_SIZE,
  OSSL_PARAM_TYPE,
} from "../ffi/libcrypto.ts";
import { addressOf, cString, writePointer } from "../ffi/memory.ts";

const KEY_BYTES = 32;
const KEY_LENGTH = BigInt(KEY_BYTES);

// What libcrypto reads and writes lies in one block at a fixed address: an array of its own for each call would be
// given memory outside the heap for as long as the garbage collector likes.
const PRIVATE = 0;
const PUBLIC = PRIVATE + KEY_BYTES;
const RESULT = PUBLIC + KEY_BYTES;
const RESULT_LENGTH = RESULT + KEY_BYTES;
const KEY = RESULT_LENGTH + 8;
/** Both halves of a key, and the end. */
const PARAMS = KEY + 8;
const BLOCK_BYTES = PARAMS + 3 * OSSL_PARAM_BYTES;

/**
 * The implementation for a thread that computes many: libcrypto's if it is there and right.
 *
 * @param library by default the system's
 */
export function chooseX25519(library: Libcrypto | null = libcrypto()): X25519 {
  const native = createNativeX25519(library);
  return native !== null && computesKnownAnswer(native) ? native : selectedX25519();
}

/** Null where there is no libcrypto. @param library by default the system's */
export function createNativeX25519(library: Libcrypto | null = libcrypto()): X25519 | null {
  return library === null ? null : new NativeX25519(library);
}

class NativeX25519 implements X25519 {
  readonly name = "libcrypto";
  readonly #libcrypto: Libcrypto;
  readonly #bytes: Uint8Array = new Uint8Array(BLOCK_BYTES);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  readonly #privateName: Uint8Array = cString("priv");
  readonly #publicName: Uint8Array = cString("pub");
  readonly #private: bigint;
  readonly #public: bigint;
  readonly #result: bigint;
  readonly #resultLength: bigint;
  readonly #key: bigint;
  readonly #params: bigint;
  /** Makes private keys without computing their public ones, half of the time; 0 if this libcrypto cannot. */
  readonly #importer: bigint;

  constructor(library: Libcrypto) {
    this.#libcrypto = library;
    const block = addressOf(this.#bytes);
    const at = (offset: number): bigint => block + BigInt(offset);
    this.#private = at(PRIVATE);
    this.#public = at(PUBLIC);
    this.#result = at(RESULT);
    this.#resultLength = at(RESULT_LENGTH);
    this.#key = at(KEY);
    this.#params = at(PARAMS);
    this.#writeParam(0, this.#privateName, this.#private);
    this.#writeParam(1, this.#publicName, this.#public);
    this.#importer = createImporter(library);
  }

  publicKey(privateKey: Uint8Array): Uint8Array {
    const evp = this.#libcrypto;
    this.#bytes.set(privateKey, PRIVATE);
    const key = evp.EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, 0n, this.#private, KEY_LENGTH);
    this.#view.setBigUint64(RESULT_LENGTH, KEY_LENGTH, true);
    const isDone = key !== 0n && evp.EVP_PKEY_get_raw_public_key(key, this.#result, this.#resultLength) === 1;
    evp.EVP_PKEY_free(key);
    return this.#take(isDone);
  }

  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    const evp = this.#libcrypto;
    this.#bytes.set(privateKey, PRIVATE);
    this.#bytes.set(publicKey, PUBLIC);
    const own = this.#importPrivate();
    const peer = evp.EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, 0n, this.#public, KEY_LENGTH);
    const context = own === 0n ? 0n : evp.EVP_PKEY_CTX_new(own, 0n);
    this.#view.setBigUint64(RESULT_LENGTH, KEY_LENGTH, true);
    const isDone = peer !== 0n && context !== 0n && evp.EVP_PKEY_derive_init(context) === 1 &&
      evp.EVP_PKEY_derive_set_peer(context, peer) === 1 &&
      evp.EVP_PKEY_derive(context, this.#result, this.#resultLength) === 1;
    evp.EVP_PKEY_CTX_free(context);
    evp.EVP_PKEY_free(peer);
    evp.EVP_PKEY_free(own);
    return this.#take(isDone);
  }

  /** The private key of the block as a key to derive with, 0 for a failure. */
  #importPrivate(): bigint {
    const evp = this.#libcrypto;
    if (this.#importer === 0n || evp.EVP_PKEY_fromdata === null) {
      return evp.EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, 0n, this.#private, KEY_LENGTH);
    }
    // The other side's public key stands for ours, which would take a multiplication to know and is not looked at.
    this.#view.setBigUint64(KEY, 0n, true);
    const isMade = evp.EVP_PKEY_fromdata(this.#importer, this.#key, EVP_PKEY_KEYPAIR, this.#params) === 1;
    return isMade ? this.#view.getBigUint64(KEY, true) : 0n;
  }

  /** The result in an array of its own; the block keeps no secret. */
  #take(isDone: boolean): Uint8Array {
    // A slice would lie outside the heap as the block does.
    const result = new Uint8Array(KEY_BYTES);
    for (let i = 0; i < KEY_BYTES; i++) result[i] = this.#bytes[RESULT + i];
    this.#bytes.fill(0, PRIVATE, RESULT + KEY_BYTES);
    if (isDone) return result;
    wipe(result);
    throw new Error("Cannot compute X25519 with libcrypto");
  }

  #writeParam(index: number, name: Uint8Array, data: bigint): void {
    const at = PARAMS + index * OSSL_PARAM_BYTES;
    writePointer(this.#view, at + OSSL_PARAM_KEY, addressOf(name));
    this.#view.setUint32(at + OSSL_PARAM_TYPE, OSSL_PARAM_OCTET_STRING, true);
    writePointer(this.#view, at + OSSL_PARAM_DATA, data);
    this.#view.setBigUint64(at + OSSL_PARAM_SIZE, KEY_LENGTH, true);
  }
}

/** A context to import X25519 keys with; 0 before OpenSSL 3, which lacks it. */
function createImporter(library: Libcrypto): bigint {
  if (library.EVP_PKEY_fromdata_init === null) return 0n;
  const context = library.EVP_PKEY_CTX_new_id(EVP_PKEY_X25519, 0n);
  if (context !== 0n && library.EVP_PKEY_fromdata_init(context) === 1) return context;
  library.EVP_PKEY_CTX_free(context);
  return 0n;
}
