// A table of any length: only the rows that are seen exist. All rows have one height.
//
// The rows stand in a box that sticks to the frame while a tall empty box scrolls below it, so that the
// frame is never without rows, however fast one scrolls. As a grid (WAI-ARIA) it is one stop of the Tab
// key: arrows, Page Up and Down, Home and End move, Enter opens.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Column<T> {
  key: string;
  head: string;
  title?: string; // of the heading
  width: string; // as in grid-template-columns
  sort?: string; // what the server calls this order
  end?: boolean; // numbers
  cell(row: T, index: number): ComponentChildren;
}

// The same object for as long as it is the same list: at each new one the table says what it looks at.
export interface Rows<T> {
  total: number;
  at(index: number): T | undefined; // undefined: not here yet
  look?(first: number, last: number): void;
}

export interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: Rows<T>;
  rowKey(row: T): string;
  open?(row: T): void;
  sort?: string;
  onSort?(sort: string): void;
  descending?: string[]; // orders that begin with the most
  mostRows?: number; // seen at once; none: as many as there is room for
  empty?: string;
}

const ROW = 30; // as --row in style/frame.css

export function rowsOf<T>(list: T[]): Rows<T> {
  return { total: list.length, at: (index) => list[index] };
}

interface Chosen {
  index: number; // where it was when it was seen last; -1: none is
  key?: string; // none: its row was not there yet
}

// Where the chosen row is now: lists move below the hands of who chooses. -1: not where it was, nor
// among those that are seen.
export function placeOf(chosen: Chosen, keyAt: (index: number) => string | undefined, first: number, last: number): number {
  if (chosen.key === undefined || keyAt(chosen.index) === chosen.key) return chosen.index;
  for (let index = first; index <= last; index++) if (keyAt(index) === chosen.key) return index;
  return -1;
}

let tables = 0;

export function Table<T>(props: TableProps<T>) {
  const { columns, rows, rowKey } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [id] = useState(() => `table-${++tables}`);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [chosen, setChosen] = useState<Chosen>({ index: -1 });

  useLayoutEffect(() => {
    const measure = () => frame.current && setHeight(frame.current.clientHeight);
    const observer = new ResizeObserver(measure);
    observer.observe(frame.current!);
    measure();
    return () => observer.disconnect();
  }, []);

  const space = Math.max(0, height - ROW); // without the headings
  const most = Math.max(0, rows.total * ROW - space);
  const at = Math.min(top, most);
  const first = Math.floor(at / ROW);
  const last = Math.min(rows.total - 1, Math.floor((at + space) / ROW));
  useEffect(() => rows.look?.(first, Math.max(first, last)), [rows, first, last]);

  const keyAt = (index: number) => {
    const row = rows.at(index);
    return row === undefined ? undefined : rowKey(row);
  };
  const selected = placeOf(chosen, keyAt, first, last);
  // It was chosen before it was there, or it has moved; unless another one was chosen meanwhile.
  useEffect(() => {
    if (selected >= 0) setChosen((now) => (now === chosen ? { index: selected, key: keyAt(selected) } : now));
  }, [selected, selected >= 0 && keyAt(selected)]);

  const select = (index: number) => {
    const next = Math.max(0, Math.min(rows.total - 1, index));
    setChosen({ index: next, key: keyAt(next) });
    const box = frame.current!;
    if (next * ROW < box.scrollTop) box.scrollTop = next * ROW;
    else if ((next + 1) * ROW > box.scrollTop + space) box.scrollTop = (next + 1) * ROW - space;
  };
  const onKeyDown = (event: JSX.TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(space / ROW) - 1);
    const from = selected >= 0 ? selected : first - 1;
    const moves: Record<string, number> = {
      ArrowDown: from + 1,
      ArrowUp: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: rows.total - 1,
    };
    const move = moves[event.key];
    if (move !== undefined) select(move);
    else if (event.key === "Enter" && selected >= 0) {
      const row = rows.at(selected);
      if (row !== undefined) props.open?.(row);
    } else return;
    event.preventDefault();
  };

  const tracks = columns.map((column) => column.width).join(" ");
  const shown: JSX.Element[] = [];
  for (let index = first; index <= last; index++) {
    const row = rows.at(index);
    shown.push(
      <div
        key={row === undefined ? `row ${index}` : rowKey(row)}
        id={`${id}-${index}`}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={index === selected}
        class={"row" + (index === selected ? " selected" : "") + (index % 2 ? " odd" : "")}
        style={{ gridTemplateColumns: tracks }}
        onClick={(event) => {
          if ((event.target as HTMLElement).closest("a,button") || getSelection()?.toString()) return;
          setChosen({ index, key: keyAt(index) });
          if (row !== undefined) props.open?.(row);
        }}
      >
        {columns.map((column) => (
          <div role="gridcell" key={column.key} class={column.end ? "cell end" : "cell"}>
            {row === undefined ? <span class="faint">…</span> : column.cell(row, index)}
          </div>
        ))}
      </div>,
    );
  }

  const bound = props.mostRows ? Math.min(props.mostRows, Math.max(1, rows.total)) * ROW + ROW + 2 : undefined;
  return (
    <div
      ref={frame}
      class={bound ? "table bound" : "table"}
      style={bound ? { height: `${bound}px` } : {}}
      role="grid"
      aria-label={props.label}
      aria-rowcount={rows.total + 1}
      aria-colcount={columns.length}
      aria-activedescendant={selected >= first && selected <= last ? `${id}-${selected}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div class="tall" style={{ height: `${rows.total * ROW + ROW}px` }}>
        <div class="view" style={{ height: `${height}px` }}>
          <div role="rowgroup">
            <div role="row" aria-rowindex={1} class="row head" style={{ gridTemplateColumns: tracks }}>
              {columns.map((column) => heading(column, props))}
            </div>
          </div>
          <div role="rowgroup" class="body">
            <div class="moved" role="presentation" style={{ transform: `translateY(${first * ROW - at}px)` }}>
              {shown}
            </div>
            {rows.total === 0 && props.empty && (
              <div role="row" class="row none">
                <div role="gridcell">{props.empty}</div>
              </div>
            )}
          </div>
        </div>
      </div>
    </div>
  );
}

function heading<T>(column: Column<T>, props: TableProps<T>) {
  const sorted = column.sort !== undefined && column.sort === props.sort;
  const down = sorted && props.descending?.includes(column.sort!);
  return (
    <div
      role="columnheader"
      key={column.key}
      class={column.end ? "cell end" : "cell"}
      title={column.title}
      aria-sort={column.sort === undefined ? undefined : sorted ? (down ? "descending" : "ascending") : "none"}
    >
      {column.sort === undefined ? (
        column.head
      ) : (
        <button type="button" class="sort" onClick={() => props.onSort?.(column.sort!)}>
          {column.head}
          <span aria-hidden="true">{sorted ? (down ? " ▾" : " ▴") : ""}</span>
        </button>
      )}
    </div>
  );
}
