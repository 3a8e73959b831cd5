// Any JSON, as terms and what they stand for; for what has no picture of its own.
import { words } from "../lib/explained";

export function Tree({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span class="faint">–</span>;
  if (Array.isArray(value)) {
    if (!value.length) return <span class="faint">none</span>;
    if (value.every((one) => typeof one !== "object")) return <span>{value.join(", ")}</span>;
    return (
      <ul class="tree">
        {value.map((one, index) => (
          <li key={index}>
            <Tree value={one} />
          </li>
        ))}
      </ul>
    );
  }
  if (typeof value === "object") {
    return (
      <dl class="tree">
        {Object.entries(value).map(([key, one]) => (
          <div key={key}>
            <dt>{words(key)}</dt>
            <dd>
              <Tree value={one} />
            </dd>
          </div>
        ))}
      </dl>
    );
  }
  if (typeof value === "boolean") return <span>{value ? "yes" : "no"}</span>;
  return <span>{String(value)}</span>;
}
