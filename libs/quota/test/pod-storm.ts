import fc from 'fast-check';
import type { PodModel, World } from './pod-model.js';

/** The events of a storm. `pod` counts modulo the number of pods. */
type Action =
  | { do: 'reserve'; pod: number; times: number }
  | { do: 'settle'; pod: number; outcome: 'accepted' | 'notSent' | 'unknown' | 'refused'; times: number }
  | { do: 'holdReplies' | 'releaseReplies' | 'cut' | 'reconnect' | 'readState' | 'expire' | 'close'; pod: number }
  | { do: 'pass'; ms: number };

export interface Storm {
  world: World;
  actions: Action[];
}

const pod = fc.nat(2);
const simply = <Name extends string>(name: Name) => fc.record({ do: fc.constant(name), pod });
const settle = (outcome: Extract<Action, { do: 'settle' }>['outcome']) =>
  fc.record({
    do: fc.constant('settle' as const),
    pod,
    outcome: fc.constant(outcome),
    times: fc.integer({ min: 1, max: 2 }),
  });

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('reserve'), pod, times: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 8, arbitrary: settle('accepted') },
  { weight: 4, arbitrary: settle('notSent') },
  { weight: 2, arbitrary: settle('unknown') },
  { weight: 1, arbitrary: settle('refused') },
  { weight: 3, arbitrary: simply('holdReplies') },
  { weight: 3, arbitrary: simply('releaseReplies') },
  { weight: 3, arbitrary: simply('cut') },
  { weight: 2, arbitrary: simply('reconnect') },
  { weight: 1, arbitrary: simply('readState') },
  { weight: 1, arbitrary: simply('expire') },
  { weight: 1, arbitrary: simply('close') },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.integer({ min: 1, max: 25 }) }) },
);

/** Small quotas that are spent and reopen, and large ones in which every slot can be traced. */
export const storms: fc.Arbitrary<Storm> = fc.record({
  world: fc.record({
    pods: fc.integer({ min: 1, max: 3 }),
    limit: fc.constantFrom(2, 5, 1_000, 1_000_000),
    blockMs: fc.constantFrom(40, 60_000),
    permitMs: fc.constantFrom(30, 20_000),
    timeoutMs: fc.constant(50),
    budgetMs: fc.constantFrom(5, 30, 200),
  }),
  actions: fc.array(action, { minLength: 15, maxLength: 50 }),
});

export async function play(model: PodModel, { world, actions }: Storm): Promise<void> {
  for (const each of actions) await act(model, each, world);
}

async function act(model: PodModel, each: Action, { permitMs }: World): Promise<void> {
  if (each.do === 'pass') {
    await model.pass(each.ms);
    return;
  }
  const on = model.pod(each.pod);
  switch (each.do) {
    case 'reserve':
      for (let times = 0; times < each.times; times += 1) void model.reserve(on);
      return;
    case 'settle':
      model.settle(on, { outcome: each.outcome }, { times: each.times });
      return;
    case 'holdReplies':
    case 'releaseReplies':
    case 'cut':
      on.proxy[each.do]();
      return;
    case 'reconnect':
      on.proxy.releaseReplies();
      await model.isConnected(on);
      return;
    case 'readState':
      model.readState(on);
      return;
    case 'expire':
      if (permitMs < 100) await model.pass(permitMs);
      return;
    case 'close':
      void model.close(on);
  }
}
