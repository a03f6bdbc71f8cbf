/**
 * Rules that choose a routing table, over rtnetlink, in the network namespace of the socket given.
 *
 * struct fib_rule_hdr: family u8 | destination length u8 | source length u8 | tos u8 | table u8 | reserved u16 |
 * action u8 | flags u32. Spec: linux/fib_rules.h, ip-rule(8).
 */
import type { Netlink } from "./netlink.ts";
import { mapAttributes, NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL, readText, readU32 } from "./netlink_message.ts";
import { AF_INET, AF_INET6 } from "./socket.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;

const RULE_DESTINATION = 1;
const RULE_SOURCE = 2;
const RULE_TABLE = 4;
const RULE_ACTION = 7;
const RULE_FLAGS = 8;
const RULE_BYTES = 12;

const ACTION_LOOK_UP = 1;
const FIB_RULE_INVERT = 0x2;

const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_OIFNAME = 17;

/** A rule as far as a tunnel needs one: look up `table` for packets with (or without) a mark. */
export interface Rule {
  /** Lower ones are looked up first. */
  readonly priority: number;
  readonly table: number;
  /** The mark of the packets meant, 0 = whatever mark. */
  readonly fwmark: number;
  /** Packets that do not match are meant. */
  readonly isInverted: boolean;
  /** Routes found with prefixes up to this length do not count; -1 = all count. */
  readonly suppressPrefixLength: number;
}

/** A rule of this host. */
export interface ListedRule extends Rule {
  /** It has conditions or an action beyond those of `Rule`. */
  readonly isOther: boolean;
}

/** All rules of a family in the order they are looked up. */
export function listRules(netlink: Netlink, family: 4 | 6): ListedRule[] {
  const request = new NetlinkMessage(RTM_GETRULE).u8(familyNumber(family)).u8(0).u8(0).u8(0).u32(0).u32(0);
  return netlink.dump("list rules", request.finish())
    .filter(({ type, body }) => type === RTM_NEWRULE && body[0] === familyNumber(family))
    .map(({ body }) => parseRule(body));
}

/** Adds a rule. @throws {SyscallError} EEXIST if there is exactly this one */
export function addRule(netlink: Netlink, family: 4 | 6, rule: Rule): void {
  netlink.request("add rule", ruleMessage(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, rule));
}

/** Removes exactly this rule. @throws {SyscallError} ENOENT if there is none */
export function deleteRule(netlink: Netlink, family: 4 | 6, rule: Rule): void {
  netlink.request("delete rule", ruleMessage(RTM_DELRULE, 0, family, rule));
}

function ruleMessage(type: number, flags: number, family: 4 | 6, rule: Rule): Uint8Array<ArrayBuffer> {
  const message = new NetlinkMessage(type, flags)
    .u8(familyNumber(family)).u8(0).u8(0).u8(0)
    .u8(rule.table > 255 ? 0 : rule.table).u8(0).u8(0).u8(ACTION_LOOK_UP)
    .u32(rule.isInverted ? FIB_RULE_INVERT : 0)
    .attributeU32(FRA_PRIORITY, rule.priority)
    .attributeU32(FRA_TABLE, rule.table);
  if (rule.fwmark !== 0) message.attributeU32(FRA_FWMARK, rule.fwmark);
  if (rule.suppressPrefixLength >= 0) message.attributeU32(FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixLength);
  return message.finish();
}

function parseRule(body: Uint8Array): ListedRule {
  const attributes = mapAttributes(body, RULE_BYTES);
  const flags = new DataView(body.buffer, body.byteOffset, body.length).getUint32(RULE_FLAGS, true);
  const names = readText(attributes.get(FRA_IIFNAME)) + readText(attributes.get(FRA_OIFNAME));
  return {
    priority: readU32(attributes.get(FRA_PRIORITY), 0),
    table: readU32(attributes.get(FRA_TABLE), body[RULE_TABLE]),
    fwmark: readU32(attributes.get(FRA_FWMARK), 0),
    isInverted: (flags & FIB_RULE_INVERT) !== 0,
    suppressPrefixLength: readU32(attributes.get(FRA_SUPPRESS_PREFIXLEN), 0xffffffff) | 0,
    isOther: body[RULE_DESTINATION] !== 0 || body[RULE_SOURCE] !== 0 || body[RULE_ACTION] !== ACTION_LOOK_UP ||
      names !== "",
  };
}

function familyNumber(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}
