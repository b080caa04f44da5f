import { afterEach, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill('SIGKILL');
});

/** A process that logs `first` and, when its channel is closed, 1000 lines, then exits with code 3. */
async function start(stdout: 'pipe' | number): Promise<{ process: ChildProcess; exited: Promise<unknown[]> }> {
  const program = `
    import { JsonLogger } from './dist/libs/service/src/json-logger.js';
    const logger = new JsonLogger({ app: 'test', level: 'info' });
    logger.log('first');
    process.on('message', () => {
      logger.toggleDebug();
      logger.debug('seen');
      logger.toggleDebug();
      logger.debug('not seen');
      process.send('toggled');
    });
    process.once('disconnect', () => {
      for (let n = 0; n < 1000; n += 1) logger.log('last', { n });
      process.exit(3);
    });
    process.send('ready');`;
  child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', stdout, 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  await once(child, 'message');
  return { process: child, exited };
}

describe('JsonLogger', () => {
  it('writes every line when the process exits right after it', async () => {
    const { process } = await start('pipe');
    process.disconnect();
    let output = '';
    for await (const chunk of process.stdout ?? []) output += String(chunk);
    expect(output.match(/"event":"last"/g)).toHaveLength(1000);
  });

  it('writes debug lines between two toggles', async () => {
    const { process } = await start('pipe');
    process.send('toggle twice');
    await once(process, 'message');
    process.disconnect();
    let output = '';
    for await (const chunk of process.stdout ?? []) output += String(chunk);
    expect([...output.matchAll(/"level":"debug".*"event":"([^"]+)"/g)].map(([, event]) => event)).toEqual(['seen']);
  });

  it('does not keep a process alive when the reader of its output is gone', async () => {
    const { process, exited } = await start('pipe');
    process.stdout?.destroy();
    process.disconnect();
    expect(await exited).toEqual([3, null]);
  });

  it('does not end a process whose output cannot be written', async () => {
    const readOnly = openSync('/dev/null', 'r');
    const { process, exited } = await start(readOnly);
    closeSync(readOnly);
    process.disconnect();
    expect(await exited).toEqual([3, null]);
  });
});
