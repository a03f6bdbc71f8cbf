/**
 * nftables over nfnetlink, in the network namespace of the socket given: tables, chains, rules and sets are changed in
 * transactions, wholly or not at all.
 *
 * struct nfgenmsg: family u8 | version u8 | resource u16 big-endian. Integers in attributes are big-endian; what a rule
 * compares lies in its registers as in a packet or, for marks, in host order. Spec: linux/netfilter/nf_tables.h.
 */
import { ENOENT, SyscallError } from "./errno.ts";
import type { Netlink } from "./netlink.ts";
import {
  listAttributes,
  mapAttributes,
  NetlinkMessage,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  readText,
} from "./netlink_message.ts";
import type { Expression } from "./nft_expression.ts";

// Families of tables.
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

// Where a chain is called, the same for IPv4 and IPv6.
export const HOOK_PREROUTING = 0;
export const HOOK_INPUT = 1;
export const HOOK_FORWARD = 2;
export const HOOK_OUTPUT = 3;
export const HOOK_POSTROUTING = 4;

const NFNL_SUBSYS_NFTABLES = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;

const NEWTABLE = 0;
const GETTABLE = 1;
const DELTABLE = 2;
const NEWCHAIN = 3;
const NEWRULE = 6;
const GETRULE = 7;
const NEWSET = 9;
const NEWSETELEM = 12;
const DELSETELEM = 14;

const NFGEN_BYTES = 4;

const TABLE_NAME = 1;
const CHAIN_TABLE = 1;
const CHAIN_NAME = 3;
const CHAIN_HOOK = 4;
const CHAIN_POLICY = 5;
const CHAIN_TYPE = 7;
const HOOK_NUMBER = 1;
const HOOK_PRIORITY = 2;
const RULE_TABLE = 1;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const SET_TABLE = 1;
const SET_NAME = 2;
const SET_KEY_TYPE = 4;
const SET_KEY_LENGTH = 5;
const SET_ID = 10;
const SET_USERDATA = 13;
const ELEMENTS_TABLE = 1;
const ELEMENTS_SET = 2;
const ELEMENTS_LIST = 3;
const ELEMENT_KEY = 1;
const LIST_ELEMENT = 1;
const DATA_VALUE = 1;
const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;
const COUNTER_PACKETS = 2;

/** What a set holds; the numbers are those that the `nft` program writes and prints by. */
export const SET_OF_MARKS = { type: 19, bytes: 4 } as const;
export const SET_OF_INTERFACES = { type: 41, bytes: 16 } as const;

/** For `nft`, which else takes keys for big-endian: type 0 (byte order of keys), length 4, 1 (host order). */
const HOST_ORDER = Uint8Array.of(0, 4, 1, 0, 0, 0);

const POLICY_DROP = 0;
const POLICY_ACCEPT = 1;

/** A chain that the network stack calls. */
export interface BaseChain {
  readonly hook: number;
  /** Lower ones are called first. */
  readonly priority: number;
  /** What becomes of packets that no rule judged. */
  readonly policy: "accept" | "drop";
}

/** A table of nftables. */
export interface NftTable {
  /** NFPROTO_… */
  readonly family: number;
  readonly name: string;
}

/** Changes that are to be made together. */
export class NftTransaction {
  readonly #messages: Uint8Array<ArrayBuffer>[] = [];
  #sets = 0;

  addTable(table: NftTable): this {
    return this.#add(nftMessage(NEWTABLE, table.family, NLM_F_CREATE).attributeText(TABLE_NAME, table.name));
  }

  /** With all that is in it. */
  deleteTable(table: NftTable): this {
    return this.#add(nftMessage(DELTABLE, table.family).attributeText(TABLE_NAME, table.name));
  }

  addChain(table: NftTable, name: string, chain: BaseChain): this {
    return this.#add(
      nftMessage(NEWCHAIN, table.family, NLM_F_CREATE)
        .attributeText(CHAIN_TABLE, table.name)
        .attributeText(CHAIN_NAME, name)
        .begin(CHAIN_HOOK)
        .attribute(HOOK_NUMBER, bigEndian(chain.hook))
        .attribute(HOOK_PRIORITY, bigEndian(chain.priority))
        .end()
        .attribute(CHAIN_POLICY, bigEndian(chain.policy === "drop" ? POLICY_DROP : POLICY_ACCEPT))
        .attributeText(CHAIN_TYPE, "filter"),
    );
  }

  /** Appends a rule to a chain. */
  addRule(table: NftTable, chain: string, expressions: readonly Expression[]): this {
    const message = nftMessage(NEWRULE, table.family, NLM_F_CREATE | NLM_F_APPEND)
      .attributeText(RULE_TABLE, table.name)
      .attributeText(RULE_CHAIN, chain)
      .begin(RULE_EXPRESSIONS);
    for (const expression of expressions) expression(message.begin(LIST_ELEMENT)).end();
    return this.#add(message.end());
  }

  addSet(table: NftTable, name: string, kind: { readonly type: number; readonly bytes: number }): this {
    return this.#add(
      nftMessage(NEWSET, table.family, NLM_F_CREATE | NLM_F_EXCL)
        .attributeText(SET_TABLE, table.name)
        .attributeText(SET_NAME, name)
        .attribute(SET_KEY_TYPE, bigEndian(kind.type))
        .attribute(SET_KEY_LENGTH, bigEndian(kind.bytes))
        .attribute(SET_ID, bigEndian(++this.#sets))
        .attribute(SET_USERDATA, HOST_ORDER),
    );
  }

  /** @param value as the set's kind has it: a mark in host order, a name with zeros to 16 bytes */
  addElement(table: NftTable, set: string, value: Uint8Array): this {
    return this.#add(elementMessage(NEWSETELEM, NLM_F_CREATE, table, set, value));
  }

  deleteElement(table: NftTable, set: string, value: Uint8Array): this {
    return this.#add(elementMessage(DELSETELEM, 0, table, set, value));
  }

  /** @throws {SyscallError} the first refusal; then nothing was changed */
  commit(netlink: Netlink): void {
    if (this.#messages.length === 0) return;
    netlink.transact("change nftables", [batchMessage(BATCH_BEGIN), ...this.#messages, batchMessage(BATCH_END)]);
  }

  #add(message: NetlinkMessage): this {
    this.#messages.push(message.finish());
    return this;
  }
}

/** Names of a family's tables; empty also where the kernel has no nftables. */
export function listTables(netlink: Netlink, family: number): string[] {
  try {
    return netlink.dump("list nftables", nftMessage(GETTABLE, family).finish())
      .map(({ body }) => readText(mapAttributes(body, NFGEN_BYTES).get(TABLE_NAME)));
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENOENT) return [];
    throw error;
  }
}

/** Packets that the rules of a chain with a counter have counted; null without such a chain, or without nftables. */
export function countedPackets(netlink: Netlink, table: NftTable, chain: string): number | null {
  const request = nftMessage(GETRULE, table.family).attributeText(RULE_TABLE, table.name);
  try {
    const rules = netlink.dump("list rules", request.attributeText(RULE_CHAIN, chain).finish())
      .map(({ body }) => mapAttributes(body, NFGEN_BYTES))
      // Kernels before 4.20 list all there is.
      .filter((rule) => readText(rule.get(RULE_TABLE)) === table.name && readText(rule.get(RULE_CHAIN)) === chain);
    return rules.length === 0 ? null : rules.reduce((sum, rule) => sum + countersOf(rule.get(RULE_EXPRESSIONS)), 0);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENOENT) return null;
    throw error;
  }
}

/** The sum of a rule's counters. */
function countersOf(expressions: Uint8Array | undefined): number {
  let packets = 0;
  for (const { payload } of expressions === undefined ? [] : listAttributes(expressions)) {
    const expression = mapAttributes(payload);
    const data = expression.get(EXPRESSION_DATA);
    if (data === undefined || readText(expression.get(EXPRESSION_NAME)) !== "counter") continue;
    const count = mapAttributes(data).get(COUNTER_PACKETS);
    if (count?.length === 8) packets += Number(new DataView(count.buffer, count.byteOffset).getBigUint64(0));
  }
  return packets;
}

/** Big-endian u32, also of a negative number. */
function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value | 0);
  return bytes;
}

function nftMessage(type: number, family: number, flags = 0): NetlinkMessage {
  return new NetlinkMessage((NFNL_SUBSYS_NFTABLES << 8) | type, flags).u8(family).u8(0).u16(0);
}

/** Begins or ends a transaction of the nftables subsystem. */
function batchMessage(type: number): Uint8Array<ArrayBuffer> {
  return new NetlinkMessage(type).u8(0).u8(0).u8(0).u8(NFNL_SUBSYS_NFTABLES).finish();
}

function elementMessage(
  type: number,
  flags: number,
  table: NftTable,
  set: string,
  value: Uint8Array,
): NetlinkMessage {
  return nftMessage(type, table.family, flags)
    .attributeText(ELEMENTS_TABLE, table.name)
    .attributeText(ELEMENTS_SET, set)
    .begin(ELEMENTS_LIST).begin(LIST_ELEMENT).begin(ELEMENT_KEY)
    .attribute(DATA_VALUE, value)
    .end().end().end();
}
