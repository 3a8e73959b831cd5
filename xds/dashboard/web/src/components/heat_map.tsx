// How far behind each sidecar is: one cell each, worst first, the number in it, so that colour is not
// all that tells.
import type { Sidecar } from "../api/types";
import { LAG_STEPS, lagStep, lagStepName, milliseconds } from "../lib/format";
import { link } from "../lib/route";

const MOST_CELLS = 400;

function lagOf(sidecar: Sidecar): number | null {
  return sidecar.lag?.p99Ms ?? null;
}

export function HeatMap({ sidecars }: { sidecars: Sidecar[] }) {
  const measured = sidecars.filter((sidecar) => lagOf(sidecar) !== null);
  measured.sort((a, b) => lagOf(b)! - lagOf(a)!);
  const steps = new Array<number>(LAG_STEPS.length + 1).fill(0);
  for (const sidecar of measured) steps[lagStep(lagOf(sidecar)!)]!++;
  const without = sidecars.length - measured.length;
  return (
    <section class="heat" aria-label="Propagation lag, p99 of each sidecar">
      <ul class="heat-steps">
        {steps.map((number, step) => (
          <li key={step}>
            <span class={`swatch heat-${step}`} aria-hidden="true" />
            {lagStepName(step)}: <b>{number}</b>
          </li>
        ))}
        {without > 0 && <li class="faint">no change acknowledged yet: {without}</li>}
      </ul>
      <ul class="heat-cells" tabIndex={0} aria-label="One cell for each sidecar; the table below opens them">
        {measured.slice(0, MOST_CELLS).map((sidecar) => (
          <li key={sidecar.node}>
            <a
              tabIndex={-1}
              class={`heat-${lagStep(lagOf(sidecar)!)}`}
              href={link(["sidecars", ...sidecar.node.split("/")])}
              title={`${sidecar.node}\np50 ${milliseconds(sidecar.lag?.p50Ms)}, p99 ${milliseconds(lagOf(sidecar))}`}
            >
              <span class="spoken">{sidecar.node} </span>
              {milliseconds(lagOf(sidecar)).replace(" ms", "")}
            </a>
          </li>
        ))}
      </ul>
      <p class="faint">
        {measured.length > MOST_CELLS && `The ${MOST_CELLS} that are furthest behind of ${measured.length}. `}
        Milliseconds where no unit is given.
      </p>
    </section>
  );
}
