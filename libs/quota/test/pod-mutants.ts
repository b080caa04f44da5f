import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Quota } from '../src/quota.js';
import type { ScenarioName } from './pod-scenarios.js';

interface Mutant {
  file: string;
  /** Occurs once. */
  text: string;
  becomes: string;
  /** Where it is caught, and by which promise. */
  scenario: ScenarioName;
  breaks: string;
}

const NO_SLOT_LOST = 'no slot is lost: what is used was accepted, refused or is unknown';
const PROVIDER_QUOTA = 'provider-quota.ts';
const KNOWN_QUOTA = 'known-quota.ts';

/** Pods broken on purpose. */
export const MUTANTS = {
  'dates permits from the reply': {
    file: PROVIDER_QUOTA,
    text: 'const sendByMs = step.startedAtMs + this.options.permitMs;',
    becomes: 'const sendByMs = performance.now() + this.options.permitMs;',
    scenario: 'dates a permit from when it was first asked for',
    breaks: 'a permit lasts from its first try on',
  },
  'hands out permits that have run out': {
    file: PROVIDER_QUOTA,
    text: 'hasClosed || performance.now() >= sendByMs;',
    becomes: 'hasClosed;',
    scenario: 'hands out no permit that has run out on the way, and gives it back',
    breaks: 'no permit is handed out that has run out',
  },
  'never gives back a permit nobody took': {
    file: PROVIDER_QUOTA,
    text: 'this.refundSpares(performance.now() + this.options.permitMs - SPARE_MS);',
    becomes: '',
    scenario: 'gives back a permit that came too late for who asked',
    breaks: NO_SLOT_LOST,
  },
  'forgets a permit that came too late for who asked': {
    file: PROVIDER_QUOTA,
    text: 'if (waiter === undefined) this.inHand.keepForNext(permit);\n      else waiter(',
    becomes: 'if (waiter !== undefined) waiter(',
    scenario: 'gives back a permit that came too late for who asked',
    breaks: NO_SLOT_LOST,
  },
  'takes nothing ahead': {
    file: PROVIDER_QUOTA,
    text: 'asked + this.demand.ahead(startedAtMs);',
    becomes: 'asked;',
    scenario: 'takes permits ahead for callers that follow each other, and gives back what nobody took',
    breaks: 'callers that follow each other share steps',
  },
  'keeps what it took ahead and nobody took': {
    file: PROVIDER_QUOTA,
    text: 'this.refundSpares(performance.now() + this.options.permitMs - SPARE_MS);',
    becomes: '',
    scenario: 'takes permits ahead for callers that follow each other, and gives back what nobody took',
    breaks: NO_SLOT_LOST,
  },
  'takes ahead whatever is left': {
    file: 'demand.ts',
    text: 'Math.floor(this.left / ROOM)',
    becomes: 'this.left',
    scenario: 'takes nothing ahead of a quota that may end',
    breaks: 'nothing is taken ahead that others might miss',
  },
  'hands out what it took ahead of a refusal': {
    file: PROVIDER_QUOTA,
    text: 'this.refusedAtMs = performance.now();\n      this.refundSpares(Infinity);',
    becomes: 'this.refusedAtMs = performance.now();',
    scenario: 'hands out nothing it took ahead when the provider has refused',
    breaks: 'nothing is granted of a window that was seen to be closed',
  },
  'takes one permit for two callers': {
    file: 'permits-in-hand.ts',
    text: 'return this.spares.shift();',
    becomes: 'return this.spares[0];',
    scenario: 'hands a permit that came too late to the next caller, and to nobody else',
    breaks: 'a permit is handed out once',
  },
  'composes an unconfirmed step anew': {
    file: PROVIDER_QUOTA,
    text: 'const step = this.unconfirmed ?? this.compose();',
    becomes: 'const step = this.compose();',
    scenario: 'repeats a step whose reply was lost, and gives back what it was granted',
    breaks: NO_SLOT_LOST,
  },
  'repeats an unconfirmed step under a new number': {
    file: PROVIDER_QUOTA,
    text: 'const step = this.unconfirmed ?? this.compose();',
    becomes: 'const step = this.unconfirmed ? { ...this.unconfirmed, seq: ++this.seq } : this.compose();',
    scenario: 'tells once what settled before a reply was lost',
    breaks: 'an epoch grants no more than the limit',
  },
  'counts every settlement of a permit': {
    file: PROVIDER_QUOTA,
    text: 'if (!this.inHand.remove(permit)) return;',
    becomes: 'this.inHand.remove(permit);',
    scenario: 'counts a permit once, however often it is settled',
    breaks: 'an epoch grants no more than the limit',
  },
  'ignores its budget': {
    file: PROVIDER_QUOTA,
    text: '}, this.options.budgetMs);',
    becomes: '}, 1_000_000);',
    scenario: 'gives back a permit that came too late for who asked',
    breaks: 'every reservation is answered',
  },
  'forgets those who ask while a step is in flight': {
    file: PROVIDER_QUOTA,
    text: "answer(asking, { granted: false, reason: 'unavailable' });\n      this.answerWaiting({ granted: false, reason: 'unavailable' });",
    becomes: "answer(asking, { granted: false, reason: 'unavailable' });",
    scenario: 'keeps nobody waiting who asks while a step is in flight',
    breaks: 'every reservation is answered',
  },
  'lets callers join a step that was given up': {
    file: PROVIDER_QUOTA,
    text: 'this.isOverdue = true;',
    becomes: '',
    scenario: 'keeps nobody waiting who asks at the very end of the budget',
    breaks: 'every reservation is answered',
  },
  'makes many steps at a time': {
    file: PROVIDER_QUOTA,
    text: 'this.running ??= this.run();',
    becomes: 'this.running = this.run();',
    scenario: 'makes one step at a time',
    breaks: 'whoever asks while a step is in flight joins the next one',
  },
  'makes a trip for every settlement': {
    file: PROVIDER_QUOTA,
    text: 'isUrgent || isLastOut ? 0',
    becomes: 'settlement !== undefined ? 0',
    scenario: 'makes one trip for a message, not two',
    breaks: 'settlements ride on the next step',
  },
  'asks again and again whether the store is where it was': {
    file: PROVIDER_QUOTA,
    text: 'this.isFlushDue = false;\n    this.isCheckDue = false;',
    becomes: 'this.isFlushDue = false;',
    scenario: 'asks once whether a store that was lost is where it was',
    breaks: 'no trip without a reason',
  },
  'asks although it knows of a block': {
    file: PROVIDER_QUOTA,
    text: 'if (waitMs > 0) return',
    becomes: 'if (waitMs < 0) return',
    scenario: 'remembers a block, however late it heard of it, and asks nobody',
    breaks: 'a pod that knows of a block asks nobody',
  },
  'remembers a block from when it read of it': {
    file: KNOWN_QUOTA,
    text: 'const untilMs = askedAtMs + waitMs;',
    becomes: 'const untilMs = performance.now() + waitMs;',
    scenario: 'remembers a block, however late it heard of it, and asks nobody',
    breaks: 'a block is remembered no longer than it lasts',
  },
  'tells who came late to wait from when they asked': {
    file: PROVIDER_QUOTA,
    text: "reason === 'blocked' ? this.blockedForMs : reply.waitMs",
    becomes: 'reply.waitMs',
    scenario: 'remembers a block, however late it heard of it, and asks nobody',
    breaks: 'a block is remembered no longer than it lasts',
  },
  'tells instants for ages': {
    file: 'settlement-batch.ts',
    text: 'Math.floor(nowMs - counts.answeredAtMs)',
    becomes: 'Math.floor(counts.answeredAtMs)',
    scenario: 'counts a block from the last answer, however late it is told',
    breaks: 'a block lasts from the last answer on',
  },
  'tells of slots given back as late as of others': {
    file: PROVIDER_QUOTA,
    text: 'isUrgent || isLastOut ? 0',
    becomes: 'isLastOut ? 0',
    scenario: 'gives a slot back at once',
    breaks: NO_SLOT_LOST,
  },
  'tells of the last answer of a window as late as of others': {
    file: PROVIDER_QUOTA,
    text: 'isUrgent || isLastOut ? 0',
    becomes: 'isUrgent ? 0',
    scenario: 'remembers a block, however late it heard of it, and asks nobody',
    breaks: 'a spent window closes with its last answer',
  },
  'hands out what was on its way when the provider refused': {
    file: PROVIDER_QUOTA,
    text: 'step.startedAtMs <= this.refusedAtMs',
    becomes: 'false',
    scenario: 'hands out nothing that was on its way when the provider refused',
    breaks: 'nothing is granted of a window that was seen to be closed',
  },
  'believes a provider that repeats itself': {
    file: 'credibility.ts',
    text: 'times >= SAME_REMAINING || ',
    becomes: '',
    scenario: 'stops believing a provider that repeats itself',
    breaks: NO_SLOT_LOST,
  },
  'tells of the store with every step': {
    file: PROVIDER_QUOTA,
    text: 'if (this.isLost === isLost) return;',
    becomes: '',
    scenario: 'tells of a lost store once',
    breaks: 'a store is told of once when lost and once when back',
  },
  'closes without telling what has settled': {
    file: PROVIDER_QUOTA,
    text: 'this.flush.cancel();\n    if (this.store.isConnected) this.flushNow();\n    // The same',
    becomes: 'this.flush.cancel();\n    // The same',
    scenario: 'delivers what has settled when it closes',
    breaks: 'closing delivers the last settlements',
  },
  'has closed before all is given back': {
    file: PROVIDER_QUOTA,
    text: 'has delivered it.\n    await this.running;',
    becomes: 'has delivered it.',
    scenario: 'gives back the permits nobody took before it has closed',
    breaks: 'a pod has closed once it was heard',
  },
  'keeps what a lost reply granted when it has closed': {
    file: PROVIDER_QUOTA,
    text: 'take it.\n      this.refundSpares(Infinity);',
    becomes: 'take it.',
    scenario: 'gives back what a lost reply granted also after it has closed',
    breaks: NO_SLOT_LOST,
  },
  'reads the wall clock': {
    file: PROVIDER_QUOTA,
    text: 'const nowMs = performance.now();\n    const spare',
    becomes: 'const nowMs = Date.now();\n    const spare',
    scenario: 'leaves the wall clock alone',
    breaks: 'nothing of the engine reads the wall clock',
  },
} as const satisfies Record<string, Mutant>;

export type MutantName = keyof typeof MUTANTS;

const SOURCES = fileURLToPath(new URL('../src/', import.meta.url));
/** Git and the tools pass it by. */
const COPIES = fileURLToPath(new URL('../../../.data/mutants/', import.meta.url));

/** The engine with one change, from a copy of its sources. Copies stay: equal ones are compiled once. */
export async function mutated(name: MutantName): Promise<typeof Quota> {
  const { file, text, becomes } = MUTANTS[name];
  const folder = join(COPIES, name.replaceAll(' ', '-'));
  for (const source of readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(ts|lua)$/.test(source) || source.endsWith('.spec.ts')) continue;
    const original = readFileSync(join(SOURCES, source), 'utf8');
    writeIfOther(join(folder, source), source === file ? replaceOnce(original, text, becomes) : original);
  }
  const engine = (await import(join(folder, 'quota.ts'))) as { Quota: typeof Quota };
  return engine.Quota;
}

function replaceOnce(source: string, text: string, becomes: string): string {
  const [before, after, ...more] = source.split(text);
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`not once in the source: ${text}`);
  return `${before}${becomes}${after}`;
}

function writeIfOther(path: string, content: string): void {
  try {
    if (readFileSync(path, 'utf8') === content) return;
  } catch {
    // Not there yet.
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
