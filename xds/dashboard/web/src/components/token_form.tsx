// Asks for the token that the API wants (--http-auth kubernetes). Escape leaves it for this page.
import { useEffect, useRef, useState } from "preact/hooks";
import { leaveToken, setToken, tokenNeeded } from "../api/client";
import { useStore } from "../lib/store";

export function TokenForm() {
  const refused = useStore(tokenNeeded);
  const [text, setText] = useState("");
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (refused === null) dialog.current!.close();
    else if (!dialog.current!.open) dialog.current!.showModal();
  }, [refused === null]);
  return (
    <dialog ref={dialog} class="token" aria-labelledby="token-title" onCancel={leaveToken}>
      <form
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
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class="main" disabled={!text.trim()}>
          Show it
        </button>
      </form>
    </dialog>
  );
}
