// The one search box. It filters the list that is shown; on a page that is none, names.
import { useEffect, useRef, useState } from "preact/hooks";
import { change, go, route } from "../lib/route";
import { useStore } from "../lib/store";

const LISTS: Record<string, string> = {
  names: "name, namespace/name, IP address, label=value",
  sidecars: "namespace/pod",
  flows: "workload or Service",
  amplifiers: "namespace/pod or workload",
  denials: "namespace/pod, name, address or policy",
};
const PAUSE_MS = 120;

export function Search() {
  const { path, query } = useStore(route);
  const list = path.length <= 1 && LISTS[path[0]!] ? path[0]! : "names";
  const isShown = path.length <= 1 && path[0] === list;
  const wanted = isShown ? (query["search"] ?? "") : "";
  const [text, setText] = useState(wanted);
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef(0);

  // Where one goes by a link the box follows; while one types it leads.
  useEffect(() => {
    if (!timer.current) setText(wanted);
  }, [wanted, list]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const apply = (value: string) => {
    clearTimeout(timer.current);
    timer.current = 0;
    if (isShown) change({ search: value });
    else if (value) go([list], { search: value });
  };
  return (
    <form
      role="search"
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        apply(text);
      }}
    >
      <label class="spoken" for="search">
        Search {list}
      </label>
      <input
        id="search"
        ref={input}
        type="search"
        autocomplete="off"
        spellcheck={false}
        aria-keyshortcuts="/"
        placeholder={`Search ${list}: ${LISTS[list]}`}
        value={text}
        onInput={(event) => {
          const value = event.currentTarget.value;
          setText(value);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => apply(value), PAUSE_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") document.querySelector<HTMLElement>("main [role=grid]")?.focus();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}
