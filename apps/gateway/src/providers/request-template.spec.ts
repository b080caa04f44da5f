import { describe, expect, it } from '@jest/globals';
import { ExpressionError } from './expressions.js';
import { compileRequest, type RequestSource } from './request-template.js';

const context = {
  message: { to: '+49 1/2', text: 'a & b', tags: ['x', 'y'] },
  id: 'id-1',
  channel: 'sms',
  account: 'one',
};
const source = (but: Partial<RequestSource>): RequestSource => ({
  method: 'POST',
  url: 'https://api.example/v1/send',
  headers: {},
  body: { kind: 'none' },
  ...but,
});
const render = async (but: Partial<RequestSource>) => {
  const template = compileRequest(source(but));
  const { origin } = template;
  const { headers, ...request } = await template.render(context);
  const named = Object.fromEntries(headers.flatMap((name, index) => (index % 2 ? [] : [[name, headers[index + 1]]])));
  return { origin, ...request, headers: named as Record<string, string> };
};

describe('the request of a provider', () => {
  it('has the small contract as JSON', async () => {
    const request = await render({ body: { kind: 'message' }, url: 'http://a/messages' });
    expect(request).toMatchObject({ origin: 'http://a', method: 'POST', path: '/messages' });
    expect(JSON.parse(request.body ?? '')).toEqual({ message: context.message });
    expect(request.headers).toMatchObject({ 'content-type': 'application/json' });
  });

  it('takes an encoded path and query from the message', async () => {
    const url = 'https://api.example/v1/{{ $encodeUrlComponent(message.to) }}/send?key=abc&id={{ id }}';
    expect((await render({ url, method: 'PUT' })).path).toBe('/v1/%2B49%201%2F2/send?key=abc&id=id-1');
  });

  it('turns user and password of the URL into Basic authorization', async () => {
    const { headers, origin } = await render({ url: 'https://me:p%40ss@api.example/' });
    expect(headers['authorization']).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
    expect(origin).toBe('https://api.example');
  });

  it('writes a form, with a field for each value of a list', async () => {
    const form = {
      To: '{{ message.to }}',
      Body: '{{ message.text }}',
      Tag: '{{ message.tags }}',
      No: '{{ message.no }}',
    };
    const { body, headers } = await render({ body: { kind: 'form', value: form } });
    expect(body).toBe('To=%2B49+1%2F2&Body=a+%26+b&Tag=x&Tag=y');
    expect(headers['content-type']).toBe('application/x-www-form-urlencoded');
  });

  it('writes JSON and plain text', async () => {
    const json = { kind: 'json' as const, value: { body: '{{ message.text }}', ids: ['{{ id }}'] } };
    expect((await render({ body: json })).body).toBe('{"body":"a & b","ids":["id-1"]}');
    expect((await render({ body: { kind: 'text', value: 'id {{ id }}' } })).body).toBe('id id-1');
  });

  it('replaces its default headers, and leaves out a header without a value', async () => {
    const headers = { Accept: 'text/plain', 'x-none': '{{ message.no }}', 'x-account': '{{ account }}', Host: 'evil' };
    expect((await render({ headers })).headers).toEqual({ accept: 'text/plain', 'x-account': 'one' });
  });

  it.each([
    ['a relative URL', { url: '/send' }],
    ['a host from an expression', { url: 'https://{{ message.to }}/send' }],
    ['a constant header of two lines', { headers: { a: 'b\nc' } }],
  ])('is refused with %s', (_what, but) => {
    expect(() => compileRequest(source(but))).toThrow(ExpressionError);
  });

  it.each([
    ['a header with a line break', { headers: { a: '{{ "b\nc" }}' } }],
    ['a body without a value', { body: { kind: 'json' as const, value: '{{ message.no }}' } }],
    ['a path that leads to another host', { url: 'https://api.example{{ ".evil.example/" }}' }],
  ])('fails for a message that gives %s', async (_what, but) => {
    await expect(render(but)).rejects.toBeInstanceOf(ExpressionError);
  });
});
