/** What is to happen and when: a binary heap, first come first served among equals. */

interface Entry {
  readonly time: number;
  readonly order: number;
  readonly run: () => void;
}

export class Agenda {
  readonly #heap: Entry[] = [];
  #order = 0;

  get length(): number {
    return this.#heap.length;
  }

  /** Time of the first entry, Infinity if there is none. */
  get next(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].time;
  }

  add(time: number, run: () => void): void {
    if (Number.isNaN(time)) throw new RangeError("Time of an agenda entry must be a number");
    const heap = this.#heap;
    const entry = { time, order: this.#order++, run };
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent], entry)) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  /** Removes the first entry and runs it. */
  runNext(): void {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
        if (before(last, heap[child])) break;
        heap[at] = heap[child];
        at = child;
      }
      heap[at] = last;
    }
    first.run();
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
