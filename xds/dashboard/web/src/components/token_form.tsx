// Asks for the token that the API wants (--http-auth kubernetes).
import { useEffect, useRef, useState } from "preact/hooks";
import { setToken, tokenNeeded } from "../api/client";
import { useStore } from "../lib/store";

export function TokenForm() {
  const refused = useStore(tokenNeeded);
  const [text, setText] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), [refused === null]);
  if (refused === null) return null;
  return (
    <div class="veil">
      <form
        class="token"
        role="dialog"
        aria-modal="true"
        aria-labelledby="token-title"
        onSubmit={(event) => {
          event.preventDefault();
          setToken(text);
          setText("");
        }}
      >
        <h2 id="token-title">This control plane asks for a token</h2>
        {refused && (
          <p class="notice bad" role="alert">
            {refused}
          </p>
        )}
        <p>
          One that a service account may show, such as of <code>kubectl create token NAME</code>. It is kept in this
          page's memory alone: a reload asks again.
        </p>
        <label for="token">Bearer token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={text}
          ref={input}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class="main" disabled={!text.trim()}>
          Show it
        </button>
      </form>
    </div>
  );
}
