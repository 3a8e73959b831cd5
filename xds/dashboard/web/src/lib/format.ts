// Numbers and words.

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : n.toLocaleString("en-US");
}

// "1 endpoint", "3 endpoints"
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : /(s|ch)$/.test(word) ? "es" : "s"}`;
}

export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return "–";
  return perSecond >= 100 ? count(Math.round(perSecond)) : perSecond.toFixed(perSecond >= 10 ? 0 : 1);
}

export function percent(ratio: number | null | undefined): string {
  return ratio === null || ratio === undefined ? "–" : `${Math.round(ratio * 100)} %`;
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return ms === 0 ? "0 ms" : "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  let value = n;
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (value < 1000) return `${value >= 10 || unit === "B" ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

// How bad a lag is, 0 (none to speak of) to 5; the steps that the heat map names.
export const LAG_STEPS = [10, 50, 100, 500, 1000];
export function lagStep(ms: number): number {
  return LAG_STEPS.filter((step) => ms > step).length;
}
export function lagStepName(step: number): string {
  if (step === 0) return `up to ${milliseconds(LAG_STEPS[0])}`;
  if (step === LAG_STEPS.length) return `above ${milliseconds(LAG_STEPS[step - 1])}`;
  return `up to ${milliseconds(LAG_STEPS[step])}`;
}
