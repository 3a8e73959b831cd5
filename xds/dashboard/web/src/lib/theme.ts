// Light or dark: as the system says, or as the switch was set on this machine; where the browser may
// keep nothing, until the page is closed.
import { store } from "./store";

export type Theme = "system" | "light" | "dark";
export const THEMES: Theme[] = ["system", "light", "dark"];
const KEY = "portolan-theme";

export const theme = store<Theme>("system");

export function startTheme(): void {
  const kept = storage()?.getItem(KEY);
  setTheme(kept === "light" || kept === "dark" ? kept : "system");
}

export function setTheme(to: Theme): void {
  theme.set(to);
  if (to === "system") storage()?.removeItem(KEY);
  else storage()?.setItem(KEY, to);
  document.documentElement.dataset["theme"] = to;
}

function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined; // blocked
  }
}
