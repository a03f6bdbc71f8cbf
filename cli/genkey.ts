import { Command } from "commander";
import { encodeBase64 } from "../crypto/encoding.ts";
import { generatePrivateKey } from "../host/keys.ts";
import { warnIfWorldAccessible } from "./key_output.ts";
import { print } from "./output.ts";

/** `culvert genkey`: a new private key on stdout. */
export function genkeyCommand(): Command {
  return new Command("genkey").description("print a new private key").action(() => {
    warnIfWorldAccessible();
    print(`${encodeBase64(generatePrivateKey())}\n`);
  });
}
