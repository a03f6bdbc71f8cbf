import { testAeadConformance } from "./aead_conformance.ts";
import { createNobleAead } from "./noble_aead.ts";

testAeadConformance("createNobleAead()", createNobleAead);
