// The box that leaves one namespace of a list. What is typed is its own, however often the page is drawn
// meanwhile, until Enter or leaving it makes it the page's.
import { useEffect, useState } from "preact/hooks";
import { change } from "../lib/route";

export function NamespaceFilter({ namespace = "" }: { namespace?: string }) {
  const [text, setText] = useState(namespace);
  useEffect(() => setText(namespace), [namespace]);
  return (
    <label>
      Namespace{" "}
      <input
        type="text"
        size={14}
        spellcheck={false}
        placeholder="all"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onChange={(event) => change({ namespace: event.currentTarget.value.trim() })}
      />
    </label>
  );
}
