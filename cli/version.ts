import manifest from "../deno.json" with { type: "json" };

/** The project's version, read where it is kept: in deno.json. */
export const VERSION: string = manifest.version;
