import type { JSX } from 'preact';
import type { MessageRecord } from '#contracts';
import { duration, exactTime, money } from '../i18n/format.js';
import { t, textOfCode } from '../i18n/i18n.js';
import type { Tone } from './badge.js';
import { Icon, type IconName } from './icon.js';

type Hop = MessageRecord['hops'][number];

/** Everything that happened to a message, and how long after the beginning. */
export function Timeline({ hops, currency }: { hops: readonly Hop[]; currency: string }): JSX.Element {
  const [first] = hops;
  const startMs = first === undefined ? 0 : Date.parse(first.at);
  return (
    <ol class="timeline">
      {hops.map((hop) => (
        <HopItem key={hop.seq} hop={hop} afterMs={Date.parse(hop.at) - startMs} currency={currency} />
      ))}
    </ol>
  );
}

/** The same of several messages, in order of time. Each hop has the number of its message. */
export function TraceTimeline({
  records,
  startMs,
}: {
  records: readonly Pick<MessageRecord, 'id' | 'hops' | 'currency'>[];
  startMs: number;
}): JSX.Element {
  const entries = records.flatMap(({ id, hops, currency }, index) =>
    hops.map((hop) => ({ hop, currency, key: `${id} ${hop.seq}`, mark: `#${index + 1}` })),
  );
  // Times of one format sort as text. Hops of one time stay in the order of their messages.
  entries.sort((one, other) => (one.hop.at < other.hop.at ? -1 : Number(one.hop.at > other.hop.at)));
  return (
    <ol class="timeline">
      {entries.map(({ key, hop, ...rest }) => (
        <HopItem key={key} hop={hop} afterMs={Date.parse(hop.at) - startMs} {...rest} />
      ))}
    </ol>
  );
}

interface HopItemProps {
  hop: Hop;
  afterMs: number;
  currency: string;
  mark?: string;
}

function HopItem({ hop, afterMs, currency, mark }: HopItemProps): JSX.Element {
  const [tone, icon] = lookOf(hop);
  return (
    <li class={`tone-${tone}`}>
      <span class="hop-icon">
        <Icon name={icon} />
      </span>
      <div>
        <p class="hop-title">
          {mark !== undefined && <span class="mark">{mark}</span>}
          {mark !== undefined && ' '}
          {titleOf(hop)}
        </p>
        <p class="quiet">
          <time dateTime={hop.at} title={exactTime(new Date(hop.at))} class="number">
            {afterMs === 0 ? t('hop.start') : `+${duration(afterMs)}`}
          </time>
          {factsOf(hop, currency).map((fact) => ` · ${fact}`)}
        </p>
      </div>
    </li>
  );
}

function titleOf(hop: Hop): string {
  const place = hop.account ?? hop.provider ?? '';
  if (hop.step === 'answered' && hop.outcome !== undefined) return t(`hop.answered.${hop.outcome}`, { place });
  if (hop.step === 'delivered') return t('hop.delivered', { place });
  if (hop.step === 'sending') return t('hop.sending', { place });
  if (hop.step === 'no_permit') return t('hop.no_permit', { place });
  return textOfCode('hop', hop.step) ?? hop.step;
}

function factsOf(hop: Hop, currency: string): string[] {
  const { step, httpStatus, durationMs, waitMs, costMicros, reason, pod } = hop;
  return [
    httpStatus != null && `HTTP ${httpStatus}`,
    durationMs !== undefined && t('hop.took', { time: duration(durationMs) }),
    waitMs !== undefined &&
      waitMs > 0 &&
      t(step === 'no_permit' ? 'hop.opensIn' : 'hop.waits', { time: duration(waitMs) }),
    step === 'delivered' && costMicros !== undefined && money(costMicros, currency),
    reason !== undefined && (textOfCode('reason', reason) ?? textOfCode('problem', reason) ?? reason),
    pod,
  ].filter((fact) => typeof fact === 'string');
}

function lookOf({ step, outcome }: Hop): [Tone, IconName] {
  if (step === 'delivered') return ['free', 'check'];
  if (step === 'answered') return outcome === 'delivered' ? ['free', 'arrow'] : ['bad', 'warning'];
  if (step === 'sending') return ['waiting', 'send'];
  if (step === 'waiting') return ['waiting', 'clock'];
  if (step === 'no_permit') return ['plain', 'block'];
  if (step === 'taken_over') return ['doubtful', 'swap'];
  if (step === 'unknown') return ['doubtful', 'question'];
  if (step === 'failed' || step === 'expired') return ['bad', 'block'];
  return ['plain', step === 'cancelled' ? 'cross' : 'inbox'];
}
