import { Command } from "commander";
import { encodeBase64 } from "../crypto/encoding.ts";
import { generatePresharedKey } from "../host/keys.ts";
import { warnIfWorldAccessible } from "./key_output.ts";
import { print } from "./output.ts";

/** `culvert genpsk`: a new preshared key on stdout. */
export function genpskCommand(): Command {
  return new Command("genpsk").description("print a new preshared key").action(() => {
    warnIfWorldAccessible();
    print(`${encodeBase64(generatePresharedKey())}\n`);
  });
}
