// `node is-ready.js PORT`: exit code 0 when the app on this machine's port is ready. For container health checks.
import { get } from 'node:http';

const port = Number(process.argv[2]);
get({ host: '127.0.0.1', port, path: '/health/ready', timeout: 2_000 }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
})
  .on('timeout', () => process.exit(1))
  .on('error', () => process.exit(1));
