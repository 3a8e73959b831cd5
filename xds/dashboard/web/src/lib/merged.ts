// A task that is asked for more often than it need run: one run at a time, none sooner than `everyMs`
// after the one before began, and what is asked for meanwhile is one more run. A clock that is set back
// makes none wait longer.
export class Merged {
  private began = -Infinity;
  private busy = false;
  private asked = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly task: () => Promise<void>, // never rejects
    public everyMs: number,
  ) {}

  ask(): void {
    this.asked = true;
    if (this.busy || this.timer !== undefined || this.stopped) return;
    const wait = Math.max(0, this.began + this.everyMs - performance.now());
    this.timer = setTimeout(() => void this.run(), wait);
  }

  // Without waiting for its turn.
  now(): void {
    if (this.busy) this.asked = true;
    else void this.run();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.asked = false;
    this.busy = true;
    this.began = performance.now();
    await this.task();
    this.busy = false;
    if (this.asked) this.ask();
  }
}
