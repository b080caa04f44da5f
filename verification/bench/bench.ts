// `npm run bench [-- decisions] [options]`: what Octo costs, beside other software. Without a name: a whole message. Each bench
// lists its options at the top of its file.
import { exitOnInterrupt, exitWithoutEngines } from '../testbed/testbed.js';
import { benchDecisions } from './decisions/bench-decisions.js';
import { benchGateways } from './gateways/bench-gateways.js';

// On other systems there is no CPU time in /proc.
if (process.platform !== 'linux') throw new Error('npm run bench needs Linux');
exitWithoutEngines();
exitOnInterrupt();
const [name, ...options] = process.argv.slice(2);
process.exit(await (name === 'decisions' ? benchDecisions(options) : benchGateways(process.argv.slice(2))));
