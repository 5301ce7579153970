/** Turns a chart's data into the options of ECharts. No text here is parsed: neither HTML nor a pattern. */

import type { EChartsCoreOption } from "echarts/core";
import { axis, tick } from "../format.ts";
import { intervalsOf, isAlone, withRoom, type ChartInput } from "./series.ts";

const FEW_POINTS = 40;
const POINT_PX = 5;
/** How much room the name of a version takes above its line. */
const MARKER_PX = 72;

type Pair = [number, number | null];

/** Return the options of a chart. */
export function chartOptions(input: ChartInput): EChartsCoreOption {
  const { ends, unit, ink } = input;
  const rangeMs = ends.to.getTime() - ends.from.getTime();
  const intervals = intervalsOf(input.data.times, ends);
  const label = { color: ink.soft, fontFamily: ink.font, fontSize: 12 };
  const first = intervals[0]?.[0] ?? ends.from.getTime();
  const last = intervals.at(-1)?.[1] ?? ends.to.getTime();
  return {
    animation: !input.isStill,
    animationDuration: 250,
    animationDurationUpdate: 250,
    grid: { left: 4, right: 14, top: input.data.markers.length > 0 ? 28 : 16, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: {
      type: "time",
      min: Math.min(first, ends.from.getTime()),
      max: Math.max(last, ends.to.getTime()),
      axisLine: { lineStyle: { color: ink.line } },
      axisTick: { lineStyle: { color: ink.line } },
      axisLabel: { ...label, hideOverlap: true, formatter: (at: number) => tick(new Date(at), rangeMs) },
      splitLine: { show: false },
      axisPointer: { show: true, type: "line", snap: false, label: { show: false }, lineStyle: { color: ink.soft, type: "dashed" } },
    },
    yAxis: {
      type: "value",
      min: 0,
      minInterval: areWhole(input) ? 1 : 0,
      splitNumber: 4,
      axisLabel: { ...label, formatter: (value: number) => axis(value, unit) },
      splitLine: { lineStyle: { color: ink.line } },
      axisPointer: { show: false },
    },
    series: [...seriesOf(input, intervals), markersOf(input)],
  };
}

function areWhole({ data }: ChartInput): boolean {
  return data.series.every(({ values }) => values.every((value) => value === null || Number.isInteger(value)));
}

function seriesOf(input: ChartInput, intervals: readonly [number, number][]): object[] {
  return input.data.series.map(({ values }, index) => {
    const isHidden = input.hidden.has(index);
    const points = intervals.map(([from, to], at): Pair => [(from + to) / 2, isHidden ? null : (values[at] ?? null)]);
    const color = input.colours[index] ?? input.ink.text;
    const shared = { id: `s${index}`, data: points, itemStyle: { color }, emphasis: { focus: "none" } };
    if (input.kind === "bars") return { ...shared, type: "bar", stack: "all", barCategoryGap: "18%", barMaxWidth: 48 };
    return { ...shared, type: "line", ...lineStyle(input, index, color, values) };
  });
}

/** If there are more lines than colours, they differ by their dashes. */
function lineStyle({ ink }: ChartInput, index: number, color: string, values: readonly (number | null)[]): object {
  const dashes = ["solid", "dashed", "dotted"] as const;
  const isFew = values.length <= FEW_POINTS;
  return {
    lineStyle: { color, width: 2, type: dashes[Math.floor(index / ink.series.length) % dashes.length] },
    symbol: "circle",
    showSymbol: true,
    showAllSymbol: true,
    symbolSize: (_: unknown, { dataIndex }: { dataIndex: number }) => (isFew || isAlone(values, dataIndex) ? POINT_PX : 0),
    connectNulls: false,
    triggerLineEvent: true,
  };
}

/** Vertical lines where a bot got a new version. They belong to a series of their own, which has no values. */
function markersOf({ data, markerTexts, ends, widthPx, ink }: ChartInput): object {
  const places = data.markers.map(({ time }) => Date.parse(time));
  const rangeMs = ends.to.getTime() - ends.from.getTime();
  const texts = withRoom(places, markerTexts, (rangeMs * MARKER_PX) / Math.max(1, widthPx));
  const lines = places.map((at, index) => ({ xAxis: at, name: texts[index] ?? "" }));
  return {
    id: "markers",
    type: "line",
    data: [],
    silent: true,
    markLine: {
      silent: true,
      symbol: "none",
      animation: false,
      lineStyle: { color: ink.text, type: "solid", width: 1, opacity: 0.75 },
      label: {
        formatter: ({ name }: { name: string }) => name,
        position: "end",
        distance: 4,
        color: ink.text,
        fontFamily: ink.font,
        fontSize: 12,
      },
      data: lines,
    },
  };
}
