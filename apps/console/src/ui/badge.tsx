import type { ComponentChildren, JSX } from 'preact';
import type { MessageRecord } from '#contracts';
import { t, textOfCode } from '../i18n/i18n.js';
import { Icon, type IconName } from './icon.js';

export type Tone = 'free' | 'paid' | 'waiting' | 'bad' | 'doubtful' | 'plain';

export function Badge({
  tone,
  icon,
  children,
}: {
  tone: Tone;
  icon: IconName;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <span class={`badge tone-${tone}`}>
      <Icon name={icon} />
      {children}
    </span>
  );
}

/** Delivered messages say how: free or paid for. */
export function StatusBadge({ status, costMicros }: Pick<MessageRecord, 'status' | 'costMicros'>): JSX.Element {
  const [tone, icon] = lookOf(status, costMicros);
  if (status !== 'delivered') {
    return (
      <Badge tone={tone} icon={icon}>
        {textOfCode('status', status) ?? status}
      </Badge>
    );
  }
  return (
    <Badge tone={tone} icon={icon}>
      {t(costMicros > 0 ? 'status.deliveredPaid' : 'status.deliveredFree')}
    </Badge>
  );
}

function lookOf(status: MessageRecord['status'], costMicros: number): [Tone, IconName] {
  if (status === 'delivered') return costMicros > 0 ? ['paid', 'coin'] : ['free', 'check'];
  if (status === 'waiting') return ['waiting', 'clock'];
  if (status === 'sending') return ['waiting', 'send'];
  if (status === 'unknown') return ['doubtful', 'question'];
  if (status === 'cancelled') return ['plain', 'cross'];
  return ['bad', 'block'];
}
