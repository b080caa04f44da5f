import { describe, expect, it } from '@jest/globals';
import { hadIdleSlot } from './idle-slot.js';
import { admissionOf } from './provider-policy.js';

const sliding = () => admissionOf({ policy: 'sliding-window', limit: 2, windowMs: 100 });
const bucket = () => admissionOf({ policy: 'token-bucket', capacity: 2, refillPerSecond: 10 });

describe('hadIdleSlot', () => {
  it('finds the slot that nobody used', () => {
    expect(hadIdleSlot(sliding, [0, 10, 101], { atMs: 130, graceMs: 15, answerMs: 5 })).toBe(true);
    expect(hadIdleSlot(bucket, [0, 1, 120], { atMs: 230, graceMs: 15, answerMs: 5 })).toBe(true);
  });

  it('finds none while the provider is full', () => {
    expect(hadIdleSlot(sliding, [0, 10, 101], { atMs: 108, graceMs: 3, answerMs: 5 })).toBe(false);
  });

  it('finds none that was used in the grace, or by what was on its way', () => {
    expect(hadIdleSlot(sliding, [0, 10, 101, 125], { atMs: 130, graceMs: 15, answerMs: 5 })).toBe(false);
    expect(hadIdleSlot(sliding, [0, 10, 101, 134], { atMs: 130, graceMs: 15, answerMs: 5 })).toBe(false);
  });

  it('finds none where another came back as each was used', () => {
    const sent = [0, 50, 110, 160, 211];
    expect(hadIdleSlot(sliding, sent, { atMs: 212, graceMs: 20, answerMs: 5 })).toBe(false);
  });
});
