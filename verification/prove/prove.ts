// `npm run prove [-- crash | -- money | -- overload | -- waiting] [options]`: checks what Octo guarantees on real processes and real
// engines. Without a name: the quota proof. Each proof lists its options at the top of its file. Exit code 1: a goal was missed.
import { exitOnInterrupt } from '../testbed/testbed.js';
import { proveCrash } from './crash/prove-crash.js';
import { proveMoney } from './money/prove-money.js';
import { proveOverload } from './overload/prove-overload.js';
import { proveQuota } from './quota/prove-quota.js';
import { proveWaiting } from './waiting/prove-waiting.js';

exitOnInterrupt();
const [name, ...options] = process.argv.slice(2);
if (name === 'crash') process.exit(await proveCrash(options));
if (name === 'overload') process.exit(await proveOverload(options));
if (name === 'money') process.exit(await proveMoney(options));
if (name === 'waiting') process.exit(await proveWaiting(options));
process.exit(await proveQuota(process.argv.slice(2)));
