import { describe, expect, it } from '@jest/globals';
import { compileExpression, compileTemplate, ExpressionError, valueOf } from './expressions.js';

const input = { message: { text: 'hi', to: '+1', count: 2, tags: ['a', 'b'], none: null }, id: 'id-1' };
const render = (template: unknown) => valueOf(compileTemplate(template), input);

describe('a template', () => {
  it.each([
    ['a text without expressions', 'plain {text}', 'plain {text}'],
    ['a number', 7, 7],
    ['an expression inside a text', 'to {{ message.to }}!', 'to +1!'],
    ['two expressions', '{{ id }}-{{ message.count }}', 'id-1-2'],
    ['a text that is one expression, which keeps its type', '{{ message.count }}', 2],
    ['a list that keeps its type', '{{ message.tags }}', ['a', 'b']],
    ['an expression that holds braces', '{{ {"a": {"b": id}} }}', { a: { b: 'id-1' } }],
    ['members without a value, which are left out', { a: '{{ message.missing }}', b: '{{ id }}' }, { b: 'id-1' }],
    ['null, which is a value', { a: '{{ message.none }}' }, { a: null }],
    ['items without a value, which are left out', ['octo', '{{ message.missing }}', '{{ id }}'], ['octo', 'id-1']],
  ])('renders %s', async (_what, template, expected) => {
    expect(await render(template)).toEqual(expected);
  });

  it('is constant when nothing in it is an expression', () => {
    expect(compileTemplate({ a: ['b', { c: 1 }] }).isConstant).toBe(true);
  });

  it('fails when an expression inside a text has no value', async () => {
    await expect(render('to {{ message.missing }}')).rejects.toBeInstanceOf(ExpressionError);
  });

  it('fails with the expression and the reason when it throws', async () => {
    await expect(render('{{ $number("x") }}')).rejects.toThrow('expression "$number("x")" failed');
  });

  it('is refused with the position of a syntax error', () => {
    expect(() => compileTemplate('{{ message. }}')).toThrow(/expression "message\.".*at character/);
    expect(() => compileTemplate('{{ message')).toThrow('"{{" without "}}"');
  });
});

describe('an expression', () => {
  it('sees its input', async () => {
    const price = compileExpression('body.price * 1000000');
    expect(await price.evaluate({ body: { price: 0.0079 } })).toBeCloseTo(7_900);
  });
});
