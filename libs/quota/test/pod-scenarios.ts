import { promise } from './broken-promise.js';
import type { PodModel, World } from './pod-model.js';
import { WrongClock } from './wrong-clock.js';

export interface Scenario {
  world: Partial<World>;
  play: (model: PodModel) => Promise<void>;
}

const ACCEPTED = { outcome: 'accepted' } as const;
const NOT_SENT = { outcome: 'notSent' } as const;
const IMPATIENT = { budgetMs: 20 };
/** With so much left, permits are taken ahead. */
const ROOMY = { limit: 1_000_000 };
/** So many callers, one after the other. */
const inTurn = async (model: PodModel, callers: number): Promise<void> => {
  for (let asked = 0; asked < callers; asked += 1) await model.reserve(model.pod());
};

/** One guarantee each; whatever is under way at its end the model settles, and counts. */
export const SCENARIOS = {
  'dates a permit from when it was first asked for': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      pod.proxy.holdReplies();
      const asked = model.reserve(pod);
      const sentByMs = await model.turn();
      await model.pass(50);
      pod.proxy.releaseReplies();
      const reservation = await asked;
      if (!reservation.granted) throw new Error('nothing was granted');
      promise(reservation.permit.sendByMs <= sentByMs + 20_000, 'a permit lasts from its first try on');
    },
  },

  'hands out no permit that has run out on the way, and gives it back': {
    world: { permitMs: 10 },
    play: async (model) => {
      const pod = model.pod();
      pod.proxy.holdReplies();
      const asked = model.reserve(pod);
      await model.turn();
      await model.pass(300);
      pod.proxy.releaseReplies();
      await asked;
    },
  },

  'gives back a permit that came too late for who asked': {
    world: IMPATIENT,
    play: async (model) => {
      const pod = model.pod();
      await model.grantUnheard(pod);
      await model.areAnswered();
    },
  },

  'hands a permit that came too late to the next caller, and to nobody else': {
    world: IMPATIENT,
    play: async (model) => {
      const pod = model.pod();
      await model.grantUnheard(pod);
      await model.areAnswered();
      pod.proxy.releaseReplies();
      while (!(await model.reserve(pod)).granted) await model.turn();
      await model.reserve(pod);
    },
  },

  'keeps nobody waiting who asks while a step is in flight': {
    world: IMPATIENT,
    play: async (model) => {
      const pod = model.pod();
      pod.proxy.holdReplies();
      void model.reserve(pod);
      await model.turn();
      void model.reserve(pod);
      await model.areAnswered();
    },
  },

  'keeps nobody waiting who asks at the very end of the budget': {
    world: { budgetMs: 3 },
    play: async (model) => {
      const pod = model.pod();
      for (let times = 0; times < 10; times += 1) {
        pod.proxy.holdReplies();
        const asked = model.reserve(pod).then(() => model.reserve(pod));
        // An event loop that never rests fires its timers as early as it may.
        while (pod.waiting > 0 && pod.reasons.asked % 2 === 1) await model.turn();
        await model.areAnswered();
        await asked;
        pod.proxy.releaseReplies();
        await model.pass(5);
      }
    },
  },

  'repeats a step whose reply was lost, and gives back what it was granted': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      pod.proxy.holdReplies();
      for (let asked = 0; asked < 4; asked += 1) void model.reserve(pod);
      await model.isStored('granted', (granted) => granted === 4, 'Redis grants all four');
      pod.proxy.cut();
      await model.areAnswered();
    },
  },

  'tells once what settled before a reply was lost': {
    world: { limit: 3 },
    play: async (model) => {
      const pod = model.pod();
      await model.reserveMany(pod, 3);
      pod.proxy.holdReplies();
      model.settle(pod, NOT_SENT);
      await model.isStored('refunded', (refunded) => refunded === 1, 'Redis has heard');
      pod.proxy.cut();
      await model.isConnected(pod);
      await model.reserveMany(pod, 3);
    },
  },

  'counts a permit once, however often it is settled': {
    world: { limit: 3 },
    play: async (model) => {
      const pod = model.pod();
      await model.reserveMany(pod, 3);
      model.settle(pod, NOT_SENT, { times: 2 });
      await model.reserveMany(pod, 3);
    },
  },

  'makes one step at a time': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      pod.proxy.holdReplies();
      for (let asked = 0; asked < 5; asked += 1) {
        void model.reserve(pod);
        await model.turn();
      }
      promise(pod.quota.trips === 1, 'whoever asks while a step is in flight joins the next one');
      pod.proxy.releaseReplies();
      await model.areAnswered();
      promise(pod.quota.trips === 2, 'all who asked meanwhile share a step');
    },
  },

  'makes one trip for a message, not two': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      for (let asked = 0; asked < 5; asked += 1) {
        await model.reserve(pod);
        model.settle(pod, ACCEPTED);
        await model.pass(10);
      }
      promise(pod.quota.trips === 5, 'settlements ride on the next step');
    },
  },

  'takes permits ahead for callers that follow each other, and gives back what nobody took': {
    world: ROOMY,
    play: async (model) => {
      await inTurn(model, 40);
      promise(model.pod().quota.trips <= 20, 'callers that follow each other share steps');
      await model.untilAhead(model.pod());
    },
  },

  'takes nothing ahead of a quota that may end': {
    world: { limit: 1_000 },
    play: async (model) => {
      await inTurn(model, 40);
      promise(model.pod().quota.trips === 40, 'nothing is taken ahead that others might miss');
    },
  },

  'hands out nothing it took ahead when the provider has refused': {
    world: ROOMY,
    play: async (model) => {
      const pod = model.pod();
      await model.untilAhead(pod);
      model.settle(pod, { outcome: 'refused' });
      await model.reserve(pod);
    },
  },

  'asks once whether a store that was lost is where it was': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      await model.reserve(pod);
      pod.proxy.cut();
      await model.isConnected(pod);
      await model.pass(100);
    },
  },

  'remembers a block, however late it heard of it, and asks nobody': {
    world: { pods: 2, limit: 3, blockMs: 20_000 },
    play: async (model) => {
      const [spending, late] = [model.pod(0), model.pod(1)];
      await model.reserveMany(spending, 4);
      while (spending.held.length > 0) model.settle(spending, ACCEPTED);
      await model.isStored('blockedUntilMs', (untilMs) => untilMs > 0, 'a spent window closes with its last answer');
      late.proxy.holdReplies();
      const asked = model.reserve(late);
      await model.turn();
      await model.pass(600);
      late.proxy.releaseReplies();
      model.isToldOfBlock(await asked);
      await model.isRemembered(late);
    },
  },

  'counts a block from the last answer, however late it is told': {
    world: { limit: 2, blockMs: 600_000 },
    play: async (model) => {
      const pod = model.pod();
      await model.reserveMany(pod, 2);
      model.settle(pod, ACCEPTED);
      model.settle(pod, ACCEPTED);
      await model.pass(50);
      await model.reserve(pod);
      await model.isRemembered(pod);
    },
  },

  'gives a slot back at once': {
    world: {},
    play: async (model) => {
      await model.reserve(model.pod());
      model.settle(model.pod(), NOT_SENT);
    },
  },

  'hands out nothing that was on its way when the provider refused': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      await model.reserve(pod);
      pod.proxy.holdReplies();
      const asked = model.reserve(pod);
      await model.turn();
      model.settle(pod, { outcome: 'refused' });
      pod.proxy.releaseReplies();
      await asked;
    },
  },

  'stops believing a provider that repeats itself': {
    world: { limit: 10 },
    play: async (model) => {
      const pod = model.pod();
      for (const remaining of [9, 9, 9, 9, 0]) {
        await model.reserve(pod);
        model.settle(pod, { outcome: 'accepted', announced: { remaining } });
      }
    },
  },

  'tells of a lost store once': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      for (let times = 0; times < 2; times += 1) {
        await model.reserve(pod);
        pod.proxy.holdReplies();
        const asked = model.reserve(pod);
        await model.turn();
        pod.proxy.cut();
        await asked;
        await model.isConnected(pod);
        await model.reserve(pod);
      }
      promise(pod.events.includes('store back'), 'it is told that the store is back');
    },
  },

  'delivers what has settled when it closes': {
    world: {},
    play: async (model) => {
      await model.reserve(model.pod());
      model.settle(model.pod(), ACCEPTED);
    },
  },

  'gives back what a lost reply granted also after it has closed': {
    world: {},
    play: async (model) => {
      const pod = model.pod();
      await model.grantUnheard(pod);
      pod.proxy.cut();
      await model.close(pod);
    },
  },

  'gives back the permits nobody took before it has closed': {
    world: IMPATIENT,
    play: async (model) => {
      const pod = model.pod();
      await model.grantUnheard(pod);
      await model.areAnswered();
      pod.proxy.releaseReplies();
      await model.isConnected(pod);
      pod.proxy.holdReplies();
      const tripsBefore = pod.quota.trips;
      let hasClosed = false;
      void model.close(pod).then(() => (hasClosed = true));
      // A step is made in the turn after the one that asked for it.
      for (let turn = 0; turn < 3; turn += 1) await model.turn();
      promise(!hasClosed || pod.quota.trips === tripsBefore, 'a pod has closed once it was heard');
      pod.proxy.releaseReplies();
    },
  },

  'leaves the wall clock alone': {
    world: { limit: 2 },
    play: async (model) => {
      const clock = new WrongClock();
      try {
        for (let asked = 0; asked < 3; asked += 1) await model.reserve(model.pod());
        model.settle(model.pod(), ACCEPTED);
        model.settle(model.pod(), ACCEPTED);
        await model.isStored('blockedUntilMs', (untilMs) => untilMs > 0, 'a spent window closes with its last answer');
        await model.reserve(model.pod());
        promise(clock.readers.length === 0, 'nothing of the engine reads the wall clock');
        await model.isRemembered(model.pod());
      } finally {
        clock.setRight();
      }
    },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
