import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigText } from "./config_text.ts";

Deno.test("ConfigText gives every text back", () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "[Interface]",
      "[ Peer ]",
      "\n",
      "\r\n",
      "\r",
      " = ",
      "#",
      "# @name = x",
      "PostUp",
      "\ufeff",
      "\t",
      "ä",
    ),
  );
  fc.assert(fc.property(fc.array(piece), (pieces) => {
    const text = pieces.join("");
    assert.equal(ConfigText.parse(text).toString(), text);
  }));
});

Deno.test("ConfigText tells what a line is", () => {
  const kinds: [string, string, string, string][] = [
    ["", "blank", "", ""],
    [" \t\r", "blank", "", ""],
    ["# words", "comment", "", ""],
    ["[Interface]", "section", "interface", ""],
    [" [ P eer ] # words", "section", "peer", ""],
    ["ListenPort = 5", "entry", "listenport", "5"],
    ["Listen Port=5 6 # words", "entry", "listenport", "5 6"],
    ["AllowedIPs =", "entry", "allowedips", ""],
    ["PublicKey = abc= # c", "entry", "publickey", "abc="],
    ["PostUp = echo '#1' # 2", "entry", "postup", "echo '#1' # 2"],
    ["DNS = 1.1.1.1 # words", "entry", "dns", "1.1.1.1"],
    ["# @name = two words ", "annotation", "name", "two words"],
    ["#@kill-switch=on", "annotation", "kill-switch", "on"],
    ["# @name", "comment", "", ""],
    ["#  friendly_name = x", "comment", "", ""],
    ["words", "unknown", "", ""],
    ["[Interface", "unknown", "", ""],
    ["\ufeff[Interface]", "unknown", "", ""],
  ];
  for (const [text, kind, key, value] of kinds) {
    const [line] = ConfigText.parse(`${text}\n`).lines;
    assert.deepEqual([line.kind, line.key, line.value], [kind, key, value], text);
    assert.equal(line.text.slice(line.valueStart, line.valueStart + value.length), value, text);
  }
});

Deno.test("ConfigText knows the sections' borders", () => {
  const text = ConfigText.parse("# top\n[Interface]\nA=1\n\n[Peer]\n[Peer]\nB=2");
  assert.deepEqual(text.sections(), [
    { name: "interface", start: 1, end: 4 },
    { name: "peer", start: 4, end: 5 },
    { name: "peer", start: 5, end: 7 },
  ]);
});
