// `npm run bench [-- quota|growth|soak] [--quick] [--json FILE] [--markdown FILE]`: what Octo costs, next to others. Without a
// name: a whole message. Each is told at the head of its own file.
import { benchGateways } from './bench-gateways.js';
import { benchGrowth } from './growth/bench-growth.js';
import { benchQuota } from './quota/bench-quota.js';
import { benchSoak } from './soak/bench-soak.js';
import { hasEngines } from '../testbed/system.js';

const BENCHES: Record<string, (args: string[]) => Promise<number>> = {
  quota: benchQuota,
  growth: benchGrowth,
  soak: benchSoak,
};

if (process.platform !== 'linux' || !hasEngines()) {
  console.log('not run: it takes Linux, whose kernel counts CPU time, and a redis-server and a Postgres on the PATH');
  process.exit(1);
}
const [name = '', ...rest] = process.argv.slice(2);
const bench = BENCHES[name];
process.exit(await (bench === undefined ? benchGateways(process.argv.slice(2)) : bench(rest)));
