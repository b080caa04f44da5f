import type { JSX } from 'preact';

const PATHS = {
  overview: 'M4 13a8 8 0 1 1 16 0M12 13l4-4M4 17h16',
  send: 'M4 12 20 4l-5 16-3.5-6.5zM11.5 13.5 20 4',
  messages: 'M4 6h16M4 12h16M4 18h10',
  usage: 'M4 20h16M7 16v-5M12 16V5M17 16V9',
  providers: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.2M7.5 16h.2M11 8h6M11 16h6',
  accounts:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5a6.5 6.5 0 0 1 3.5 5.5',
  configuration: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  logout: 'M10 4H5v16h5M15 8l4 4-4 4M19 12H9',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4',
  moon: 'M20 14.5A8 8 0 1 1 9.5 4a6.5 6.5 0 0 0 10.5 10.5z',
  auto: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  check: 'M5 12.5 10 17 19 7',
  cross: 'M6 6l12 12M18 6 6 18',
  warning: 'M12 4 2.5 20h19zM12 10v4.5M12 17.2v.3',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2',
  question: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.7.4-1.1.9-1.1 1.8M12 16.6v.2',
  coin: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM14.8 9c-.5-.9-1.5-1.3-2.8-1.3-1.6 0-2.8.8-2.8 2.1 0 3 5.7 1.4 5.7 4.3 0 1.4-1.3 2.2-2.9 2.2-1.4 0-2.6-.5-3-1.5M12 6v12',
  block: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.7 5.7l12.6 12.6',
  pause: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM10 9v6M14 9v6',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  inbox: 'M4 13 7 5h10l3 8v6H4zM4 13h5l1 2.5h4L15 13h5',
  swap: 'M4 8h14M14 4l4 4-4 4M20 16H6M10 12l-4 4 4 4',
} as const;
export type IconName = keyof typeof PATHS;

/** Decoration: the text beside it says what it means. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
