import type { Reservation } from '../src/permit.js';
import { invariant } from './invariant.js';
import type { Pod, PodModel, World } from './pod-model.js';

export interface Scenario {
  world?: Partial<World>;
  play: (model: PodModel, pod: Pod) => Promise<void>;
}

const ACCEPTED = { outcome: 'accepted' } as const;
const NOT_SENT = { outcome: 'notSent' } as const;
const REFUSED = { outcome: 'refused' } as const;
const IMPATIENT = { budgetMs: 20 };
/** Enough left to prefetch permits. */
const ROOMY = { limit: 1_000_000 };
const CALLERS = 40;

async function reserveOneByOne(model: PodModel, pod: Pod): Promise<void> {
  for (let caller = 0; caller < CALLERS; caller += 1) await model.reserve(pod);
}

async function spendAll(model: PodModel, pod: Pod, limit: number): Promise<void> {
  await model.reserveMany(pod, limit + 1);
  while (pod.held.length > 0) model.settle(pod, ACCEPTED);
  await model.isStored('blockedUntilMs', (untilMs) => untilMs > 0, 'a spent window closes with its last answer');
}

/** Reserves a permit; the reply arrives only after `meanwhile`. */
async function reserveWithLateReply(
  model: PodModel,
  pod: Pod,
  meanwhile: (sentByMs: number) => unknown,
): Promise<Reservation> {
  pod.proxy.holdReplies();
  const reserving = model.reserve(pod);
  await meanwhile(await model.turn());
  pod.proxy.releaseReplies();
  return reserving;
}

/** Runs while the wall clock shows random times. */
export async function withWrongWallClock(run: () => Promise<void>): Promise<void> {
  const RightDate = globalThis.Date;
  const randomMs = (): number => Math.floor(Math.random() * 4e12);
  globalThis.Date = class extends RightDate {
    static override now = randomMs;
    constructor(...given: [] | [value: number | string | Date]) {
      super(given[0] ?? randomMs());
    }
  } as DateConstructor;
  try {
    await run();
  } finally {
    globalThis.Date = RightDate;
  }
}

/** One guarantee each. At the end of each, the model settles all permits and checks the counts. */
export const SCENARIOS = {
  'dates a permit from the first attempt of its step': {
    play: async (model, pod) => {
      let sentByMs = 0;
      const reservation = await reserveWithLateReply(model, pod, (ms) => ((sentByMs = ms), model.pass(50)));
      if (!reservation.granted) throw new Error('the pod got no permit');
      invariant(reservation.permit.sendByMs <= sentByMs + 20_000, 'a permit lasts from the first attempt');
    },
  },

  'hands out no permit that expired on the way, and returns it': {
    world: { permitMs: 10 },
    play: async (model, pod) => {
      await reserveWithLateReply(model, pod, () => model.pass(300));
    },
  },

  'returns a permit that came too late for its caller': {
    world: IMPATIENT,
    play: async (model, pod) => {
      await model.grantWithoutReply(pod);
      await model.areAnswered();
    },
  },

  'hands a late permit to one later caller': {
    world: IMPATIENT,
    play: async (model, pod) => {
      await model.grantWithoutReply(pod);
      await model.areAnswered();
      pod.proxy.releaseReplies();
      while (!(await model.reserve(pod)).granted) await model.turn();
      await model.reserve(pod);
    },
  },

  'answers callers that join during an overdue step': {
    world: IMPATIENT,
    play: async (model, pod) => {
      pod.proxy.holdReplies();
      void model.reserve(pod);
      await model.turn();
      void model.reserve(pod);
      await model.areAnswered();
    },
  },

  'answers callers that come at the very end of the budget': {
    world: { budgetMs: 3 },
    play: async (model, pod) => {
      for (let times = 0; times < 10; times += 1) {
        pod.proxy.holdReplies();
        const reserving = model.reserve(pod).then(() => model.reserve(pod));
        // A busy event loop fires its timers as early as it may.
        while (pod.waiting > 0 && pod.reasons.asked % 2 === 1) await model.turn();
        await model.areAnswered();
        await reserving;
        pod.proxy.releaseReplies();
        await model.pass(5);
      }
    },
  },

  'retries a step whose reply was lost, and returns its permits': {
    play: async (model, pod) => {
      pod.proxy.holdReplies();
      for (let callers = 0; callers < 4; callers += 1) void model.reserve(pod);
      await model.isStored('granted', (granted) => granted === 4, 'Redis grants four permits');
      pod.proxy.cut();
      await model.areAnswered();
    },
  },

  'reports settlements once although the reply was lost': {
    world: { limit: 3 },
    play: async (model, pod) => {
      await model.reserveMany(pod, 3);
      pod.proxy.holdReplies();
      model.settle(pod, NOT_SENT);
      await model.isStored('refunded', (refunded) => refunded === 1, 'Redis applies the settlement');
      pod.proxy.cut();
      await model.isConnected(pod);
      await model.reserveMany(pod, 3);
    },
  },

  'counts a permit once, however often it is settled': {
    world: { limit: 3 },
    play: async (model, pod) => {
      await model.reserveMany(pod, 3);
      model.settle(pod, NOT_SENT, { times: 2 });
      await model.reserveMany(pod, 3);
    },
  },

  'makes one step at a time': {
    play: async (model, pod) => {
      pod.proxy.holdReplies();
      for (let callers = 0; callers < 5; callers += 1) {
        void model.reserve(pod);
        await model.turn();
      }
      invariant(pod.quota.trips === 1, 'callers wait while a step is in flight');
      pod.proxy.releaseReplies();
      await model.areAnswered();
      invariant(pod.quota.trips === 2, 'callers that waited share the next step');
    },
  },

  'makes one trip per message, not two': {
    play: async (model, pod) => {
      for (let messages = 0; messages < 5; messages += 1) {
        await model.reserve(pod);
        model.settle(pod, ACCEPTED);
        await model.pass(10);
      }
      invariant(pod.quota.trips === 5, 'settlements travel with the next step');
    },
  },

  'prefetches permits for callers that follow each other, and returns unused ones': {
    world: ROOMY,
    play: async (model, pod) => {
      await reserveOneByOne(model, pod);
      invariant(pod.quota.trips <= CALLERS / 2, 'callers that follow each other share steps');
      await model.reserveUntilPrefetched(pod);
    },
  },

  'prefetches nothing from a quota that may run out': {
    world: { limit: 1_000 },
    play: async (model, pod) => {
      await reserveOneByOne(model, pod);
      invariant(pod.quota.trips === CALLERS, 'no permit is prefetched that another pod might need');
    },
  },

  'hands out no prefetched permit after the provider refused': {
    world: ROOMY,
    play: async (model, pod) => {
      await model.reserveUntilPrefetched(pod);
      model.settle(pod, REFUSED);
      await model.reserve(pod);
    },
  },

  'hands out no permit that was in flight when the provider refused': {
    play: async (model, pod) => {
      await model.reserve(pod);
      await reserveWithLateReply(model, pod, () => model.settle(pod, REFUSED));
    },
  },

  'verifies the count once after a reconnection': {
    play: async (model, pod) => {
      await model.reserve(pod);
      pod.proxy.cut();
      await model.isConnected(pod);
      await model.pass(100);
    },
  },

  'knows a block, however late the reply was': {
    world: { pods: 2, limit: 3, blockMs: 20_000 },
    play: async (model, pod) => {
      await spendAll(model, pod, 3);
      const late = model.pod(1);
      model.checkBlocked(await reserveWithLateReply(model, late, () => model.pass(600)));
      await model.checkKnowsBlock(late);
    },
  },

  'counts a block from the last answer, however late it is reported': {
    world: { limit: 2, blockMs: 600_000 },
    play: async (model, pod) => {
      await model.reserveMany(pod, 2);
      model.settle(pod, ACCEPTED);
      model.settle(pod, ACCEPTED);
      await model.pass(50);
      await model.reserve(pod);
      await model.checkKnowsBlock(pod);
    },
  },

  'makes no trip while blocked, whatever the wall clock shows': {
    world: { limit: 2 },
    play: (model, pod) =>
      withWrongWallClock(async () => {
        await spendAll(model, pod, 2);
        await model.reserve(pod);
        await model.checkKnowsBlock(pod);
      }),
  },

  'returns a slot at once': {
    play: async (model, pod) => {
      await model.reserve(pod);
      model.settle(pod, NOT_SENT);
    },
  },

  'ignores the announcements of a provider that repeats itself': {
    world: { limit: 10 },
    play: async (model, pod) => {
      for (const remaining of [9, 9, 9, 9, 0]) {
        await model.reserve(pod);
        model.settle(pod, { outcome: 'accepted', announced: { remaining } });
      }
    },
  },

  'reports a lost store once': {
    play: async (model, pod) => {
      for (let times = 0; times < 2; times += 1) {
        await model.reserve(pod);
        await reserveWithLateReply(model, pod, () => pod.proxy.cut());
        await model.isConnected(pod);
        await model.reserve(pod);
      }
      invariant(pod.events.includes('store back'), 'the return of the store is reported');
    },
  },

  'delivers settlements when it closes': {
    play: async (model, pod) => {
      await model.reserve(pod);
      model.settle(pod, ACCEPTED);
    },
  },

  'returns the permits of a lost reply even after it has closed': {
    play: async (model, pod) => {
      await model.grantWithoutReply(pod);
      pod.proxy.cut();
      await model.close(pod);
    },
  },

  'returns spare permits before it has closed': {
    world: IMPATIENT,
    play: async (model, pod) => {
      await model.grantWithoutReply(pod);
      await model.areAnswered();
      pod.proxy.releaseReplies();
      await model.isConnected(pod);
      pod.proxy.holdReplies();
      const tripsBefore = pod.quota.trips;
      let hasClosed = false;
      void model.close(pod).then(() => (hasClosed = true));
      // A step starts one turn after the call that needs it.
      for (let turns = 0; turns < 3; turns += 1) await model.turn();
      invariant(!hasClosed || pod.quota.trips === tripsBefore, 'close() waits for its last step');
      pod.proxy.releaseReplies();
    },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
