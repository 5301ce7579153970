/** Draws charts with ECharts, on a canvas. Loaded only when the first chart is to be seen. */

import { BarChart, LineChart } from "echarts/charts";
import { AxisPointerComponent, GridComponent, MarkLineComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { chartOptions } from "./options.ts";
import { intervalAt, intervalsOf, type ChartInput } from "./series.ts";

use([LineChart, BarChart, GridComponent, AxisPointerComponent, MarkLineComponent, CanvasRenderer]);

export interface ChartEvents {
  /** The pointer is over an interval, at a place of the chart in pixels; or over none. */
  hovered(index: number | null, x: number): void;
  /** An interval was chosen, and perhaps one series of it. */
  chosen(index: number, series: number | null): void;
}

interface Place {
  offsetX: number;
  offsetY: number;
}

export class Chart {
  readonly #chart: EChartsType;
  readonly #sizes: ResizeObserver;
  #input: ChartInput | null = null;

  constructor(
    box: HTMLElement,
    private readonly events: ChartEvents,
  ) {
    this.#chart = init(box, null, { renderer: "canvas" });
    this.#sizes = new ResizeObserver(() => this.#chart.resize());
    this.#sizes.observe(box);
    this.#listen();
  }

  show(input: ChartInput): void {
    this.#input = input;
    this.#chart.setOption(chartOptions(input), { notMerge: false, replaceMerge: ["series"] });
  }

  /** For tests: where a value is drawn, in pixels of the chart. */
  placeOf(series: number, index: number): [number, number] | null {
    if (!this.#input) return null;
    const { data, ends } = this.#input;
    const [from, to] = intervalsOf(data.times, ends)[index] ?? [0, 0];
    const value = data.series[series]?.values[index] ?? 0;
    const found = this.#chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [(from + to) / 2, value]) as [number, number];
    return found;
  }

  dispose(): void {
    this.#sizes.disconnect();
    this.#chart.dispose();
  }

  #listen(): void {
    const drawing = this.#chart.getZr();
    drawing.on("mousemove", (place: Place) => this.events.hovered(this.#indexAt(place), place.offsetX));
    drawing.on("globalout", () => this.events.hovered(null, 0));
    drawing.on("click", (event) => {
      if (event.target === undefined) this.#choose(event, null);
    });
    this.#chart.on("click", (event) => {
      if (event.componentType === "series" && event.event) this.#choose(event.event, event.seriesIndex ?? null);
    });
  }

  #choose(place: Place, series: number | null): void {
    const index = this.#indexAt(place);
    if (index !== null) this.events.chosen(index, series);
  }

  #indexAt({ offsetX, offsetY }: Place): number | null {
    if (!this.#input || !this.#chart.containPixel({ gridIndex: 0 }, [offsetX, offsetY])) return null;
    const at = Number(this.#chart.convertFromPixel({ xAxisIndex: 0 }, offsetX));
    return intervalAt(intervalsOf(this.#input.data.times, this.#input.ends), at);
  }
}
