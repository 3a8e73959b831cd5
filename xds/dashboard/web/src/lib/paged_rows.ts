// The rows of a long list that the server counts and hands out by offset: what is looked at first, then,
// while nothing else is to do, the rest, so that scrolling finds it there.
//
// A row that may be out of date stays until it is looked at, and is shown until its new state came.
import { Merged } from "./merged";
import type { Rows } from "../components/table";

export interface Loaded<T> {
  total: number;
  rows: T[];
}

export type Load<T> = (offset: number, limit: number) => Promise<Loaded<T>>;

const PAGE = 100;
const MOST_PAGES_AT_ONCE = 5;
// Rows kept: at some 2 KB each this is what a page may hold of the heap.
const MOST_ROWS = 20_000;
const REFRESH_MS = 250;

interface Page<T> {
  rows: T[];
  stale: boolean;
}

export class PagedRows<T> implements Rows<T> {
  total = 0;
  known = false; // the first answer came
  error: Error | undefined;
  private readonly pages = new Map<number, Page<T>>();
  private first = 0;
  private last = 0;
  private changes = 0; // that we were told of
  private readonly merged: Merged;
  private closed = false;

  constructor(
    private readonly load: Load<T>,
    private readonly changed: () => void,
    private readonly refreshMs = REFRESH_MS,
  ) {
    this.merged = new Merged(() => this.fill(), this.refreshMs);
    this.merged.now();
  }

  at(index: number): T | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  // These rows, both included, are looked at now.
  look(first: number, last: number): void {
    this.first = first;
    this.last = last;
    if (!this.missing().length) return;
    // A server that fails is not asked as fast as one scrolls.
    if (this.error) this.merged.ask();
    else this.merged.now();
  }

  // The rows that are looked at, those that there are.
  *looked(): Iterable<T> {
    for (let index = this.first; index <= this.last; index++) {
      const row = this.at(index);
      if (row !== undefined) yield row;
    }
  }

  // All may have changed. What is looked at is asked for anew.
  invalidate(): void {
    this.changes++;
    for (const page of this.pages.values()) page.stale = true;
    this.merged.ask();
  }

  close(): void {
    this.closed = true;
    this.merged.stop();
  }

  private lookedPages(): number[] {
    const pages: number[] = [];
    const end = this.known ? Math.min(this.last, this.total - 1) : this.last;
    for (let page = Math.floor(this.first / PAGE); page <= Math.max(0, Math.floor(end / PAGE)); page++) pages.push(page);
    return pages;
  }

  private missing(): number[] {
    return this.lookedPages().filter((page) => this.pages.get(page)?.stale !== false);
  }

  private async fill(): Promise<void> {
    const changes = this.changes;
    let wanted = this.missing();
    if (!this.known && !wanted.length) wanted = [0];
    while (wanted.length && !this.closed) {
      if (!(await this.fetch(wanted[0]!, Math.min(wanted.length, MOST_PAGES_AT_ONCE)))) return;
      if (changes !== this.changes) return; // the next run was asked for
      wanted = this.missing();
      if (!wanted.length) wanted = this.unread();
    }
  }

  // The next pages that were never read, nearest after what is looked at, then from the start.
  private unread(): number[] {
    const count = Math.ceil(Math.min(this.total, MOST_ROWS) / PAGE);
    if (this.pages.size >= Math.ceil(MOST_ROWS / PAGE)) return [];
    const from = Math.floor(this.first / PAGE);
    for (let step = 0; step < count; step++) {
      const page = (from + step) % count;
      if (this.pages.has(page)) continue;
      const run = [page];
      while (run.length < MOST_PAGES_AT_ONCE && page + run.length < count && !this.pages.has(page + run.length)) {
        run.push(page + run.length);
      }
      return run;
    }
    return [];
  }

  private async fetch(page: number, pages: number): Promise<boolean> {
    const changes = this.changes;
    try {
      const { total, rows } = await this.load(page * PAGE, pages * PAGE);
      if (this.closed) return false;
      this.error = undefined;
      // What changed while it was on its way may or may not be in it.
      const stale = changes !== this.changes;
      // One more or one less: the rows behind it have moved.
      if (this.known && total !== this.total) for (const kept of this.pages.values()) kept.stale = true;
      this.known = true;
      this.total = total;
      for (let n = 0; n < pages; n++) {
        const part = rows.slice(n * PAGE, (n + 1) * PAGE);
        if (part.length || n === 0) this.keep(page + n, { rows: part, stale });
        else this.pages.delete(page + n);
      }
    } catch (error) {
      if (this.closed) return false;
      this.error = error as Error;
      this.changed();
      return false;
    }
    this.changed();
    return true;
  }

  // Beyond what may be kept, the page farthest from what is looked at goes.
  private keep(number: number, page: Page<T>): void {
    this.pages.set(number, page);
    if (this.pages.size * PAGE <= MOST_ROWS) return;
    const here = this.first / PAGE;
    let farthest = number;
    for (const other of this.pages.keys()) {
      if (Math.abs(other - here) > Math.abs(farthest - here)) farthest = other;
    }
    this.pages.delete(farthest);
  }
}
