/**
 * OpenSSL's libcrypto, where the system has it: the few functions of its EVP interface that seal packets and compute
 * X25519, of version 1.1.1 or later. Opened at first use; a host without it, or a process that may not load it, gets null.
 *
 * Contexts and memory are passed as addresses (`usize` given a BigInt, 7 ns); `pointer` objects would cost 100 ns.
 */
const SYMBOLS = {
  EVP_chacha20_poly1305: { parameters: [], result: "usize" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "usize" },
  EVP_CIPHER_CTX_free: { parameters: ["usize"], result: "void" },
  /** (context, type, length or number, data). */
  EVP_CIPHER_CTX_ctrl: { parameters: ["usize", "i32", "i32", "usize"], result: "i32" },
  /** (context, cipher or 0 = as before, engine 0, key, nonce); 1 = success, as for all that follow. */
  EVP_EncryptInit_ex: { parameters: ["usize", "usize", "usize", "usize", "buffer"], result: "i32" },
  EVP_DecryptInit_ex: { parameters: ["usize", "usize", "usize", "usize", "buffer"], result: "i32" },
  /** (context, out, out length, in, in length). */
  EVP_EncryptUpdate: { parameters: ["usize", "usize", "buffer", "usize", "i32"], result: "i32" },
  EVP_DecryptUpdate: { parameters: ["usize", "usize", "buffer", "usize", "i32"], result: "i32" },
  EVP_EncryptFinal_ex: { parameters: ["usize", "usize", "buffer"], result: "i32" },
  EVP_DecryptFinal_ex: { parameters: ["usize", "usize", "buffer"], result: "i32" },

  /** (type, engine 0, bytes, length): a key, 0 for none. That of a private key computes its public key too. */
  EVP_PKEY_new_raw_private_key: { parameters: ["i32", "usize", "usize", "usize"], result: "usize" },
  EVP_PKEY_new_raw_public_key: { parameters: ["i32", "usize", "usize", "usize"], result: "usize" },
  /** (key, out, address of the length of out). */
  EVP_PKEY_get_raw_public_key: { parameters: ["usize", "usize", "usize"], result: "i32" },
  /** Erases a private key; harmless with 0. */
  EVP_PKEY_free: { parameters: ["usize"], result: "void" },
  EVP_PKEY_CTX_new_id: { parameters: ["i32", "usize"], result: "usize" },
  /** (key, engine 0). */
  EVP_PKEY_CTX_new: { parameters: ["usize", "usize"], result: "usize" },
  EVP_PKEY_CTX_free: { parameters: ["usize"], result: "void" },
  EVP_PKEY_derive_init: { parameters: ["usize"], result: "i32" },
  EVP_PKEY_derive_set_peer: { parameters: ["usize", "usize"], result: "i32" },
  /** (context, out, address of the length of out). */
  EVP_PKEY_derive: { parameters: ["usize", "usize", "usize"], result: "i32" },
  /** Since 3.0. */
  EVP_PKEY_fromdata_init: { parameters: ["usize"], result: "i32", optional: true },
  /** (context, address of the new key's address, selection, OSSL_PARAMs); since 3.0. */
  EVP_PKEY_fromdata: { parameters: ["usize", "usize", "i32", "usize"], result: "i32", optional: true },
} as const;

/** Commands of `EVP_CIPHER_CTX_ctrl`. */
export const EVP_CTRL_AEAD_GET_TAG = 0x10;
export const EVP_CTRL_AEAD_SET_TAG = 0x11;

/** Type of a key: NID_X25519. */
export const EVP_PKEY_X25519 = 1034;
/** Selection of `EVP_PKEY_fromdata`: both halves. */
export const EVP_PKEY_KEYPAIR = 0x87;

/** OSSL_PARAM, an array of which ends with one of zeros. */
export const OSSL_PARAM_KEY = 0; // const char *
export const OSSL_PARAM_TYPE = OSSL_PARAM_KEY + 8; // u32, then 4 bytes of padding
export const OSSL_PARAM_DATA = OSSL_PARAM_TYPE + 8; // void *
export const OSSL_PARAM_SIZE = OSSL_PARAM_DATA + 8; // size_t
export const OSSL_PARAM_RETURN_SIZE = OSSL_PARAM_SIZE + 8; // size_t
export const OSSL_PARAM_BYTES = OSSL_PARAM_RETURN_SIZE + 8;
export const OSSL_PARAM_OCTET_STRING = 5;

export type Libcrypto = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

const NAMES: readonly string[] = ["libcrypto.so.3", "libcrypto.so.1.1"];

let opened: Libcrypto | null | undefined;

/** libcrypto of the system, or null if there is none or this process may not use FFI. */
export function libcrypto(): Libcrypto | null {
  opened ??= openLibcrypto(NAMES);
  return opened;
}

/** The first of `names` that can be opened and has every function; null if there is none. */
export function openLibcrypto(names: readonly string[]): Libcrypto | null {
  for (const name of names) {
    try {
      return Deno.dlopen(name, SYMBOLS).symbols;
    } catch (error) {
      // Not there, or not allowed: neither is a fault, for every other engine does the same work.
      if (error instanceof Deno.errors.NotCapable) return null;
    }
  }
  return null;
}
