import { describe, expect, it } from '@jest/globals';
import { signCallback } from './sign-callback.js';

const KEY = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
const OTHER_KEY = Buffer.from('another key of 24 bytes.');
const signed = (keys: Buffer[]) =>
  signCallback({
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    body: '{"test": 2432232314}',
    keys,
    now: new Date('2021-02-25T15:02:10.999Z'),
  });

describe('signCallback', () => {
  it('gives the signature of the Standard Webhooks example', () => {
    expect(signed([KEY])).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('signs with every key, in the order of the keys', () => {
    const [one, other] = [signed([KEY]), signed([OTHER_KEY])].map((headers) => headers['webhook-signature']);
    expect(one).not.toBe(other);
    expect(signed([OTHER_KEY, KEY])['webhook-signature']).toBe(`${other} ${one}`);
  });
});
