import { runAdmin } from './run-admin.js';

process.exit(await runAdmin(process.argv.slice(2), process.env));
