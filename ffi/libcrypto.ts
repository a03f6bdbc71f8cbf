/**
 * OpenSSL's libcrypto, where the system has it: the few functions of its EVP interface that seal packets. Opened at
 * first use; a host without it, or a process that may not load it, gets null.
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
} as const;

/** Commands of `EVP_CIPHER_CTX_ctrl`. */
export const EVP_CTRL_AEAD_GET_TAG = 0x10;
export const EVP_CTRL_AEAD_SET_TAG = 0x11;

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
