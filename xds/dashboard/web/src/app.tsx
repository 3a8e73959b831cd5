// The frame around all pages: where one can go, the search box, and whether what is seen is live.
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useAnswer } from "./api/use_answer";
import { live } from "./api/events";
import type { Status } from "./api/types";
import { Search } from "./components/search";
import { TokenForm } from "./components/token_form";
import { count } from "./lib/format";
import { link, route } from "./lib/route";
import { useStore } from "./lib/store";
import { setTheme, theme, THEMES } from "./lib/theme";
import { setServerTime, tick } from "./lib/time";
import { AmplifiersPage } from "./pages/amplifiers";
import { DenialsPage } from "./pages/denials";
import { ExplainPage } from "./pages/explain";
import { FlowsPage } from "./pages/flows";
import { NamePage } from "./pages/name";
import { NamesPage } from "./pages/names";
import { SidecarPage } from "./pages/sidecar";
import { SidecarsPage } from "./pages/sidecars";

const NAV = [
  { path: "names", title: "Names" },
  { path: "sidecars", title: "Sidecars" },
  { path: "explain", title: "Explain" },
  { path: "flows", title: "Flows" },
  { path: "amplifiers", title: "Amplifiers" },
  { path: "denials", title: "Denials" },
];

// All replicas are asked for it.
const STATUS_EVERY_MS = 5000;

function pageOf(path: string[]): { page: ComponentType; title: string; key: string } {
  const [area, namespace, name] = path;
  const one = namespace !== undefined && name !== undefined ? `${namespace}/${name}` : undefined;
  if (area === "names" && one) return { page: NamePage, title: one, key: one };
  if (area === "sidecars" && one) return { page: SidecarPage, title: one, key: one };
  if (area === "sidecars") return { page: SidecarsPage, title: "Sidecars", key: area };
  if (area === "explain") return { page: ExplainPage, title: "Explain", key: area };
  if (area === "flows") return { page: FlowsPage, title: "Flows", key: area };
  if (area === "amplifiers") return { page: AmplifiersPage, title: "Amplifiers", key: area };
  if (area === "denials") return { page: DenialsPage, title: "Denials", key: area };
  return { page: NamesPage, title: "Names", key: "names" };
}

export function App() {
  const { path } = useStore(route);
  const { page: Page, title, key } = pageOf(path);
  const main = useRef<HTMLElement>(null);
  const before = useRef(key);
  useEffect(() => {
    document.title = `${title} · Portolan`;
    if (before.current === key) return;
    before.current = key;
    // A screen reader goes on at the new page; who types a search goes on typing.
    if (!(document.activeElement instanceof HTMLInputElement)) main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [title, key]);
  const status = useAnswer<Status>("status", {}, { onName: "*", onSidecar: "*", everyMs: STATUS_EVERY_MS });
  useEffect(() => {
    if (status.data) setServerTime(status.data.now);
  }, [status.data]);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the page
      </a>
      <header class="bar">
        <a class="brand" href={link(["names"])}>
          <Rose />
          Portolan
        </a>
        <Search />
        <LiveState />
        <ThemeSwitch />
      </header>
      <nav aria-label="Pages">
        <ul>
          {NAV.map((entry) => (
            <li key={entry.path}>
              <a href={link([entry.path])} aria-current={path[0] === entry.path ? "page" : undefined}>
                {entry.title}
              </a>
            </li>
          ))}
        </ul>
        {status.data && <Totals status={status.data} />}
      </nav>
      <main id="main" ref={main} tabIndex={-1} aria-label={title}>
        {status.data?.ready === false && (
          <p class="notice warn" role="status">
            The control plane has not read everything yet: what is missing here may exist.
          </p>
        )}
        <Page key={key} />
      </main>
      <TokenForm />
    </>
  );
}

function Rose() {
  return (
    <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <path d="M16 1l3.6 11.4L31 16l-11.4 3.6L16 31l-3.6-11.4L1 16l11.4-3.6z" class="rose" />
      <path d="M16 1v30l-3.6-11.4L16 16z" class="rose-half" />
    </svg>
  );
}

function Totals({ status }: { status: Status }) {
  return (
    <dl class="totals" aria-label="This control plane">
      <dt>Services</dt>
      <dd>{count(status.services)}</dd>
      <dt>Endpoints</dt>
      <dd>{count(status.endpoints)}</dd>
      <dt>Namespaces</dt>
      <dd>{count(status.namespaces)}</dd>
      <dt>Sidecars</dt>
      <dd>{count(status.sidecars)}</dd>
      <dt>Generation</dt>
      <dd>{count(status.generation)}</dd>
      <dt>Version</dt>
      <dd>{status.version}</dd>
      <dt>Replica</dt>
      <dd class="long">{status.replica}</dd>
    </dl>
  );
}

function LiveState() {
  useStore(tick);
  const { state, retryAt } = useStore(live);
  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) : 0;
  const words = {
    live: "live",
    connecting: "connecting…",
    waiting: seconds ? `no updates; again in ${seconds} s` : "no updates",
  };
  return (
    <span class={`live ${state}`}>
      <span class="dot" aria-hidden="true" />
      {words[state]}
      <span class="spoken" role="status">
        {state === "live" ? "Updates are live" : "No updates for now"}
      </span>
    </span>
  );
}

function ThemeSwitch() {
  const now = useStore(theme);
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]!;
  return (
    <button type="button" class="theme" onClick={() => setTheme(next)} title={`Colours: ${now}. Change to ${next}`}>
      <span aria-hidden="true">{{ system: "◐", light: "☀", dark: "☾" }[now]}</span>
      <span class="spoken">Colours: {now}. Change to {next}</span>
    </button>
  );
}
