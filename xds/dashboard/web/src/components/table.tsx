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

let tables = 0;

export function Table<T>(props: TableProps<T>) {
  const { columns, rows, rowKey } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [id] = useState(() => `table-${++tables}`);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [selected, setSelected] = useState(-1);

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

  const select = (index: number) => {
    const next = Math.max(0, Math.min(rows.total - 1, index));
    setSelected(next);
    const box = frame.current!;
    if (next * ROW < box.scrollTop) box.scrollTop = next * ROW;
    else if ((next + 1) * ROW > box.scrollTop + space) box.scrollTop = (next + 1) * ROW - space;
  };
  const onKeyDown = (event: JSX.TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(space / ROW) - 1);
    const moves: Record<string, number> = {
      ArrowDown: selected + 1,
      ArrowUp: selected - 1,
      PageDown: selected + page,
      PageUp: selected - page,
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
          setSelected(index);
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
