/** One line of the Prometheus text format. */
export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** The series of a scrape. */
export function seriesOf(text: string): Series[] {
  return [...text.matchAll(/^([a-zA-Z_]\w*)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, of]) => [label, of])),
    value: Number(value),
  }));
}

/** The type of each metric, by name. */
export function typesOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]));
}
