import type { JSX } from 'preact';
import type { MessageRecord } from '#contracts';
import { duration, money } from '../../i18n/format.js';
import { t } from '../../i18n/i18n.js';
import { Link } from '../../router.js';
import { StatusBadge } from '../../ui/badge.js';
import { shortId } from '../messages.js';
import { type Span, spansOf } from './spans.js';

interface Range {
  startMs: number;
  endMs: number;
}

/** Shorter spans could not be seen. */
const MIN_PERCENT = 0.7;
const LEGEND = [
  ['attempt', 'free', 'trace.free'],
  ['attempt', 'paid', 'trace.paid'],
  ['attempt', 'bad', 'trace.failed'],
  ['attempt', 'doubtful', 'trace.unknown'],
  ['attempt', 'plain', 'trace.sending'],
  ['wait', 'waiting', 'trace.waiting'],
] as const;

/** One row for each message, with its waits and attempts on one axis of time. The timeline says the same in words. */
export function Lanes({ records, range }: { records: readonly MessageRecord[]; range: Range }): JSX.Element {
  const lanes = records.map((record) => ({ record, spans: spansOf(record, range.endMs) }));
  const spans = lanes.flatMap((lane) => lane.spans);
  const known = LEGEND.filter(([kind, tone]) => spans.some((span) => span.kind === kind && span.tone === tone));
  return (
    <>
      <ol class="lanes">
        {lanes.map((lane, index) => (
          <Lane key={lane.record.id} mark={`#${index + 1}`} range={range} {...lane} />
        ))}
      </ol>
      <p class="lane-axis quiet number" aria-hidden="true">
        <span>{t('hop.start')}</span>
        <span>+{duration(range.endMs - range.startMs)}</span>
      </p>
      <ul class="legend" aria-hidden="true">
        {known.map(([kind, tone, text]) => (
          <li key={text}>
            <svg class={`lane-sample tone-${tone}`} viewBox="0 0 28 14">
              <rect class={`span-${kind}`} width="28" height={HEIGHTS[kind]} y={(14 - HEIGHTS[kind]) / 2} rx="2" />
            </svg>
            {t(text)}
          </li>
        ))}
      </ul>
    </>
  );
}

const HEIGHTS = { attempt: 14, wait: 6 } as const;

interface LaneProps {
  mark: string;
  record: MessageRecord;
  spans: readonly Span[];
  range: Range;
}

function Lane({ mark, record, spans, range }: LaneProps): JSX.Element {
  const { id, status, channel, account, provider, costMicros, currency, createdAt, finishedAt, message } = record;
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  const facts = [
    account ?? provider ?? channel,
    money(costMicros, currency),
    finishedAt !== null && duration(Date.parse(finishedAt) - Date.parse(createdAt)),
  ].filter((fact) => typeof fact === 'string');
  return (
    <li>
      <p class="lane-head">
        <span class="mark">{mark}</span>
        <Link to={`/messages/${id}`} title={id}>
          <code>{shortId(id)}</code>
        </Link>
        <StatusBadge status={status} costMicros={costMicros} />
        <span class="quiet number">{facts.join(' · ')}</span>
      </p>
      <p class="lane-text quiet">{message === null ? t('message.gone') : text}</p>
      <svg class="lane" aria-hidden="true">
        <rect class="lane-track" width="100%" height="2" y="6" />
        {spans.map((span) => (
          <Bar key={span.fromMs} span={span} range={range} />
        ))}
      </svg>
    </li>
  );
}

function Bar({ span, range }: { span: Span; range: Range }): JSX.Element {
  const { kind, tone, fromMs, toMs } = span;
  const percent = (ms: number): number => (100 * ms) / Math.max(1, range.endMs - range.startMs);
  const width = Math.max(MIN_PERCENT, percent(toMs - fromMs));
  const left = Math.min(100 - width, percent(fromMs - range.startMs));
  return (
    <rect
      class={`span-${kind} tone-${tone}`}
      x={`${left}%`}
      y={(14 - HEIGHTS[kind]) / 2}
      width={`${width}%`}
      height={HEIGHTS[kind]}
      rx="2"
    />
  );
}
